/** The health of a number and the choice of one, in SQL with a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Trouble } from '../../src/whatsapp/incidents.ts';
import { INSTANCE } from '../support/inbound.ts';
import { queueReplies, sendsDatabase, sentAs } from '../support/sends.ts';
import type { Claimed } from '../support/sends.ts';

const T0 = new Date('2026-03-02T12:00:00.000Z');
const at = (minutes: number): Date => new Date(T0.getTime() + minutes * 60_000);
const phone = (index: number): string => `55119${String(40_000_000 + index)}`;

const RATE: Trouble = { reason: 'number_rate_limited', minutes: 5, trust: 10 };
const REFUSED: Trouble = { reason: 'number_restricted', minutes: 15, trust: 10 };
const FORBIDDEN: Trouble = { reason: 'number_restricted', minutes: 60, trust: 30 };

let people = 0;

async function open(t: TestContext) {
  const sends = await sendsDatabase(t);
  await sends.query(`update instances set status = 'open', proactive = true, trust_at = $1`, [T0]);
  const row = async (name = INSTANCE) => {
    const [found] = await sends.query<{ reason: string | null; until: Date | null; trust: number; in_row: number }>(
      `select held_reason as reason, held_until as until, trust::int, held_in_row as in_row from instances where name = $1`,
      [name],
    );
    assert.ok(found);
    return found;
  };
  /** Sends one proactive message to a new person; null when it was held. */
  const send = async (minute: number, outcome: Record<string, unknown> | null, extra: Record<string, unknown> = {}): Promise<Sent> => {
    const { id, conversation } = await sends.proactive(phone((people += 1)), at(minute), extra);
    const claim = await sends.claim(conversation, at(minute));
    if (claim.action === 'send' && outcome !== null) await sends.record(claim, outcome, at(minute));
    return { id, conversation, action: claim.action, reason: claim.reason };
  };
  const ack = async (providerId: string, status: string, minute: number) =>
    sends.db.call('record_inbound', {
      p_webhooks: [
        {
          raw: {},
          instance: INSTANCE,
          event: 'messages.update',
          requestId: 'r',
          events: [{ kind: 'ack', instance: INSTANCE, providerId, status }],
        },
      ],
      p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240 },
      p_now: at(minute).toISOString(),
    });
  const assess = async (minute: number) =>
    (await sends.db.call('assess_numbers', { p_now: at(minute).toISOString() })) as { released: string[] };
  const events = async () =>
    (await sends.query<{ line: string }>(`select event || coalesce(' ' || reason, '') as line from instance_events order by id`)).map(
      (each) => each.line,
    );
  const claim = (conversation: number, now: Date) => sends.claim(conversation, now);
  const record = (claimed: Claimed, outcome: Record<string, unknown>, now: Date) => sends.record(claimed, outcome, now);
  return { sends, query: sends.query, db: sends.db, claim, record, row, send, ack, assess, events };
}

type Sent = { id: number; conversation: number; action: string; reason: string };
const retry = (trouble: Trouble) => ({ kind: 'retry', class: 'rate_limited', detail: 'x', delay_ms: 0, counts: false, trouble });

for (const [title, trouble, minutes] of [
  ['429 -> 5 minutes', RATE, 5],
  ['a restriction in words -> 15 minutes', REFUSED, 15],
  ['403 -> 60 minutes', FORBIDDEN, 60],
] as const) {
  test(`N3 O14 cooldown: ${title}, then one message on trial, then all; replies go on`, async (t) => {
    const { send, row, query, claim, record, events } = await open(t);
    assert.equal((await send(0, retry(trouble))).action, 'send');
    const held = await send(1, null);
    assert.deepEqual([held.action, held.reason], ['wait', trouble.reason]);
    const [message] = await query<{ goes_at: Date }>(`select goes_at from messages where id = $1`, [held.id]);
    assert.deepEqual(message?.goes_at, at(minutes), 'it says until when');
    const reply = await queueReplies(query, phone((people += 1)), ['oi'], { at: at(1) });
    assert.equal((await claim(reply.conversation, at(1))).action, 'send');
    assert.equal((await send(minutes - 0.01, null)).action, 'wait');
    // half open: one is on trial, the others wait for what becomes of it
    const trial = await claim(held.conversation, at(minutes));
    assert.equal(trial.action, 'send');
    assert.deepEqual((({ action, reason }) => [action, reason])(await send(minutes, null)), ['wait', trouble.reason]);
    await record(trial, sentAs('T1'), at(minutes));
    assert.equal((await row()).reason, null);
    assert.equal((await send(minutes, sentAs('T2'))).action, 'send');
    assert.deepEqual(await events(), [`held ${trouble.reason}`, `released ${trouble.reason}`]);
    const transitions = await query(`select breaker, instance, process, state from circuit_transitions order by id`);
    assert.deepEqual(transitions, [
      { breaker: 'number', instance: INSTANCE, process: 'database', state: 'open' },
      { breaker: 'number', instance: INSTANCE, process: 'database', state: 'closed' },
    ]);
  });
}

