/** What happened, for reports. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const figures = z.object({
  received: z.number(),
  conversations: z.number(),
  new_contacts: z.number(),
  answered: z.number(),
  handed_over: z.number(),
  failed_turns: z.number(),
  sent: z.record(z.string(), z.number()),
  failed: z.number(),
  reply_seconds_median: z.number().nullable(),
  reply_seconds_p95: z.number().nullable(),
  opt_outs: z.number(),
  tokens: z.number(),
  cost_usd: z.number(),
  /** Days that were counted before this figure existed have none. */
  unpriced_calls: z.number().default(0),
  unanswered: z.number(),
  with_people: z.number(),
});

export type ReportFigures = z.infer<typeof figures>;

/** SQL report_figures: what happened from `from` to before `to`, and what waits now. */
export async function reportFigures(db: Door, tenant: string, from: Date, to: Date): Promise<ReportFigures> {
  return figures.parse(await db.call('report_figures', { p_tenant: tenant, p_from: from.toISOString(), p_to: to.toISOString() }));
}

/** SQL count_days: keeps the figures of days that are over; returns how many rows were written. */
export async function countDays(db: Door, timeZone: string): Promise<number> {
  return z.object({ counted: z.number() }).parse(await db.call('count_days', { p_tz: timeZone })).counted;
}

/** SQL snapshot_numbers: keeps how each number is today; returns how many. */
export async function snapshotNumbers(db: Door, timeZone: string): Promise<number> {
  return z.object({ numbers: z.number() }).parse(await db.call('snapshot_numbers', { p_tz: timeZone })).numbers;
}
