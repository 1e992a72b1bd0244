/** Reminders and follow-ups: once over any number of callers and kills, over in time, and in the words of the day they leave. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { dayFrom } from '../../src/words/dates.ts';
import { zoneOf } from '../../src/words/zone.ts';
import { FREE, sendsDatabase, sentAs, states } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';
import { INSTANCE } from '../support/system.ts';
import { said } from '../support/inbound.ts';

const NOON = new Date('2026-11-25T15:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const after = (ms: number) => new Date(NOON.getTime() + ms);
const TZ = 'America/Sao_Paulo';
const phoneOf = (n: number) => `55119${String(40_000_000 + n)}`;

/** A contact writes; resolves with its conversation. */
async function heard(sends: SendsDatabase, n: number, at: Date, id = `in-${n}-${at.getTime()}`): Promise<number> {
  await sends.db.call('record_inbound', {
    p_webhooks: [
      { instance: INSTANCE, event: 'messages.upsert', raw: {}, requestId: id, events: [said({ id, text: 'Oi', pn: phoneOf(n), at })] },
    ],
    p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240, withdrawParts: true },
    p_now: at.toISOString(),
  });
  const [row] = await sends.query<{ id: number }>('select conversation_id::int as id from messages where provider_id = $1', [id]);
  assert.ok(row);
  return row.id;
}

/** The agent has answered, and the answer has left. */
async function answered(sends: SendsDatabase, conversation: number, at: Date, text = 'Posso reservar para você?'): Promise<void> {
  await sends.query(
    `with t as (insert into turns (tenant_id, conversation_id, status, fence, lease_until, worker, inbound_seq, started_at, ended_at)
       values ('default', $1, 'committed', 0, $2, 'test', 0, $2, $2) returning id),
     n as (update conversations set last_seq = last_seq + 1 where id = $1 returning *),
     i as (update messages set status = 'answered', turn_id = (select id from t) where conversation_id = $1 and status = 'received')
     insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, turn_id, kind, priority, part,
       due_at, created_at, slot_at)
     select n.tenant_id, n.instance_id, n.id, n.last_seq, 'out', 'agent', 'text', 'sent', $3, $2, t.id, 'reply', 0, 1, $2, $2, $2 from n, t`,
    [conversation, at, text],
  );
}

async function addReminder(
  sends: SendsDatabase,
  conversation: number,
  reminder: { about: string; due_at: Date; event_at?: Date },
): Promise<number> {
  await sends.query('select add_reminder(c, null, $2, $3) from conversations c where id = $1', [
    conversation,
    JSON.stringify({ words: 'então', ...reminder }),
    NOON,
  ]);
  const [row] = await sends.query<{ id: number }>('select max(id)::int as id from reminders');
  return row?.id ?? 0;
}

const fire = (sends: SendsDatabase, id: number, at: Date) =>
  sends.db.call('fire_reminder', { p_id: id, p_tz: TZ, p_now: at.toISOString() }) as Promise<{ conversation_id: number | null }>;

test('L11: two schedulers, and kills in the middle: each reminder becomes one message, at its minute and not before', async (t) => {
  const sends = await sendsDatabase(t);
  const ids: number[] = [];
  for (let n = 0; n < 60; n++)
    ids.push(await addReminder(sends, await heard(sends, n, NOON), { about: `coisa ${n}`, due_at: after(HOUR) }));
  const early = (await sends.db.call('due_reminders', { p_limit: 500, p_now: after(HOUR - 1).toISOString() })) as number[];
  assert.deepEqual(early, []);
  assert.deepEqual(await fire(sends, ids[0] ?? 0, after(HOUR - 1)), { conversation_id: null });
  // One that dies before its commit has done nothing.
  for (const id of ids.slice(0, 20)) {
    const killed = new pg.Client({ connectionString: sends.url });
    killed.on('error', () => {});
    await killed.connect();
    await killed.query('begin');
    await killed.query('select fire_reminder($1, $2, $3)', [id, TZ, after(HOUR)]);
    const pid = (killed as pg.Client & { processID: number }).processID;
    await sends.query('select pg_terminate_backend($1, 5000)', [pid]);
    await killed.end().catch(() => {});
  }
  const due = (await sends.db.call('due_reminders', { p_limit: 500, p_now: after(HOUR).toISOString() })) as number[];
  assert.deepEqual(
    due.toSorted((a, b) => a - b),
    ids,
  );
  const fired = await Promise.all([...due, ...due, ...due].map((id) => fire(sends, id, after(HOUR))));
  assert.equal(fired.filter(({ conversation_id: lane }) => lane !== null).length, 60);
  assert.deepEqual(
    await sends.query(`select count(*)::int as n, count(distinct text)::int as texts from messages where direction = 'out'`),
    [{ n: 60, texts: 60 }],
  );
});

