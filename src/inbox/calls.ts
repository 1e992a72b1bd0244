/** Webhooks into rows, and what a chat waits with. SQL in the room `inbox`. */
import { z } from 'zod';
import type { ChatAddress } from '../whatsapp/inbound-event.ts';
import type { MeantEvent } from './meaning.ts';
import type { Door } from '../db/door.ts';

/**
 * Who says what a webhook says: a number by its own secret, a tenant by that of the installation, or Evolution's answer to a question of ours. Who replays a stored
 * webhook says it as who posted it.
 */
export const poster = z.union([
  z.object({ instance: z.string() }),
  z.object({ tenant: z.string() }),
  z.object({ ourselves: z.literal(true) }),
]);
export type Poster = z.infer<typeof poster>;

/** One webhook as it is stored: its raw body without secrets, and what it means. */
export type WebhookRecord = {
  requestId: string;
  instance: string | null;
  event: string | null;
  raw: unknown;
  from: Poster;
  events: MeantEvent[];
  /** Id of the stored webhook that this is a replay of: its entry, if it left one, says what became of it now. */
  replays?: number;
  /** Of one that waited in the queue: it is stored once, however often it comes from there. */
  kept?: string;
  /** When it was posted, if not now: what its secret spoke for then. */
  postedAt?: Date;
};

const time = z.coerce.date();

const recorded = z.object({
  outcome: z.string(),
  reason: z.string().nullish(),
  /** Set aside: the first of its name, so people are to be told. */
  told: z.boolean().nullish(),
  conversation_id: z.number().nullish(),
  message_id: z.number().nullish(),
  instance_id: z.number().nullish(),
  /** Of the message that the news is about; null: the event has none but its own request. */
  correlation_id: z.string().nullish(),
  /** There is something to answer. */
  wake: z.boolean(),
  /** A send was settled: the lane may go on. */
  wake_send: z.boolean().nullish(),
  /** The number is back: all its lanes may go on. */
  wake_sends: z.boolean().nullish(),
  /** The number was connected again: what came meanwhile may be missing. */
  reconcile: z.boolean().nullish(),
  /** Other conversations that have something to answer again: a takeover there turned out to be none. */
  wake_turns: z.array(z.number()).nullish(),
  first_pending_at: time.nullish(),
  inbound_at: time.nullish(),
});
export type RecordedEvent = z.infer<typeof recorded>;

const answer = z.array(z.object({ webhook_id: z.number().nullable(), tenant_id: z.string(), results: z.array(recorded) }));
export type RecordedWebhook = z.infer<typeof answer>[number];

export type InboundOptions = {
  takeoverMinutes: number;
  takeoverCapMinutes: number;
  /** What another program sends through Evolution's API counts as a person's words: people answer there. */
  takeoverFromApi?: boolean;
  /** Canonical phone of the manager, whose commands are obeyed. */
  managerPhone?: string | null;
  /** Name of the one number that takes commands. */
  managerInstance?: string | null;
  /** The one number that counts (MULTI_CHIP_ENABLED=false); null: every number that is registered. */
  onlyInstance?: string | null;
  /** Unsent parts of an answer are withdrawn when the contact writes. */ withdrawParts: boolean;
};

/** SQL record_inbound: stores a batch of webhooks, all or nothing; repeating it changes nothing. Results in the order given. */
export async function recordInbound(db: Door, webhooks: WebhookRecord[], options: InboundOptions): Promise<RecordedWebhook[]> {
  return answer.parse(await db.call('record_inbound', { p_webhooks: webhooks, p_options: options }));
}

const pending = z.object({ conversation_id: z.number(), first_pending_at: time, newest_at: time, now: time });

/** SQL pending_since: what somebody who is typing waits to have answered; null when there is nothing, or when `from` may not say so. */
export async function pendingSince(db: Door, instance: string, chat: ChatAddress, from: Poster): Promise<z.infer<typeof pending> | null> {
  return pending.nullable().parse(await db.call('pending_since', { p_instance: instance, p_pn: chat.pn, p_lid: chat.lid, p_from: from }));
}

/** SQL hold_turn: the contact types, so what is unanswered waits for so long, unless more comes before. */
export async function holdTurn(db: Door, conversation: number, ms: number): Promise<void> {
  await db.call('hold_turn', { p_conversation: conversation, p_ms: ms });
}
