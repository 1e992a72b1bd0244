import { dueMedia } from '../inbox/media/calls.ts';
import { hearAll } from '../inbox/media/hear.ts';
import type { CronJob } from '../schedule/job.ts';

/** Of one minute. */
const MOST = 20;
/** Who dies with some of them leaves them to the next but one. Milliseconds. */
const HOLD_MS = 90_000;

/** Voice notes that could not be heard when they came. */
export const retryMediaJob: CronJob = {
  name: 'retry_media',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'hears voice notes again that could not be heard when they came',
  async run(ctx, { signal }) {
    if (ctx.speech === null) return 0;
    const items = await dueMedia(ctx.db, MOST, HOLD_MS);
    const again = await hearAll(ctx, items, signal);
    if (again.length > 0) await ctx.queues.wakeTurn(again, 0);
    return items.length;
  },
};
