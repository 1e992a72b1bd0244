/** Which webhook a number must have at Evolution, and what is wrong with the one that it has. Pure. */

/**
 * Exactly what the runtime uses, each with its use; an empty list would mean all of them. Source: contract 3.
 * Edits come in MESSAGES_UPDATE (from Evolution 2.3.7 on), deletions in MESSAGES_DELETE, the end of a session in CONNECTION_UPDATE and STATUS_INSTANCE.
 */
const EVENT_USES = {
  MESSAGES_UPSERT: 'what contacts write, and what a person types on the phone',
  MESSAGES_UPDATE: 'deliveries, reads, refusals and edits',
  MESSAGES_DELETE: 'what a contact takes back',
  SEND_MESSAGE: 'the echo of what left through Evolution, ours and that of other programs',
  CONNECTION_UPDATE: 'whether the number is connected',
  STATUS_INSTANCE: 'why it is not',
  PRESENCE_UPDATE: 'a turn waits while the contact types',
} as const;

export const WEBHOOK_EVENTS = Object.keys(EVENT_USES) as readonly (keyof typeof EVENT_USES)[]; // Object.keys forgets the names

/**
 * Evolution waits for the receiver of these, with all of its attempts, before it goes on: some 20 minutes while we are unavailable. One that is not subscribed
 * is no wait. Source: contract 5.2; the same in 2.3.6, 2.3.7 and 2.4.
 */
export const AWAITED_EVENTS: Readonly<Record<string, string>> = {
  MESSAGES_EDITED:
    'one edit, deletion or change of a timer in any chat stops everything that comes in on the number: neither posted nor saved',
  LOGOUT_INSTANCE: 'a number that was logged out gets no code to pair it again',
  REMOVE_INSTANCE: 'a number that was deleted stays',
};

export const WEBHOOK_PATH = '/webhook/evolution';

export type FoundWebhook = { url: string; enabled: boolean; events: readonly string[]; headers: Readonly<Record<string, string>> };

/**
 * Sentences, worst first; empty when it is right. `secrets` are those that the api accepts (none: it accepts everybody), `name` is what they are called. No secret
 * is ever in a sentence.
 */
export function webhookFaults(found: FoundWebhook | null, secrets: readonly string[], name = 'EVOLUTION_WEBHOOK_SECRET'): string[] {
  if (found === null) return ['it has no webhook, so nothing that contacts write arrives'];
  const faults: string[] = [];
  if (!found.enabled) faults.push('its webhook is switched off');
  if (!/^https?:\/\//.test(found.url))
    faults.push('the address of its webhook begins with neither http:// nor https://, so Evolution never calls it');
  else if (!isOurPath(found.url)) faults.push(`its webhook posts to another path than ${WEBHOOK_PATH}`);
  if (secrets.length > 0 && !secrets.some((secret) => carries(found.headers, secret)))
    faults.push(`its webhook carries another secret than ${name}, so everything that it posts is refused`);
  const missing = WEBHOOK_EVENTS.filter((event) => !found.events.includes(event));
  if (missing.length > 0) faults.push(`its webhook leaves out ${missing.join(', ')}`);
  for (const [event, harm] of Object.entries(AWAITED_EVENTS)) {
    if (found.events.includes(event))
      faults.push(`its webhook asks for ${event}, for whose receiver Evolution waits: while this product is away, ${harm}`);
  }
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
