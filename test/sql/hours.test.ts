/** The hours for messages that nobody asked for: to the second, over weekdays, holidays and clocks that are moved. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import { fillHolidays } from '../../src/crons/refresh-holidays.ts';
import { INSTANCE } from '../support/system.ts';
import { sendRow, sendsDatabase } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

const WORK = { start: '08:00', end: '20:00', weekdays: [1, 2, 3, 4, 5, 6], holidays: false };
const SAO_PAULO = { hours: WORK, tz: 'America/Sao_Paulo' } satisfies Partial<SendPolicy>;
/** São Paulo has had no daylight saving since 2019: three hours behind UTC. */
const local = (time: string) => new Date(`${time}-03:00`);

/** What becomes of a message at that time: 'sends', or when it may go. */
async function at(sends: SendsDatabase, now: Date, policy: Partial<SendPolicy> = SAO_PAULO): Promise<string> {
  const { id, conversation } = await sends.proactive(`55119${50_000_000 + Math.floor(Math.random() * 9_999_999)}`, now);
  await sends.query(`update instances set next_proactive_at = null`); // these tests go back in time
  const claim = await sends.claim(conversation, now, policy);
  if (claim.action === 'send') return 'sends';
  assert.equal(claim.reason, 'quiet_hours');
  return (await sendRow(sends, id)).goes_at?.toISOString() ?? 'never';
}

const opens = (time: string) => local(time).toISOString();

test('R4 hours: 07:59:59 waits, 08:00:00 sends, 19:59:59 sends, 20:00:00 waits until the next morning', async (t) => {
  const sends = await sendsDatabase(t);
  assert.equal(await at(sends, local('2026-03-02T07:59:59.999')), opens('2026-03-02T08:00:00'));
  assert.equal(await at(sends, local('2026-03-02T00:00:00')), opens('2026-03-02T08:00:00'));
  assert.equal(await at(sends, local('2026-03-02T08:00:00')), 'sends');
  assert.equal(await at(sends, local('2026-03-02T19:59:59.999')), 'sends');
  assert.equal(await at(sends, local('2026-03-02T20:00:00')), opens('2026-03-03T08:00:00'));
  assert.equal(await at(sends, local('2026-03-02T23:59:59')), opens('2026-03-03T08:00:00'));
  assert.equal(await at(sends, local('2026-03-02T03:00:00'), { hours: null }), 'sends', 'around the clock');
});

test('R4 hours: what waited leaves at the very second at which they open', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation } = await sends.proactive('5511950000001', local('2026-03-02T20:00:00'));
  await sends.claim(conversation, local('2026-03-02T20:00:00'), SAO_PAULO);
  const due = async (now: Date) => (await sends.db.call('sweep_sends', { p_limit: 10, p_now: now.toISOString() })) as number[];
  assert.deepEqual(await due(local('2026-03-03T07:59:59.999')), []);
  assert.deepEqual(await due(local('2026-03-03T08:00:00')), [conversation]);
  assert.equal((await sends.claim(conversation, local('2026-03-03T08:00:00'), SAO_PAULO)).action, 'send');
});

test('R4 weekdays and holidays: Saturday evening waits for Monday, and past a holiday; an operator’s own days count, and a day may be worked', async (t) => {
  const sends = await sendsDatabase(t);
  await fillHolidays(sends.db, new Date('2026-01-15T00:00:00Z'));
  assert.equal(await at(sends, local('2026-03-07T12:00:00')), 'sends', 'Saturday');
  assert.equal(await at(sends, local('2026-03-07T20:00:00')), opens('2026-03-09T08:00:00'), 'over Sunday');
  assert.equal(await at(sends, local('2026-03-08T12:00:00')), opens('2026-03-09T08:00:00'), 'on Sunday');
  // 2026: Tiradentes is a Tuesday, Good Friday is 3 April, Christmas a Friday, New Year a Friday.
  assert.equal(await at(sends, local('2026-04-21T12:00:00')), opens('2026-04-22T08:00:00'), 'Tiradentes');
  assert.equal(await at(sends, local('2026-04-02T20:00:00')), opens('2026-04-04T08:00:00'), 'over Good Friday');
  assert.equal(await at(sends, local('2026-12-24T21:00:00')), opens('2026-12-26T08:00:00'), 'over Christmas');
  assert.equal(await at(sends, local('2026-12-31T20:00:00')), opens('2027-01-02T08:00:00'), 'over New Year');
  assert.equal(await at(sends, local('2026-11-20T09:00:00')), opens('2026-11-21T08:00:00'), 'Consciência Negra');
  assert.equal(await at(sends, local('2026-02-17T12:00:00')), 'sends', 'carnival is no holiday by law');
  await sends.query(`insert into holidays (day, name) values ('2027-01-25', 'Aniversário de São Paulo')`);
  assert.equal(await at(sends, local('2027-01-25T09:00:00')), opens('2027-01-26T08:00:00'));
  await sends.query(`update holidays set closed = false where day = '2026-04-21'`);
  assert.equal(await at(sends, local('2026-04-21T12:00:00')), 'sends');
  assert.equal(await fillHolidays(sends.db, new Date('2026-01-15T00:00:00Z')), 0, 'a year ahead: nothing is looked up again');
  assert.ok((await fillHolidays(sends.db, new Date('2028-01-15T00:00:00Z'))) > 30);
  assert.deepEqual(
    await sends.query(`select closed from holidays where day = '2026-04-21'`),
    [{ closed: false }],
    'what a person decided stays',
  );
  assert.equal(await at(sends, local('2026-12-25T12:00:00'), { ...SAO_PAULO, hours: { ...WORK, holidays: true } }), 'sends');
});

