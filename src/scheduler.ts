/** RUN_MODE=scheduler: runs each tick of each job once, over any number of schedulers. */
import { createTask } from 'node-cron';
import type { ScheduledTask } from 'node-cron';
import type { Context } from './context.ts';
import { JOBS } from './crons/all.ts';
import type { CronJob } from './crons/job.ts';
import { claimJob, finishJob, lastTicks } from './db/operations.ts';
import { toError } from './errors.ts';
import { deliverNotices } from './notices.ts';
import { waitAtMost } from './wait.ts';
import type { Running } from './worker.ts';

const MINUTE_MS = 60_000;
/** How often due notices are looked for: what is urgent leaves within seconds although whoever wrote it died. One call over a small index. */
const NOTICES_MS = 3_000;
/** Ticks further back than this are not caught up: a weekly job and a day. */
const CATCH_UP_MINUTES = 8 * 24 * 60;

export async function startScheduler(ctx: Context, jobs: readonly CronJob[] = JOBS): Promise<Running> {
  const underWay = new Set<Promise<void>>();
  const start = (job: CronJob, tick: Date): void => {
    const run = runTick(ctx, job, tick).catch((error: unknown) => ctx.log.warning({ job: job.name, error }, 'Job could not be claimed'));
    underWay.add(run);
    void run.finally(() => underWay.delete(run));
  };
  const tasks = jobs.map((job) => ({
    job,
    task: createTask(job.cron, ({ date }) => start(job, floorToMinute(date)), {
      timezone: ctx.config.app.timeZone,
      name: job.name,
      suppressMissedWarning: true,
    }),
  }));

  const looking = setInterval(() => ctx.background.run('deliver notices', () => deliverNotices(ctx)), NOTICES_MS);
  const last = await lastTicks(ctx.db);
  for (const { job, task } of tasks) for (const tick of missedTicks(task, job, last[job.name] ?? null, new Date())) start(job, tick);
  for (const { task } of tasks) await task.start();
  ctx.log.always({ jobs: jobs.map((job) => job.name) }, 'Scheduler started');

  return {
    async stop(graceMs) {
      clearInterval(looking);
      for (const { task } of tasks) await task.destroy();
      await waitAtMost(graceMs, Promise.all(underWay));
    },
  };
}

/**
 * Runs one tick of a job unless somebody has it. Resolves when it is over; a job that throws is recorded as failed.
 * Rejects only when the tick cannot be claimed (the database is away).
 */
export async function runTick(ctx: Context, job: CronJob, tick: Date): Promise<void> {
  const id = await claimJob(ctx.db, job.name, tick, ctx.process.id);
  if (id === null) return;
  const started = performance.now();
  const end = await runJob(ctx, job);
  ctx.events.jobEnded(job.name, end.status, { ms: Math.round(performance.now() - started), count: end.count, error: end.error });
  await finishJob(ctx.db, id, end);
}

type JobEnd = { status: 'done' | 'failed'; count: number; error: string | null };

async function runJob(ctx: Context, job: CronJob): Promise<JobEnd> {
  try {
    return { status: 'done', count: await job.run(ctx), error: null };
  } catch (error) {
    return { status: 'failed', count: 0, error: toError(error).message };
  }
}

/** What the job's catch-up rule asks for at a start: of the ticks since the last one that ran, none, the newest, or all. Exported for its test. */
export function missedTicks(task: Pick<ScheduledTask, 'match'>, job: Pick<CronJob, 'catchUp'>, last: Date | null, now: Date): Date[] {
  if (last === null || job.catchUp === 'skip') return [];
  const missed: Date[] = [];
  const newest = floorToMinute(now).getTime();
  const oldest = Math.max(last.getTime() + MINUTE_MS, newest - CATCH_UP_MINUTES * MINUTE_MS);
  for (let at = newest; at >= oldest; at -= MINUTE_MS) {
    if (!task.match(new Date(at))) continue;
    missed.unshift(new Date(at));
    if (job.catchUp === 'once') break;
  }
  return missed;
}

function floorToMinute(date: Date): Date {
  return new Date(Math.floor(date.getTime() / MINUTE_MS) * MINUTE_MS);
}
