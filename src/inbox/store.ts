/** The way of webhooks into the database: many at once share one call. */
import { onlyInstance } from '../config.ts';
import type { Config } from '../config.ts';
import type { Door } from '../db/door.ts';
import { DatabaseAway } from '../db/failures.ts';
import { createBatcher } from '../process/batch.ts';
import type { Batcher } from '../process/batch.ts';
import { recordInbound } from './calls.ts';
import type { RecordedWebhook, WebhookRecord } from './calls.ts';

/** A takeover never lasts longer than this after its first message, however often the person types. Minutes. */
export const TAKEOVER_CAP_MINUTES = 240;

/** Stores a webhook and says what became of its events. Rejects as the database does; one that the database refuses takes no other with it. */
export type Inbox = Batcher<WebhookRecord, RecordedWebhook>;

export function openInbox(db: Door, config: Config): Inbox {
  const options = {
    takeoverMinutes: config.turn.takeoverMinutes,
    takeoverCapMinutes: TAKEOVER_CAP_MINUTES,
    takeoverFromApi: config.turn.takeoverFromApi,
    withdrawParts: config.turn.withdrawParts,
    managerPhone: config.outbound.managerPhone,
    managerInstance: config.evolution?.instance ?? null,
    onlyInstance: onlyInstance(config),
  };
  return createBatcher((webhooks: WebhookRecord[]) => recordInbound(db, webhooks, options), {
    maxItems: 50,
    // what comes while one is under way gathers: a larger call costs less for each, and two would wait for each other's contacts
    maxConcurrent: 1,
    splits: (error) => !(error instanceof DatabaseAway),
  });
}
