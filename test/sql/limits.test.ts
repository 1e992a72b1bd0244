/** How much one person, one kind and one number may get, over days that pass in milliseconds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import { INSTANCE } from '../support/system.ts';
import { FREE, queueReplies, sendRow, sendsDatabase, sentAs } from '../support/sends.ts';
import type { Claimed, SendsDatabase } from '../support/sends.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const START = new Date('2026-03-02T12:00:00Z');
const later = (ms: number) => new Date(START.getTime() + ms);
let phones = 0;
const somebody = () => `55119${30_000_000 + ++phones}`;

type Policy = Partial<SendPolicy & { random: number }>;
/** The defaults of the product, without hours. */
const DEFAULTS: Policy = {
  capHour: 20,
  capDay: 100,
  replyCapHour: 2_000,
  contactCapHour: 3,
  contactCapWeek: 5,
  campaignGapDays: 3,
  maxUnanswered: 2,
  kindCaps: { campaign: null, follow_up: null, prospecting: null },
};

/** Queues one and claims it; 'sent', or the reason why not. */
async function send(sends: SendsDatabase, phone: string, now: Date, kind: string, policy: Policy = DEFAULTS): Promise<string> {
  const { conversation } = await sends.proactive(phone, now, { kind });
  return sendQueued(sends, conversation, now, policy);
}

async function sendQueued(sends: SendsDatabase, conversation: number, now: Date, policy: Policy = DEFAULTS): Promise<string> {
  const claim = await sends.claim(conversation, now, policy);
  if (claim.action !== 'send') return claim.reason;
  await sends.record(claim, sentAs(`wa-${claim.message_id}`), now);
  return 'sent';
}

const goesAt = async (sends: SendsDatabase, id: number) => (await sendRow(sends, id)).goes_at?.toISOString();

test('R6 contact: three an hour to one person over all numbers, of any kind; the fourth goes when the first is an hour old', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`insert into instances (name) values ('second')`);
  const phone = somebody();
  assert.equal(await send(sends, phone, START, 'notification'), 'sent');
  const other = await sends.proactive(phone, later(MINUTE), { kind: 'follow_up', instance: 'second' });
  assert.equal(await sendQueued(sends, other.conversation, later(MINUTE)), 'sent');
  assert.equal(await send(sends, phone, later(2 * MINUTE), 'manual'), 'sent');
  const fourth = await sends.proactive(phone, later(3 * MINUTE), { kind: 'notification', instance: 'second' });
  assert.equal(await sendQueued(sends, fourth.conversation, later(3 * MINUTE)), 'contact_cap');
  assert.equal(await goesAt(sends, fourth.id), later(HOUR).toISOString());
  assert.equal(await sendQueued(sends, fourth.conversation, later(HOUR)), 'sent');
  assert.equal(await send(sends, somebody(), later(3 * MINUTE), 'notification'), 'sent', 'another person');
});

test('R6 R2 contact: two numbers that write to one person at the same moment do not pass its cap together', async (t) => {
  const sends = await sendsDatabase(t, 12);
  for (let index = 0; index < 8; index++) await sends.query(`insert into instances (name) values ($1)`, [`number-${index}`]);
  const phone = somebody();
  const lanes: number[] = [];
  for (let index = 0; index < 8; index++)
    lanes.push((await sends.proactive(phone, START, { kind: 'notification', instance: `number-${index}` })).conversation);
  const holder = new pg.Client(sends.url);
  await holder.connect();
  await holder.query(`begin; select 1 from contacts for update`);
  const claiming = Promise.all(lanes.map((lane) => sends.claim(lane, START, DEFAULTS)));
  const waiting = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  for (let look = 0; look < 5_000 && (await sends.query<{ n: number }>(waiting))[0]?.n !== 8; look++);
  await holder.end();
  const claims = (await claiming).map((claim) => (claim.action === 'send' ? 'send' : claim.reason));
  assert.deepEqual(claims.toSorted(), ['contact_cap', 'contact_cap', 'contact_cap', 'contact_cap', 'contact_cap', 'send', 'send', 'send']);
});

