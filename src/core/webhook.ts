/** Which webhook a number must have at Evolution, and what is wrong with the one that it has. Pure. */

/** Exactly what the runtime uses; an empty list would mean all of them. Source: contract 3. */
export const WEBHOOK_EVENTS = [
  'MESSAGES_UPSERT',
  'MESSAGES_UPDATE',
  'MESSAGES_EDITED',
  'MESSAGES_DELETE',
  'SEND_MESSAGE',
  'CONNECTION_UPDATE',
  'STATUS_INSTANCE',
  'LOGOUT_INSTANCE',
  'PRESENCE_UPDATE',
] as const;

export const WEBHOOK_PATH = '/webhook/evolution';

export type FoundWebhook = { url: string; enabled: boolean; events: readonly string[]; headers: Readonly<Record<string, string>> };

/** Sentences, worst first; empty when it is right. `secrets` are those that the api accepts; none: it accepts everybody. No secret is ever in a sentence. */
export function webhookFaults(found: FoundWebhook | null, secrets: readonly string[]): string[] {
  if (found === null) return ['it has no webhook, so nothing that contacts write arrives'];
  const faults: string[] = [];
  if (!found.enabled) faults.push('its webhook is switched off');
  if (!/^https?:\/\//.test(found.url))
    faults.push('the address of its webhook begins with neither http:// nor https://, so Evolution never calls it');
  else if (!isOurPath(found.url)) faults.push(`its webhook posts to another path than ${WEBHOOK_PATH}`);
  if (secrets.length > 0 && !secrets.some((secret) => carries(found.headers, secret)))
    faults.push('its webhook carries another secret than EVOLUTION_WEBHOOK_SECRET, so everything that it posts is refused');
  const missing = WEBHOOK_EVENTS.filter((event) => !found.events.includes(event));
  if (missing.length > 0) faults.push(`its webhook leaves out ${missing.join(', ')}`);
  return faults;
}

function isOurPath(url: string): boolean {
  return URL.canParse(url) && new URL(url).pathname.replace(/\/+$/, '').endsWith(WEBHOOK_PATH);
}

function carries(headers: FoundWebhook['headers'], secret: string): boolean {
  return Object.entries(headers).some(
    ([name, value]) =>
      (name === 'jwt_key' && value === secret) || (name.toLowerCase() === 'authorization' && value.replace(/^Bearer\s+/i, '') === secret),
  );
}
