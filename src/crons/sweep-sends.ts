import { wakeDueLanes } from '../outbox/wake.ts';
import type { CronJob } from '../schedule/job.ts';

/** Finds lanes with something due and nobody at work: lost jobs, leases that ran out, uncertain sends to look up. */
export const sweepSendsJob: CronJob = {
  name: 'sweep_sends',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'wakes lanes that have something to send and that no worker has',
  async run(ctx) {
    const woken = await wakeDueLanes(ctx);
    ctx.events.swept('sends', woken);
    return woken;
  },
};