test('O10 R6 contact: five campaigns and follow-ups in seven days; notifications are not bound by that', async (t) => {
  const sends = await sendsDatabase(t);
  const phone = somebody();
  for (let day = 0; day < 5; day++) {
    assert.equal(await send(sends, phone, later(day * DAY), 'follow_up'), 'sent');
    assert.equal(await send(sends, phone, later(day * DAY), 'notification'), 'sent');
  }
  const { id, conversation } = await sends.proactive(phone, later(5 * DAY), { kind: 'follow_up' });
  assert.equal(await sendQueued(sends, conversation, later(5 * DAY)), 'contact_cap_week');
  assert.equal(await goesAt(sends, id), later(7 * DAY).toISOString());
  assert.equal(await send(sends, phone, later(6 * DAY), 'notification'), 'sent');
  assert.equal(await sendQueued(sends, conversation, later(7 * DAY)), 'sent');
});

test('R6 kinds: 20 an hour are at most 10 prospecting, 15 follow-ups or 20 campaigns; replies have 50 of their own; 45 s lie between two', async (t) => {
  for (const [kind, most, reason] of [
    ['prospecting', 10, 'kind_cap'],
    ['follow_up', 15, 'kind_cap'],
    ['campaign', 20, 'cap_hour'],
  ] as const) {
    const sends = await sendsDatabase(t);
    for (let index = 0; index < most; index++)
      assert.equal(await send(sends, somebody(), later(index * MINUTE), kind), 'sent', `${kind} ${index}`);
    const { id, conversation } = await sends.proactive(somebody(), later(30 * MINUTE), { kind });
    assert.equal(await sendQueued(sends, conversation, later(30 * MINUTE)), reason);
    assert.equal(await goesAt(sends, id), later(HOUR).toISOString(), 'when the first of its kind is an hour old');
    if (kind !== 'campaign') assert.equal(await send(sends, somebody(), later(30 * MINUTE), 'notification'), 'sent', 'another kind');
  }
  const sends = await sendsDatabase(t);
  const policy = {
    ...DEFAULTS,
    replyCapHour: 50,
    paceMinSeconds: 45,
    paceMaxSeconds: 180,
    kindCaps: { campaign: 1, follow_up: null, prospecting: null },
  };
  for (let index = 0; index < 51; index++) {
    const { conversation } = await queueReplies(sends, somebody(), ['oi'], { at: START });
    assert.equal(await sendQueued(sends, conversation, START, policy), index < 50 ? 'sent' : 'reply_cap_hour');
  }
  assert.equal(await send(sends, somebody(), START, 'campaign', { ...policy, random: 0 }), 'sent');
  assert.equal(await send(sends, somebody(), later(44_999), 'notification', policy), 'pace');
  assert.equal(await send(sends, somebody(), later(45_000), 'notification', { ...policy, random: 1 }), 'sent');
  assert.equal(await send(sends, somebody(), later(45_000 + 179_999), 'notification', policy), 'pace');
  assert.equal(await send(sends, somebody(), later(45_000 + 180_000), 'campaign', policy), 'kind_cap', 'a figure of its own');
});

test('R8 pressure: after two without an answer a contact gets no further campaign, but its notices; an answer ends that. Three days lie between two campaigns', async (t) => {
  const sends = await sendsDatabase(t);
  const phone = somebody();
  assert.equal(await send(sends, phone, START, 'campaign'), 'sent');
  const second = await sends.proactive(phone, later(DAY));
  assert.equal(await sendQueued(sends, second.conversation, later(DAY)), 'campaign_gap');
  assert.equal(await goesAt(sends, second.id), later(3 * DAY).toISOString());
  assert.equal(await sendQueued(sends, second.conversation, later(3 * DAY - 1)), 'campaign_gap');
  assert.equal(await sendQueued(sends, second.conversation, later(3 * DAY)), 'sent');
  const third = await sends.proactive(phone, later(10 * DAY), { kind: 'prospecting' });
  assert.equal(await sendQueued(sends, third.conversation, later(10 * DAY)), 'campaign_pressure');
  assert.equal((await sendRow(sends, third.id)).status, 'blocked');
  assert.equal(await send(sends, phone, later(10 * DAY), 'notification'), 'sent');
  await sends.query(`update conversations set last_inbound_at = $2 where id = $1`, [third.conversation, later(11 * DAY)]);
  assert.equal(await send(sends, phone, later(12 * DAY), 'campaign'), 'sent');
});

