import { z } from 'zod';
import type { Door } from './door.ts';

const tenantFigures = z.object({
  tenant: z.string(),
  unanswered: z.number(),
  unanswered_seconds: z.number().nullable(),
  queued: z.number(),
  queued_seconds: z.number().nullable(),
  sending: z.number(),
  uncertain: z.number(),
  dead: z.number(),
  handoffs: z.number(),
  answered_conversations: z.number(),
  cost_usd: z.number(),
});
export type TenantFigures = z.infer<typeof tenantFigures>;

/** SQL metrics_snapshot: what waits and what it cost, by tenant. */
export async function metricsSnapshot(db: Door): Promise<TenantFigures[]> {
  return z.array(tenantFigures).parse(await db.call('metrics_snapshot', {}));
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
