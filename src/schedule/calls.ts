/** Runs of jobs. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export type JobClaim = {
  job: string;
  tick: Date;
  worker: string;
  leaseMs: number;
  /** Not while another run of the job is under way. */ alone: boolean;
  /** This worker asked before, and the database was unavailable: what is still its own is taken once more. */
  again?: boolean;
};

const claimedJob = z.object({
  id: z.number().nullable(),
  attempts: z.number().default(1),
  because: z.enum(['ran', 'running']).nullable(),
});

/** SQL claim_job: takes one tick of a job; `id` null when another has it (`ran`), or has another tick of it under way (`running`). */
export async function claimJob(db: Door, claim: JobClaim): Promise<z.infer<typeof claimedJob>> {
  return claimedJob.parse(
    await db.call('claim_job', {
      p_job: claim.job,
      p_tick: claim.tick.toISOString(),
      p_worker: claim.worker,
      p_lease_ms: claim.leaseMs,
      p_alone: claim.alone,
      p_again: claim.again ?? false,
    }),
  );
}

/** SQL retake_jobs: ticks whose scheduler died, for this one to run; `leases` names the jobs that may be, with their leases in ms. */
export async function retakeJobs(
  db: Door,
  worker: string,
  leases: Record<string, number>,
): Promise<{ id: number; job: string; tick: Date }[]> {
  return z
    .array(z.object({ id: z.number(), job: z.string(), tick: time }))
    .parse(await db.call('retake_jobs', { p_worker: worker, p_leases: leases }));
}

export type JobEnd = { status: 'done' | 'failed' | 'skipped'; count: number; error: string | null };

/** SQL finish_job: how a run ended. */
export async function finishJob(db: Door, id: number, end: JobEnd): Promise<void> {
  await db.call('finish_job', { p_id: id, p_status: end.status, p_count: end.count, p_error: end.error });
}

/** SQL last_ticks: the newest tick of each of these jobs; one that is new is written down as known from `now` on. */
export async function lastTicks(db: Door, jobs: string[], now: Date): Promise<Record<string, Date>> {
  return z.record(z.string(), time).parse(await db.call('last_ticks', { p_jobs: jobs, p_at: now.toISOString() }));
}

const jobRun = z
  .object({
    job: z.string(),
    tick: time,
    status: z.string(),
    started_at: time,
    ended_at: time.nullable(),
    ms: z.number().nullable(),
    count: z.number().nullable(),
    error: z.string().nullable(),
    last_good_at: time.nullable(),
  })
  .loose();

export type JobStatus = z.infer<typeof jobRun>;

/** SQL job_status: the newest run of each of these jobs, and when one last ended well. */
export async function jobStatus(db: Door, jobs: string[]): Promise<JobStatus[]> {
  return z.array(jobRun).parse(await db.call('job_status', { p_jobs: jobs }));
}
