/** claim_turn, renew_turn and complete_turn: who gets the turn, what becomes true, and what must not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edit, minutesAfter, NOON, openSql, remove, said } from '../support/inbound.ts';
import type { Said, Sql } from '../support/inbound.ts';

type Claim = {
  state: string;
  turn_id: number;
  fence: number;
  failed_in_row: number;
  superseded_in_row: number;
  holder: string;
  until: string;
  pending: { text: string }[];
  history: { text: string | null; direction: string }[];
};
type Completion = { outcome: string; reason?: string; failed_in_row?: number; first_pending_at?: string; parts?: number };

const LEASE_MS = 30_000;
const ANSWER = { kind: 'answer', reason: null, parts: [{ text: 'Olá!', typing_ms: 0, kind: 'reply' }] };
const later = (seconds: number): Date => new Date(NOON.getTime() + seconds * 1000);

async function claim(sql: Sql, conversation: number, now = NOON, worker = 'w'): Promise<Claim> {
  const rows = await sql.rows('select claim_turn($1, $2, $3, $4) as result', [conversation, worker, LEASE_MS, now]);
  return rows[0]?.['result'] as Claim; // the header of claim_turn
}
async function complete(
  sql: Sql,
  turn: Pick<Claim, 'turn_id' | 'fence'>,
  result: Record<string, unknown> = ANSWER,
  now = later(1),
): Promise<Completion> {
  const rows = await sql.rows('select complete_turn($1, $2, $3, $4) as result', [turn.turn_id, turn.fence, JSON.stringify(result), now]);
  return rows[0]?.['result'] as Completion;
}
async function renew(sql: Sql, turn: Claim, now = later(1)): Promise<{ alive: boolean; newer: boolean; stop: string | null }> {
  const rows = await sql.rows('select renew_turn($1, $2, $3, $4) as result', [turn.turn_id, turn.fence, LEASE_MS, now]);
  return rows[0]?.['result'] as { alive: boolean; newer: boolean; stop: string | null };
}
/** Stores a message; resolves with its conversation. */
async function hear(sql: Sql, input: Said, now = NOON): Promise<number> {
  const [result] = await sql.record([said({ at: now, ...input })], now);
  return Number(result?.conversation_id);
}
const turnsOf = async (sql: Sql) =>
  (await sql.rows(`select status || coalesce('(' || reason || ')', '') as line from turns order by id`)).map((row) => row['line']);

test('L16 complete_turn: a call without a price is in no sum, is counted apart, and a past call keeps its price', async (t) => {
  const sql = await openSql(t);
  const turn = await claim(sql, await hear(sql, { id: 'A1' }));
  const call = {
    model: 'm',
    outcome: 'end_turn',
    ms: 5,
    input_tokens: 10,
    output_tokens: 9,
    thinking_tokens: 4,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
  };
  await complete(sql, turn, {
    ...ANSWER,
    model_calls: [
      { ...call, cost_usd: 0.00000001 },
      { ...call, cost_usd: null },
      { ...call, cost_usd: 0.5, estimated: true },
    ],
  });
  assert.deepEqual(await sql.rows('select cost_usd::text as cost, unpriced_calls, thinking_tokens from turns'), [
    { cost: '0.50000001', unpriced_calls: 1, thinking_tokens: 12 },
  ]);
  assert.deepEqual(await sql.rows('select cost_usd::text as cost, estimated from model_calls order by id'), [
    { cost: '0.00000001', estimated: false },
    { cost: null, estimated: false },
    { cost: '0.50000000', estimated: true },
  ]);
});

