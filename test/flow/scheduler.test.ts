/** Scheduled jobs: each tick once over any number of schedulers, a record of each run, and what becomes of missed ticks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getTasks } from 'node-cron';
import { isDue, parseCron } from '../../src/schedule/cron.ts';
import { zoneOf } from '../../src/words/zone.ts';
import { JOBS } from '../../src/crons/all.ts';
import { purgeOldJob } from '../../src/crons/purge-old.ts';
import { endProcess, heartbeat } from '../../src/breakers/calls.ts';
import { openContext } from '../../src/context.ts';
import { DatabaseAway } from '../../src/db/failures.ts';
import { retakeLost, runTick, tryTick } from '../../src/schedule/run-job.ts';
import { startScheduler } from '../../src/scheduler.ts';
import { aRun, testJob as job } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';

const ZONE = zoneOf('America/Sao_Paulo');
const HOUR = Array.from({ length: 60 }, (_, minute) => new Date(Date.UTC(2026, 10, 23, 12, minute)));

test('S1 two schedulers over an hour of ticks run each tick of each job once', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const schedulers = [await system.openContext('scheduler'), await system.openContext('scheduler')];
  const ran: string[] = [];
  const jobs = ['* * * * *', '*/5 * * * *', '17 * * * *'].map((cron) =>
    job(
      `job ${cron}`,
      async (ctx) => {
        ran.push(`${cron} ${ctx.process.id}`);
        return 1;
      },
      { cron },
    ),
  );
  for (const tick of HOUR) {
    const due = jobs.filter(({ cron }) => isDue(parseCron(cron), ZONE, tick));
    // Both want each tick at the same moment, in another order, and one of them twice.
    await Promise.all([
      ...due.map((each) => runTick(schedulers[0] ?? system.ctx, each, tick)),
      ...due
        .toReversed()
        .flatMap((each) => [runTick(schedulers[1] ?? system.ctx, each, tick), runTick(schedulers[1] ?? system.ctx, each, tick)]),
    ]);
  }
  assert.equal(ran.length, 60 + 12 + 1);
  assert.equal(new Set(ran.map((line) => line.split(' ').at(-1))).size, 2, 'both had work');
  assert.deepEqual(
    await system.query(
      `select job, count(*)::int as runs, count(distinct tick)::int as ticks, bool_and(status = 'done') as done from job_runs group by job order by runs desc`,
    ),
    [
      { job: 'job * * * * *', runs: 60, ticks: 60, done: true },
      { job: 'job */5 * * * *', runs: 12, ticks: 12, done: true },
      { job: 'job 17 * * * *', runs: 1, ticks: 1, done: true },
    ],
  );
});

test('S5 P6 a run is recorded with start, end, status, ms, count and error, and told in exact lines; a failure stops nothing', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const [tick = new Date(), next = new Date()] = HOUR;
  await runTick(
    system.ctx,
    job('good', async () => 7),
    tick,
  );
  await runTick(
    system.ctx,
    job('bad', () => Promise.reject(new Error('o Slack não responde'))),
    tick,
  );
  await runTick(
    system.ctx,
    job('bad', async () => 1),
    next,
  );
  const throws = job('throws', () => {
    throw new TypeError('at once');
  });
  await runTick(system.ctx, throws, tick);
  const rows = await system.query<Record<string, unknown>>(
    'select job, tick, status, count, error, ms, started_at, ended_at, worker from job_runs order by job, tick',
  );
  assert.deepEqual(
    rows.map(({ job: name, status, count, error }) => [name, status, count, error]),
    [
      ['bad', 'failed', 0, 'o Slack não responde'],
      ['bad', 'done', 1, null],
      ['good', 'done', 7, null],
      ['throws', 'failed', 0, 'at once'],
    ],
  );
  for (const row of rows) {
    assert.ok(row['started_at'] instanceof Date && row['ended_at'] instanceof Date && row['ended_at'] >= row['started_at']);
    assert.ok(typeof row['ms'] === 'number' && row['ms'] >= 0);
    assert.equal(row['worker'], system.ctx.process.id);
  }
  const told = system.lines.filter(({ message }) => message.startsWith('Job ')).map(({ level, message }) => `${level} ${message}`);
  assert.deepEqual(told, [
    'INFO Job executed: good',
    'ERROR Job failed: o Slack não responde',
    'INFO Job executed: bad',
    'ERROR Job failed: at once',
  ]);
});

