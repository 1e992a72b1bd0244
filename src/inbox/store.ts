/** The way of webhooks into the database: many at once share one call. */
import { onlyInstance } from '../config.ts';
import type { Config } from '../config.ts';
import type { Door } from '../db/door.ts';
import { DatabaseAway } from '../db/failures.ts';
import { PART_EVENTS } from '../whatsapp/payload.ts';
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
    // of events that are not ordinary each costs some milliseconds, and each locks some of what all of Postgres share
    weight: { of: ({ events }) => events.length, most: 2 * PART_EVENTS },
    owner: ownerOf,
    splits: (error) => !(error instanceof DatabaseAway),
  });
}

/** Who waits for its own webhooks only: a number's own secret; of those of the installation's each number that it names. */
function ownerOf({ from, instance }: WebhookRecord): string {
  if ('instance' in from) return `secret of ${from.instance}`;
  return `${'ourselves' in from ? 'asked' : from.tenant} ${instance ?? ''}`;
}