test('L11: hoje and amanhã are those of the moment at which it leaves, 200 of 200, over a change of clocks too', async (t) => {
  const sends = await sendsDatabase(t);
  const conversation = await heard(sends, 1, NOON);
  let right = 0;
  for (let n = 0; n < 200; n++) {
    const tz = ['America/Sao_Paulo', 'Europe/Berlin', 'America/New_York', 'UTC'][n % 4] ?? 'UTC';
    const zone = zoneOf(tz);
    const event = new Date(Date.parse('2026-10-22T00:00:00Z') + n * 37 * 61 * MINUTE);
    const due = new Date(event.getTime() - (1 + (n % 5)) * 9 * HOUR);
    const leaves = new Date(due.getTime() + ((n * 7) % 9) * HOUR);
    const id = await addReminder(sends, conversation, { about: `consulta ${n}`, due_at: due, event_at: event });
    await fire(sends, id, due);
    const claim = await sends.claim(conversation, leaves, { tz });
    assert.equal(claim.action, 'send', JSON.stringify(claim));
    const day = dayFrom(event, leaves, zone).replace(/, .*/, '');
    const wall = new Date(event.getTime() + zone.offset(event.getTime())).toISOString();
    assert.equal(claim.text, `Lembrete: consulta ${n} (${day}, ${wall.slice(8, 10)}/${wall.slice(5, 7)}, às ${wall.slice(11, 16)})`);
    await sends.record(claim, sentAs(`wa-${n}`), leaves);
    right++;
  }
  assert.equal(right, 200);
});

test('L11: quiet hours hold it until they are over; a day later, or after the thing itself, it expires; an opt-out blocks it', async (t) => {
  const sends = await sendsDatabase(t);
  const hours = { start: '08:00', end: '20:00', weekdays: [0, 1, 2, 3, 4, 5, 6], holidays: false };
  const held = await heard(sends, 1, NOON);
  // 22:00 in São Paulo
  await fire(sends, await addReminder(sends, held, { about: 'remédio', due_at: after(10 * HOUR) }), after(10 * HOUR));
  const wait = await sends.claim(held, after(10 * HOUR), { hours, tz: TZ });
  assert.deepEqual(
    [wait.action, wait.reason, new Date(wait.until ?? 0).toISOString()],
    ['wait', 'quiet_hours', '2026-11-26T11:00:00.000Z'],
  );
  assert.equal((await sends.claim(held, after(20 * HOUR), { hours, tz: TZ })).action, 'send');
  const late = await heard(sends, 2, NOON);
  await fire(sends, await addReminder(sends, late, { about: 'reunião', due_at: after(HOUR), event_at: after(3 * HOUR) }), after(HOUR));
  assert.deepEqual(
    [(await sends.claim(late, after(3 * HOUR))).status, (await sends.claim(late, after(3 * HOUR))).action],
    ['expired', 'idle'],
  );
  const out = await heard(sends, 3, NOON);
  await sends.query(`select add_opt_out(contact_id, 'message') from conversations where id = $1`, [out]);
  await fire(sends, await addReminder(sends, out, { about: 'x', due_at: after(HOUR) }), after(HOUR));
  const stopped = await sends.claim(out, after(HOUR));
  assert.deepEqual([stopped.status, stopped.reason], ['blocked', 'opt_out']);
});

