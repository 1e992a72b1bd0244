import { dueMedia } from '../inbox/media/calls.ts';
import type { CronJob } from '../schedule/job.ts';

/** Conversations of one minute. */
const MOST = 50;

/** Media that could not be read when it came: the next turn of its conversation reads it (turns/turn.ts), where speech service and model are at hand. */
export const retryMediaJob: CronJob = {
  name: 'retry_media',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'wakes conversations up whose voice notes, pictures or documents could not be read when they came',
  async run(ctx) {
    const due = await dueMedia(ctx.db, MOST);
    if (due.length > 0) await ctx.queues.wakeTurn(due, 0);
    return due.length;
  },
};
