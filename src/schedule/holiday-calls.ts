/** Holidays as rows. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

/** `day`: `YYYY-MM-DD`. */
export type Holiday = { day: string; name: string };

/** SQL put_holidays: adds what is not there; returns the last day known, `YYYY-MM-DD`. */
export async function putHolidays(db: Door, days: Holiday[]): Promise<string | null> {
  return z.object({ until: z.string().nullable() }).parse(await db.call('put_holidays', { p_days: days })).until;
}