for (const callers of [2, 20]) {
  test(`I5 claim_turn: of ${callers} callers at once exactly one gets the turn`, async (t) => {
    const sql = await openSql(t);
    const conversation = await hear(sql, { id: 'A1' });
    const claims = await Promise.all(Array.from({ length: callers }, (_, index) => claim(sql, conversation, NOON, `w${index}`)));
    assert.deepEqual(claims.map((each) => each.state).toSorted(), [...Array.from({ length: callers - 1 }, () => 'busy'), 'claimed']);
    assert.deepEqual(await turnsOf(sql), ['open']);
  });

  test(`I5 complete_turn: of ${callers} callers at once exactly one commits, with one answer`, async (t) => {
    const sql = await openSql(t);
    const turn = await claim(sql, await hear(sql, { id: 'A1' }));
    const spent = {
      ...ANSWER,
      model_calls: [
        {
          model: 'm',
          outcome: 'end_turn',
          ms: 5,
          input_tokens: 10,
          output_tokens: 2,
          cache_read_tokens: 0,
          cache_write_tokens: 0,
          cost_usd: 0.5,
        },
      ],
    };
    const outcomes = await Promise.all(Array.from({ length: callers }, () => complete(sql, turn, spent)));
    assert.deepEqual(outcomes.map((each) => each.outcome).toSorted(), ['committed', ...Array.from({ length: callers - 1 }, () => 'lost')]);
    assert.deepEqual(await sql.dump(), ['1 in contact answered: A1', '1 out agent queued: Olá!']);
    assert.deepEqual(await sql.rows('select count(*)::int as calls, sum(cost_usd)::float as cost from model_calls'), [
      { calls: 1, cost: 0.5 },
    ]);
    assert.deepEqual(await sql.rows('select input_tokens, output_tokens, cost_usd::float as cost from turns'), [
      { input_tokens: 10, output_tokens: 2, cost: 0.5 },
    ]);
  });

  test(`I5 a lease that ran out: of ${callers} claims one takes over, and the old worker cannot commit any more`, async (t) => {
    const sql = await openSql(t);
    const conversation = await hear(sql, { id: 'A1' });
    const dead = await claim(sql, conversation);
    const claims = await Promise.all(Array.from({ length: callers }, () => claim(sql, conversation, later(31))));
    const taken = claims.filter((each) => each.state === 'claimed');
    assert.equal(taken.length, 1);
    assert.equal(taken[0]?.failed_in_row, 1);
    const [late, fresh] = await Promise.all([
      complete(sql, dead, { ...ANSWER, parts: [{ text: 'tarde', kind: 'reply' }] }, later(32)),
      complete(sql, taken[0], ANSWER, later(32)),
    ]);
    assert.deepEqual([late.outcome, fresh.outcome], ['lost', 'committed']);
    assert.deepEqual(await turnsOf(sql), ['expired(lease_ran_out)', 'committed']);
    assert.deepEqual(await sql.dump(), ['1 in contact answered: A1', '1 out agent queued: Olá!']);
  });
}

test('I5 claims, messages and commits of 20 workers at once: turns follow one another and every message is answered once', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'M0' });
  const work = async (worker: number): Promise<void> => {
    await hear(sql, { id: `M${worker + 1}` });
    const turn = await claim(sql, conversation, NOON, `w${worker}`);
    if (turn.state === 'claimed')
      await complete(sql, turn, { ...ANSWER, parts: [{ text: turn.pending.map((each) => each.text).join(' '), kind: 'reply' }] });
  };
  await Promise.all(Array.from({ length: 20 }, (_, worker) => work(worker)));
  for (let rest = await claim(sql, conversation); rest.state === 'claimed'; rest = await claim(sql, conversation)) {
    await complete(sql, rest, { ...ANSWER, parts: [{ text: rest.pending.map((each) => each.text).join(' '), kind: 'reply' }] });
  }
  const answered = (await sql.rows(`select text from messages where direction = 'out'`)).flatMap((row) => String(row['text']).split(' '));
  assert.deepEqual(answered.toSorted(), Array.from({ length: 21 }, (_, index) => `M${index}`).toSorted());
  assert.deepEqual(await sql.rows(`select status, count(*)::int as n from messages where direction = 'in' group by 1`), [
    { status: 'answered', n: 21 },
  ]);
  assert.deepEqual(await sql.rows(`select seq from messages group by conversation_id, seq having count(*) > 1`), []);
});