test('R4 agents: an agent may have hours of its own, in part', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`insert into agents (name, tone, instructions, promises, hours) values ('a', '', '', '', '{"end": "12:00"}')`);
  assert.equal(await at(sends, local('2026-03-02T11:59:59')), 'sends');
  assert.equal(await at(sends, local('2026-03-02T12:00:00')), opens('2026-03-03T08:00:00'));
  await sends.query(
    `insert into agents (slug, name, tone, instructions, promises, hours) values ('vendas', 'b', '', '', '', '{"start": "18:00", "end": "24:00", "weekdays": [7]}')`,
  );
  await sends.query(`update instances set agent_id = (select id from agents where slug = 'vendas') where name = $1`, [INSTANCE]);
  assert.equal(await at(sends, local('2026-03-02T12:00:00')), opens('2026-03-08T18:00:00'));
  assert.equal(await at(sends, local('2026-03-08T23:59:59')), 'sends');
  assert.equal(
    await at(sends, local('2026-03-02T12:00:00'), { hours: null, tz: 'America/Sao_Paulo' }),
    opens('2026-03-08T18:00:00'),
    'also where the environment has none',
  );
  for (const hours of ['{"start": "8h"}', '{"weekdays": "seg"}', '[]', '{"end": "25:00"}', '{"holidays": "no"}'])
    await assert.rejects(sends.query(`update agents set hours = $1`, [hours]), /agents_hours_check/, hours);
});

test('R4 clocks: an opening that a change of clocks skips or passes twice is the first moment inside', async (t) => {
  const sends = await sendsDatabase(t);
  const every = { weekdays: [1, 2, 3, 4, 5, 6, 7], holidays: true };
  // São Paulo, 4 November 2018: from 00:00 to 01:00. The hour that is skipped would have opened.
  const gap = { tz: 'America/Sao_Paulo', hours: { ...every, start: '00:30', end: '06:00' } };
  assert.equal(await at(sends, new Date('2018-11-04T02:00:00Z'), gap), '2018-11-04T03:00:00.000Z');
  assert.equal(await at(sends, new Date('2018-11-04T03:00:00Z'), gap), 'sends');
  // São Paulo, 18 February 2018: 00:00 becomes 23:00 of the 17th. 23:30 comes twice.
  const fold = { tz: 'America/Sao_Paulo', hours: { ...every, start: '23:30', end: '23:45' } };
  assert.equal(await at(sends, new Date('2018-02-17T20:00:00Z'), fold), '2018-02-18T01:30:00.000Z');
  assert.equal(await at(sends, new Date('2018-02-18T01:45:00Z'), fold), '2018-02-18T02:30:00.000Z', 'the second time');
  assert.equal(await at(sends, new Date('2018-02-18T02:45:00Z'), fold), '2018-02-19T02:30:00.000Z');
  const evening = { tz: 'America/Sao_Paulo', hours: { ...every, start: '08:00', end: '23:30' } };
  assert.equal(await at(sends, new Date('2018-02-18T01:45:00Z'), evening), '2018-02-18T02:00:00.000Z', 'set back into the hours');
  // New York, 8 March 2026: 02:00 becomes 03:00; a day of 23 hours.
  const york = { tz: 'America/New_York', hours: { ...every, start: '08:00', end: '20:00' } };
  assert.equal(await at(sends, new Date('2026-03-08T02:00:00Z'), york), '2026-03-08T12:00:00.000Z');
  assert.equal(await at(sends, new Date('2026-03-07T02:00:00Z'), york), '2026-03-07T13:00:00.000Z');
});

test('R4 property: the next opening is the first minute that is inside, by the clock of the zone', async (t) => {
  const sends = await sendsDatabase(t);
  const minutes = (minute: number) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  const changes = ['2018-11-03T12:00:00Z', '2018-02-16T12:00:00Z', '2026-03-27T12:00:00Z', '2026-10-23T12:00:00Z', '2026-04-03T12:00:00Z'];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('America/Sao_Paulo', 'Europe/Lisbon', 'Australia/Lord_Howe', 'UTC'),
      fc.constantFrom(...changes),
      fc.nat(3 * 24 * 60 * 60),
      fc.tuple(fc.nat(1439), fc.nat(1439)).filter(([a, b]) => a !== b),
      fc.subarray([1, 2, 3, 4, 5, 6, 7], { minLength: 5 }),
      async (tz, change, seconds, [a, b], weekdays) => {
        const hours = { start: minutes(Math.min(a, b)), end: minutes(Math.max(a, b)), weekdays, holidays: true, tz };
        const now = new Date(Date.parse(change) + seconds * 1000);
        const [row] = await sends.query<{ opens: Date }>(`select next_open($1, 'default', $2) as opens`, [JSON.stringify(hours), now]);
        assert.equal(row?.opens.toISOString(), firstInside(hours, now).toISOString());
      },
    ),
    { numRuns: 60, seed: 20_261_127 },
  );
});

type Hours = { start: string; end: string; weekdays: number[]; tz: string };

/** Minute by minute, with the clock of Intl. */
function firstInside(hours: Hours, now: Date): Date {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: hours.tz,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
  const inside = (at: Date) => {
    const [day = '', time = ''] = format.format(at).split(/,? /);
    return time >= hours.start && time < hours.end && hours.weekdays.includes(days.indexOf(day) + 1);
  };
  if (inside(now)) return now;
  for (let at = Math.ceil(now.getTime() / 60_000) * 60_000; ; at += 60_000) if (inside(new Date(at))) return new Date(at);
}
