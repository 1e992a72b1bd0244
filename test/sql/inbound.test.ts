import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ack,
  edit,
  INSTANCE,
  minutesAfter,
  openSql,
  RECORD,
  recordArguments,
  recordSend,
  remove,
  said,
  sending,
  waitsForLock,
} from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

for (const callers of [2, 20]) {
  test(`I2 dedupe: ${callers} callers record the same message of a new contact at once: one row, one contact, one wake-up`, async (t) => {
    const sql = await openSql(t);
    const results = (await Promise.all(Array.from({ length: callers }, () => sql.record([said({ id: 'SAME' })])))).flat();
    assert.deepEqual(results.map((result) => result.outcome).sort(), [...Array.from({ length: callers - 1 }, () => 'duplicate'), 'stored']);
    assert.equal(new Set(results.map((result) => result.conversation_id)).size, 1, 'all name the conversation');
    assert.deepEqual(await counts(sql), { contacts: 1, conversations: 1, messages: 1, instances: 1 });
    const [later] = await sql.record([said({ id: 'SAME' })], minutesAfter(60, new Date()));
    assert.equal(later?.outcome, 'duplicate');
    assert.deepEqual(await counts(sql), { contacts: 1, conversations: 1, messages: 1, instances: 1 });
  });

  test(`I8 lid: ${callers} callers bring one new person by number, by lid and by both at once: one contact, all messages in one conversation`, async (t) => {
    const sql = await openSql(t);
    const lid = '123456789012345';
    const pn = '5511912345678';
    const faces = [
      { pn, lid: null },
      { pn: null, lid },
      { pn, lid },
    ];
    const events = Array.from({ length: Math.max(3, callers) }, (_, index) => said({ id: `M${index}`, ...faces[index % 3] }));
    await Promise.all(
      Array.from({ length: callers }, (_, caller) => sql.record(events.filter((_event, index) => index % callers === caller))),
    );
    const living = await sql.rows('select id from contacts where merged_into is null');
    assert.equal(living.length, 1);
    const threads = await sql.rows(
      'select c.id, c.last_seq::int, (select count(*)::int from messages m where m.conversation_id = c.id) as messages from conversations c where merged_into is null',
    );
    assert.deepEqual(threads, [{ id: threads[0]?.['id'], last_seq: events.length, messages: events.length }]);
    assert.deepEqual(await sql.rows('select kind, address from contact_addresses order by kind'), [
      { kind: 'lid', address: lid },
      { kind: 'pn', address: pn },
    ]);
  });

  test(`Z4 ${callers} callers bring a number that nobody registered: one name is set aside, people are told once, none fails`, async (t) => {
    const sql = await openSql(t);
    const events = Array.from({ length: callers }, (_, index) => ({
      ...said({ id: `M${index}`, instance: 'new-number' }),
      instanceId: 'uuid-1',
    }));
    await Promise.all(events.map((event) => sql.record([event])));
    assert.deepEqual(await sql.rows('select name, provider_id, webhooks::int as webhooks from set_aside'), [
      { name: 'new-number', provider_id: 'uuid-1', webhooks: callers },
    ]);
    assert.deepEqual(await sql.rows('select name from instances'), [{ name: INSTANCE }]);
    assert.equal((await counts(sql))['messages'], 0);
    assert.equal((await sql.rows('select from notices')).length, 1);
  });
}

const UUID = '2f0d1b7e-0000-4000-8000-000000000001';

test('H11 durable: record_inbound keeps the shortest and the longest lid that a jid can hold', async (t) => {
  const sql = await openSql(t);
  const results = await sql.record([said({ id: 'A', pn: null, lid: '1' }), said({ id: 'B', pn: null, lid: '9'.repeat(20) })]);
  assert.deepEqual(
    results.map((result) => result.outcome),
    ['stored', 'stored'],
  );
});

test('I5 order: the model gets a conversation in the order of the provider, however it arrived', async (t) => {
  const sql = await openSql(t);
  for (const minute of [3, 1, 2, 0]) await sql.record([said({ id: `M${minute}`, at: minutesAfter(minute) })], minutesAfter(5));
  const claim = await claimTurn(sql, minutesAfter(6));
  assert.deepEqual(
    claim.pending?.map((message) => message.text),
    ['M0', 'M1', 'M2', 'M3'],
  );
});

