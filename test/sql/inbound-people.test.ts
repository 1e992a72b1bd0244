/** Merges of contacts, echoes of our own messages, and people who type on the phone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minutesAfter, NOON, openSql, recordSend, said, sending, waitsForLock } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

const PN = '5511912345678';
const LID = '123456789012345';

test('I8 lid: two contacts with conversations, an open turn, opt-outs and a takeover become one, and the answer under way cannot commit', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'P1', pn: PN, text: 'by number', at: minutesAfter(0) })], minutesAfter(0));
  await sql.record([said({ id: 'L1', pn: null, lid: LID, text: 'by lid', at: minutesAfter(1), name: 'Maria' })], minutesAfter(1));
  await sql.record(
    [said({ id: 'L2', pn: null, lid: LID, text: 'typed by a colleague', at: minutesAfter(2), fromMe: true })],
    minutesAfter(2),
  );
  const [kept, dropped] = await sql.rows('select id, contact_id from conversations order by id');
  await sql.rows(`select add_opt_out(id, 'test') from contacts`);
  await sql.rows(`update conversations set mode = 'manual', controlled_by = 'human', escalation_reason = 'asked for it' where id = $1`, [
    dropped?.['id'],
  ]);
  await sql.rows(`select open_handoff(id, null, 'asked for it', null, true, $1) from conversations`, [NOON]);
  const turn = await claim(sql, dropped?.['id']);
  assert.equal(turn.state, 'claimed');

  const [result] = await sql.record([said({ id: 'B1', pn: PN, lid: LID, text: 'by both', at: minutesAfter(3) })], minutesAfter(3));
  assert.deepEqual([result?.outcome, result?.conversation_id, result?.wake], ['stored', Number(kept?.['id']), true]);
  assert.deepEqual(await sql.dump(), [
    `${String(kept?.['id'])} in contact received: by number`,
    `${String(kept?.['id'])} in contact received: by lid`,
    `${String(kept?.['id'])} out human sent: typed by a colleague`,
    `${String(kept?.['id'])} in contact received: by both`,
  ]);
  assert.deepEqual(
    await sql.rows('select controlled_by, mode, escalation_reason, takeover_until, jid, last_seq::int from conversations where id = $1', [
      kept?.['id'],
    ]),
    [
      {
        controlled_by: 'human',
        mode: 'manual',
        escalation_reason: 'asked for it',
        takeover_until: minutesAfter(32),
        jid: `${LID}@lid`,
        last_seq: 4,
      },
    ],
  );
  assert.deepEqual(await sql.rows('select count(*)::int as n from opt_outs where revoked_at is null'), [{ n: 1 }]);
  assert.deepEqual(await sql.rows(`select conversation_id, count(*)::int as n from handoffs where status <> 'returned' group by 1`), [
    { conversation_id: kept?.['id'], n: 1 },
  ]);
  assert.deepEqual(await sql.rows(`select name from contacts where merged_into is null`), [{ name: 'Maria' }]);
  assert.deepEqual(await sql.rows(`select action, subject, details -> 'merged' as merged from audit_log where action = 'contact.merge'`), [
    { action: 'contact.merge', subject: String(kept?.['contact_id']), merged: Number(dropped?.['contact_id']) },
  ]);
  assert.deepEqual(await complete(sql, turn), { outcome: 'lost' });
  assert.deepEqual(await claim(sql, dropped?.['id']), { state: 'idle' });
  const again = await claim(sql, kept?.['id']);
  assert.equal(again.pending?.length, 3);
});

test('I8 lid: a conversation that nobody else has on that number moves whole; repeated pairs change nothing', async (t) => {
  const sql = await openSql(t);
  await sql.rows(`insert into instances (name) values ('other')`);
  await sql.record([said({ id: 'P1', pn: PN, instance: 'other' }), said({ id: 'L1', pn: null, lid: LID })]);
  const both = (id: string) => said({ id, pn: PN, lid: LID });
  await Promise.all([sql.record([both('B1')]), sql.record([both('B2')]), sql.record([both('B3')])]);
  assert.deepEqual(
    await sql.rows('select count(*)::int as n, count(distinct contact_id)::int as people from conversations where merged_into is null'),
    [{ n: 2, people: 1 }],
  );
  assert.deepEqual(await sql.rows(`select count(*)::int as n from audit_log where action = 'contact.merge'`), [{ n: 1 }]);
});

for (const moved of [true, false]) {
  test(`I8 lid: a message that arrives while its contact is merged away ends up with the one that stays (${moved ? 'conversation moved' : 'conversations joined'})`, async (t) => {
    const sql = await openSql(t);
    if (moved) {
      await sql.rows(`insert into instances (name) values ('other')`);
      await sql.record([said({ id: 'P1', pn: PN, instance: 'other' })]);
    } else {
      await sql.record([said({ id: 'P1', pn: PN })]);
    }
    await sql.record([said({ id: 'L1', pn: null, lid: LID })]);
    const merger = await sql.client();
    await merger.query('begin');
    await merger.query('select merge_contacts(min(id), max(id)) from contacts');
    const arriving = sql.record([said({ id: 'L2', pn: null, lid: LID })]);
    await waitsForLock(sql, 'record_inbound', arriving);
    await merger.query('commit');
    const [result] = await arriving;
    assert.equal(result?.outcome, 'stored');
    const [place] = await sql.rows(
      'select c.merged_into, k.merged_into as contact_gone from conversations c join contacts k on k.id = c.contact_id where c.id = $1',
      [result?.conversation_id],
    );
    assert.deepEqual(place, { merged_into: null, contact_gone: null });
  });
}

test('I6 own echo: after the HTTP answer, before it, and twice, it is our one message and no takeover', async (t) => {
  const sql = await openSql(t);
  const after = await sending(sql, { text: 'depois' });
  await recordSend(sql, after, { kind: 'sent', provider_id: 'OUT1' });
  const echo = (id: string, text: string) => said({ id, text, fromMe: true, viaApi: true });
  assert.deepEqual(
    (await sql.record([echo('OUT1', 'depois'), echo('OUT1', 'depois')], NOON)).map((result) => result.outcome),
    ['echo', 'echo'],
  );
  const before = await sending(sql, { text: 'Olá,  tudo\n bem? ' });
  const first = await sql.record([echo('OUT2', 'Olá, tudo bem?')], NOON);
  assert.deepEqual(
    first.map((result) => [result.outcome, result.wake_send]),
    [['echo', true]],
    'it differs in spaces only',
  );
  assert.deepEqual(await sql.rows('select status, provider_id from messages where id = $1', [before]), [
    { status: 'sent', provider_id: 'OUT2' },
  ]);
  await recordSend(sql, before, { kind: 'sent', provider_id: 'OUT2' });
  const unsure = await sending(sql, { text: 'talvez' });
  await recordSend(sql, unsure, { kind: 'uncertain', class: 'timeout', detail: '', look_ms: 5000 });
  await sql.record([echo('OUT3', 'talvez')], NOON);
  assert.deepEqual(await states(sql), ['sent OUT1', 'sent OUT2', 'sent OUT3']);
  assert.deepEqual(await takeover(sql), { since: null, until: null });
});

test('I6 own echo: 20 copies at once of an echo that overtakes its HTTP answer settle one send', async (t) => {
  const sql = await openSql(t);
  const message = await sending(sql, { text: 'Oi' });
  const echo = said({ id: 'OUT1', text: 'Oi', fromMe: true, viaApi: true });
  await Promise.all([
    ...Array.from({ length: 20 }, () => sql.record([echo], NOON)),
    recordSend(sql, message, { kind: 'sent', provider_id: 'OUT1' }),
  ]);
  assert.deepEqual(await states(sql), ['sent OUT1']);
  assert.deepEqual(await takeover(sql), { since: null, until: null });
});

test('I6 own echo: the same words to somebody else, or words that we did not write, are no echo', async (t) => {
  const sql = await openSql(t);
  await sending(sql, { text: 'Oi' });
  const results = await sql.record(
    [
      said({ id: 'X', text: 'Oi', pn: '5511900000009', fromMe: true, viaApi: true }),
      said({ id: 'Y', text: 'Oi!', fromMe: true, viaApi: true }),
    ],
    NOON,
  );
  assert.deepEqual(
    results.map((result) => result.outcome),
    ['automatic', 'automatic'],
  );
});

test("I6 own echo: one that was taken for a person's words is healed by the HTTP answer, with its takeover, also when it came in the lid's chat", async (t) => {
  const sql = await openSql(t);
  for (const chat of [
    { pn: PN, lid: null },
    { pn: null, lid: LID },
  ]) {
    const id = `OUT-${chat.lid ?? chat.pn}`;
    const message = await sending(sql, { text: 'as we wrote it' });
    const [wrong] = await sql.record([said({ id, text: 'as WhatsApp changed it', fromMe: true, ...chat })], NOON);
    assert.equal(wrong?.outcome, 'takeover');
    await recordSend(sql, message, { kind: 'sent', provider_id: id });
    assert.deepEqual(await sql.rows('select author, status from messages where provider_id = $1', [id]), [
      { author: 'system', status: 'sent' },
    ]);
    assert.deepEqual(await sql.rows('select 1 from conversations where takeover_until is not null'), []);
  }
});

test('I6 own echo: healing leaves the takeover of a person who really typed, before or since', async (t) => {
  const sql = await openSql(t);
  for (const order of ['echo first', 'person first'] as const) {
    const id = `OUT ${order}`;
    const message = await sending(sql, { text: order });
    const wrong = said({ id, text: 'changed', fromMe: true });
    const person = said({ id: `HUMAN ${order}`, text: 'eu cuido disso', fromMe: true });
    await sql.record([order === 'echo first' ? wrong : person], NOON);
    await sql.record([order === 'echo first' ? person : wrong], minutesAfter(1));
    await recordSend(sql, message, { kind: 'sent', provider_id: id });
    assert.notEqual((await takeover(sql)).until, null, order);
    await sql.rows('update conversations set takeover_since = null, takeover_until = null');
  }
});

test('I6 typing on the phone: the pause slides with each message and is capped from the first', async (t) => {
  const sql = await openSql(t);
  const type = (minute: number) => sql.record([said({ id: `H${minute}`, fromMe: true, at: minutesAfter(minute) })], minutesAfter(minute));
  await type(0);
  assert.deepEqual(await takeover(sql), { since: NOON, until: minutesAfter(30) });
  await type(20);
  assert.deepEqual(await takeover(sql), { since: NOON, until: minutesAfter(50) });
  for (let minute = 40; minute <= 230; minute += 10) await type(minute);
  assert.deepEqual(await takeover(sql), { since: NOON, until: minutesAfter(240) }, 'capped at four hours');
  await type(241);
  assert.deepEqual(await takeover(sql), { since: minutesAfter(241), until: minutesAfter(271) }, 'a new one after the end');
});

test('I6 typing on the phone: while it lasts nothing is answered, then the agent is back by itself and has read what was said', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'H', text: 'deixa comigo', fromMe: true })], NOON);
  await sql.record([said({ id: 'A', at: minutesAfter(1) })], minutesAfter(1));
  const [row] = await sql.rows('select id from conversations');
  assert.equal((await claim(sql, row?.['id'], minutesAfter(2))).holder, 'takeover');
  const later = await claim(sql, row?.['id'], minutesAfter(31 + 90));
  assert.equal(later.holder, 'agent');
  assert.deepEqual(
    later.history?.map((message) => [message.author, message.text]),
    [['human', 'deixa comigo']],
  );
});

test('I6 typing on the phone: what was typed long ago and is replayed after a reconnect, or a reaction, starts no takeover', async (t) => {
  const sql = await openSql(t);
  const typed = said({ id: 'R', fromMe: true });
  assert.ok(typed.kind === 'message');
  const { content: _, quoted: __, ...from } = typed;
  const reaction = { ...from, kind: 'reaction' as const, targetId: 'A', emoji: '👍' };
  const [old, emoji] = await sql.record([said({ id: 'OLD', fromMe: true, at: minutesAfter(-31) }), reaction], NOON);
  assert.deepEqual([old?.outcome, emoji?.outcome], ['context', 'context']);
  assert.deepEqual(await takeover(sql), { since: null, until: null });
  await sql.record([said({ id: 'RECENT', fromMe: true, at: minutesAfter(-20) })], NOON);
  assert.deepEqual(await takeover(sql), { since: NOON, until: minutesAfter(10) }, 'counted from when it was typed');
  await sql.record([said({ id: 'SKEWED', fromMe: true, at: minutesAfter(600) })], minutesAfter(1));
  assert.deepEqual(await takeover(sql), { since: NOON, until: minutesAfter(31) }, 'a clock that runs ahead counts as now');
});

type Claim = {
  state: string;
  holder?: string;
  turn_id?: number;
  fence?: number;
  pending?: { text: string }[];
  history?: { author: string; text: string }[];
};

async function claim(sql: Sql, conversation: unknown, now: Date = minutesAfter(4)): Promise<Claim> {
  const [row] = await sql.rows(`select claim_turn($1, 'w', 90000, $2) as result`, [conversation, now]);
  return row?.['result'] as Claim;
}

async function complete(sql: Sql, turn: Claim): Promise<unknown> {
  const [row] = await sql.rows('select complete_turn($1, $2, $3) as result', [
    turn.turn_id,
    turn.fence,
    JSON.stringify({ kind: 'answer', parts: [{ text: 'late' }] }),
  ]);
  return row?.['result'];
}

async function states(sql: Sql): Promise<unknown[]> {
  return (await sql.rows(`select status || ' ' || provider_id as state from messages order by id`)).map((row) => row['state']);
}

async function takeover(sql: Sql): Promise<{ since: unknown; until: unknown }> {
  const [row] = await sql.rows('select takeover_since as since, takeover_until as until from conversations order by id limit 1');
  return { since: row?.['since'], until: row?.['until'] };
}