test('N3 cooldown grows with repetition within a day, by repetitions and not by messages that were on their way', async (t) => {
  const { send, row, query, db } = await open(t);
  const trouble = async (minute: number) =>
    query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify({ ...RATE, trust: 1 }), at(minute)]);
  await Promise.all([trouble(0), trouble(0), trouble(0)]);
  assert.deepEqual((await row()).until, at(5), 'three at once are one');
  await trouble(5);
  assert.deepEqual((await row()).until, at(5 + 10));
  assert.equal((await send(15, retry({ ...RATE, trust: 1 }))).action, 'send', 'on trial');
  assert.deepEqual((await row()).until, at(15 + 20), 'the trial failed');
  assert.equal((await send(35, sentAs('OK'))).action, 'send');
  await trouble(40);
  assert.deepEqual((await row()).until, at(40 + 40), 'released between, but within the day');
  await query(`select number_sent(id, true, $1) from instances`, [at(81)]);
  const nextDay = 81 + 26 * 60;
  await trouble(nextDay);
  assert.deepEqual((await row()).until, at(nextDay + 5), 'a day later it begins anew');
  for (let index = 0; index < 14; index++) await trouble(nextDay + 10_000 * (index + 1)); // each far apart
  assert.equal(((await db.call('number_health', { p_tenant: 'default' })) as unknown[]).length, 1);
});

test('W14 a wrong setting takes no trust, is not doubled, and ends with whatever leaves', async (t) => {
  const { send, row, query, claim, record } = await open(t);
  const wrong = { reason: 'number_unauthorized', minutes: 5, trust: 0 };
  for (let index = 0; index < 12; index++) {
    await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify(wrong), at(index * 6)]);
    assert.deepEqual([(await row()).until, (await row()).trust], [at(index * 6 + 5), 100], 'five minutes each time');
  }
  const held = await send(67, null);
  assert.deepEqual([held.action, held.reason], ['wait', 'number_unauthorized']);
  const reply = await queueReplies(query, phone((people += 1)), ['oi'], { at: at(67) });
  await record(await claim(reply.conversation, at(67)), sentAs('R1'), at(67));
  assert.equal((await row()).reason, null, 'the key is right again');
  assert.equal((await claim(held.conversation, at(67))).action, 'send');
  await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify(RATE), at(68)]);
  assert.deepEqual((await row()).until, at(68 + 5), 'and what WhatsApp says after that is the first of its row');
});

test("W14 what a person writes waits for WhatsApp's own words only", async (t) => {
  const { query, row, sends } = await open(t);
  for (const [reason, waits] of [
    ['number_restricted', true],
    ['number_rate_limited', true],
    ['number_unauthorized', false],
    ['number_unlicensed', false],
    ['number_undelivered', false],
    ['number_few_deliveries', false],
    ['number_error_acks', false],
    ['number_trust', false],
  ] as const) {
    await query(`update instances set held_reason = $1, held_since = $2, held_until = $3`, [reason, at(0), at(15)]);
    const { conversation } = await sends.proactive(phone((people += 1)), at(0), { kind: 'manual', typing_ms: 0 });
    const claim = await sends.claim(conversation, at(1));
    assert.deepEqual([claim.action, claim.reason], waits ? ['wait', reason] : ['send', undefined], reason);
  }
  assert.equal((await row()).reason, 'number_trust');
});

