import { z } from 'zod';
import type { ChatAddress } from '../core/inbound.ts';
import type { Door } from './door.ts';
import { poster } from './inbound.ts';

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
  claimed_at: time.nullable(),
  text: z.string(),
});
export type DeadLetter = z.infer<typeof deadLetter>;

/** SQL dead_letters: outbound messages that failed, or of which nobody knows whether they left; the newest first. `only`: this one, if it is one. */
export async function listDeadLetters(db: Door, tenant: string, limit: number, only: number | null = null): Promise<DeadLetter[]> {
  return z.array(deadLetter).parse(await db.call('dead_letters', { p_tenant: tenant, p_limit: limit, p_message: only }));
}

const notDead = z.object({ outcome: z.literal('not_dead'), status: z.string(), reason: z.string().nullable() });
const unknown = z.object({ outcome: z.literal('unknown') });

const retried = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('queued'), conversation_id: z.number(), parts: z.number(), paused: z.string().nullable() }),
  z.object({ outcome: z.literal('reason_needed') }),
  notDead,
  unknown,
]);
export type RetriedDeadLetter = z.infer<typeof retried>;

/** SQL retry_dead_letter: back to its lane, once. One that may have left already needs a reason. */
export async function retryDeadLetter(
  db: Door,
  tenant: string,
  id: number,
  actor: string,
  reason: string | null,
): Promise<RetriedDeadLetter> {
  return retried.parse(await db.call('retry_dead_letter', { p_tenant: tenant, p_message: id, p_actor: actor, p_reason: reason }));
}

const discarded = z.discriminatedUnion('outcome', [z.object({ outcome: z.literal('discarded') }), notDead, unknown]);

/** SQL discard_dead_letter: it shall not be sent. */
export async function discardDeadLetter(
  db: Door,
  tenant: string,
  id: number,
  actor: string,
  reason: string | null,
): Promise<z.infer<typeof discarded>> {
  return discarded.parse(await db.call('discard_dead_letter', { p_tenant: tenant, p_message: id, p_actor: actor, p_reason: reason }));
}

const storedWebhook = z.object({
  id: z.number(),
  instance: z.string().nullable(),
  event: z.string().nullable(),
  body: z.unknown(),
  /** What became of its events when it came, in their order; null: not written down. */
  results: z.array(z.object({ outcome: z.string(), reason: z.string().nullish(), refused: z.boolean().nullish() })).nullable(),
  posted_by: poster,
  /** Why events in it were put aside or found no place; null: none was. */
  ignored: z.array(z.string()).nullable(),
  received_at: time,
});
export type StoredWebhook = z.infer<typeof storedWebhook>;

/** SQL stored_webhook: a raw webhook (kept 7 days) for a replay, or null. */
export async function findStoredWebhook(db: Door, tenant: string, id: number): Promise<StoredWebhook | null> {
  return storedWebhook.nullable().parse(await db.call('stored_webhook', { p_tenant: tenant, p_id: id }));
}

/** Which entries: null is any. */
export type IgnoredFilter = { reason: string | null; instance: string | null };

const ignored = z.object({
  reasons: z.array(z.object({ reason: z.string(), webhooks: z.number(), whole: z.number(), first_at: time, last_at: time })),
  entries: z.array(
    z.object({
      id: z.number(),
      instance: z.string().nullable(),
      event: z.string().nullable(),
      reasons: z.array(z.string()),
      /** Ids at WhatsApp. */
      messages: z.array(z.string()),
      /** It has its body, so it can be replayed. */
      whole: z.boolean(),
      received_at: time,
    }),
  ),
});
export type Ignored = z.infer<typeof ignored>;

/** SQL list_ignored: what of webhooks was put aside, the newest first, and how much of it there is by reason. */
export async function listIgnored(db: Door, tenant: string, { reason, instance }: IgnoredFilter, limit: number): Promise<Ignored> {
  return ignored.parse(await db.call('list_ignored', { p_tenant: tenant, p_reason: reason, p_instance: instance, p_limit: limit }));
}

/** SQL ignored_webhooks: those with their body, the oldest first, behind the id `after`. */
export async function ignoredWebhooks(
  db: Door,
  tenant: string,
  { reason, instance }: IgnoredFilter,
  after: number,
  limit: number,
): Promise<StoredWebhook[]> {
  const args = { p_tenant: tenant, p_reason: reason, p_instance: instance, p_after: after, p_limit: limit };
  return z.array(storedWebhook).parse(await db.call('ignored_webhooks', args));
}

const ignoredMessage = z.object({ id: z.number(), instance: z.string().nullable(), reason: z.string(), received_at: time });

/** SQL ignored_message: the entry that a message left when it was put aside, by its id at WhatsApp; null when there is none. */
export async function findIgnored(db: Door, tenant: string, providerId: string): Promise<z.infer<typeof ignoredMessage> | null> {
  return ignoredMessage.nullable().parse(await db.call('ignored_message', { p_tenant: tenant, p_provider_id: providerId }));
}

const reopened = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('reopened'),
    message_id: z.number(),
    conversation_id: z.number(),
    was: z.string(),
    provider_at: time,
    holder: z.string(),
    paused: z.string().nullable(),
  }),
  z.object({ outcome: z.literal('waiting'), message_id: z.number(), conversation_id: z.number() }),
  z.object({ outcome: z.literal('not_possible') }),
]);
export type ReopenedInbound = z.infer<typeof reopened>;

