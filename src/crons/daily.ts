/** What is looked after once a day or an hour. */
import { wakeLanes } from '../outbox/wake.ts';
import { dueFollowUps } from '../turns/calls.ts';
import { expireHeld } from '../people/handoff-calls.ts';
import type { CronJob } from '../schedule/job.ts';

const AT_ONCE = 500;

/** Follow-ups leave at their own time, by the sweep of every minute; each morning their lanes are woken once more, so that none waits behind a full sweep. */
export const followUpsJob: CronJob = {
  name: 'follow_ups',
  cron: '0 10 * * *',
  cadence: 'day',
  catchUp: 'once',
  timeoutSeconds: 300,
  summary: 'wakes lanes with a follow-up whose time has come',
  async run(ctx) {
    return wakeLanes(ctx, await dueFollowUps(ctx.db, AT_ONCE));
  },
};

/** Pauses never end by themselves. What ends here are messages whose deadline passed while they were held, and takeovers that are over. */
export const expireHeldJob: CronJob = {
  name: 'expire_held',
  cron: '0 6 * * *',
  cadence: 'day',
  catchUp: 'once',
  timeoutSeconds: 300,
  summary: 'ends held messages past their deadline and takeovers that are over; pauses stay',
  async run(ctx, { signal }) {
    let total = 0;
    for (;;) {
      const { messages, takeovers } = await expireHeld(ctx.db, AT_ONCE);
      total += messages + takeovers;
      if (Math.max(messages, takeovers) < AT_ONCE || signal.aborted) return total;
    }
  },
};
