/** How conversations go to people and back. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const heldConversation = z.object({
  conversation_id: z.number(),
  instance: z.string(),
  contact: z.string().nullable(),
  controlled_by: z.string(),
  mode: z.string(),
  escalation_reason: z.string().nullable(),
  takeover_until: time.nullable(),
  quiet_until: time.nullable(),
  last_inbound_at: time.nullable(),
  last_text: z.string().nullable(),
  handoffs: z.array(
    z.object({
      id: z.number(),
      reason: z.string(),
      summary: z.string().nullable(),
      controls: z.boolean(),
      status: z.string(),
      created_at: time,
    }),
  ),
});

export type HeldConversation = z.infer<typeof heldConversation>;

/** SQL list_handoffs: conversations that a person has or should look at, the longest waiting first. */
export async function listHandoffs(db: Door, tenant: string, limit: number): Promise<HeldConversation[]> {
  return z.array(heldConversation).parse(await db.call('list_handoffs', { p_tenant: tenant, p_limit: limit }));
}

const given = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('returned'), handoffs: z.number(), mode: z.string(), paused: z.string().nullable() }),
  z.object({ outcome: z.literal('not_with_a_person'), mode: z.string() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL return_handoff: the agent answers in this conversation again; audited. */
export async function returnHandoff(
  db: Door,
  tenant: string,
  conversation: number,
  actor: string,
  reason: string | null,
): Promise<z.infer<typeof given>> {
  return given.parse(await db.call('return_handoff', { p_tenant: tenant, p_conversation: conversation, p_actor: actor, p_reason: reason }));
}

const handoffToTell = z.object({
  id: z.number(),
  step: z.enum(['told', 'reminded']),
  tenant: z.string(),
  conversation_id: z.number(),
  instance: z.string(),
  reason: z.string(),
  summary: z.string().nullable(),
  suggestion: z.string().nullable(),
  /** The agent is quiet there until the conversation is returned. */
  controls: z.boolean(),
  created_at: time,
  name: z.string().nullable(),
  phone: z.string().nullable(),
  /** The contact is the manager: who is written to about it must be somebody else. */
  is_manager: z.boolean(),
  messages: z.array(
    z.object({
      author: z.enum(['contact', 'agent', 'human', 'system', 'automatic']),
      type: z.string(),
      text: z.string(),
      typed: z.string().nullable(),
      at: time,
      said: z.boolean(),
    }),
  ),
});

export type HandoffToTell = z.infer<typeof handoffToTell>;

/** SQL handoffs_to_tell: handoffs that people have not heard of, or that nobody took after `remindMs`. */
export async function handoffsToTell(db: Door, manager: string | null, remindMs: number, limit: number): Promise<HandoffToTell[]> {
  return z.array(handoffToTell).parse(await db.call('handoffs_to_tell', { p_manager: manager, p_remind_ms: remindMs, p_limit: limit }));
}

/** SQL record_handoff_step: people were told of it, or reminded. */
export async function recordHandoffStep(db: Door, handoff: number, step: HandoffToTell['step']): Promise<void> {
  await db.call('record_handoff_step', { p_handoff: handoff, p_step: step });
}

const greetings = z.array(z.object({ tenant: z.string(), instance: z.string(), text: z.string().nullable() }));

/** SQL greetings_to_tell: numbers whose phone answers by itself, and nobody was told yet. */
export async function greetingsToTell(db: Door, limit: number): Promise<z.infer<typeof greetings>> {
  return greetings.parse(await db.call('greetings_to_tell', { p_limit: limit }));
}

/** SQL record_greeting_told: people know it. */
export async function recordGreetingTold(db: Door, instance: string): Promise<void> {
  await db.call('record_greeting_told', { p_instance: instance });
}

const returned = z.array(
  z.object({ conversation_id: z.number(), tenant: z.string(), name: z.string().nullable(), handoff_id: z.number() }),
);

/** SQL return_forgotten: gives back handoffs in which nobody wrote for so many hours. */
export async function returnForgotten(db: Door, hours: number, limit: number): Promise<z.infer<typeof returned>> {
  return returned.parse(await db.call('return_forgotten', { p_hours: hours, p_limit: limit }));
}

const recovered = z.array(z.object({ conversation_id: z.number(), tenant: z.string(), handoff_id: z.number() }));

/** SQL return_technical: what went to a person only because the agent could not answer goes back to it; `by` 'recovered': only what is over. */
export async function returnTechnical(
  db: Door,
  change: { tenant: string | null; by: string; reason: string | null; limit: number },
): Promise<z.infer<typeof recovered>> {
  return recovered.parse(
    await db.call('return_technical', { p_tenant: change.tenant, p_by: change.by, p_reason: change.reason, p_limit: change.limit }),
  );
}

/** SQL expire_held: ends messages whose deadline passed, and takeovers that are over. */
export async function expireHeld(db: Door, limit: number): Promise<{ messages: number; takeovers: number }> {
  return z.object({ messages: z.number(), takeovers: z.number() }).parse(await db.call('expire_held', { p_limit: limit }));
}