test('S5 D3 retention deletes what is old and nothing else, in steps', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`
    insert into webhook_events (event, body, received_at) select 'x', '{}', now() - age from (values (interval '8 days'), ('6 days'), ('0')) a (age);
    insert into early_updates (tenant_id, instance_id, provider_id, event, created_at) select 'default', (select id from instances), 'p', '{}', now() - age from (values (interval '25 hours'), ('23 hours')) a (age);
    insert into job_runs (job, tick, worker, started_at) select 'x', now() - age, 'w', now() - age from (values (interval '31 days'), ('29 days')) a (age);
    insert into process_status (id, mode, version, started_at, seen_at) select 'p' || age, 'worker', '1', now(), now() - age from (values (interval '25 hours'), ('23 hours')) a (age);
    insert into audit_log (actor, action, created_at) values ('ana', 'pause', now() - interval '300 days');
    insert into julia_status (status, created_at) values ('pausado', now() - interval '300 days')`);
  const counts = async () =>
    (
      await system.query<Record<string, number>>(
        `select (select count(*)::int from webhook_events) as webhooks, (select count(*)::int from early_updates) as early, (select count(*)::int from job_runs) as runs,
         (select count(*)::int from process_status) as processes, (select count(*)::int from audit_log) as audit, (select count(*)::int from julia_status) as pauses`,
      )
    )[0];
  assert.equal(await purgeOldJob.run(system.ctx, aRun()), 4);
  assert.deepEqual(await counts(), { webhooks: 2, early: 1, runs: 1, processes: 1, audit: 1, pauses: 1 });
  assert.equal(await purgeOldJob.run(system.ctx, aRun()), 0);
  // More than one step holds, by two schedulers at once.
  await system.query(
    `insert into webhook_events (event, body, received_at) select 'x', '{}', now() - interval '8 days' from generate_series(1, 7000)`,
  );
  const other = await system.openContext('scheduler');
  await Promise.all([purgeOldJob.run(system.ctx, aRun()), purgeOldJob.run(other, aRun())]);
  assert.equal((await counts())?.['webhooks'], 2);
});

