import { z } from 'zod';
import { deferred } from './alerts.ts';
import type { Door } from './door.ts';

/** What people switch by hand: pauses, handoffs, and the audit of it. SQL in the migration `recovery`. */

const time = z.coerce.date();

export const PAUSE_SCOPES = ['all', 'tenant', 'instance', 'campaign', 'conversation'] as const;
export type PauseScope = (typeof PAUSE_SCOPES)[number];

const pause = z.object({
  scope: z.enum(PAUSE_SCOPES),
  target: z.string(),
  motivo: z.string().nullable(),
  alterado_via: z.string().nullable(),
  since: time,
});
export type Pause = z.infer<typeof pause>;

const switched = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), was: z.enum(['pausado', 'ativo']), still: z.array(pause) }),
  z.object({ outcome: z.literal('unknown_target') }),
  z.object({ outcome: z.literal('not_yours') }),
]);

export type PauseRequest = {
  tenant: string;
  actor: string;
  status: 'pausado' | 'ativo';
  scope: PauseScope;
  /** '' for all */
  target: string;
  reason: string | null;
};

/** SQL set_pause: stops or starts again everything or a part of it; audited. */
export async function setPause(db: Door, request: PauseRequest): Promise<z.infer<typeof switched>> {
  return switched.parse(
    await db.call('set_pause', {
      p_tenant: request.tenant,
      p_actor: request.actor,
      p_status: request.status,
      p_scope: request.scope,
      p_target: request.target,
      p_reason: request.reason,
    }),
  );
}

const heldConversation = z.object({
  conversation_id: z.number(),
  instance: z.string(),
  contact: z.string().nullable(),
  controlled_by: z.string(),
  mode: z.string(),
  escalation_reason: z.string().nullable(),
  takeover_until: time.nullable(),
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

const status = z.object({
  now: time,
  pauses: z.array(pause),
  processes: z.array(z.object({ id: z.string(), mode: z.string(), version: z.string(), seen_seconds: z.number() })),
  instances: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      status_at: time,
      seconds: z.number(),
      code: z.number().nullable(),
      paired: z.boolean(),
      held: z.string().nullable(),
      /** Why its breaker is open somewhere. */
      breaker: z.string().nullable(),
    }),
  ),
  unanswered: z.object({ count: z.number(), oldest_seconds: z.number().nullable() }),
  deferred,
  unheard: z.number(),
  /** Webhooks of a day that found no place although messages may be in them. */
  unplaced: z.number(),
  outbound: z.object({ due: z.number(), later: z.number(), sending: z.number(), uncertain: z.number() }),
  dead_letters: z.number(),
  with_people: z.number(),
});
export type AdminStatus = z.infer<typeof status>;

/** SQL admin_status: what an operator asks first; null for an unknown tenant. */
export async function adminStatus(db: Door, tenant: string): Promise<AdminStatus | null> {
  return status.nullable().parse(await db.call('admin_status', { p_tenant: tenant }));
}

/** SQL record_audit: an act of a person that no other function writes down. */
export async function recordAudit(
  db: Door,
  act: { tenant: string; actor: string; action: string; subject: string; details: Record<string, unknown> },
): Promise<void> {
  await db.call('record_audit', {
    p_tenant: act.tenant,
    p_actor: act.actor,
    p_action: act.action,
    p_subject: act.subject,
    p_details: act.details,
  });
}