test('L11: cancelled by an operator or the contact, waiting or queued, and once it has left no more; twenty wait at most', async (t) => {
  const sends = await sendsDatabase(t);
  const talk = await heard(sends, 1, NOON);
  const cancel = async (id: number) =>
    (
      (await sends.db.call('cancel_reminder', { p_tenant: 'default', p_id: id, p_actor: 'cli:ana', p_reason: 'x', p_now: null })) as {
        outcome: string;
      }
    ).outcome;
  const waiting = await addReminder(sends, talk, { about: '1', due_at: after(MINUTE) });
  const queued = await addReminder(sends, talk, { about: '2', due_at: after(MINUTE) });
  const gone = await addReminder(sends, talk, { about: '3', due_at: after(MINUTE) });
  await fire(sends, queued, after(HOUR));
  assert.deepEqual([await cancel(waiting), await cancel(queued), await cancel(9_999)], ['done', 'done', 'unknown']);
  await fire(sends, gone, after(HOUR));
  assert.equal((await sends.claim(talk, after(HOUR))).text, 'Lembrete: 3');
  assert.equal(await cancel(gone), 'over');
  for (let n = 0; n < 25; n++) await addReminder(sends, talk, { about: `muitos ${n}`, due_at: after(DAY) });
  assert.deepEqual(
    await sends.query(`select status, reason, count(*)::int as n from reminders where about like 'muitos%' group by 1, 2 order by 3`),
    [
      { status: 'cancelled', reason: 'too_many_reminders', n: 5 },
      { status: 'waiting', reason: null, n: 20 },
    ],
  );
  await sends.query(`select cancel_reminders($1, null, 'contact_cancelled', now())`, [talk]);
  assert.deepEqual(await sends.query(`select count(*)::int as n from reminders where status = 'waiting'`), [{ n: 0 }]);
});

const LADDER = [
  { after_minutes: 60, text: 'Oi {nome}, ainda posso ajudar?' },
  { after_minutes: 1_440, text: 'Fico à disposição na {loja}.' },
];
const setLadder = (sends: SendsDatabase, at: Date, steps: object[] | null = LADDER, onlyQuestions = true) =>
  sends.db.call('set_follow_ups', {
    p_tenant: 'default',
    p_steps: steps,
    p_only_questions: onlyQuestions,
    p_actor: 'cli:ana',
    p_now: at.toISOString(),
  });
const begin = (sends: SendsDatabase, at: Date) =>
  sends.db.call('start_follow_ups', { p_limit: 1_000, p_now: at.toISOString() }) as Promise<number>;
async function step(sends: SendsDatabase, at: Date): Promise<(number | null)[]> {
  const due = (await sends.db.call('due_follow_up_steps', { p_limit: 1_000, p_now: at.toISOString() })) as number[];
  const taken = await Promise.all(
    [...due, ...due].map(
      (id) =>
        sends.db.call('take_follow_up_step', { p_id: id, p_company: 'Loja Pitanga', p_policy: FREE, p_now: at.toISOString() }) as Promise<{
          conversation_id: number | null;
        }>,
    ),
  );
  return taken.map(({ conversation_id: lane }) => lane).filter((lane) => lane !== null);
}
const texts = async (sends: SendsDatabase) =>
  (
    await sends.query<{ line: string }>(
      `select status || coalesce('(' || reason || ')', '') || ': ' || text as line from messages where kind = 'follow_up' order by id`,
    )
  ).map(({ line }) => line);

test('L12: a ladder: its steps one after the other, each counted from when the one before left, then it is done', async (t) => {
  const sends = await sendsDatabase(t);
  await setLadder(sends, NOON);
  const talk = await heard(sends, 1, after(MINUTE));
  await sends.query(`update contacts set name = 'Maria Souza'`);
  assert.equal(await begin(sends, after(2 * MINUTE)), 0, 'nothing was answered yet');
  await answered(sends, talk, after(2 * MINUTE));
  assert.deepEqual(
    await Promise.all([begin(sends, after(3 * MINUTE)), begin(sends, after(3 * MINUTE))]).then((all) => all.toSorted((a, b) => a - b)),
    [0, 1],
    'one, whoever asks',
  );
  assert.deepEqual(await step(sends, after(61 * MINUTE)), []);
  assert.deepEqual(await step(sends, after(62 * MINUTE)), [talk]);
  const first = await sends.claim(talk, after(5 * HOUR));
  await sends.record(first, sentAs('wa-1'), after(5 * HOUR));
  assert.deepEqual(await step(sends, after(25.2 * HOUR)), [], 'a day after it left, not after it was queued');
  assert.deepEqual(await step(sends, after(29 * HOUR)), [talk]);
  await sends.record(await sends.claim(talk, after(29 * HOUR)), sentAs('wa-2'), after(29 * HOUR));
  assert.deepEqual(await step(sends, after(60 * HOUR)), []);
  assert.deepEqual(await texts(sends), ['sent: Oi Maria, ainda posso ajudar?', 'sent: Fico à disposição na Loja Pitanga.']);
  assert.deepEqual(await sends.query('select step, status, reason from follow_ups'), [{ step: 2, status: 'done', reason: null }]);
  assert.equal(await begin(sends, after(60 * HOUR)), 0, 'a silence is followed up once');
});