/** SQL reopen_inbound: an inbound message that has had its outcome is to be answered again. */
export async function reopenInbound(
  db: Door,
  tenant: string,
  message: { instance: string; providerId: string; chat: ChatAddress | null },
  actor: string,
  reason: string,
): Promise<ReopenedInbound> {
  return reopened.parse(
    await db.call('reopen_inbound', {
      p_tenant: tenant,
      p_instance: message.instance,
      p_provider_id: message.providerId,
      p_chat: message.chat,
      p_actor: actor,
      p_reason: reason,
    }),
  );
}

const tokens = {
  input_tokens: z.number(),
  output_tokens: z.number(),
  thinking_tokens: z.number(),
  cache_read_tokens: z.number(),
  cache_write_tokens: z.number(),
};
const entry = z.discriminatedUnion('what', [
  z
    .object({
      what: z.literal('message'),
      id: z.number(),
      at: time,
      direction: z.enum(['in', 'out']),
      author: z.enum(['contact', 'agent', 'human', 'system', 'automatic']),
      type: z.string(),
      status: z.string(),
      reason: z.string().nullable(),
      text: z.string(),
      kind: z.string().nullable(),
      turn_id: z.number().nullable(),
      provider_message_id: z.string().nullable(),
      provider_at: time,
      attempts: z.number(),
      goes_at: time.nullable(),
      claimed_at: time.nullable(),
      delivered_at: time.nullable(),
      read_at: time.nullable(),
      edited_at: time.nullable(),
      deleted_at: time.nullable(),
    })
    .loose(),
  z
    .object({
      what: z.literal('turn'),
      id: z.number(),
      at: time,
      status: z.string(),
      reason: z.string().nullable(),
      model: z.string().nullable(),
      ...tokens,
      cost_usd: z.number(),
      unpriced_calls: z.number(),
      ended_at: time.nullable(),
    })
    .loose(),
  z
    .object({
      what: z.literal('model_call'),
      id: z.number(),
      at: time,
      turn_id: z.number(),
      model: z.string(),
      outcome: z.string(),
      ms: z.number(),
      ...tokens,
      cost_usd: z.number().nullable(),
      estimated: z.boolean(),
      detail: z.string().nullable(),
      cache_miss: z.string().nullable(),
    })
    .loose(),
  z
    .object({
      what: z.literal('tool_call'),
      id: z.number(),
      at: time,
      turn_id: z.number(),
      name: z.string(),
      input: z.unknown(),
      output: z.string(),
      ok: z.boolean(),
      ms: z.number(),
    })
    .loose(),
  z
    .object({
      what: z.literal('handoff'),
      id: z.number(),
      at: time,
      turn_id: z.number().nullable(),
      reason: z.string(),
      summary: z.string().nullable(),
      controls: z.boolean(),
      status: z.string(),
      notified_at: time.nullable(),
      reminded_at: time.nullable(),
      taken_at: time.nullable(),
      returned_at: time.nullable(),
      returned_by: z.string().nullable(),
    })
    .loose(),
  z.object({ what: z.literal('opt_out'), id: z.number(), at: time, source: z.string(), revoked_at: time.nullable() }).loose(),
  /** Only around one message: what Evolution told of it, and what became of that. */
  z.object({ what: z.literal('webhook'), id: z.number(), at: time, event: z.string().nullable(), outcome: z.string() }).loose(),
]);

const timeline = z.object({
  conversation: z
    .object({
      id: z.number(),
      instance: z.string(),
      controlled_by: z.string(),
      escalation_reason: z.string().nullable(),
      takeover_until: time.nullable(),
      paused: z.string().nullable(),
      merged_into: z.number().nullable(),
      opted_out: z.boolean(),
    })
    .loose(),
  entries: z.array(entry),
});
export type Timeline = z.infer<typeof timeline>;

/**
 * SQL timeline: what happened in a conversation, oldest first: the newest `limit` entries or, around a message, the first ones from it on. Null when
 * there is no such conversation.
 */
export async function readTimeline(
  db: Door,
  tenant: string,
  conversation: number,
  limit: number,
  message: number | null = null,
): Promise<Timeline | null> {
  return timeline
    .nullable()
    .parse(await db.call('timeline', { p_tenant: tenant, p_conversation: conversation, p_limit: limit, p_message: message }));
}

const place = z.object({ message_id: z.number(), conversation_id: z.number() });

/** SQL conversation_of: where a message is, by our id or its id at WhatsApp; null when unknown. */
export async function findConversationOf(db: Door, tenant: string, key: string): Promise<z.infer<typeof place> | null> {
  return place.nullable().parse(await db.call('conversation_of', { p_tenant: tenant, p_key: key }));
}

const comparison = z.object({ from: time, restored: z.boolean() });

/** SQL reconcile_from: since when a number's messages at the provider should be compared with ours; null for an unknown number. */
export async function reconcileFrom(db: Door, instance: string, overlapMs: number): Promise<z.infer<typeof comparison> | null> {
  return comparison.nullable().parse(await db.call('reconcile_from', { p_instance: instance, p_overlap_ms: overlapMs }));
}

/** SQL teach_addresses: pairs of addresses that a comparison shows of messages that are known; the oldest first. How many were news. */
export async function teachAddresses(
  db: Door,
  instance: string,
  pairs: readonly { pn: string; lid: string; sent_at: string }[],
): Promise<number> {
  return z.object({ learned: z.number() }).parse(await db.call('teach_addresses', { p_instance: instance, p_pairs: pairs })).learned;
}

/** SQL reconciled: a number has been compared up to this moment. `settled`: it reached beyond a restore, and the number goes on. */
export async function markReconciled(db: Door, instance: string, until: Date): Promise<{ settled: boolean }> {
  return z.object({ settled: z.boolean() }).parse(await db.call('reconciled', { p_instance: instance, p_until: until.toISOString() }));
}