test('I16 acks: forward only, in any order, any number of times', async (t) => {
  const sql = await openSql(t);
  for (const [news, end] of [
    [['delivered', 'read'], 'read'],
    [['read', 'delivered', 'sent'], 'read'],
    [['delivered', 'sent', 'delivered'], 'delivered'],
    [['delivered', 'failed'], 'delivered'],
    [['failed', 'delivered', 'read'], 'read'],
    [['failed', 'failed'], 'failed'],
    [['read', 'failed'], 'read'],
  ] as const) {
    const id = news.join('-');
    const message = await sending(sql, { text: id });
    await recordSend(sql, message, { kind: 'sent', provider_id: id });
    await sql.record(news.map((status) => ack(id, status)));
    assert.equal(await statusOf(sql, message), end, id);
  }
});

test('I16 acks: 20 callers with all kinds at once leave the furthest', async (t) => {
  const sql = await openSql(t);
  const message = await sending(sql);
  await recordSend(sql, message, { kind: 'sent', provider_id: 'OUT1' });
  const kinds = ['sent', 'delivered', 'read', 'delivered'] as const;
  await Promise.all(Array.from({ length: 20 }, (_, index) => sql.record([ack('OUT1', kinds[index % 4] ?? 'sent')])));
  assert.equal(await statusOf(sql, message), 'read');
});

test('I16 acks: acks, edits and deletions that come before their message wait for it', async (t) => {
  const sql = await openSql(t);
  const early = await sql.record([
    ack('OUT1', 'delivered'),
    ack('OUT1', 'read'),
    edit('IN1', 'first'),
    edit('IN1', 'second'),
    remove('IN2'),
    edit('HUMAN', 'as edited', true),
  ]);
  assert.deepEqual(
    early.map((result) => result.outcome),
    ['early', 'early', 'early', 'early', 'early', 'early'],
  );
  const message = await sending(sql, { text: 'ours' });
  await recordSend(sql, message, { kind: 'sent', provider_id: 'OUT1' });
  assert.equal(await statusOf(sql, message), 'read');
  await sql.record([said({ id: 'IN1', text: 'as typed', pn: '5511900000001' })]);
  const [deleted] = await sql.record([said({ id: 'IN2', text: 'regretted', pn: '5511900000002' })]);
  assert.equal(deleted?.wake, false, 'nothing is left to answer');
  await sql.record([said({ id: 'HUMAN', text: 'as typed', pn: '5511900000003', fromMe: true })]);
  assert.deepEqual(
    (await sql.rows(`select text, original_text, status, reason from messages where provider_id <> 'OUT1' order by id`)).map((row) =>
      Object.values(row).join(' | '),
    ),
    ['second | as typed | received | ', 'regretted |  | skipped | deleted_by_contact', 'as edited | as typed | sent | '],
  );
  assert.deepEqual(await sql.rows('select * from early_updates'), []);
});

test('I16 acks: an ack that arrives while the answer of the same send is being written is not lost between the two', async (t) => {
  const sql = await openSql(t);
  const message = await sending(sql);
  const writer = await sql.client();
  await writer.query('begin');
  await writer.query('select record_send($1, 1, $2)', [message, JSON.stringify({ kind: 'sent', provider_id: 'OUT1' })]);
  const acknowledged = sql.record([ack('OUT1', 'delivered')]);
  await waitsForLock(sql, 'record_inbound', acknowledged);
  await writer.query('commit');
  await acknowledged;
  assert.equal(await statusOf(sql, message), 'delivered');
});

test('I9 kinds: an edit that arrives while its message is being stored is not lost between the two', async (t) => {
  const sql = await openSql(t);
  // Known before: else the edit would wait for the number, not for the message.
  await sql.rows('select ensure_instance($1, null)', [INSTANCE]);
  const writer = await sql.client();
  await writer.query('begin');
  await writer.query(RECORD, recordArguments([said({ id: 'IN1', text: 'as typed' })]));
  const edited = sql.record([edit('IN1', 'as edited')]);
  await waitsForLock(sql, 'record_inbound', edited);
  await writer.query('commit');
  await edited;
  assert.deepEqual(await sql.rows('select text from messages'), [{ text: 'as edited' }]);
});

