import { wakeDueTurns } from '../turns/wake.ts';
import { tendSpend } from '../spend/calls.ts';
import type { CronJob } from '../schedule/job.ts';

/** Beyond the longest debounce, so that a burst that is still being typed is not cut short. */
const GRACE_MS = 10_000;

/** Finds what is unanswered without a live turn: a queue that forgot, a worker that died, a pause that ended. */
export const sweepTurnsJob: CronJob = {
  name: 'sweep_turns',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'wakes conversations that are unanswered and that no worker has',
  async run(ctx) {
    const settled = await tendSpend(ctx.db);
    if (settled > 0) ctx.events.swept('spend', settled);
    const woken = await wakeDueTurns(ctx, ctx.config.turn.debounceMaxMs + GRACE_MS);
    ctx.events.swept('turns', woken);
    return woken;
  },
};
