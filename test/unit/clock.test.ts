/** The scheduler's clock: node-cron on a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { getTasks } from 'node-cron';
import { startClock } from '../../src/schedule/clock.ts';
import { zoneOf } from '../../src/words/zone.ts';
import type { Timing } from '../../src/schedule/decide.ts';
import { createLogger } from '../../src/process/log.ts';
import { testJob } from '../support/jobs.ts';

const ZONE = zoneOf('America/Sao_Paulo');
const at = (time: string) => new Date(`2026-11-23T${time}Z`);
const EACH_RULE = (['all', 'once', 'skip'] as const).map((catchUp) => testJob(catchUp, async () => 0, { catchUp }));

/** A clock that was started at that time, what it told since the last question, and a way to move the time. */
function clockAt(t: TestContext, time: string, jobs: readonly (Timing & { name: string })[], begin = (_name: string): void => {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: at(time) });
  const told: string[] = [];
  const lines: { level: string; message: string }[] = [];
  const log = createLogger({
    level: 'DEBUG',
    service: 'test',
    pretty: false,
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const clock = startClock(jobs, {
    zone: ZONE,
    since: at(time),
    log,
    begin: ({ name }, tick) => {
      told.push(`${name} ${tick.toISOString().slice(11, 16)}`);
      begin(name);
    },
  });
  t.after(() => clock.stop());
  return {
    clock,
    lines,
    /** As if nothing of the process ran until then. */
    sleepUntil: async (until: string): Promise<string[]> => {
      t.mock.timers.setTime(at(until).getTime());
      t.mock.timers.tick(0);
      await settled(); // node-cron runs what is due in steps of its own
      return told.splice(0);
    },
  };
}
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test('S1 S2 the clock begins each tick of each minute of an hour once', async (t) => {
  const jobs = [
    testJob('minute', async () => 0),
    testJob('five', async () => 0, { cron: '*/5 * * * *' }),
    testJob('hour', async () => 0, { cron: '17 * * * *' }),
  ];
  const { sleepUntil } = clockAt(t, '11:59:30', jobs);
  const told: string[] = [];
  for (let minute = 0; minute < 60; minute += 1) {
    const now = `12:${String(minute).padStart(2, '0')}`;
    const begun = await sleepUntil(`${now}:00`);
    assert.ok(begun.includes(`minute ${now}`), 'at the first moment of the minute');
    told.push(...begun, ...(await sleepUntil(`${now}:59.999`)));
  }
  assert.equal(told.length, 60 + 12 + 1);
  assert.equal(new Set(told).size, told.length);
});

test('S2 the clock: a minute that was missed is caught up at once, by the rule of each job', async (t) => {
  const { sleepUntil } = clockAt(t, '12:00:10', EACH_RULE);
  // So late that node-cron does not run the minute any more.
  assert.deepEqual(await sleepUntil('12:01:40'), ['all 12:01', 'once 12:01', 'skip 12:01']);
  assert.deepEqual(await sleepUntil('12:04:50'), ['all 12:02', 'all 12:03', 'all 12:04', 'once 12:04', 'skip 12:04']);
  // Missed minutes, and one that is late only.
  assert.deepEqual(await sleepUntil('12:07:05'), ['all 12:05', 'all 12:06', 'all 12:07', 'once 12:07', 'skip 12:07']);
  assert.deepEqual(await sleepUntil('12:08:00'), ['all 12:08', 'once 12:08', 'skip 12:08'], 'and it goes on');
});

test('S2 the clock: a minute that begins while the scheduler starts is not lost', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: at('12:01:00') });
  const told: string[] = [];
  const log = createLogger({ level: 'ERROR', service: 'test', pretty: false });
  const clock = startClock(EACH_RULE, { zone: ZONE, since: at('12:00:59.900'), log, begin: ({ name }) => told.push(name) });
  t.after(() => clock.stop());
  assert.deepEqual(told, ['all', 'once', 'skip']);
});

test('S2 S5 the clock: what fails in a minute is logged, and the next minute comes', async (t) => {
  const { sleepUntil, lines } = clockAt(t, '12:00:10', EACH_RULE, () => {
    throw new Error('the calendar is broken');
  });
  assert.deepEqual(await sleepUntil('12:01:00'), ['all 12:01']);
  assert.deepEqual(await sleepUntil('12:02:50'), ['all 12:02'], 'missed, too');
  assert.deepEqual(await sleepUntil('12:03:00'), ['all 12:03']);
  assert.deepEqual(
    lines.map(({ level, message }) => `${level} ${message}`),
    ['ERROR A minute could not be begun', 'ERROR A minute could not be begun', 'ERROR A minute could not be begun'],
  );
});

test('S2 the clock: stopped it begins nothing, and leaves nothing behind', async (t) => {
  const { clock, sleepUntil } = clockAt(t, '12:00:10', EACH_RULE);
  assert.equal(getTasks().size, 1);
  clock.stop();
  assert.deepEqual(await sleepUntil('12:05:00'), []);
  assert.equal(getTasks().size, 0);
});