test('N2 X4 ramp-up: 2 an hour and 5 a day at first, 100 a day after three weeks, twice as much each week after that; replies are never bound', async (t) => {
  const sends = await sendsDatabase(t);
  const caps = async (days: number) =>
    (
      await sends.query<{ caps: Record<string, number> | null }>(`select warming_caps('warming', $1, $2) as caps`, [
        START,
        later(days * DAY),
      ])
    )[0]?.caps;
  const byDay = await Promise.all(Array.from({ length: 36 }, (_, day) => caps(day)));
  assert.deepEqual(byDay[0], { hour: 2, day: 5, strangers: 3, reply_percent: 10 });
  assert.deepEqual(byDay[20], { hour: 17, day: 80, strangers: 40, reply_percent: 10 });
  assert.deepEqual(
    [byDay[21], byDay[28], byDay[35]],
    [
      { hour: 20, day: 100 },
      { hour: 40, day: 200 },
      { hour: 80, day: 400 },
    ],
  );
  for (const key of ['hour', 'day'])
    assert.ok(
      byDay.every((each, day) => day === 0 || (each?.[key] ?? 0) >= (byDay[day - 1]?.[key] ?? 0)),
      `${key} never falls`,
    );
  assert.equal(await caps(100), null);
  assert.deepEqual(await sends.query(`select warming_caps('established', $1, $1) as caps`, [START]), [{ caps: null }]);

  await sends.query(`select set_instance('default', $1, 'cli:ana', '{"phase": "warming"}', $2)`, [INSTANCE, START]);
  /** One try each 10 minutes of a day. */
  const day = async (number: number) => {
    const told: string[] = [];
    for (let at = number * DAY; at < (number + 1) * DAY; at += 10 * MINUTE)
      told.push(await send(sends, somebody(), later(at), 'notification'));
    await sends.query(`update messages set status = 'cancelled' where status = 'queued'`);
    return { sent: told.filter((each) => each === 'sent').length, start: told.slice(0, 3), reasons: new Set(told) };
  };
  const first = await day(0);
  assert.deepEqual([first.sent, first.start], [5, ['sent', 'sent', 'warming_hour']]);
  assert.ok(first.reasons.has('warming_day'));
  const { conversation } = await queueReplies(sends, somebody(), ['oi'], { at: later(DAY - 1) });
  assert.equal(await sendQueued(sends, conversation, later(DAY - 1)), 'sent');
  assert.deepEqual(
    (
      (await sends.db.call('rate_status', {
        p_tenant: 'default',
        p_policy: { ...FREE, ...DEFAULTS },
        p_now: later(DAY - 1).toISOString(),
      })) as Record<string, { day: { limit: number }; phase: string }>
    )[INSTANCE]?.day.limit,
    5,
  );
  const fourth = await day(4);
  assert.equal(fourth.sent, 10);
  const week4 = await day(22);
  assert.equal(week4.sent, 100);
  assert.ok(week4.reasons.has('cap_day') && !week4.reasons.has('warming_day'));
});

test('N2 established: a number that is moved here has its own caps from the first day', async (t) => {
  const sends = await sendsDatabase(t);
  for (let index = 0; index < 20; index++) assert.equal(await send(sends, somebody(), later(index), 'campaign'), 'sent');
  assert.equal(await send(sends, somebody(), later(20), 'campaign'), 'cap_hour');
});

test('X4 strangers: a young number writes to few people a day who never wrote; who has written is no stranger', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`update instances set phase = 'warming', phase_since = $1, cap_hour = 1000, cap_day = 1000`, [later(-21 * DAY)]);
  const policy = { ...DEFAULTS, strangersDay: 3 };
  for (let index = 0; index < 3; index++) assert.equal(await send(sends, somebody(), later(index * MINUTE), 'campaign', policy), 'sent');
  const { id, conversation } = await sends.proactive(somebody(), later(10 * MINUTE));
  assert.equal(await sendQueued(sends, conversation, later(10 * MINUTE), policy), 'strangers');
  assert.equal(await goesAt(sends, id), later(DAY).toISOString());
  assert.equal(
    await send(sends, somebody(), later(10 * MINUTE), 'notification', policy),
    'sent',
    'a notice is about something the person knows',
  );
  const known = await queueReplies(sends, somebody(), [], { at: START });
  await sends.query(`update conversations set last_inbound_at = $2 where id = $1`, [known.conversation, later(-DAY)]);
  const [{ address } = { address: '' }] = await sends.query<{ address: string }>(
    `select a.address from contact_addresses a join conversations c on c.contact_id = a.contact_id where c.id = $1`,
    [known.conversation],
  );
  assert.equal(await send(sends, address, later(10 * MINUTE), 'campaign', policy), 'sent');
});