test('I9 kinds: an edit and a deletion of an unanswered message make a turn under way stale; of an answered one they are context', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'IN1', text: 'a' }), said({ id: 'IN2', text: 'b' })]);
  const first = await claimTurn(sql);
  const [edited] = await sql.record([edit('IN1', 'a, better')]);
  assert.deepEqual([edited?.outcome, edited?.wake], ['edit', true]);
  assert.equal((await complete(sql, first)).outcome, 'superseded');
  const second = await claimTurn(sql);
  assert.deepEqual(
    second.pending?.map((message) => message.text),
    ['a, better', 'b'],
  );
  await sql.record([remove('IN2')]);
  assert.equal((await complete(sql, second)).outcome, 'superseded');
  const third = await claimTurn(sql);
  assert.deepEqual(
    third.pending?.map((message) => message.text),
    ['a, better'],
  );
  assert.equal((await complete(sql, third)).outcome, 'committed');
  const late = await sql.record([edit('IN1', 'too late'), remove('IN1'), remove('IN1')]);
  assert.deepEqual(
    late.map((result) => [result.outcome, result.wake]),
    [
      ['edit', false],
      ['delete', false],
      ['delete', false],
    ],
  );
  assert.equal((await claimTurn(sql)).state, 'idle');
  assert.deepEqual(
    (await sql.dump()).map((line) => line.replace(/^\d+ /, '')),
    ['in contact answered: too late', 'in contact skipped(deleted_by_contact): b'],
  );
});

test("Z4 a uuid that another webhook taught us a moment ago is the number's own, not a foreign one", async (t) => {
  const sql = await openSql(t);
  await sql.rows('select ensure_instance($1, null)', [INSTANCE]);
  // The number as a webhook read it before another webhook, which came at the same time, committed what Evolution calls it.
  await sql.rows('create table read_before as select i as number from instances i where name = $1', [INSTANCE]);
  await sql.rows('select learn_uuid(i, $2) from instances i where name = $1', [INSTANCE, UUID]);
  const refusal = (name: string) =>
    sql.rows(`select webhook_refusal(number, $1, $2, '{"tenant": "default"}', null, now()) as reason from read_before`, [name, UUID]);
  assert.deepEqual(await refusal(INSTANCE), [{ reason: null }]);
  await sql.rows(`select ensure_instance('other', null)`);
  await sql.rows(`update read_before set number = (select i from instances i where name = 'other')`);
  assert.deepEqual(await refusal('other'), [{ reason: 'foreign_uuid' }]);
});

test('I18 neighbours: a batch is all or nothing, so a bad webhook leaves no half', async (t) => {
  const sql = await openSql(t);
  const bad = { ...said({ id: 'BAD' }), sentAt: 'no time at all' };
  await assert.rejects(sql.record([said({ id: 'GOOD' }), bad]), /invalid input syntax/);
  assert.deepEqual(await counts(sql), { contacts: 0, conversations: 0, messages: 0, instances: 1 });
});

async function statusOf(sql: Sql, message: number): Promise<unknown> {
  return (await sql.rows('select status from messages where id = $1', [message]))[0]?.['status'];
}

type Claim = { state: string; turn_id: number; fence: number; pending?: { text: string }[] };

async function claimTurn(sql: Sql, now: Date = new Date()): Promise<Claim> {
  const [row] = await sql.rows(`select claim_turn((select min(id) from conversations), 'w', 90000, $1) as result`, [now]);
  return row?.['result'] as Claim;
}

async function complete(sql: Sql, claim: Claim): Promise<{ outcome: string }> {
  const [row] = await sql.rows('select complete_turn($1, $2, $3) as result', [
    claim.turn_id,
    claim.fence,
    JSON.stringify({ kind: 'answer', parts: [] }),
  ]);
  return row?.['result'] as { outcome: string };
}

async function counts(sql: Sql): Promise<Record<string, unknown>> {
  const [row] = await sql.rows(
    `select (select count(*)::int from contacts) as contacts, (select count(*)::int from conversations) as conversations,
      (select count(*)::int from messages) as messages, (select count(*)::int from instances) as instances`,
  );
  return row ?? {};
}