test('L12: an answer within the second of the words before it ends the ladder: WhatsApp tells whole seconds', async (t) => {
  const sends = await sendsDatabase(t);
  await setLadder(sends, NOON);
  const talk = await heard(sends, 1, after(MINUTE));
  await answered(sends, talk, after(MINUTE));
  assert.equal(await begin(sends, after(MINUTE)), 1);
  await heard(sends, 1, after(MINUTE), 'in-the-same-second');
  await begin(sends, after(2 * MINUTE));
  assert.deepEqual(await sends.query('select status, reason from follow_ups'), [{ status: 'cancelled', reason: 'follow_up_answered' }]);
});

test('L12: switching it on touches nothing older; no ladder after what was no question, in an opted-out, handed-over or unanswered conversation', async (t) => {
  const sends = await sendsDatabase(t);
  const old = await heard(sends, 1, after(-MINUTE));
  await answered(sends, old, after(-1));
  await setLadder(sends, NOON);
  // it wrote before the switch and was answered after it
  const late = await heard(sends, 6, after(-MINUTE));
  await answered(sends, late, after(MINUTE));
  const [statement, out, person, open] = [2, 3, 4, 5].map((n) => heard(sends, n, after(MINUTE)));
  await answered(sends, (await statement) ?? 0, after(2 * MINUTE), 'Combinado!');
  for (const talk of [out, person]) await answered(sends, (await talk) ?? 0, after(2 * MINUTE));
  await sends.query(`select add_opt_out(contact_id, 'message') from conversations where id = $1`, [await out]);
  await sends.query(`select open_handoff($1, null, 'asked_for_person', null, false, now())`, [await person]);
  assert.ok(await open);
  assert.equal(await begin(sends, after(3 * MINUTE)), 0);
  await setLadder(sends, after(4 * MINUTE), LADDER, false);
  await heard(sends, 2, after(5 * MINUTE));
  await answered(sends, (await statement) ?? 0, after(6 * MINUTE), 'Combinado!');
  assert.equal(await begin(sends, after(7 * MINUTE)), 1, 'after any answer, when it is so set');
  await setLadder(sends, after(8 * MINUTE), null);
  assert.deepEqual(await sends.query('select status, reason from follow_ups'), [{ status: 'cancelled', reason: 'follow_ups_off' }]);
});

/** What comes between a step's time and the wire. */
const ENDINGS: readonly {
  name: string;
  rule: string;
  act: (sends: SendsDatabase, talk: number, n: number, at: Date) => Promise<unknown>;
}[] = [
  { name: 'inbound', rule: 'cancelled(follow_up_answered)', act: (sends, _, n, at) => heard(sends, n, at) },
  {
    name: 'opt-out',
    rule: 'blocked(opt_out)',
    act: (sends, talk) => sends.query(`select add_opt_out(contact_id, 'message') from conversations where id = $1`, [talk]),
  },
  {
    name: 'takeover',
    rule: 'cancelled(takeover)',
    act: (sends, talk, _, at) =>
      sends.query(
        `update conversations set takeover_since = $2::timestamptz, takeover_until = $2::timestamptz + interval '30 minutes' where id = $1`,
        [talk, at],
      ),
  },
  {
    name: 'handoff',
    rule: 'cancelled(human)',
    act: (sends, talk) => sends.query(`select open_handoff($1, null, 'asked_for_person', null, true, now())`, [talk]),
  },
  {
    name: 'listed',
    rule: 'cancelled(handoff_open)',
    act: (sends, talk) => sends.query(`select open_handoff($1, null, 'asked_for_person', null, false, now())`, [talk]),
  },
];