test('X4 reply ratio: when hardly anybody answers, campaigns wait; one more answer, and they go on', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { ...FREE, minReplyPercent: 10 };
  const lanes: number[] = [];
  for (let index = 0; index < 30; index++) {
    const { conversation } = await sends.proactive(somebody(), START);
    lanes.push(conversation);
    assert.equal(await sendQueued(sends, conversation, START, policy), 'sent', 'few tell nothing');
  }
  assert.equal(await send(sends, somebody(), later(23 * HOUR), 'campaign', policy), 'sent', 'people answer within a day');
  await sends.query(`update conversations set last_inbound_at = $2 where id = any($1)`, [lanes.slice(0, 2), later(HOUR)]);
  const held = await sends.proactive(somebody(), later(25 * HOUR));
  assert.equal(await sendQueued(sends, held.conversation, later(25 * HOUR), policy), 'reply_ratio');
  assert.equal(await send(sends, somebody(), later(25 * HOUR), 'follow_up', policy), 'sent');
  await sends.query(`update conversations set last_inbound_at = $2 where id = any($1)`, [lanes.slice(2, 3), later(25 * HOUR)]);
  assert.equal(await sendQueued(sends, held.conversation, later(26 * HOUR), policy), 'sent');
});

test('X4 slow start: after an outage a quarter of the hour’s cap in half an hour, after a blip nothing changes', async (t) => {
  const sends = await sendsDatabase(t);
  const state = (to: string, ms: number) => sends.query(`select set_instance_state($1, $2, $3)`, [INSTANCE, to, later(ms)]);
  await state('open', 0);
  assert.equal(await send(sends, somebody(), later(1), 'campaign'), 'sent', 'the first connection is no outage');
  await state('close', MINUTE);
  await state('connecting', 5 * MINUTE);
  await state('open', 5 * MINUTE);
  for (let index = 0; index < 10; index++)
    assert.equal(await send(sends, somebody(), later(6 * MINUTE + index), 'campaign'), 'sent', 'a blip');
  await state('close', 2 * HOUR);
  await state('connecting', 2 * HOUR + 6 * MINUTE);
  await state('open', 2 * HOUR + 7 * MINUTE);
  const back = 2 * HOUR + 7 * MINUTE;
  for (let index = 0; index < 5; index++)
    assert.equal(await send(sends, somebody(), later(back + 1_000 + index * MINUTE), 'campaign'), 'sent');
  const { id, conversation } = await sends.proactive(somebody(), later(back + 6 * MINUTE));
  assert.equal(await sendQueued(sends, conversation, later(back + 6 * MINUTE)), 'slow_start');
  assert.equal(await goesAt(sends, id), later(back + 30 * MINUTE).toISOString());
  assert.equal(await sendQueued(sends, conversation, later(back + 30 * MINUTE)), 'sent');
});

