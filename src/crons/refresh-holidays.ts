import type { Door } from '../db/door.ts';
import { putHolidays } from '../schedule/holiday-calls.ts';
import { brazilianHolidays } from '../schedule/holidays.ts';
import type { CronJob } from '../schedule/job.ts';

/** So far ahead they must be known: the longest time for which somebody plans a message. Milliseconds. */
const AHEAD_MS = 365 * 86_400_000;

/** Keeps the table `holidays` a year ahead. Most runs are one small call. */
export const refreshHolidaysJob: CronJob = {
  name: 'refresh_holidays',
  cron: '23 * * * *',
  catchUp: 'once',
  cadence: 'hour',
  timeoutSeconds: 60,
  summary: "keeps Brazil's holidays a year ahead",
  run: (ctx) => fillHolidays(ctx.db, new Date()),
};

/** Adds what is missing of this year and the next two; returns how many days it looked at. */
export async function fillHolidays(db: Door, now: Date): Promise<number> {
  const until = await putHolidays(db, []);
  if (until !== null && Date.parse(until) > now.getTime() + AHEAD_MS) return 0;
  const found = [0, 1, 2].flatMap((years) => brazilianHolidays(now.getFullYear() + years));
  await putHolidays(db, found);
  return found.length;
}