/** The long run: RACES=500. */
const RACES = Number(process.env['RACES'] ?? 100);

test(`L12: inbound, opt-out, takeover, handoff between due and wire, raced by the claim, over a queue of steps: 0 sent after it`, async (t) => {
  const sends = await sendsDatabase(t);
  await setLadder(sends, NOON);
  const talks: number[] = [];
  for (let n = 0; n < RACES; n++) {
    const talk = await heard(sends, n, after(MINUTE));
    await answered(sends, talk, after(2 * MINUTE));
    talks.push(talk);
  }
  assert.equal(await begin(sends, after(3 * MINUTE)), RACES);
  assert.equal((await step(sends, after(2 * HOUR))).length, RACES);
  const wrong: string[] = [];
  for (const [n, talk] of talks.entries()) {
    const ending = ENDINGS[n % ENDINGS.length];
    if (ending === undefined) continue;
    const at = after(2 * HOUR + n);
    // Half of them race the claim: it comes before, or it is stopped, and nothing else.
    const racing = n % 2 === 0 ? sends.claim(talk, at) : null;
    await ending.act(sends, talk, n, at);
    await racing;
    const claim = await sends.claim(talk, at);
    const [row] = await sends.query<{ id: number }>(`select id::int from messages where conversation_id = $1 and kind = 'follow_up'`, [
      talk,
    ]);
    const [state = ''] = await states(sends.query, [row?.id ?? 0]);
    const before = racing !== null && (await racing).action === 'send';
    if (before ? state !== 'sending' : state !== ending.rule || claim.action === 'send')
      wrong.push(`${ending.name}: ${state} ${claim.action}`);
  }
  assert.deepEqual(wrong, []);
  await begin(sends, after(4 * HOUR));
  const active = await sends.query(
    `select f.id from follow_ups f join messages m on m.id = f.message_id where f.status = 'active' and m.status in ('cancelled', 'blocked')`,
  );
  assert.deepEqual(active, [], 'whose step was stopped is over');
});

test('L12: what nobody answers is not followed up for ever; a pause holds a ladder; erased with the contact', async (t) => {
  const sends = await sendsDatabase(t);
  await setLadder(sends, NOON, [LADDER[0] ?? {}, { after_minutes: 60, text: 'Dois' }, { after_minutes: 60, text: 'Três' }]);
  const talk = await heard(sends, 1, after(MINUTE));
  await answered(sends, talk, after(2 * MINUTE));
  await begin(sends, after(3 * MINUTE));
  await sends.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'x', 'manual')`);
  assert.deepEqual(await step(sends, after(2 * HOUR)), []);
  await sends.query(`insert into julia_status (status, motivo, alterado_via) values ('ativo', 'x', 'manual')`);
  for (const hours of [3, 5, 7]) {
    const lanes = await step(sends, after(hours * HOUR));
    if (lanes.length === 0) break;
    const claim = await sends.claim(talk, after(hours * HOUR), { maxUnanswered: 2 });
    if (claim.action === 'send') await sends.record(claim, sentAs(`wa-${hours}`), after(hours * HOUR));
  }
  assert.deepEqual(await texts(sends), ['sent: Oi, ainda posso ajudar?', 'sent: Dois', 'blocked(campaign_pressure): Três']);
  await step(sends, after(9 * HOUR));
  assert.deepEqual(await sends.query('select status, reason from follow_ups'), [{ status: 'cancelled', reason: 'campaign_pressure' }]);
  await addReminder(sends, talk, { about: 'x', due_at: after(DAY) });
  await sends.query(`select erase_contact('default', contact_id, null, 'cli:ana', 'x') from conversations where id = $1`, [talk]);
  assert.deepEqual(await sends.query('select (select count(*)::int from follow_ups) as f, (select count(*)::int from reminders) as r'), [
    { f: 0, r: 0 },
  ]);
});
