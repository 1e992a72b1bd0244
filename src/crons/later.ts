/** What is said later: each minute what is due becomes a message of its lane, where every rule is asked. */
import { dueFollowUpSteps, dueReminders, fireReminder, startFollowUps, takeFollowUpStep } from '../later/calls.ts';
import { wakeLanes } from '../outbox/wake.ts';
import type { CronJob, JobContext } from '../schedule/job.ts';

const AT_ONCE = 500;

/** A reminder is wanted at its minute. */
export const fireRemindersJob: CronJob = {
  name: 'fire_reminders',
  cron: '* * * * *',
  cadence: 'minute',
  catchUp: 'once',
  timeoutSeconds: 50,
  summary: 'reminders whose minute has come become messages',
  async run(ctx, { signal }) {
    const { timeZone } = ctx.config.app;
    return eachOf(ctx, await dueReminders(ctx.db, AT_ONCE), signal, (id) => fireReminder(ctx.db, id, timeZone));
  },
};

/** Steps are hours apart. */
export const followUpStepsJob: CronJob = {
  name: 'follow_up_steps',
  cron: '* * * * *',
  cadence: 'minute',
  catchUp: 'once',
  timeoutSeconds: 50,
  summary: 'follow-ups begin, and their steps whose time has come become messages',
  async run(ctx, { signal }) {
    const began = await startFollowUps(ctx.db, AT_ONCE);
    const company = ctx.config.app.company ?? 'nossa loja';
    const queued = await eachOf(ctx, await dueFollowUpSteps(ctx.db, AT_ONCE), signal, (id) =>
      takeFollowUpStep(ctx.db, id, company, ctx.sendPolicy),
    );
    return began + queued;
  },
};

/** One transaction each: one that fails takes no other with it, and a kill loses none. */
async function eachOf(
  ctx: JobContext,
  ids: readonly number[],
  signal: AbortSignal,
  act: (id: number) => Promise<number | null>,
): Promise<number> {
  const lanes: number[] = [];
  for (const id of ids) {
    if (signal.aborted) break;
    const lane = await act(id);
    if (lane !== null) lanes.push(lane);
  }
  return wakeLanes(ctx, lanes);
}
