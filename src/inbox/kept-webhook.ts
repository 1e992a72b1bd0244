/**
 * A webhook that waits in Redis for the database. Who reaches Redis could write one of their own, so with SECRETS_KEY it is sealed: it can be neither read nor
 * forged there, and what was copied from there counts once and not for long: an id and a time are sealed with it, and the database spends the id with what it
 * stores. Without that key it counts for what the installation's secret speaks for and for nothing more; numbers have no secrets of their own then.
 */
import { randomUUID } from 'node:crypto';
import { at } from '../words/json.ts';
import type { SecretKeys } from '../process/secrets.ts';
import type { WebhookRecord } from './calls.ts';
import { openSecret, sealSecret } from '../process/secrets.ts';

export type KeptWebhook = { sealed: string } | { webhook: WebhookRecord };

/** What a sealed webhook belongs to. */
const QUEUE = 'queue:inbound';

/**
 * So long a sealed webhook counts: as far back as a number is compared with Evolution (reconcile_from), and longer than what waits for an answer may wait (a day).
 * SQL spend_kept remembers an id for twice as long. Hours.
 */
export const KEPT_HOURS = 48;

type Sealed = { id: string; at: number; record: WebhookRecord };

export function keptWebhook(record: WebhookRecord, secrets: SecretKeys | null, now = Date.now()): KeptWebhook {
  const sealed: Sealed = { id: randomUUID(), at: now, record };
  return secrets === null ? { webhook: record } : { sealed: sealSecret(secrets, JSON.stringify(sealed), QUEUE) };
}

/** `forged`: it is not to be believed. What nobody can post (`ourselves`) is never believed. `old`: ours, and too old. */
export function openKept(kept: KeptWebhook, secrets: SecretKeys | null, now = Date.now()): WebhookRecord | 'forged' | 'old' {
  const sealed = at(kept, 'sealed');
  if (sealed !== undefined) {
    const text = secrets === null || typeof sealed !== 'string' ? null : (openSecret(secrets, sealed, QUEUE)?.text ?? null);
    // Only keptWebhook can have sealed it; one of a release before has no record in it.
    const ours = text === null ? null : (JSON.parse(text) as Partial<Sealed>);
    if (ours?.id === undefined || ours.at === undefined || ours.record === undefined) return 'forged';
    if (!('tenant' in ours.record.from || 'instance' in ours.record.from)) return 'forged';
    return now - ours.at > KEPT_HOURS * 3_600_000 ? 'old' : { ...ours.record, kept: ours.id };
  }
  const from = at(kept, 'webhook', 'from');
  return secrets === null && 'webhook' in kept && JSON.stringify(from) === JSON.stringify({ tenant: 'default' }) ? kept.webhook : 'forged';
}
