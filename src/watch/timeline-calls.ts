/** The timeline of a conversation. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

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
      /** What became of its file; null: there is none, or nobody has looked. */
      media: z.object({ read: z.string(), why: z.string().nullable(), next_at: time.nullable() }).nullable(),
    })
    .loose(),
  z
    .object({
      what: z.literal('media_call'),
      id: z.number(),
      at: time,
      message_id: z.number(),
      model: z.string(),
      outcome: z.string(),
      ms: z.number(),
      ...tokens,
      cost_usd: z.number().nullable(),
      estimated: z.boolean(),
      detail: z.string().nullable(),
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
      /** Which rule chose it. */
      route: z.string().nullable(),
      agent: z.string().nullable(),
      agent_version: z.number().nullable(),
      prompt_hash: z.string().nullable(),
      verdict: z.string().nullable(),
      ...tokens,
      cost_usd: z.number(),
      unpriced_calls: z.number(),
      /** Passages of documents that the answer says it is taken from. */
      sources: z.array(z.object({ title: z.string(), cited: z.string() })),
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
      /** null: it has no price. */
      cost_usd: z.number().nullable(),
    })
    .loose(),
  /** What a business tool was to do outside, and who said yes. */
  z
    .object({
      what: z.literal('tool_write'),
      id: z.number(),
      at: time,
      turn_id: z.number(),
      name: z.string(),
      input: z.unknown(),
      status: z.string(),
      reason: z.string().nullable(),
      risks: z.array(z.string()),
      answer: z.string().nullable(),
      sent_at: time.nullable(),
      ended_at: time.nullable(),
      approval_id: z.number().nullable(),
      decided: z.string().nullable(),
      decided_by: z.string().nullable(),
      decided_at: time.nullable(),
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
      /** Who or what keeps the agent quiet; null: nothing does. */
      silenced_by: z.string().nullable(),
      quiet_until: time.nullable(),
      paused: z.string().nullable(),
      merged_into: z.number().nullable(),
      opted_out: z.boolean(),
      /** Why its turn waits although nobody keeps the agent quiet: its answer could not leave soon. */
      put_off: z.string().nullable(),
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