test('N3 below a trust of 40 a number is removed from proactive messages until it is back, 5 an hour', async (t) => {
  const { send, row, query, claim } = await open(t);
  await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify(FORBIDDEN), at(0)]);
  await query(`update instances set held_until = $1`, [at(0)]);
  await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify(FORBIDDEN), at(1)]);
  assert.deepEqual([(await row()).reason, (await row()).trust], ['number_restricted', 40]);
  await query(`update instances set held_until = $1`, [at(1)]);
  await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify(FORBIDDEN), at(2)]);
  const { reason, trust, until } = await row();
  assert.deepEqual([reason, trust], ['number_trust', 10]);
  assert.deepEqual(until, at(2 + 6 * 60), '30 points at 5 an hour');
  const held = await send(60, null);
  assert.deepEqual([held.action, held.reason], ['wait', 'number_trust']);
  assert.equal((await claim(held.conversation, at(2 + 6 * 60))).action, 'send');
});

test('X5 an ERROR ack after a 201 holds the number; a delivered one on trial releases it, a 201 alone does not', async (t) => {
  const { send, ack, row, events, assess, query } = await open(t);
  await send(0, sentAs('E1'));
  await ack('E1', 'failed', 1);
  assert.deepEqual([(await row()).reason, (await row()).until, (await row()).trust], ['number_error_acks', at(31), 80]);
  assert.deepEqual(await query(`select status, reason from messages where provider_id = 'E1'`), [
    { status: 'failed', reason: 'provider_refused' },
  ]);
  await ack('E1', 'failed', 2);
  assert.equal((await row()).trust, 80, 'the same news twice');
  assert.equal((await send(31, sentAs('E2'))).action, 'send');
  assert.equal((await row()).reason, 'number_error_acks', 'a 201 is not delivery');
  assert.deepEqual((await assess(32)).released, []);
  await ack('E2', 'delivered', 33);
  assert.deepEqual((await assess(34)).released, [INSTANCE]);
  assert.equal((await row()).reason, null);
  assert.deepEqual(await events(), ['held number_error_acks', 'released number_error_acks']);
});

test('X5 connected but dead: none of the last ten sends arrived; what arrives afterwards proves that it lives', async (t) => {
  const { send, ack, row, assess, query, claim, record } = await open(t);
  for (let index = 0; index < 9; index++) await send(index, sentAs(`D${index}`));
  await assess(30);
  assert.equal((await row()).reason, null, 'nine say nothing yet');
  await send(9, sentAs('D9'));
  await assess(15);
  assert.equal((await row()).reason, null, 'the youngest are given time');
  await assess(20);
  assert.deepEqual([(await row()).reason, (await row()).until], ['number_undelivered', at(35)]);
  // the trial gets no ack either: twice as long
  assert.equal((await send(36, sentAs('D10'))).action, 'send');
  await assess(40);
  await assess(47);
  assert.deepEqual([(await row()).reason, (await row()).until], ['number_undelivered', at(47 + 30)]);
  // a reply that arrives ends it at once
  const reply = await queueReplies(query, phone((people += 1)), ['oi'], { at: at(50) });
  await record(await claim(reply.conversation, at(50)), sentAs('R1'), at(50));
  await ack('R1', 'delivered', 51);
  assert.deepEqual((await assess(52)).released, [INSTANCE]);
  await assess(53);
  assert.equal((await row()).reason, null, 'what was lost before is not held against it again');
});

test('X5 a falling delivery ratio holds the number, a good one does not', async (t) => {
  const { send, ack, row, assess } = await open(t);
  for (let index = 0; index < 30; index++) {
    await send(index / 10, sentAs(`F${index}`));
    if (index % 2 === 0 || index === 29) await ack(`F${index}`, 'delivered', index / 10);
  }
  await assess(60);
  assert.deepEqual([(await row()).reason, (await row()).until], ['number_few_deliveries', at(90)], '16 of 30');
  const healthy = await open(t);
  for (let index = 0; index < 20; index++) {
    await healthy.send(index / 10, sentAs(`G${index}`));
    if (index % 3 !== 0) await healthy.ack(`G${index}`, index % 2 === 0 ? 'delivered' : 'read', index / 10);
  }
  await healthy.assess(60);
  assert.equal((await healthy.row()).reason, null, '13 of 20');
  const [health] = (await healthy.db.call('number_health', { p_tenant: null, p_now: at(60).toISOString() })) as Record<string, unknown>[];
  assert.deepEqual([health?.['health'], health?.['judged'], health?.['delivered'], health?.['trust']], ['ok', 20, 13, 100]);
});

