/** S3: patterns, weekdays, and the two nights a year on which clocks are moved. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDue, parseCron } from '../../src/schedule/cron.ts';
import { zoneOf } from '../../src/words/zone.ts';

const MINUTE_MS = 60_000;

/** The minutes of [from, to) at which the pattern is due, as UTC. */
function due(pattern: string, zone: string, from: string, to: string): string[] {
  const cron = parseCron(pattern);
  const clocks = zoneOf(zone);
  const found: string[] = [];
  for (let at = Date.parse(from); at < Date.parse(to); at += MINUTE_MS)
    if (isDue(cron, clocks, new Date(at))) found.push(new Date(at).toISOString().slice(5, 16));
  return found;
}

const DAY = ['2026-11-23T00:00Z', '2026-11-24T00:00Z'] as const; // a Monday
const WEEK = ['2026-11-22T00:00Z', '2026-11-29T00:00Z'] as const; // from Sunday on

test('S3 cron: numbers, lists, ranges, steps', () => {
  const times = (pattern: string) => due(pattern, 'UTC', ...DAY).map((at) => at.slice(6));
  assert.deepEqual(times('5,10 1 * * *'), ['01:05', '01:10']);
  assert.deepEqual(times('0 1-3 * * *'), ['01:00', '02:00', '03:00']);
  assert.deepEqual(times('*/20 7 * * *'), ['07:00', '07:20', '07:40']);
  assert.deepEqual(times('10-30/10 7 * * *'), ['07:10', '07:20', '07:30']);
  assert.deepEqual(times('50/5 7 * * *'), ['07:50', '07:55']);
  assert.deepEqual(times('0 0,6-8,22/1 * * *'), ['00:00', '06:00', '07:00', '08:00', '22:00', '23:00']);
  assert.equal(times('* * * * *').length, 1440);
  assert.deepEqual(times('0 9 24 * *'), []);
  assert.deepEqual(times('0 9 23 11 *'), ['09:00']);
});

test('S3 cron: weekday 0 and 7 are Sunday, and with a day of the month either suffices', () => {
  const days = (pattern: string) => due(pattern, 'UTC', ...WEEK).map((at) => at.slice(3, 5));
  assert.deepEqual(days('0 9 * * 0'), ['22']);
  assert.deepEqual(days('0 9 * * 7'), ['22']);
  assert.deepEqual(days('0 9 * * 1-5'), ['23', '24', '25', '26', '27']);
  assert.deepEqual(days('0 9 * * 5-7'), ['22', '27', '28']);
  assert.deepEqual(days('0 9 * * */2'), ['22', '24', '26', '28']);
  assert.deepEqual(days('0 9 25 * 1'), ['23', '25']);
});

test('S3 cron: what is no pattern is refused', () => {
  for (const wrong of [
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    '*/0 * * * *',
    'x * * * *',
    '1,,2 * * * *',
    '-1 * * * *',
    '1- * * * *',
  ])
    assert.throws(() => parseCron(wrong), /cron pattern/, wrong);
});

test('S3 cron: the zone decides, whatever the machine thinks', () => {
  assert.deepEqual(due('0 8 * * *', 'America/Sao_Paulo', ...DAY), ['11-23T11:00']);
  assert.deepEqual(due('30 8 * * *', 'Asia/Kolkata', ...DAY), ['11-23T03:00']);
});

test('S3 cron: the hour that does not exist runs at the first minute after it, the hour that comes twice runs once', () => {
  const spring = ['2026-03-29T00:00Z', '2026-03-29T06:00Z'] as const; // Berlin: 02:00 is 03:00, at 01:00Z
  assert.deepEqual(due('30 2 * * *', 'Europe/Berlin', ...spring), ['03-29T01:00']);
  assert.deepEqual(due('0 2 * * *', 'Europe/Berlin', ...spring), ['03-29T01:00']);
  assert.deepEqual(due('0 3 * * *', 'Europe/Berlin', ...spring), ['03-29T01:00']);
  assert.deepEqual(due('10,50 2 * * *', 'Europe/Berlin', ...spring), ['03-29T01:00'], 'once for all that was skipped');
  assert.deepEqual(due('59 1 * * *', 'Europe/Berlin', ...spring), ['03-29T00:59']);
  const autumn = ['2026-10-25T00:00Z', '2026-10-25T04:00Z'] as const; // Berlin: 03:00 is 02:00 again, at 01:00Z
  assert.deepEqual(due('30 2 * * *', 'Europe/Berlin', ...autumn), ['10-25T00:30']);
  assert.deepEqual(due('0 2 * * *', 'Europe/Berlin', ...autumn), ['10-25T00:00']);
  assert.deepEqual(due('0 3 * * *', 'Europe/Berlin', ...autumn), ['10-25T02:00']);
  assert.deepEqual(due('15 4 * * *', 'Europe/Berlin', ...autumn), ['10-25T03:15']);
  // What runs each hour follows real time.
  assert.equal(due('*/30 * * * *', 'Europe/Berlin', ...spring).length, 12);
  assert.equal(due('*/30 * * * *', 'Europe/Berlin', ...autumn).length, 8);
  assert.equal(due('* * * * *', 'Europe/Berlin', ...autumn).length, 240);
});

test('S3 cron: clocks that are moved at midnight, and by half an hour', () => {
  // São Paulo, as long as it had summer time: 00:00 was 01:00, and 00:00 was 23:00 again.
  assert.deepEqual(due('5 0 * * *', 'America/Sao_Paulo', '2018-11-04T00:00Z', '2018-11-04T12:00Z'), ['11-04T03:00']);
  assert.deepEqual(due('55 23 * * *', 'America/Sao_Paulo', '2018-02-17T12:00Z', '2018-02-18T12:00Z'), ['02-18T01:55']);
  // Lord Howe moves by 30 minutes: 02:00 is 02:30, and 02:00 is 01:30 again.
  assert.deepEqual(due('10 2 * * *', 'Australia/Lord_Howe', '2026-10-03T12:00Z', '2026-10-03T18:00Z'), ['10-03T15:30']);
  assert.deepEqual(due('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T12:00Z', '2026-04-04T18:00Z'), ['04-04T14:45']);
});

test('S3 cron: each day of a year has one run of a daily job, in zones of all kinds', () => {
  for (const zone of ['America/New_York', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'Asia/Kathmandu'])
    for (const pattern of ['30 2 * * *', '0 0 * * *', '59 1 * * *']) {
      const runs = due(pattern, zone, '2026-01-01T12:00Z', '2027-01-01T12:00Z');
      assert.equal(runs.length, 365, `${zone} ${pattern}`);
    }
});
