import { z } from 'zod';
import type { InboundEvent } from '../core/inbound.ts';
import type { Door } from './door.ts';

/** One webhook as it is stored: its raw body without secrets, and what it means. */
export type WebhookRecord = { requestId: string; instance: string | null; event: string | null; raw: unknown; events: InboundEvent[] };

const time = z.coerce.date();

const recorded = z.object({
  outcome: z.string(),
  reason: z.string().nullish(),
  conversation_id: z.number().nullish(),
  message_id: z.number().nullish(),
  instance_id: z.number().nullish(),
  /** There is something to answer. */
  wake: z.boolean(),
  /** A send was settled: the lane may go on. */
  wake_send: z.boolean().nullish(),
  /** The number is back: all its lanes may go on. */
  wake_sends: z.boolean().nullish(),
  first_pending_at: time.nullish(),
  inbound_at: time.nullish(),
});
export type RecordedEvent = z.infer<typeof recorded>;

const answer = z.array(z.object({ webhook_id: z.number(), results: z.array(recorded) }));

export type TakeoverOptions = { takeoverMinutes: number; takeoverCapMinutes: number };

/** SQL record_inbound: stores a batch of webhooks, all or nothing; repeating it changes nothing. Results in the order given. */
export async function recordInbound(
  db: Door,
  webhooks: WebhookRecord[],
  options: TakeoverOptions,
): Promise<{ webhook_id: number; results: RecordedEvent[] }[]> {
  return answer.parse(await db.call('record_inbound', { p_webhooks: webhooks, p_options: options }));
}