test('I17 X5 a ban takes all trust; a poll does not wipe out the reason; what happened is in the history', async (t) => {
  const { row, query, db, events } = await open(t);
  const connection = async (state: string, reason: number | null, minute: number) =>
    db.call('record_inbound', {
      p_webhooks: [
        {
          raw: {},
          instance: INSTANCE,
          event: 'connection.update',
          requestId: 'r',
          events: [{ kind: 'connection', instance: INSTANCE, state, reason }],
        },
      ],
      p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240 },
      p_now: at(minute).toISOString(),
    });
  await connection('close', 403, 1);
  await db.call('set_instance_state', { p_name: INSTANCE, p_state: 'close', p_now: at(2).toISOString() });
  assert.deepEqual(await query(`select status, status_reason, status_at from instances`), [
    { status: 'close', status_reason: 403, status_at: at(1) },
  ]);
  assert.deepEqual([(await row()).reason, (await row()).trust], ['number_trust', 0]);
  await connection('open', 200, 10);
  assert.deepEqual(await events(), ['connection close', 'held number_trust', 'connection open']);
  const [health] = (await db.call('number_health', { p_tenant: 'default', p_now: at(11).toISOString() })) as Record<string, unknown>[];
  assert.deepEqual([health?.['health'], health?.['reason']], ['held', 'number_trust']);
});

test('C5 a reset ends the rest of a number, lifts its trust, and what waited is due', async (t) => {
  const { send, query, db, claim, row } = await open(t);
  await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify({ ...FORBIDDEN, trust: 90 }), at(0)]);
  const held = await send(1, null);
  const answer = (await db.call('reset_breakers', {
    p_tenant: 'default',
    p_actor: 'ana',
    p_breaker: null,
    p_instance: null,
    p_now: at(2).toISOString(),
  })) as {
    released: string[];
  };
  assert.deepEqual(answer.released, [INSTANCE]);
  assert.equal((await claim(held.conversation, at(2))).action, 'send');
  assert.deepEqual([(await row()).reason, (await row()).trust], [null, 40]);
  await query(`select number_trouble(id, $1, $2) from instances`, [JSON.stringify({ ...FORBIDDEN, trust: 0 }), at(3)]);
  assert.deepEqual((await row()).until, at(63), 'and it begins anew');
});

test('C5 T1 a tenant closes the breakers of its own numbers; the tenant default, which owns the installation, all', async (t) => {
  const { query, db } = await open(t);
  await query(`insert into tenants (id, name) values ('b', 'B')`);
  await query(`insert into instances (tenant_id, name) values ('b', 'b-1'), ('b', 'b-2')`);
  await query(`insert into process_status (id, mode, version, started_at, seen_at, breakers)
    select 'w1', 'worker', '1', now(), now(), jsonb_agg(jsonb_build_object('name', 'evolution', 'instance', i, 'state', 'open')) from unnest(array['b-1', '${INSTANCE}']) i`);
  const reset = async (tenant: string) =>
    (await db.call('reset_breakers', { p_tenant: tenant, p_actor: 'ana', p_breaker: 'evolution', p_instance: null })) as {
      open: { instance: string }[];
    };
  assert.deepEqual(
    (await reset('b')).open.map(({ instance }) => instance),
    ['b-1'],
  );
  assert.deepEqual(await query(`select instance from breaker_resets order by id`), [{ instance: 'b-1' }, { instance: 'b-2' }]);
  assert.equal((await reset('default')).open.length, 2);
  assert.deepEqual(await query(`select tenant_id, instance from breaker_resets order by id offset 2`), [
    { tenant_id: 'default', instance: null },
  ]);
});

test('N1 a number that an operator took out of proactive messages stays out when it is connected again', async (t) => {
  const { query, db } = await open(t);
  const adopt = () => db.call('adopt_instance', { p_tenant: 'default', p_name: INSTANCE, p_provider_id: null, p_actor: 'ana' });
  const set = (change: object) => db.call('set_instance', { p_tenant: 'default', p_name: INSTANCE, p_actor: 'ana', p_change: change });
  const proactive = async () => (await query<{ proactive: boolean }>(`select proactive from instances`))[0]?.proactive;
  await query(`update instances set proactive = false`);
  await set({ cap_hour: 5 });
  await adopt();
  assert.equal(await proactive(), true, 'another change says nothing about it');
  await set({ proactive: false });
  await adopt();
  assert.equal(await proactive(), false);
});

