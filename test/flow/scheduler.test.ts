/** Scheduled jobs: each tick once over any number of schedulers, a record of each run, and what becomes of missed ticks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTask } from 'node-cron';
import { JOBS } from '../../src/crons/all.ts';
import type { CronJob } from '../../src/crons/job.ts';
import { purgeOldJob } from '../../src/crons/purge-old.ts';
import { endProcess, heartbeat } from '../../src/db/operations.ts';
import { missedTicks, runTick, startScheduler } from '../../src/scheduler.ts';
import { startSystem } from '../support/system.ts';

const HOUR = Array.from({ length: 60 }, (_, minute) => new Date(Date.UTC(2026, 10, 23, 12, minute)));

function job(name: string, run: CronJob['run'], fields: Partial<CronJob> = {}): CronJob {
  return { name, cron: '* * * * *', catchUp: 'skip', run, ...fields };
}

function task(cron: string, timezone = 'America/Sao_Paulo') {
  return createTask(cron, () => {}, { timezone });
}

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
    const due = jobs.filter(({ cron }) => task(cron).match(tick));
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

test('S5 retention deletes what is old and nothing else, in steps', async (t) => {
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
  assert.equal(await purgeOldJob.run(system.ctx), 4);
  assert.deepEqual(await counts(), { webhooks: 2, early: 1, runs: 1, processes: 1, audit: 1, pauses: 1 });
  assert.equal(await purgeOldJob.run(system.ctx), 0);
  // More than one step holds, by two schedulers at once.
  await system.query(
    `insert into webhook_events (event, body, received_at) select 'x', '{}', now() - interval '8 days' from generate_series(1, 7000)`,
  );
  const other = await system.openContext('scheduler');
  await Promise.all([purgeOldJob.run(system.ctx), purgeOldJob.run(other)]);
  assert.equal((await counts())?.['webhooks'], 2);
});

test('S7 heartbeats and jobs never write julia_status', async (t) => {
  const system = await startSystem(t, { workers: 1 });
  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'à mão', 'ana')`);
  const state = () => system.query('select id, status, xmin::text as version from julia_status order by id');
  const before = await state();
  const report = { id: 'p', mode: 'worker', version: '1', started_at: new Date().toISOString(), breakers: [], queues: {} };
  await heartbeat(system.ctx.db, report);
  await heartbeat(system.ctx.db, report);
  for (const each of JOBS) await runTick(system.ctx, each, HOUR[0] ?? new Date());
  await endProcess(system.ctx.db, 'p');
  assert.deepEqual(await state(), before);
  assert.deepEqual(await system.query(`select job from job_runs where status <> 'done'`), []);
});

test('S2 missed ticks follow the catch-up rule of the job', () => {
  const at = (time: string) => new Date(`2026-11-23T${time}:00Z`);
  const missed = (catchUp: CronJob['catchUp'], cron: string, last: Date | null, now: Date) =>
    missedTicks(task(cron), { catchUp }, last, now).map((tick) => tick.toISOString().slice(11, 16));
  const now = new Date('2026-11-23T12:10:42.500Z');
  assert.deepEqual(missed('all', '* * * * *', at('12:00'), now), [
    '12:01',
    '12:02',
    '12:03',
    '12:04',
    '12:05',
    '12:06',
    '12:07',
    '12:08',
    '12:09',
    '12:10',
  ]);
  assert.deepEqual(missed('once', '* * * * *', at('12:00'), now), ['12:10']);
  assert.deepEqual(missed('skip', '* * * * *', at('12:00'), now), []);
  assert.deepEqual(missed('all', '*/4 * * * *', at('12:00'), now), ['12:04', '12:08']);
  assert.deepEqual(missed('once', '*/4 * * * *', at('12:00'), now), ['12:08'], 'the newest');
  // Nothing was missed, or the job is new: nothing is invented.
  for (const rule of ['all', 'once', 'skip'] as const) {
    assert.deepEqual(missed(rule, '* * * * *', at('12:10'), now), [], 'this minute has run');
    assert.deepEqual(missed(rule, '* * * * *', at('12:20'), now), [], 'a clock that was set back');
    assert.deepEqual(missed(rule, '* * * * *', null, now), []);
  }
  // In the zone of the installation: 06:00 in São Paulo is 09:00 UTC.
  assert.deepEqual(missed('once', '0 6 * * *', new Date('2026-11-22T09:00:00Z'), now), ['09:00']);
  // Not for ever: eight days.
  assert.equal(missedTicks(task('0 6 * * *'), { catchUp: 'all' }, new Date('2026-01-01T00:00:00Z'), now).length, 8);
  assert.equal(missedTicks(task('0 9 * * 1'), { catchUp: 'once' }, new Date('2026-11-09T12:00:00Z'), now).length, 1, 'a weekly job');
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
  await Promise.all(running.map((each) => each.stop(10_000)));
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
