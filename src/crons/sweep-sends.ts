import { sweepSends } from '../outbox/calls.ts';
import type { CronJob } from '../schedule/job.ts';

const AT_ONCE = 500;

/** Finds lanes with something due and nobody at work: lost jobs, leases that ran out, uncertain sends to look up. */
export const sweepSendsJob: CronJob = {
  name: 'sweep_sends',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'wakes lanes that have something to send and that no worker has',
  async run(ctx) {
    const found = await sweepSends(ctx.db, AT_ONCE);
    for (const conversation of found) await ctx.queues.wakeSend(conversation);
    ctx.events.swept('sends', found.length);
    return found.length;
  },
};