test('S7 heartbeats and jobs never write julia_status', async (t) => {
  const system = await startSystem(t, { workers: 1 });
  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'à mão', 'ana')`);
  const state = () => system.query('select id, status, xmin::text as version from julia_status order by id');
  const before = await state();
  const report = {
    id: 'p',
    mode: 'worker',
    version: '1',
    started_at: new Date().toISOString(),
    breakers: [],
    queues: {},
    resets_seen: null,
  };
  await heartbeat(system.ctx.db, report);
  await heartbeat(system.ctx.db, report);
  for (const each of JOBS) await runTick(system.ctx, each, HOUR[0] ?? new Date());
  await endProcess(system.ctx.db, 'p');
  assert.deepEqual(await state(), before);
  assert.deepEqual(await system.query(`select job from job_runs where status not in ('done', 'skipped')`), []);
});

test('S1 S2 two schedulers that start after ten minutes of outage catch up once between them, and end in order', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const minute = Math.floor(Date.now() / 60_000) * 60_000;
  const jobs = (['all', 'once', 'skip'] as const).map((catchUp) => job(catchUp, async () => 1, { catchUp }));
  for (const { name } of jobs)
    await system.query(`insert into job_runs (job, tick, worker, status) values ($1, $2, 'before', 'done')`, [
      name,
      new Date(minute - 600_000),
    ]);
  const running = await Promise.all([
    startScheduler(await system.openContext('scheduler'), jobs),
    startScheduler(await system.openContext('scheduler'), jobs),
  ]);
  assert.equal(getTasks().size, 2, 'each has a clock');
  await Promise.all(running.map((each) => each.stop(10_000)));
  assert.equal(getTasks().size, 0);
  const runs = await system.query<{ job: string; ticks: string[] }>(
    `select job, array_agg((extract(epoch from tick) * 1000)::bigint::text order by tick) as ticks from job_runs where worker <> 'before' group by job order by job`,
  );
  const late = Math.floor(Date.now() / 60_000) * 60_000 - minute; // a minute may have begun meanwhile
  const ticks = (name: string) => runs.find((run) => run.job === name)?.ticks.map((tick) => (Number(tick) - minute) / 60_000) ?? [];
  assert.deepEqual(ticks('all').slice(0, 10), [-9, -8, -7, -6, -5, -4, -3, -2, -1, 0]);
  assert.ok(ticks('all').length <= 10 + late / 60_000);
  assert.ok(ticks('once').includes(0) || ticks('once').includes(late / 60_000));
  assert.ok(ticks('once').length <= 1 + late / 60_000 && ticks('skip').length <= late / 60_000);
  assert.equal(system.lines.filter(({ message }) => message === 'Scheduler started').length, 2);
  assert.deepEqual(await system.query(`select job from job_runs where status = 'running'`), []);
});

test('S2 a job that hangs delays no other: it is cut off after its time, told so by its signal, and recorded as failed', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  let aborted = false;
  const hangs = job(
    'hangs',
    (_ctx, { signal }) =>
      new Promise<number>(() => {
        signal.addEventListener('abort', () => (aborted = true));
      }),
    { timeoutSeconds: 0.05 },
  );
  const [tick = new Date(), next = new Date()] = HOUR;
  const slow = runTick(system.ctx, hangs, tick);
  const quick = job('quick', async () => 1);
  assert.equal((await runTick(system.ctx, quick, tick))?.status, 'done');
  assert.equal((await runTick(system.ctx, quick, next))?.status, 'done');
  assert.deepEqual(await slow, { status: 'failed', count: 0, error: 'took longer than 0.05 s' });
  assert.ok(aborted);
  assert.ok(system.lines.some(({ level, message }) => level === 'ERROR' && message === 'Job failed: took longer than 0.05 s'));
});

test('S2 a scheduler that stops cuts off what outlives its grace, and writes it down', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`insert into job_runs (job, tick, worker, status) values ('hangs', now() - interval '10 minutes', 'before', 'done')`);
  const started = Promise.withResolvers<void>();
  const hangs = job(
    'hangs',
    () => {
      started.resolve();
      return new Promise<number>(() => {});
    },
    { catchUp: 'once' },
  );
  const running = await startScheduler(await system.openContext('scheduler'), [hangs]);
  await started.promise;
  await running.stop(2_000);
  const [row] = await system.query<{ status: string; error: string }>(
    `select status, error from job_runs where worker <> 'before' order by id limit 1`,
  );
  assert.deepEqual(row, { status: 'failed', error: 'the scheduler was stopped' });
});

test('S2 a tick whose scheduler died is taken up by one other when its lease is over; a job that skips has failed', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const ran: string[] = [];
  const jobs = (['once', 'skip'] as const).map((catchUp) =>
    job(
      catchUp,
      async (_ctx, { tick }) => {
        ran.push(`${catchUp} ${tick.toISOString()}`);
        return 1;
      },
      { catchUp },
    ),
  );
  const tick = HOUR[0] ?? new Date();
  await system.query(
    `insert into job_runs (job, tick, worker, lease_until) select j, $1, 'dead', now() - interval '1 second' from unnest(array['once', 'skip', 'unknown']) j`,
    [tick],
  );
  await system.query(`insert into job_runs (job, tick, worker, lease_until) values ('once', $1, 'alive', now() + interval '1 minute')`, [
    HOUR[1],
  ]);
  await Promise.all([retakeLost(system.ctx, jobs), retakeLost(system.ctx, jobs)]);
  assert.deepEqual(ran, [`once ${tick.toISOString()}`]);
  const rows = await system.query<{ line: string }>(
    `select job || ' ' || status || ' ' || coalesce(error, '-') as line from job_runs where tick = $1 order by job`,
    [tick],
  );
  assert.deepEqual(
    rows.map(({ line }) => line),
    ['once done -', 'skip failed its scheduler died', 'unknown failed its scheduler died'],
  );
  // What kills each scheduler that runs it is not tried for ever.
  await system.query(
    `update job_runs set status = 'running', lease_until = now() - interval '1 second', attempts = 3 where job = 'once' and tick = $1`,
    [tick],
  );
  await retakeLost(system.ctx, jobs);
  assert.equal(ran.length, 1);
});

/** A scheduler whose database can be taken away, also from a certain call on; `lost`: what it does is done, and the answer gets lost. */
async function flaky(t: { after(hook: () => Promise<void>): void }) {
  const system = await startSystem(t, { workers: 0 });
  const { config, log, db } = await system.openContext('scheduler');
  const state: { away: boolean; awayFrom: string | null; lost: boolean } = { away: false, awayFrom: null, lost: false };
  const call: typeof db.call = async (name, args) => {
    if (name === state.awayFrom) state.away = true;
    if (state.away) throw new DatabaseAway(name, 'connect ECONNREFUSED');
    const value = await db.call(name, args);
    if (state.lost && name === 'claim_job') throw new DatabaseAway(name, 'connection lost');
    return value;
  };
  const ctx = await openContext(config, log, { overrides: { db: { close: async () => {}, call } } });
  t.after(async () => ctx[Symbol.asyncDispose]());
  return { system, ctx, state };
}

test('S2 F15 a tick that meets an absent database is kept and runs when it is back, whatever its rule; executed is said of what ran', async (t) => {
  const { system, ctx, state } = await flaky(t);
  const ran: string[] = [];
  const stop = new AbortController().signal;
  const tick = HOUR[0] ?? new Date();
  const jobs = (['skip', 'once', 'all'] as const).map((catchUp) =>
    job(
      catchUp,
      async () => {
        ran.push(catchUp);
        return 1;
      },
      { catchUp },
    ),
  );
  state.away = true;
  for (const each of jobs) assert.equal(await tryTick(ctx, each, tick, { again: false, stop }), 'kept');
  assert.deepEqual(ran, []);
  assert.deepEqual(
    system.lines.filter(({ message }) => message.startsWith('Job executed')),
    [],
  );
  state.away = false;
  await system.until(() => ctx.breakers.database().report().state === 'closed', 'the breaker of the database');
  for (const each of jobs) await tryTick(ctx, each, tick, { again: true, stop });
  assert.deepEqual(ran, ['skip', 'once', 'all']);
  // Once more, by this scheduler and by another: it has run.
  for (const each of jobs) assert.equal(await tryTick(ctx, each, tick, { again: true, stop }), null);
  assert.equal(await runTick(system.ctx, jobs[0] ?? job('x', async () => 1), tick), null);
  assert.deepEqual(await system.query(`select distinct status from job_runs`), [{ status: 'done' }]);
});

test('S2 F15 a claim whose answer got lost is the claim of whoever asks again; of two schedulers one runs the tick', async (t) => {
  const { system, ctx, state } = await flaky(t);
  const other = await system.openContext('scheduler');
  let runs = 0;
  const daily = job('daily', async () => ++runs, { catchUp: 'once' });
  const tick = HOUR[0] ?? new Date();
  const stop = new AbortController().signal;
  state.lost = true;
  assert.equal(await tryTick(ctx, daily, tick, { again: false, stop }), 'kept');
  assert.equal(runs, 0);
  state.lost = false;
  await Promise.all([tryTick(ctx, daily, tick, { again: true, stop }), tryTick(other, daily, tick, { again: true, stop })]);
  assert.equal(runs, 1);
});

test('S2 F15 a job whose own connection meets an absent database (a backup) is run again; three times, then it has failed', async (t) => {
  const { system, ctx } = await flaky(t);
  const [tick = new Date(), next = new Date()] = HOUR;
  const stop = new AbortController().signal;
  const says = 'pg_dump: error: connection to server at "db" failed: FATAL: the database system is starting up';
  let fails = 1;
  const backup = job('backup', async () => {
    if (fails-- > 0) throw new Error(says);
    return 1;
  });
  assert.equal(await tryTick(ctx, backup, tick, { again: false, stop }), 'kept');
  assert.deepEqual(await tryTick(ctx, backup, tick, { again: true, stop }), { status: 'done', count: 1, error: null });
  fails = 9;
  const ends = [];
  for (const again of [false, true, true]) ends.push(await tryTick(ctx, backup, next, { again, stop }));
  assert.deepEqual(ends, ['kept', 'kept', { status: 'failed', count: 0, error: says }]);
  assert.equal(system.lines.filter(({ message }) => message.startsWith('Job failed')).length, 1);
});

test('S2 F15 the scheduler itself keeps what met an absent database, and runs it without another tick', async (t) => {
  const { system, ctx, state } = await flaky(t);
  await system.query(
    `insert into job_runs (job, tick, worker, status) values ('nightly', now() - interval '10 minutes', 'before', 'done')`,
  );
  state.awayFrom = 'claim_job'; // it has read what ran last
  let runs = 0;
  const nightly = job('nightly', async () => ++runs, { catchUp: 'once' });
  const running = await startScheduler(ctx, [nightly]);
  t.after(() => running.stop(2_000));
  await system.until(() => system.lines.some(({ message }) => message === 'Job waits for the database'), 'kept');
  assert.equal(runs, 0);
  Object.assign(state, { away: false, awayFrom: null });
  await system.until(() => system.lines.some(({ message }) => message === 'Job executed: nightly'), 'the run');
  await running.stop(5_000);
  assert.equal(system.lines.filter(({ message }) => message === 'Job executed: nightly').length, runs);
});

test('S4 what is not configured is skipped and says so, and is no failure', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const end = await runTick(
    system.ctx,
    job('not_there', async () => ({ skipped: 'not configured: set X' })),
    HOUR[0] ?? new Date(),
  );
  assert.deepEqual(end, { status: 'skipped', count: 0, error: 'not configured: set X' });
  assert.ok(
    system.lines.some(
      ({ level, message, context }) => level === 'INFO' && message === 'Job executed: not_there' && context['outcome'] === 'skipped',
    ),
  );
});

test('E3 the scheduler delivers what whoever wrote it could not', async (t) => {
  const system = await startSystem(t, { workers: 0, slack: 'webhook' });
  await system.query(`select add_notice('{"tenant": "default", "key": "k", "kind": "alert", "text": "de quem morreu", "urgent": true}')`);
  const running = await startScheduler(await system.openContext('scheduler'), []);
  await system.until(() => system.simulator.slackTexts().includes('🚨 de quem morreu'), 'the notice');
  await running.stop(5_000);
});
