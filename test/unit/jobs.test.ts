import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCron } from '../../src/schedule/cron.ts';
import { zoneOf } from '../../src/words/zone.ts';
import { createTicker, isStale, keepTick, metNoDatabase, missedTicks, STALE_SECONDS } from '../../src/schedule/decide.ts';
import type { CatchUp, KeptTick } from '../../src/schedule/decide.ts';
import { JOBS } from '../../src/crons/all.ts';
import { testJob } from '../support/jobs.ts';

const ZONE = zoneOf('America/Sao_Paulo');
const at = (time: string) => new Date(`2026-11-23T${time}Z`);
const hourAndMinute = (tick: Date) => tick.toISOString().slice(11, 16);

test('S2 missed ticks follow the catch-up rule of the job', () => {
  const missed = (catchUp: CatchUp, cron: string, last: Date | null, now: Date) =>
    missedTicks({ cron, catchUp }, ZONE, last, now).map(hourAndMinute);
  const now = new Date('2026-11-23T12:10:42.500Z');
  const tenMinutes = ['12:01', '12:02', '12:03', '12:04', '12:05', '12:06', '12:07', '12:08', '12:09', '12:10'];
  assert.deepEqual(missed('all', '* * * * *', at('12:00'), now), tenMinutes);
  assert.deepEqual(missed('once', '* * * * *', at('12:00'), now), ['12:10']);
  assert.deepEqual(missed('skip', '* * * * *', at('12:00'), now), []);
  assert.deepEqual(missed('all', '*/4 * * * *', at('12:00'), now), ['12:04', '12:08']);
  assert.deepEqual(missed('once', '*/4 * * * *', at('12:00'), now), ['12:08'], 'the newest');
  assert.deepEqual(missed('all', '* * * * *', at('12:08:30'), now), ['12:09', '12:10'], 'first seen within a minute');
  // Nothing was missed, or the job is new: nothing is invented.
  for (const rule of ['all', 'once', 'skip'] as const) {
    assert.deepEqual(missed(rule, '* * * * *', at('12:10'), now), [], 'this minute has run');
    assert.deepEqual(missed(rule, '* * * * *', at('12:20'), now), [], 'a clock that was set back');
    assert.deepEqual(missed(rule, '* * * * *', null, now), []);
  }
  // In the zone of the installation: 06:00 in São Paulo is 09:00 UTC.
  assert.deepEqual(missed('once', '0 6 * * *', new Date('2026-11-22T09:00:00Z'), now), ['09:00']);
  // Not for ever: eight days.
  assert.equal(missedTicks({ cron: '0 6 * * *', catchUp: 'all' }, ZONE, new Date('2026-01-01T00:00:00Z'), now).length, 8);
  assert.equal(missedTicks({ cron: '0 9 * * 1', catchUp: 'once' }, ZONE, new Date('2026-11-09T12:00:00Z'), now).length, 1, 'a weekly job');
});

test('S1 the ticker tells each minute of an hour once, however often it is asked', () => {
  const jobs = [
    testJob('minute', async () => 0),
    testJob('five', async () => 0, { cron: '*/5 * * * *' }),
    testJob('hour', async () => 0, { cron: '17 * * * *' }),
  ];
  const due = createTicker(jobs, ZONE, at('11:59:30'));
  const told: string[] = [];
  for (let seconds = 0; seconds < 3600; seconds += 7)
    for (const { job, tick } of due(new Date(at('12:00:00').getTime() + seconds * 1000))) told.push(`${job.name} ${hourAndMinute(tick)}`);
  assert.equal(told.length, 60 + 12 + 1);
  assert.equal(new Set(told).size, told.length);
  assert.ok(told.includes('five 12:55') && told.includes('hour 12:17'));
});

test('S2 the ticker: a machine that slept follows the rules for what it slept through, and runs the present minute', () => {
  const jobs = (['all', 'once', 'skip'] as const).map((catchUp) => testJob(catchUp, async () => 0, { catchUp }));
  const due = createTicker(jobs, ZONE, at('12:00:10'));
  assert.deepEqual(due(at('12:00:59')), [], 'the minute of the start is the business of the catch-up');
  const woken = due(at('12:03:20')).map(({ job, tick }) => `${job.name} ${hourAndMinute(tick)}`);
  assert.deepEqual(woken, ['all 12:01', 'all 12:02', 'all 12:03', 'once 12:03', 'skip 12:03']);
  assert.deepEqual(due(at('12:02:00')), [], 'a clock that is set back runs nothing twice');
  assert.equal(due(at('12:04:00')).length, 3);
});

test('S2 F15 of what waits for the database each tick is kept of a job that makes up for all, of the others the newest, each once', () => {
  type Job = { name: string; catchUp: CatchUp };
  const jobs: Job[] = (['all', 'once', 'skip'] as const).map((catchUp) => ({ name: catchUp, catchUp }));
  let kept: KeptTick<Job>[] = [];
  for (const minute of ['12:00', '12:02', '12:01', '12:02'])
    for (const job of jobs) kept = keepTick(kept, { job, tick: new Date(`2026-11-23T${minute}:00Z`) });
  const words = kept.map(({ job, tick }) => `${job.name} ${hourAndMinute(tick)}`);
  assert.deepEqual(words.toSorted(), ['all 12:00', 'all 12:01', 'all 12:02', 'once 12:02', 'skip 12:02']);
});

test('S2 F15 what says that the database is not there, and what only sounds like it', () => {
  const absent = [
    'database away during claim_job: connect ECONNREFUSED 127.0.0.1:5432',
    'pg_dump: error: connection to server at "db" (172.18.0.2), port 5432 failed: Connection refused',
    'pg_dump: error: query failed: server closed the connection unexpectedly',
    'FATAL: terminating connection due to administrator command',
    'FATAL: the database system is shutting down',
    'Connection terminated unexpectedly',
  ];
  for (const error of absent) assert.ok(metNoDatabase(error), error);
  for (const error of ['took longer than 50 s', 'permission denied for table messages', 'Slack answers 500', 'no space left on device'])
    assert.ok(!metNoDatabase(error), error);
});

test('H10 a job is stale after the allowance of its cadence, and one that nobody has known yet is not', () => {
  assert.deepEqual(STALE_SECONDS, {
    minute: 180,
    '5 minutes': 900,
    '10 minutes': 1_800,
    '15 minutes': 2_700,
    hour: 7_200,
    day: 90_000,
    week: 691_200,
  });
  const last = at('12:00:00');
  assert.equal(isStale('minute', last, at('12:03:00')), false);
  assert.equal(isStale('minute', last, at('12:03:01')), true);
  assert.equal(isStale('minute', null, last), false);
});

test('S4 each job of the catalogue has a valid pattern that fits its cadence, and ends before it is stale', () => {
  const names = JOBS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, cron, cadence, timeoutSeconds, summary } of JOBS) {
    const { minutes, hours, weekdays } = parseCron(cron);
    const perWeek = minutes.size * hours.size * weekdays.size;
    const expected = { minute: 10_080, '5 minutes': 2_016, '10 minutes': 1_008, '15 minutes': 672, hour: 168, day: 7, week: 1 }[cadence];
    assert.equal(perWeek, expected, name);
    assert.ok(timeoutSeconds < STALE_SECONDS[cadence], name);
    assert.ok(summary.length > 10, name);
  }
});
