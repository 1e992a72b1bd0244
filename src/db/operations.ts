import { z } from 'zod';
import { breakerReport } from '../breakers/calls.ts';
import type { Door } from './door.ts';

const time = z.coerce.date();

/** SQL schema_version: number of the newest migration that the database has. */
export async function schemaVersion(db: Door): Promise<string> {
  return z.string().parse(await db.call('schema_version', {}));
}

const rights = z.object({ role: z.string(), superuser: z.boolean(), owner: z.boolean(), audit: z.boolean() });
/** `owner`: tables of the product are its own; `audit`: it may change what is in the audit. */
export type SessionRights = z.infer<typeof rights>;

/** SQL session_rights: with whose rights this door calls. */
export async function sessionRights(db: Door): Promise<SessionRights> {
  return rights.parse(await db.call('session_rights', {}));
}

export type JobClaim = {
  job: string;
  tick: Date;
  worker: string;
  leaseMs: number;
  /** Not while another run of the job is under way. */ alone: boolean;
  /** This worker asked before, and the database was away: what is still its own is taken once more. */
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

export type DefaultAgent = { name: string; tone: string; instructions: string; promises: string };

/** SQL ensure_setup: the number and the agent without which nothing runs. Idempotent. Errors: DatabaseRefused WA003, another project's database. */
export async function ensureSetup(
  db: Door,
  setup: { instance: string | null; project_ref: string | null; agent: DefaultAgent },
): Promise<void> {
  await db.call('ensure_setup', { p_setup: setup });
}

const snapshot = z.object({
  now: time,
  project_ref: z.string().nullable(),
  processes: z.array(
    z.object({
      id: z.string(),
      mode: z.string(),
      version: z.string(),
      seen_seconds: z.number(),
      breakers: z.array(breakerReport),
      queues: z.record(z.string(), z.unknown()),
    }),
  ),
  instances: z.array(z.object({ name: z.string(), status: z.string(), status_at: time })),
  unanswered: z.object({ count: z.number(), oldest_seconds: z.number().nullable() }),
  outbound: z.object({ due: z.number(), uncertain: z.number(), sending: z.number() }),
  paused: z.string().nullable(),
});
export type HealthSnapshot = z.infer<typeof snapshot>;

/** SQL health_snapshot: the figures behind /health/*. */
export async function healthSnapshot(db: Door): Promise<HealthSnapshot> {
  return snapshot.parse(await db.call('health_snapshot', {}));
}

/** SQL set_instance_state: what a poll of the number's socket says. `wakeSends`: it came back. */
export async function setInstanceState(db: Door, name: string, state: string): Promise<{ wakeSends: boolean }> {
  const { wake_sends } = z.object({ wake_sends: z.boolean() }).parse(await db.call('set_instance_state', { p_name: name, p_state: state }));
  return { wakeSends: wake_sends };
}

const polled = z.object({ name: z.string(), status: z.string(), version_stale: z.boolean(), breaker: z.string().nullable() });
/** `breaker`: why its breaker is open somewhere; null when it is not. */
export type PolledNumber = z.infer<typeof polled>;

/** SQL list_instances: the numbers to poll. */
export async function listInstances(db: Door): Promise<PolledNumber[]> {
  return z.array(polled).parse(await db.call('list_instances', {}));
}

const agentRow = z.object({
  tenant_id: z.string(),
  slug: z.string(),
  name: z.string(),
  tone: z.string(),
  instructions: z.string(),
  promises: z.string(),
  model: z.string().nullable(),
  model_complex: z.string().nullable(),
  tools: z.array(z.string()),
});

/** SQL list_agents: the agents that answer, as they are now. */
export async function listAgents(db: Door): Promise<z.infer<typeof agentRow>[]> {
  return z.array(agentRow).parse(await db.call('list_agents', {}));
}
