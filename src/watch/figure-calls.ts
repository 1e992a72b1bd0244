/** The figures of /metrics that are counted in the database. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

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
