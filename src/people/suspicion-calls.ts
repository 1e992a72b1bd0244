/** Contacts who ask whether they talk with a machine. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const figure = z.object({ flagged: z.number(), conversations: z.number(), share: z.coerce.number() });

/** SQL bot_suspicion: in how many of the conversations of 7 days the contact asked whether it talks with a machine. */
export async function botSuspicion(db: Door, tenant: string): Promise<z.infer<typeof figure>> {
  return figure.parse(await db.call('bot_suspicion', { p_tenant: tenant }));
}

const suspicion = z.object({
  id: z.number(),
  conversation_id: z.number(),
  contact: z.string().nullable(),
  text: z.string(),
  created_at: time,
  false_positive_at: time.nullable(),
  marked_by: z.string().nullable(),
});

/** SQL list_suspicions: the newest first. */
export async function listSuspicions(db: Door, tenant: string, limit: number): Promise<z.infer<typeof suspicion>[]> {
  return z.array(suspicion).parse(await db.call('list_suspicions', { p_tenant: tenant, p_limit: limit }));
}

const dismissed = z.object({ outcome: z.enum(['done', 'already', 'unknown']) });

/** SQL dismiss_suspicion: it was no such question; audited. */
export async function dismissSuspicion(
  db: Door,
  tenant: string,
  id: number,
  actor: string,
  reason: string | null,
): Promise<z.infer<typeof dismissed>['outcome']> {
  return dismissed.parse(await db.call('dismiss_suspicion', { p_tenant: tenant, p_id: id, p_actor: actor, p_reason: reason })).outcome;
}

export const IDENTITIES = ['answer', 'handoff'] as const;

const identitySet = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), was: z.enum(IDENTITIES) }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL set_identity: what a contact gets who asks whether it talks with a machine, in this tenant; audited. */
export async function setIdentity(
  db: Door,
  change: { tenant: string; identity: (typeof IDENTITIES)[number]; actor: string; reason: string | null },
): Promise<z.infer<typeof identitySet>> {
  return identitySet.parse(
    await db.call('set_identity', {
      p_tenant: change.tenant,
      p_identity: change.identity,
      p_actor: change.actor,
      p_reason: change.reason,
    }),
  );
}
