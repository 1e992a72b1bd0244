/** GET /health/rate, /health/circuit, /health/jobs, /health/queue, /healthz: what an operator asks first. */
import { circuits } from '../circuits.ts';
import { jobLines } from '../admin/jobs.ts';
import { rateStatus } from '../db/limits.ts';
import type { RateStatus } from '../db/limits.ts';
import { healthSnapshot } from '../db/operations.ts';
import type { Process } from '../ops.ts';
import { contextOf } from './context-of.ts';
import type { Routes } from './table.ts';

const HOUR_MS = 3_600_000;

export function healthRoutes(routes: Routes, process: Process): void {
  routes.get(
    ['/health/rate', '/health/rate-limit'],
    {
      ...HEALTH,
      summary: 'how much of the caps on proactive messages is used',
      answers: { 200: 'in any 60 minutes and 24 hours, together and by number' },
    },
    async (c) => {
      const ctx = contextOf(process);
      const instances = await rateStatus(ctx.db, 'default', ctx.sendPolicy);
      return c.json({
        hour: total(instances, 'hour', HOUR_MS),
        day: total(instances, 'day', 24 * HOUR_MS),
        inside_hours: Object.values(instances).some((each) => each.inside_hours),
        next_slot_at: earliest(Object.values(instances).map((each) => each.next_slot_at)),
        instances,
      });
    },
  );
  routes.get(
    ['/health/circuit', '/health/circuits'],
    { ...HEALTH, summary: 'the circuit breakers of all processes and numbers', answers: { 200: 'a few seconds old at most' } },
    async (c) => c.json({ breakers: await circuits(contextOf(process).db) }),
  );
  routes.get(
    '/health/jobs',
    {
      ...HEALTH,
      summary: 'the scheduled jobs: the newest run of each, and whether it is stale',
      answers: { 200: '`status` is stale when one of the jobs did not end well for longer than its `sla_seconds`' },
    },
    async (c) => {
      const jobs = await jobLines(contextOf(process), new Date());
      const told = jobs.map((job) => ({ ...job, error: job.status === 'failed' ? 'see the log, or job_runs in the database' : job.error }));
      return c.json({ status: jobs.some(({ stale }) => stale) ? 'stale' : 'ok', jobs: told });
    },
  );
  routes.get(
    '/health/queue',
    { ...HEALTH, summary: 'what waits: unanswered messages, sends, jobs', answers: { 200: 'counts and ages' } },
    async (c) => {
      const ctx = contextOf(process);
      const [snapshot, queues] = await Promise.all([healthSnapshot(ctx.db), ctx.queues.counts()]);
      return c.json({ unanswered: snapshot.unanswered, outbound: snapshot.outbound, queues });
    },
  );
}

const HEALTH = { tag: 'health', access: 'public' } as const;

/** All numbers together; `resets_at`: when the oldest counted send leaves the window. */
function total(instances: RateStatus, window: 'hour' | 'day', windowMs: number) {
  const all = Object.values(instances).map((instance) => instance[window]);
  const used = all.reduce((sum, each) => sum + each.used, 0);
  const limit = all.reduce((sum, each) => sum + each.limit, 0);
  const oldest = earliest(all.flatMap((each) => (each.oldest === null ? [] : [each.oldest])));
  return {
    used,
    limit,
    remaining: Math.max(0, limit - used),
    percent: limit === 0 ? 0 : Math.round((used / limit) * 1000) / 10,
    resets_at: oldest === null ? null : new Date(oldest.getTime() + windowMs),
  };
}

function earliest(times: Date[]): Date | null {
  return times.length === 0 ? null : new Date(Math.min(...times.map((each) => each.getTime())));
}