test('N1 choice: fit before unfit, then room, then known to the contact, then least used; a reply stays where it is', async (t) => {
  const { query, db, row } = await open(t);
  await query(
    `insert into instances (name, status, proactive, cap_day) values ('b', 'open', true, 10), ('c', 'open', true, 10), ('off', 'open', false, 1000)`,
  );
  const policy = { capHour: 20, capDay: 20 };
  const choose = async (to: string, minute = 0): Promise<string> =>
    String(
      (
        await query<{ name: string }>(`select choose_instance('default', $1, $2, $3, $4) as name`, [
          to,
          INSTANCE,
          JSON.stringify(policy),
          at(minute),
        ])
      )[0]?.name,
    );
  const enqueue = async (to: string, instance?: string) =>
    db.call('enqueue_message', {
      p_request: {
        instance: instance ?? INSTANCE,
        choose: instance === undefined ? policy : null,
        phone: to,
        text: 'oi',
        kind: 'campaign',
      },
      p_now: at(0).toISOString(),
    });
  assert.equal(await choose(phone(900)), INSTANCE, 'all alike: the oldest');
  await enqueue(phone(901));
  assert.equal(await choose(phone(900)), 'b', 'least used, what is queued counts');
  await enqueue(phone(902));
  await enqueue(phone(903));
  assert.equal(await choose(phone(900)), INSTANCE, '1 of 20 is less than 1 of 10');
  // the contact knows c
  await query(
    `select (ensure_conversation(i, ensure_contact(i, $1, null, null), $1 || '@s.whatsapp.net', true)).id from instances i where name = 'c'`,
    [phone(904)],
  );
  await query(`update conversations set last_inbound_at = $1 where instance_id = (select id from instances where name = 'c')`, [at(-60)]);
  assert.equal(await choose(phone(904)), 'c');
  await query(`update instances set status = 'close' where name = 'c'`);
  assert.equal(await choose(phone(904)), INSTANCE, 'not connected');
  await query(`update instances set status = 'open' where name = 'c'`);
  await query(`select number_trouble(id, $1, $2) from instances where name = 'c'`, [JSON.stringify(FORBIDDEN), at(0)]);
  assert.equal(await choose(phone(904)), INSTANCE, 'at rest');
  await query(
    `insert into process_status (id, mode, version, started_at, seen_at, breakers) values ('w', 'worker', '1', $1, $1,
       jsonb_build_array(jsonb_build_object('name', 'evolution', 'instance', $2::text, 'state', 'open')))`,
    [at(0), INSTANCE],
  );
  assert.equal(await choose(phone(904)), 'b', 'its breaker is open in a worker');
  assert.equal(await choose(phone(904), 10), INSTANCE, 'that worker is silent for long');
  await query(`update instances set cap_hour = 1 where name = $1`, [INSTANCE]);
  assert.equal(await choose(phone(905), 10), 'b', 'no room');
  await query(`update instances set status = 'close'`);
  await query(`update instances set proactive = name = 'off'`);
  assert.equal(await choose(phone(904), 20), 'off', 'none is fit: it waits at the best of them');
  await query(`update instances set proactive = false`);
  assert.equal(await choose(phone(904), 20), INSTANCE, 'none may be chosen');
  assert.equal((await row('off')).reason, null);
});

test('N1 fifty at once spread evenly and exactly; an idempotency key that comes again stays with its number', async (t) => {
  const { query, db } = await open(t);
  await query(
    `insert into instances (name, status, proactive) values ('b', 'open', true), ('c', 'open', true), ('d', 'open', true), ('e', 'open', true)`,
  );
  const request = (index: number) => ({
    instance: INSTANCE,
    choose: { capHour: 10, capDay: 10 },
    phone: phone(1_000 + index),
    text: 'oi',
    kind: 'campaign',
    idempotency_key: `k${index}`,
  });
  const all = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => (await db.call('enqueue_message', { p_request: request(index) })) as { id: number }),
  );
  const counts = await query(
    `select i.name, count(*)::int as n from messages m join instances i on i.id = m.instance_id group by 1 order by 1`,
  );
  assert.deepEqual(
    counts.map((each) => each['n']),
    [10, 10, 10, 10, 10],
  );
  const again = (await db.call('enqueue_message', { p_request: request(7) })) as { id: number; repeated: boolean };
  assert.deepEqual([again.id, again.repeated], [all[7]?.id, true]);
  const numbers = await query(
    `select count(distinct instance_id)::int as n from messages where text = 'oi' and (idempotency_key = 'k7' or duplicate_of = $1)`,
    [again.id],
  );
  assert.deepEqual(numbers, [{ n: 1 }]);
});
