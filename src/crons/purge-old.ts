import { purgeOld } from '../db/operations.ts';
import type { CronJob } from './job.ts';

/** Small enough that no delete holds its rows for long. */
const ROWS = 5_000;

/** Retention: raw webhooks 7 days, job runs 30; see purge_old in SQL. */
export const purgeOldJob: CronJob = {
  name: 'purge_old',
  cron: '17 * * * *',
  catchUp: 'once',
  async run(ctx) {
    let total = 0;
    for (;;) {
      const deleted = await purgeOld(ctx.db, ROWS);
      total += deleted;
      if (deleted < ROWS) return total;
    }
  },
};
