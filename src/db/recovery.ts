import { z } from 'zod';
import type { Door } from './door.ts';

const time = z.coerce.date();

const deadLetter = z.object({
  id: z.number(),
  conversation_id: z.number(),
  instance: z.string(),
  status: z.string(),
  reason: z.string().nullable(),
  kind: z.string(),
  attempts: z.number(),
  created_at: time,
  text: z.string(),
});
export type DeadLetter = z.infer<typeof deadLetter>;

/** SQL dead_letters: outbound messages that failed, or of which nobody knows whether they left; the newest first. */
export async function listDeadLetters(db: Door, tenant: string, limit: number): Promise<DeadLetter[]> {
  return z.array(deadLetter).parse(await db.call('dead_letters', { p_tenant: tenant, p_limit: limit }));
}

/** SQL retry_dead_letter: back to its lane, once; null when it is no dead letter. Returns the conversation to wake. */
export async function retryDeadLetter(db: Door, tenant: string, id: number, actor: string): Promise<number | null> {
  const answer = z.object({ outcome: z.enum(['queued', 'not_dead']), conversation_id: z.number().nullish() });
  return answer.parse(await db.call('retry_dead_letter', { p_tenant: tenant, p_message: id, p_actor: actor })).conversation_id ?? null;
}

/** SQL discard_dead_letter: it shall not be sent; false when it is no dead letter. */
export async function discardDeadLetter(db: Door, tenant: string, id: number, actor: string, reason: string): Promise<boolean> {
  const answer = z.object({ outcome: z.enum(['discarded', 'not_dead']) });
  return (
    answer.parse(await db.call('discard_dead_letter', { p_tenant: tenant, p_message: id, p_actor: actor, p_reason: reason })).outcome ===
    'discarded'
  );
}

const storedWebhook = z.object({ id: z.number(), event: z.string().nullable(), body: z.unknown(), received_at: time });
export type StoredWebhook = z.infer<typeof storedWebhook>;

/** SQL stored_webhook: a raw webhook (kept 7 days) for a replay, or null. */
export async function findStoredWebhook(db: Door, tenant: string, id: number): Promise<StoredWebhook | null> {
  return storedWebhook.nullable().parse(await db.call('stored_webhook', { p_tenant: tenant, p_id: id }));
}

const timeline = z.object({
  conversation: z
    .object({ id: z.number(), instance: z.string(), controlled_by: z.string(), paused: z.string().nullable(), opted_out: z.boolean() })
    .loose(),
  entries: z.array(
    z.object({ at: time, what: z.enum(['message', 'turn', 'model_call', 'tool_call', 'handoff', 'opt_out']), id: z.number() }).loose(),
  ),
});
export type Timeline = z.infer<typeof timeline>;

/** SQL timeline: everything that happened in a conversation, oldest first (the newest `limit` entries); null when there is none. */
export async function readTimeline(db: Door, tenant: string, conversation: number, limit: number): Promise<Timeline | null> {
  return timeline.nullable().parse(await db.call('timeline', { p_tenant: tenant, p_conversation: conversation, p_limit: limit }));
}

const place = z.object({ message_id: z.number(), conversation_id: z.number() });

/** SQL conversation_of: where a message is, by our id or its id at WhatsApp; null when unknown. */
export async function findConversationOf(db: Door, tenant: string, key: string): Promise<z.infer<typeof place> | null> {
  return place.nullable().parse(await db.call('conversation_of', { p_tenant: tenant, p_key: key }));
}

/** SQL reconcile_from: since when a number's messages at the provider should be compared with ours; null for an unknown number. */
export async function reconcileFrom(db: Door, instance: string, overlapMs: number): Promise<Date | null> {
  return (
    z
      .object({ from: time })
      .nullable()
      .parse(await db.call('reconcile_from', { p_instance: instance, p_overlap_ms: overlapMs }))?.from ?? null
  );
}

/** SQL reconciled: a number has been compared up to this moment. */
export async function markReconciled(db: Door, instance: string, until: Date): Promise<void> {
  await db.call('reconciled', { p_instance: instance, p_until: until.toISOString() });
}
