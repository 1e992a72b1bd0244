/** /healthz and the figures of /health/*: what they say of a system at work, and that they keep what is nobody's business. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateAlerts, noteSelf } from '../../src/watch/alerts.ts';
import { JOBS } from '../../src/crons/all.ts';
import { createApp } from '../../src/routes/http.ts';
import { runTick } from '../../src/schedule/run-job.ts';
import { apiRoutes } from '../../src/api.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Json = { [key: string]: unknown; broker: Broker; thresholds: { backlog: unknown } };
type Broker = { last_success: string | null; last_failure: string | null; consecutive_failures: number };

async function get(system: System, path: string): Promise<Json> {
  const answer = await fetch(system.url + path);
  assert.equal(answer.status, 200, path);
  return (await answer.json()) as Json;
}

const heartbeats = (system: System) =>
  system.query(
    `insert into process_status (id, mode, version, started_at, seen_at) select m, m, '1', now(), now() from unnest(array['worker', 'scheduler']) m`,
  );

test('H6 /healthz: status, uptime, and the last success and failure of the calls of Evolution', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await heartbeats(system);
  await system.query(`insert into process_status (id, mode, version, started_at, seen_at) values ($1, 'api', '1', now(), now())`, [
    system.ctx.process.id,
  ]);
  const before = await get(system, '/healthz');
  assert.deepEqual(before.broker, { last_success: null, last_failure: null, consecutive_failures: 0 });
  assert.deepEqual([before['status'], before['degraded'], typeof before['uptime']], ['ok', false, 'number']);

  system.simulator.fault({ target: 'state', kind: 'status', status: 500, times: 2 });
  for (let call = 0; call < 2; call++) await system.ctx.whatsapp?.connectionState('julia-dev');
  await noteSelf(system.ctx);
  const failing = await get(system, '/healthz');
  assert.equal(failing.broker.consecutive_failures, 2);
  assert.ok(failing.broker.last_failure !== null && failing.broker.last_success === null);
  assert.deepEqual([failing['status'], failing['degraded']], ['degraded', true]);

  await system.ctx.whatsapp?.connectionState('julia-dev');
  await noteSelf(system.ctx);
  const well = await get(system, '/healthz');
  assert.equal(well.broker.consecutive_failures, 0);
  assert.ok(well.broker.last_success !== null && well.broker.last_failure !== null);
  assert.equal(well['status'], 'ok');
  await system.query(`update instances set status = 'close'`);
  assert.equal((await get(system, '/healthz'))['degraded'], true);
});

test('H6 /healthz answers 200 without a database, and while the process starts', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const state = { config: system.config, context: null, stopping: false };
  const app = createApp(state, system.ctx.log, (routes) => apiRoutes(routes, state));
  const starting = await app.request('/healthz');
  assert.equal(starting.status, 200);
  assert.equal(((await starting.json()) as Json)['status'], 'starting');
});

test('H10 /health/fila and its other name: what waits, with thresholds', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const empty = await get(system, '/health/fila');
  assert.deepEqual([empty['status'], empty['backlog'], empty['reasons']], ['ok', 0, []]);
  await system.query(
    `select enqueue_message(jsonb_build_object('instance', 'julia-dev', 'phone', '5511912345678', 'text', 'x', 'kind', 'notification')) from generate_series(1, 100)`,
  );
  await system.query(`update messages set due_at = now() - interval '61 minutes'`);
  await system.query(
    `update messages set status = 'sending', lease_until = now() - interval '2 minutes' where id = (select min(id) from messages)`,
  );
  const full = await get(system, '/health/queue');
  assert.deepEqual(
    [full['status'], full['backlog'], full['stuck'], full['oldest_minutes'], full['errors_last_hour']],
    ['warning', 99, 1, 61, 0],
  );
  assert.deepEqual(full['reasons'], ['stuck is 1, at least 1', 'oldest_minutes is 61, at least 60']);
  assert.deepEqual(full.thresholds.backlog, { warning: 100, critical: 500 });
  // What somebody paused is no backlog.
  await system.query(`insert into julia_status (status, scope, target) values ('pausado', 'instance', 'julia-dev')`);
  assert.equal((await get(system, '/health/fila'))['backlog'], 0);
});

test('H10 /health/jobs marks a job that did not end well for too long', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const of = async (name: string) => {
    const { status, jobs } = (await get(system, '/health/jobs')) as unknown as {
      status: string;
      jobs: { job: string; stale: boolean; error: string | null; status: string }[];
    };
    return { all: status, ...jobs.find(({ job }) => job === name) };
  };
  assert.deepEqual([(await of('purge_old')).status, (await of('purge_old')).stale], ['never', false]);
  const purge = JOBS.find(({ name }) => name === 'purge_old');
  assert.ok(purge);
  await runTick(system.ctx, purge, new Date());
  assert.deepEqual([(await of('purge_old')).status, (await of('purge_old')).all], ['done', 'ok']);
  await system.query(
    `update job_runs set tick = tick - interval '7201 seconds', started_at = started_at - interval '7201 seconds', ended_at = ended_at - interval '7201 seconds'`,
  );
  await runTick(system.ctx, { ...purge, run: () => Promise.reject(new Error('senha errada para postgres://u:p@h')) }, new Date());
  const stale = await of('purge_old');
  assert.deepEqual([stale.status, stale.stale, stale.all], ['failed', true, 'stale'], 'failed runs do not count');
  assert.equal(stale.error, 'see the log, or job_runs in the database');
});

test('H10 /health/chips, /whatsapp, /alerts and /score of a number that goes away', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await heartbeats(system);
  await system.query(`insert into process_status (id, mode, version, started_at, seen_at) values ('api', 'api', '1', now(), now())`);
  await system.query(`update instances set status = 'open', phone = '5511912345678'`);
  const well = await get(system, '/health/score');
  assert.deepEqual([well['score'], well['costs']], [100, []]);
  assert.equal((await get(system, '/health/whatsapp'))['status'], 'connected');

  await system.query(`update instances set status = 'close', status_at = now() - interval '2 minutes'`);
  await system.query(
    `select record_transition('{"breaker": "evolution", "instance": "julia-dev", "process": "worker", "state": "open", "reason": "timeout"}')`,
  );
  await evaluateAlerts(system.ctx, ['seconds', 'minute'], JOBS);
  const { chips } = (await get(system, '/health/chips')) as unknown as { chips: Record<string, unknown>[] };
  assert.deepEqual(
    chips.map(({ name, status, breaker, hour }) => [name, status, breaker, (hour as { used: number }).used]),
    [['julia-dev', 'close', 'open', 0]],
  );
  const whatsapp = await get(system, '/health/whatsapp');
  assert.deepEqual([whatsapp['status'], whatsapp['connected'], whatsapp['total']], ['disconnected', 0, 1]);
  const alerts = (await get(system, '/health/alerts')) as unknown as {
    status: string;
    firing: { key: string }[];
    pending: { key: string }[];
  };
  assert.deepEqual(
    [alerts.status, alerts.firing.map(({ key }) => key), alerts.pending.map(({ key }) => key)],
    ['firing', ['breaker_open:evolution:julia-dev'], ['number_disconnected:julia-dev']],
  );
  const score = await get(system, '/health/score');
  assert.equal(score['score'], 80);
  assert.deepEqual(score['costs'], [{ points: 20, why: 'alert breaker_open (evolution:julia-dev)' }]);
  for (const path of ['/health/chips', '/health/whatsapp', '/health/alerts', '/health/score', '/health/fila', '/healthz'])
    assert.ok(!JSON.stringify(await get(system, path)).includes('5511912345678'), path);
});

test('E7 the SLA counts what was: minutes that nobody looked at are down', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(
    `insert into sla_minutes (minute, up) select date_trunc('minute', now()) - n * interval '1 minute', n % 4 > 0 from generate_series(1, 40) n where n <> 7`,
  );
  const { sla } = (await get(system, '/health/score')) as unknown as {
    sla: { figures: { minutes: number; up_minutes: number }; objectives: { name: string; met: boolean; actual: number }[] };
  };
  // A minute may have begun since: then one more that nobody looked at.
  assert.ok(sla.figures.minutes === 40 || sla.figures.minutes === 41);
  assert.equal(sla.figures.up_minutes, 29);
  assert.equal(sla.objectives.find(({ name }) => name === 'uptime')?.met, false);
});