test('X4 priority: at the free slot a follow-up goes before a notification and that before a campaign, whoever asks first; what is stuck holds nobody up', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { ...DEFAULTS, paceMinSeconds: 45, paceMaxSeconds: 45 };
  const at = later(45_000);
  assert.equal(await send(sends, somebody(), START, 'notification', policy), 'sent');
  const lanes: Record<string, number> = {};
  for (const kind of ['campaign', 'notification', 'follow_up']) {
    lanes[kind] = (await sends.proactive(somebody(), START, { kind })).conversation;
    assert.equal(await sendQueued(sends, lanes[kind], START, policy), 'pace');
  }
  const { campaign = 0, notification = 0, follow_up: followUp = 0 } = lanes;
  assert.equal(await sendQueued(sends, campaign, at, policy), 'priority');
  assert.equal(await sendQueued(sends, notification, at, policy), 'priority');
  assert.equal(await sendQueued(sends, followUp, at, policy), 'sent');
  assert.equal(await sendQueued(sends, campaign, later(90_000), policy), 'priority');
  assert.equal(await sendQueued(sends, notification, later(90_000), policy), 'sent');
  assert.equal(await sendQueued(sends, campaign, later(135_000), policy), 'sent');
  const { conversation } = await queueReplies(sends, somebody(), ['oi'], { at });
  assert.equal(await sendQueued(sends, conversation, at, policy), 'sent', 'a reply waits for none of them');

  // Paused, or due for long without anybody taking it: the slot is not kept for that.
  const stuck = await sends.proactive(somebody(), later(150_000), { kind: 'follow_up' });
  const waiting = await sends.proactive(somebody(), later(150_000));
  await sends.query(`insert into julia_status (status, scope, target) values ('pausado', 'conversation', $1)`, [
    String(stuck.conversation),
  ]);
  assert.equal(await sendQueued(sends, stuck.conversation, later(181_000), policy), 'paused_conversation');
  assert.equal(await sendQueued(sends, waiting.conversation, later(181_000), policy), 'sent');
  const dead = await sends.proactive(somebody(), later(230_000), { kind: 'follow_up' });
  const next = await sends.proactive(somebody(), later(230_000));
  assert.equal(await sendQueued(sends, next.conversation, later(231_000), policy), 'priority');
  assert.equal(await sendQueued(sends, next.conversation, later(351_000), policy), 'sent');
  assert.equal((await sendRow(sends, dead.id)).status, 'queued');
});

test('R5 reset: what was sent before counts no more in that window, what is on its way does; the pace starts anew; the other window and the contact’s caps stay', async (t) => {
  const sends = await sendsDatabase(t);
  const policy = { ...DEFAULTS, capHour: 2, capDay: 4, paceMinSeconds: 45, paceMaxSeconds: 45 };
  const reset = async (window: string, ms: number) =>
    (await sends.db.call('rate_reset', {
      p_tenant: 'default',
      p_instance: null,
      p_window: window,
      p_actor: 'cli:ana',
      p_reason: null,
      p_now: later(ms).toISOString(),
    })) as { lanes: number[] };
  for (let index = 0; index < 2; index++)
    assert.equal(await send(sends, somebody(), later(index * MINUTE), 'notification', policy), 'sent');
  const urgent = await sends.proactive(somebody(), later(MINUTE + 5_000), { kind: 'follow_up' });
  const lane = await sends.proactive(somebody(), later(MINUTE + 5_000));
  for (const each of [lane, urgent]) await sends.claim(each.conversation, later(MINUTE + 5_000), policy);
  assert.deepEqual(
    (await reset('hour', MINUTE + 10_000)).lanes,
    [urgent.conversation, lane.conversation],
    'both are looked at, the urgent one first',
  );
  assert.equal((await sendRow(sends, lane.id)).due_at?.toISOString(), later(MINUTE + 10_000).toISOString());
  const flying: Claimed = await sends.claim(urgent.conversation, later(MINUTE + 10_000), policy);
  assert.equal(flying.action, 'send', 'no wait for the pace');
  await reset('hour', 4 * MINUTE);
  await sends.record(flying, sentAs('wa-flying'), later(5 * MINUTE));
  assert.equal(await sendQueued(sends, lane.conversation, later(5 * MINUTE), policy), 'sent');
  assert.equal(await send(sends, somebody(), later(8 * MINUTE), 'notification', policy), 'cap_hour', 'what left after the reset counts');
  await reset('hour', 9 * MINUTE);
  assert.equal(await send(sends, somebody(), later(10 * MINUTE), 'notification', policy), 'cap_day');
  await reset('day', 11 * MINUTE);
  assert.equal(await send(sends, somebody(), later(12 * MINUTE), 'notification', policy), 'sent');
  assert.deepEqual(
    await sends.db.call('rate_reset', { p_tenant: 'default', p_instance: 'nobody', p_window: 'day', p_actor: 'a', p_reason: null }),
    { outcome: 'unknown_instance' },
  );
  assert.deepEqual(
    await sends.query(`select action, subject, actor from audit_log order by id`),
    ['hour', 'hour', 'hour', 'day'].map((subject) => ({ action: 'rate.reset', subject, actor: 'cli:ana' })),
  );
});
