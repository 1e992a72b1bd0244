/** Jobs for tests of the scheduler. */
import type { CronJob, JobRun } from '../../src/schedule/job.ts';

/** A job of every minute that does nothing but `run`. */
export function testJob(name: string, run: CronJob['run'], fields: Partial<CronJob> = {}): CronJob {
  return { name, summary: name, cron: '* * * * *', cadence: 'minute', catchUp: 'skip', timeoutSeconds: 30, run, ...fields };
}

/** A run by hand, as it were. */
export function aRun(tick = new Date()): JobRun {
  return { tick, signal: new AbortController().signal };
}
