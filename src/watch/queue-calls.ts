/** What waits to leave, and what each day cost. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const waiting = z.object({
  total: z.number(),
  rows: z.array(
    z.object({
      id: z.number(),
      conversation_id: z.number(),
      name: z.string().nullable(),
      instance: z.string(),
      kind: z.string(),
      text: z.string(),
      reason: z.string().nullable(),
      goes_at: time.nullable(),
    }),
  ),
});

export type Waiting = z.infer<typeof waiting>;

/** SQL list_queue: what waits to leave, the next first; `total` of all. */
export async function listQueue(db: Door, tenant: string, limit: number): Promise<Waiting> {
  return waiting.parse(await db.call('list_queue', { p_tenant: tenant, p_limit: limit }));
}

const days = z.array(
  z.object({
    day: z.string(),
    received: z.number().nullable(),
    answered: z.number(),
    handed_over: z.number(),
    reply_seconds_median: z.number().nullable(),
    cost_usd: z.coerce.number(),
    tokens: z.number(),
    /** Of today only: how much of what was read came from the cache, 0..1. */
    cache_share: z.number().nullable(),
  }),
);

export type Days = z.infer<typeof days>;

/** SQL day_figures: so many days, the newest first; those that are over as they were counted, today so far. */
export async function dayFigures(db: Door, tenant: string, timeZone: string, count: number): Promise<Days> {
  return days.parse(await db.call('day_figures', { p_tenant: tenant, p_tz: timeZone, p_days: count }));
}