test('renew_turn keeps the lease, and says nothing good of a lost one', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'A1' });
  const turn = await claim(sql, conversation);
  assert.deepEqual(await renew(sql, turn, later(29)), { alive: true, newer: false, stop: null });
  assert.equal((await claim(sql, conversation, later(58))).state, 'busy');
  const next = await claim(sql, conversation, later(60));
  assert.equal(next.state, 'claimed');
  assert.equal((await renew(sql, turn, later(61))).alive, false);
  assert.equal((await renew(sql, next, later(61))).alive, true);
  assert.equal((await renew(sql, { ...next, fence: next.fence - 1 })).alive, false);
});

test('renew_turn never waits for the conversation: a webhook that takes long stops no worker', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'A1' });
  const turn = await claim(sql, conversation);
  const holder = await sql.client();
  await holder.query('begin');
  await holder.query('select 1 from conversations where id = $1 for update', [conversation]);
  assert.deepEqual(await renew(sql, turn), { alive: true, newer: false, stop: null });
  await holder.query('rollback');
});

test('I4 superseded at most twice in a row: the third answer goes, and what came meanwhile waits for the next turn', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'M1' });
  for (const [index, outcome] of ['superseded', 'superseded', 'committed'].entries()) {
    const turn = await claim(sql, conversation);
    assert.equal(turn.pending.length, index + 1);
    await hear(sql, { id: `N${index}` });
    assert.equal((await renew(sql, turn)).newer, outcome === 'superseded');
    const completion = await complete(sql, turn);
    assert.equal(completion.outcome, outcome);
    assert.notEqual(completion.first_pending_at ?? null, null, 'somebody must look again');
  }
  const last = await claim(sql, conversation);
  // as long as that answer may still be withdrawn nothing more is superseded; once it has reached the contact the count begins anew
  assert.deepEqual([last.pending.map((each) => each.text), last.superseded_in_row], [['N2'], 2]);
  assert.equal((await complete(sql, last)).first_pending_at ?? null, null);
  await sql.rows(`update messages set status = 'sending' where direction = 'out'`);
  await sql.rows(`select settle_sent(id, 'OUT' || id, $1, $1) from messages where direction = 'out'`, [later(2)]);
  await hear(sql, { id: 'N9' });
  assert.equal((await claim(sql, conversation)).superseded_in_row, 0);
});

test('a shutdown is no supersede and no failure', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'A1' });
  for (let round = 0; round < 5; round++)
    assert.equal((await complete(sql, await claim(sql, conversation), { kind: 'aborted', reason: 'shutdown' })).outcome, 'superseded');
  const turn = await claim(sql, conversation);
  assert.deepEqual([turn.superseded_in_row, turn.failed_in_row], [0, 0]);
});

test('I4 an edit or a deletion of a pending message during a turn makes it anew', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'A1', text: 'quero dois' });
  await hear(sql, { id: 'A2', text: 'por favor' });
  const first = await claim(sql, conversation);
  const [edited] = await sql.record([edit('A1', 'quero três')], NOON);
  assert.equal(edited?.wake, true);
  assert.equal((await renew(sql, first)).newer, true);
  assert.equal((await complete(sql, first)).outcome, 'superseded');
  const second = await claim(sql, conversation);
  assert.deepEqual(
    second.pending.map((each) => each.text),
    ['quero três', 'por favor'],
  );
  await sql.record([remove('A2')], NOON);
  assert.equal((await complete(sql, second)).outcome, 'superseded');
  const third = await claim(sql, conversation);
  assert.deepEqual(
    third.pending.map((each) => each.text),
    ['quero três'],
  );
  await sql.record([remove('A1')], NOON);
  // it may not supersede again, and nothing is left: the answer goes, the messages keep their reason
  assert.equal((await complete(sql, third)).outcome, 'committed');
  assert.equal((await claim(sql, conversation)).state, 'idle');
  assert.deepEqual((await sql.dump()).slice(0, 2), [
    '1 in contact skipped(deleted_by_contact): quero três',
    '1 in contact skipped(deleted_by_contact): por favor',
  ]);
});

test('I4 everything deleted before the turn: nothing to answer', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'A1' });
  await sql.record([remove('A1')], NOON);
  assert.equal((await claim(sql, conversation)).state, 'idle');
});

