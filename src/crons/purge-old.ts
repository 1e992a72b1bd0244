import { purgeOld } from '../people/care-calls.ts';
import type { CronJob } from '../schedule/job.ts';

/** Small enough that no delete holds its rows for long. */
const ROWS = 5_000;

/** Retention: what is older than the RETENTION_*_DAYS say; see purge_old in SQL. */
export const purgeOldJob: CronJob = {
  name: 'purge_old',
  cron: '17 * * * *',
  catchUp: 'once',
  cadence: 'hour',
  timeoutSeconds: 1_800,
  summary: 'deletes what is older than its retention',
  async run(ctx, { signal }) {
    let total = 0;
    for (;;) {
      const { deleted, more } = await purgeOld(ctx.db, ctx.config.retention, ROWS);
      total += deleted;
      if (!more || signal.aborted) return total;
    }
  },
};
