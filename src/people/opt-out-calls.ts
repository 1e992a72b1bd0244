/** Who has opted out. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

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