test('I5 a conversation that is merged into another: its turn cannot commit, its messages are answered there', async (t) => {
  const sql = await openSql(t);
  const known = await hear(sql, { id: 'P1', pn: '5511900000001' });
  const stranger = await hear(sql, { id: 'L1', pn: null, lid: '777000111222' });
  assert.notEqual(known, stranger);
  const [onKnown, onStranger] = [await claim(sql, known), await claim(sql, stranger)];
  // the third message brings both addresses: one person
  const merged = await hear(sql, { id: 'B1', pn: '5511900000001', lid: '777000111222' });
  assert.equal(merged, known);
  assert.equal((await renew(sql, onStranger)).alive, false);
  assert.equal((await complete(sql, onStranger)).outcome, 'lost');
  assert.equal((await claim(sql, stranger)).state, 'idle');
  assert.equal((await renew(sql, onKnown)).newer, true);
  assert.equal((await complete(sql, onKnown)).outcome, 'superseded');
  const turn = await claim(sql, known);
  assert.deepEqual(turn.pending.map((each) => each.text).toSorted(), ['B1', 'L1', 'P1']);
  assert.equal((await complete(sql, turn)).outcome, 'committed');
  assert.deepEqual(await sql.rows(`select count(*)::int as n from messages where direction = 'in' and status <> 'answered'`), [{ n: 0 }]);
});

test('I5 pending and history come in the provider’s order, however late the webhooks were', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'second', at: minutesAfter(1) }, minutesAfter(5));
  await hear(sql, { id: 'third', at: minutesAfter(2) }, minutesAfter(5));
  await hear(sql, { id: 'first', at: minutesAfter(0) }, minutesAfter(6));
  const turn = await claim(sql, conversation, minutesAfter(6));
  assert.deepEqual(
    turn.pending.map((each) => each.text),
    ['first', 'second', 'third'],
  );
  await complete(sql, turn, ANSWER, minutesAfter(7));
  await hear(sql, { id: 'late', at: minutesAfter(1.5) }, minutesAfter(8));
  await complete(sql, await claim(sql, conversation, minutesAfter(8)), { kind: 'skip', reason: 'test' }, minutesAfter(8));
  await hear(sql, { id: 'now', at: minutesAfter(9) }, minutesAfter(9));
  assert.deepEqual(
    (await claim(sql, conversation, minutesAfter(9))).history.map((each) => each.text),
    ['first', 'second', 'late', 'third', 'Olá!'],
  );
});

test('I5 within a second, in which WhatsApp tells no order, the order of arrival counts', async (t) => {
  const sql = await openSql(t);
  const conversation = await hear(sql, { id: 'q1', at: NOON }, later(0.2));
  await complete(sql, await claim(sql, conversation, later(0.3)), ANSWER, later(0.4));
  await hear(sql, { id: 'q2', at: NOON }, later(0.6));
  await complete(sql, await claim(sql, conversation, later(0.7)), ANSWER, later(0.8));
  await hear(sql, { id: 'q3', at: NOON }, later(0.9));
  assert.deepEqual(
    (await claim(sql, conversation, later(0.9))).history.map((each) => each.text),
    ['q1', 'Olá!', 'q2', 'Olá!'],
  );
});

test('L6 what was said 60 messages ago is in the history; its window moves in steps of 40 messages and begins the same in between', async (t) => {
  const sql = await openSql(t);
  const firsts: (string | null | undefined)[] = [];
  for (let index = 1; index <= 85; index++) {
    const conversation = await hear(sql, { id: `m${index}`, at: minutesAfter(index) }, minutesAfter(index));
    const turn = await claim(sql, conversation, minutesAfter(index));
    assert.ok(turn.history.length < 120, String(turn.history.length));
    if (index > 30)
      assert.ok(
        turn.history.some(({ text }) => text === `m${index - 30}`),
        `each is answered: 60 messages before m${index}`,
      );
    firsts.push(turn.history[0]?.text);
    await complete(sql, turn, { ...ANSWER, parts: [{ text: `r${index}`, kind: 'reply' }] }, minutesAfter(index));
  }
  assert.deepEqual([...new Set(firsts.slice(1))], ['m1', 'm21', 'm41']);
});
