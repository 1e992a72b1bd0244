/** Who did what. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

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

const audited = z.object({
  id: z.number(),
  at: z.coerce.date(),
  actor: z.string(),
  action: z.string(),
  subject: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
});

export type Audited = z.infer<typeof audited>;

/** SQL list_audit: who did what, the newest first; `before` is the id to go on from. */
export async function listAudit(db: Door, tenant: string, limit: number, before: number | null): Promise<Audited[]> {
  return z.array(audited).parse(await db.call('list_audit', { p_tenant: tenant, p_limit: limit, p_before: before }));
}
