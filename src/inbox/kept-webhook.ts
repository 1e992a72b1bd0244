/**
 * A webhook that waits in Redis for the database. Who reaches Redis could write one of their own, so with SECRETS_KEY it is sealed: it can be neither read nor
 * forged there. Without that key it counts for what the installation's secret speaks for and for nothing more; numbers have no secrets of their own then.
 */
import { at } from '../words/json.ts';
import type { SecretKeys } from '../process/secrets.ts';
import type { WebhookRecord } from './calls.ts';
import { openSecret, sealSecret } from '../process/secrets.ts';

export type KeptWebhook = { sealed: string } | { webhook: WebhookRecord };

/** What a sealed webhook belongs to. */
const QUEUE = 'queue:inbound';

export function keptWebhook(record: WebhookRecord, secrets: SecretKeys | null): KeptWebhook {
  return secrets === null ? { webhook: record } : { sealed: sealSecret(secrets, JSON.stringify(record), QUEUE) };
}

/** null: it is not to be believed. What nobody can post (`ourselves`) is never believed. */
export function openKept(kept: KeptWebhook, secrets: SecretKeys | null): WebhookRecord | null {
  const sealed = at(kept, 'sealed');
  if (sealed !== undefined) {
    const text = secrets === null || typeof sealed !== 'string' ? null : (openSecret(secrets, sealed, QUEUE)?.text ?? null);
    const record = text === null ? null : (JSON.parse(text) as WebhookRecord); // only keptWebhook can have sealed it
    return record !== null && ('tenant' in record.from || 'instance' in record.from) ? record : null;
  }
  const from = at(kept, 'webhook', 'from');
  return secrets === null && 'webhook' in kept && JSON.stringify(from) === JSON.stringify({ tenant: 'default' }) ? kept.webhook : null;
}
