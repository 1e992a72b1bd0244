/**
 * One run of a scheduled job: claim its tick, run it within its time, write down what came of it.
 *
 *   running   claimed; its lease says how long the scheduler may be silent about it
 *   done | failed | skipped   over; failed also when it took longer than its time, or its scheduler died and nobody may take it up
 */
import { isStale, metNoDatabase, STALE_SECONDS } from './decide.ts';
import type { Cadence } from './decide.ts';
import type { CronJob, JobContext } from './job.ts';
import type { Door } from '../db/door.ts';
import { DatabaseAway } from '../db/failures.ts';
import { claimJob, finishJob, jobStatus, retakeJobs } from './calls.ts';
import type { JobEnd } from './calls.ts';
import { persist } from '../db/persist.ts';
import { toError } from '../process/errors.ts';

/** Beyond a job's own time: for writing the end down. Milliseconds. */
const LEASE_SLACK_MS = 60_000;

export function leaseMs(job: CronJob): number {
  return job.timeoutSeconds * 1000 + LEASE_SLACK_MS;
}

/** How often a tick is begun that meets an absent database each time. */
const MOST_ATTEMPTS = 3;

/**
 * Runs one tick of a job unless somebody has it; null then. Resolves when it is over; a job that throws is recorded as failed.
 * Rejects with DatabaseAway when the tick could not be claimed or its end not be written.
 */
export async function runTick(ctx: JobContext, job: CronJob, tick: Date, stop?: AbortSignal): Promise<JobEnd | null> {
  const claim = await claimTick(ctx, job, tick, false);
  return claim.id === null ? null : runClaimed(ctx, job, { id: claim.id, tick }, stop);
}

/**
 * As runTick, for a caller that keeps its ticks. `kept`: the database was unavailable, before or while it ran; call it again with `again` when it is back. A tick
 * that has met that three times has failed. Rejects with DatabaseAway when it ran, and its end could not be written.
 */
export async function tryTick(
  ctx: JobContext,
  job: CronJob,
  tick: Date,
  { again, stop }: { again: boolean; stop: AbortSignal },
): Promise<JobEnd | 'kept' | null> {
  const claim = await claimTick(ctx, job, tick, again).catch((error: unknown) => {
    if (error instanceof DatabaseAway) return 'away' as const;
    throw error;
  });
  if (claim === 'away') return 'kept';
  if (claim.id === null) return null;
  const started = performance.now();
  const end = await withinItsTime(ctx, job, tick, stop);
  if (end.status === 'failed' && !stop.aborted && claim.attempts < MOST_ATTEMPTS && metNoDatabase(end.error ?? '')) return 'kept';
  await conclude(ctx, job, claim.id, end, started);
  return end;
}

function claimTick(ctx: JobContext, job: CronJob, tick: Date, again: boolean): ReturnType<typeof claimJob> {
  return claimJob(ctx.db, { job: job.name, tick, worker: ctx.process.id, leaseMs: leaseMs(job), alone: false, again });
}

/** Takes up ticks whose scheduler died, of jobs whose ticks are caught up; the others are written down as failed. Any number may call it at once. */
export async function retakeLost(ctx: JobContext, jobs: readonly CronJob[], stop?: AbortSignal): Promise<void> {
  const retakable = jobs.filter(({ catchUp }) => catchUp !== 'skip');
  const taken = await retakeJobs(ctx.db, ctx.process.id, Object.fromEntries(retakable.map((job) => [job.name, leaseMs(job)])));
  await Promise.all(
    taken.map(async (run) => {
      const job = jobs.find(({ name }) => name === run.job);
      if (job !== undefined) await runClaimed(ctx, job, run, stop);
    }),
  );
}

export async function runClaimed(ctx: JobContext, job: CronJob, claim: { id: number; tick: Date }, stop?: AbortSignal): Promise<JobEnd> {
  const started = performance.now();
  const end = await withinItsTime(ctx, job, claim.tick, stop);
  await conclude(ctx, job, claim.id, end, started);
  return end;
}

async function conclude(ctx: JobContext, job: CronJob, id: number, end: JobEnd, started: number): Promise<void> {
  ctx.events.jobEnded(job.name, end.status, { ms: Math.round(performance.now() - started), count: end.count, error: end.error });
  await persist(() => finishJob(ctx.db, id, end));
}

async function withinItsTime(ctx: JobContext, job: CronJob, tick: Date, stop: AbortSignal | undefined): Promise<JobEnd> {
  const late = new AbortController();
  const over = Promise.withResolvers<never>();
  const end = (why: string): void => {
    late.abort();
    over.reject(new Error(why));
  };
  const timer = setTimeout(() => end(`took longer than ${job.timeoutSeconds} s`), job.timeoutSeconds * 1000);
  const onStop = (): void => end('the scheduler was stopped');
  stop?.addEventListener('abort', onStop, { once: true });
  try {
    const work = (async () => job.run(ctx, { tick, signal: late.signal }))();
    work.catch(() => {}); // what comes after its time is nobody's
    const result = await Promise.race([work, over.promise]);
    return typeof result === 'number'
      ? { status: 'done', count: result, error: null }
      : { status: 'skipped', count: 0, error: result.skipped };
  } catch (error) {
    return { status: 'failed', count: 0, error: toError(error).message };
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', onStop);
  }
}

export type JobLine = {
  job: string;
  summary: string;
  cron: string;
  cadence: Cadence;
  sla_seconds: number;
  stale: boolean;
  /** `never`: no scheduler has known it yet. */
  status: string;
  tick: Date | null;
  started_at: Date | null;
  ended_at: Date | null;
  ms: number | null;
  count: number | null;
  error: string | null;
  last_good_at: Date | null;
};

/** Each job of the catalogue with its newest run, and whether it is stale. */
export async function jobLines(db: Door, jobs: readonly CronJob[], now: Date): Promise<JobLine[]> {
  const names = jobs.map(({ name }) => name);
  const runs = new Map((await jobStatus(db, names)).map((run) => [run.job, run]));
  return jobs.map(({ name, summary, cron, cadence }) => {
    const run = runs.get(name);
    const last = run?.last_good_at ?? run?.started_at ?? null;
    return {
      job: name,
      summary,
      cron,
      cadence,
      sla_seconds: STALE_SECONDS[cadence],
      stale: isStale(cadence, last, now),
      status: run?.status ?? 'never',
      tick: run?.tick ?? null,
      started_at: run?.started_at ?? null,
      ended_at: run?.ended_at ?? null,
      ms: run?.ms ?? null,
      count: run?.count ?? null,
      error: run?.error ?? null,
      last_good_at: run?.last_good_at ?? null,
    };
  });
}
