/** Outbound messages that did not leave, or of which nobody knows. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

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
