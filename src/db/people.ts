import { z } from 'zod';
import type { Door } from './door.ts';

/** How conversations go to people and back, opt-outs, and the manager's commands. SQL in the migration `people`. */

const time = z.coerce.date();

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

const settled = z.object({ outcome: z.enum(['recorded', 'stale']), conversation_id: z.number().nullable() });

export type CommandEnd = {
  /** How it ended, a key of core/reasons.ts. */
  reason: 'command' | 'command_asked' | 'command_wrong' | 'command_locked';
  /** The answer; null: none. */
  text: string | null;
  /** What must come back before it is carried out. */
  word?: string;
  /** The message whose word came back. */
  proved?: number | null;
};

/** SQL settle_command: the manager's command is over, once, and answered at the phone `to` and nowhere else. */
export async function settleCommand(
  db: Door,
  command: { message_id: number; claim: number },
  end: CommandEnd & { to: string },
): Promise<z.infer<typeof settled>> {
  return settled.parse(await db.call('settle_command', { p_message: command.message_id, p_claim: command.claim, p_end: end }));
}

const optOutChange = z.object({ outcome: z.enum(['done', 'already']), contact_id: z.number().nullable() });

/** SQL set_opt_out: an operator opts a phone out (`out`) or in again; audited. */
export async function setOptOut(
  db: Door,
  change: { tenant: string; phone: string; out: boolean; actor: string; reason: string | null },
): Promise<z.infer<typeof optOutChange>> {
  return optOutChange.parse(
    await db.call('set_opt_out', {
      p_tenant: change.tenant,
      p_phone: change.phone,
      p_out: change.out,
      p_actor: change.actor,
      p_reason: change.reason,
    }),
  );
}

const optOut = z.object({
  id: z.number(),
  /** null: the contact was erased, or never known; only the hash of an address is left. */
  contact_id: z.number().nullable(),
  name: z.string().nullable(),
  phone: z.string().nullable(),
  source: z.string(),
  created_at: time,
});
export type OptOut = z.infer<typeof optOut>;

/** SQL list_opt_outs: who has opted out, the newest first. */
export async function listOptOuts(db: Door, tenant: string, limit: number): Promise<OptOut[]> {
  return z.array(optOut).parse(await db.call('list_opt_outs', { p_tenant: tenant, p_limit: limit }));
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
