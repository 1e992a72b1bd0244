/** GET /health/rate, /health/circuit, /health/jobs, /health/queue and so on, /healthz: what an operator asks first. */
import { circuits } from '../watch/circuits.ts';
import { QUEUE_THRESHOLDS, queueLevel, scoreOf } from '../watch/health-words.ts';
import { objectives } from '../watch/sla.ts';
import { JOBS } from '../crons/all.ts';
import { alertSnapshot, listAlerts, slaFigures } from '../watch/alert-calls.ts';
import type { Alert } from '../watch/alert-calls.ts';
import { rateStatus } from '../outbox/limit-calls.ts';
import { listNumberHealth } from '../numbers/calls.ts';
import type { RateStatus } from '../outbox/limit-calls.ts';
import { brokerHealth, deepHealth } from '../watch/health.ts';
import { jobLines } from '../schedule/run-job.ts';
import type { Process } from './ops.ts';
import { within } from '../process/wait.ts';
import { contextOf } from './context-of.ts';
import * as schemas from './health-schemas.ts';
import type { Routes } from './table.ts';

const HOUR_MS = 3_600_000;

export function healthRoutes(routes: Routes, process: Process): void {
  routes.get(
    ['/health/rate', '/health/rate-limit'],
    {
      ...HEALTH,
      summary: 'how much of the caps on proactive messages is used',
      answers: { 200: { means: 'in any 60 minutes and 24 hours, together and by number', schema: schemas.rate } },
    },
    async (c) => {
      const ctx = contextOf(process);
      if (!(await routes.seesDetails(c))) return c.json({ hour: null, day: null, ...UNTOLD });
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
    {
      ...HEALTH,
      summary: 'the circuit breakers of all processes and numbers',
      answers: { 200: { means: 'a few seconds old at most', schema: schemas.circuitList } },
    },
    async (c) => {
      const breakers = await circuits(contextOf(process).db, 'default');
      if (await routes.seesDetails(c)) return c.json({ breakers });
      return c.json({ breakers: breakers.map(({ name, state }) => ({ name, state })), ...UNTOLD });
    },
  );
  routes.get(
    '/health/jobs',
    {
      ...HEALTH,
      summary: 'the scheduled jobs: the newest run of each, and whether it is stale',
      answers: {
        200: { means: '`status` is stale when one of the jobs did not end well for longer than its `sla_seconds`', schema: schemas.jobs },
      },
    },
    async (c) => {
      const jobs = await jobLines(contextOf(process).db, JOBS, new Date());
      const detailed = await routes.seesDetails(c);
      const told = jobs.map((job) => ({
        ...job,
        count: detailed ? job.count : null,
        error: job.status === 'failed' ? 'see the log, or job_runs in the database' : job.error,
      }));
      return c.json({ status: jobs.some(({ stale }) => stale) ? 'stale' : 'ok', jobs: told });
    },
  );
  routes.get(
    ['/health/queue', '/health/fila'],
    {
      ...HEALTH,
      summary: 'what waits: unanswered messages, sends, jobs',
      details: 'Paused messages are not counted. `thresholds` says from where on a figure is a warning or critical.',
      answers: { 200: { means: '`status` ok, warning or critical, with the reasons', schema: schemas.queue } },
    },
    async (c) => {
      const ctx = contextOf(process);
      const [{ unanswered, outbound, work }, queues] = await Promise.all([
        alertSnapshot(ctx.db, true),
        within(QUEUE_MS, ctx.queues.counts()).catch(() => null), // unavailable: the rows are the truth
      ]);
      const oldest = Math.max(unanswered.oldest_seconds ?? 0, outbound.oldest_seconds ?? 0);
      const figures = {
        backlog: unanswered.count + outbound.due,
        stuck: outbound.stuck,
        errors_last_hour: work?.errors_last_hour ?? 0,
        oldest_minutes: Math.floor(oldest / 60),
      };
      if (!(await routes.seesDetails(c))) return c.json({ status: queueLevel(figures).status, thresholds: QUEUE_THRESHOLDS, ...UNTOLD });
      return c.json({ ...queueLevel(figures), ...figures, thresholds: QUEUE_THRESHOLDS, unanswered, outbound, queues });
    },
  );
  routes.get(
    '/health/chips',
    {
      ...HEALTH,
      summary: 'each number: connection, health, caps, breakers',
      answers: { 200: { means: 'without phone numbers', schema: schemas.chips } },
    },
    async (c) => {
      const ctx = contextOf(process);
      const [{ numbers, breakers }, rates, health] = await Promise.all([
        alertSnapshot(ctx.db, false),
        rateStatus(ctx.db, 'default', ctx.sendPolicy),
        listNumberHealth(ctx.db, null),
      ]);
      const healthOf = (name: string) => health.find(({ instance }) => instance === name);
      const chips = numbers.map(({ name, status, seconds }) => ({
        name,
        status,
        evolution: healthOf(name)?.gateway_version ?? null,
        since_seconds: Math.round(seconds),
        breaker: breakers.some(({ instance }) => instance === name) ? 'open' : 'closed',
        hour: rates[name]?.hour ?? null,
        day: rates[name]?.day ?? null,
        next_proactive_at: rates[name]?.next_proactive_at ?? null,
        health: healthOf(name)?.health ?? null,
        reason: healthOf(name)?.reason ?? null,
        until: healthOf(name)?.until ?? null,
        trust: healthOf(name)?.trust ?? null,
      }));
      if (await routes.seesDetails(c)) return c.json({ chips });
      return c.json({ chips: chips.map(({ status, breaker, health: state }) => ({ status, breaker, health: state })), ...UNTOLD });
    },
  );
  routes.get(
    '/health/whatsapp',
    {
      ...HEALTH,
      summary: 'whether WhatsApp can be reached',
      answers: { 200: { means: '`status` connected, degraded, disconnected or not_configured', schema: schemas.whatsapp } },
    },
    async (c) => {
      const ctx = contextOf(process);
      const [{ numbers }, { broker }] = await Promise.all([alertSnapshot(ctx.db, false), brokerHealth(ctx.config, ctx)]);
      const connected = numbers.filter(({ status }) => status === 'open').length;
      const away = numbers.filter(({ status }) => status !== 'open' && status !== 'unknown').length;
      const status =
        ctx.config.evolution === null
          ? 'not_configured'
          : numbers.length > 0 && away === numbers.length
            ? 'disconnected'
            : away > 0 || broker.consecutive_failures > 0
              ? 'degraded'
              : 'connected';
      if (!(await routes.seesDetails(c))) return c.json({ status, ...UNTOLD });
      const named = numbers.map(({ name, status: state, seconds }) => ({ name, status: state, since_seconds: Math.round(seconds) }));
      return c.json({ status, connected, total: numbers.length, broker, numbers: named });
    },
  );
  routes.get(
    '/health/alerts',
    {
      ...HEALTH,
      summary: 'what people have been alerted of',
      answers: { 200: { means: '`firing` now, `pending` not for long enough yet, `recent` of 24 hours', schema: schemas.alerts } },
    },
    async (c) => {
      const alerts = await listAlerts(contextOf(process).db, RECENT_HOURS);
      const of = (status: Alert['status']) => alerts.filter((each) => each.status === status);
      const status = of('firing').length > 0 ? 'firing' : 'ok';
      if (!(await routes.seesDetails(c))) return c.json({ status, ...UNTOLD });
      return c.json({ status, firing: of('firing'), pending: of('pending'), recent: of('ok') });
    },
  );
  routes.get(
    '/health/score',
    {
      ...HEALTH,
      summary: 'one figure from 0 to 100, and the SLA of 30 days',
      answers: { 200: { means: '`costs` says what it lacks, and why', schema: schemas.score } },
    },
    async (c) => {
      const ctx = contextOf(process);
      const [deep, alerts, figures] = await Promise.all([
        deepHealth(ctx.config, ctx, true),
        listAlerts(ctx.db, RECENT_HOURS),
        slaFigures(ctx.db, new Date(Date.now() - SLA_DAYS * 24 * HOUR_MS)),
      ]);
      const sla = objectives(figures);
      const firing = alerts.filter(({ status }) => status === 'firing');
      const down = deep.status === 'unhealthy' ? deep.reasons.slice(0, 1) : [];
      const scored = scoreOf({ down, alerts: firing, objectives: sla });
      if (!(await routes.seesDetails(c))) return c.json({ score: scored.score, ...UNTOLD });
      return c.json({ ...scored, sla: { days: SLA_DAYS, objectives: sla, figures } });
    },
  );
  routes.get(
    '/healthz',
    {
      ...HEALTH,
      summary: 'the process lives, and how the calls of Evolution go',
      answers: { 200: { means: 'always, whatever it stands on', schema: schemas.process } },
    },
    async (c) => c.json(await brokerHealth(process.config, process.context)),
  );
}

/** A queue that does not answer for so long is left out. Milliseconds. */
const QUEUE_MS = 3_000;
const RECENT_HOURS = 24;
const SLA_DAYS = 30;

/** What everybody gets instead of names, volumes and words of alerts. */
const UNTOLD = { details: 'with a token of the tenant default' } as const;

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
