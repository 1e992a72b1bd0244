/** What one function proves, another may hear differently a moment later: late truths, and conversations that move meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INSTANCE } from '../support/system.ts';
import { queueReplies, sendRow, sendsDatabase, sentAs } from '../support/sends.ts';
import type { Claimed, SendsDatabase } from '../support/sends.ts';
import { minutesAfter, NOON, openSql, said, waitsForLock } from '../support/inbound.ts';

const PHONE = '5511960000001';
const later = (ms: number) => new Date(NOON.getTime() + ms);

function record(sends: SendsDatabase, event: object, now: Date): Promise<unknown> {
  return sends.db.call('record_inbound', {
    p_webhooks: [{ instance: INSTANCE, event: 'send.message', raw: {}, requestId: 'r', events: [event] }],
    p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240, withdrawParts: true },
    p_now: now.toISOString(),
  });
}

const echo = (text: string, id: string, at: Date) => said({ id, text, pn: PHONE, fromMe: true, viaApi: true, at });

/** A reply whose worker fell silent after the claim, and of which a look-up then "proved" that it never left. */
async function givenBack(sends: SendsDatabase): Promise<{ conversation: number; id: number; claim: Claimed }> {
  const { conversation, ids } = await queueReplies(sends, PHONE, ['Olá!'], { at: NOON });
  const claim = await sends.claim(conversation, NOON);
  assert.equal(claim.action, 'send');
  const look = await sends.claim(conversation, later(120_000));
  assert.equal(look.action, 'look');
  await sends.db.call('settle_send', {
    p_message: look.message_id,
    p_claim: look.claim,
    p_provider_id: null,
    p_next_ms: 10_000,
    p_not_sent: true,
    p_now: later(121_000).toISOString(),
  });
  const id = ids[0] ?? 0;
  assert.equal((await sendRow(sends, id)).status, 'queued');
  return { conversation, id, claim };
}

test('O2 late truth: given back as never sent, and then its own worker says that it left: it does not leave again', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, id, claim } = await givenBack(sends);
  await sends.record(claim, sentAs('wa-1'), later(122_000));
  assert.equal((await sendRow(sends, id)).status, 'sent');
  assert.equal((await sends.claim(conversation, later(123_000))).action, 'idle');
});

test('O2 late truth: given back as never sent, and then its echo comes: it is ours, it does not leave again, and nobody took over', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, id } = await givenBack(sends);
  await record(sends, echo('Olá!', 'wa-1', later(100_000)), later(122_000));
  assert.deepEqual(await sends.query(`select status, provider_id, author from messages where direction = 'out'`), [
    { status: 'sent', provider_id: 'wa-1', author: 'agent' },
  ]);
  assert.deepEqual(await sends.query('select takeover_until from conversations'), [{ takeover_until: null }]);
  assert.equal((await sends.claim(conversation, later(123_000))).action, 'idle');
  assert.equal((await sendRow(sends, id)).status, 'sent');
});

test('O3 late truth: an error that said "not sent", and an echo that says otherwise while it waits for its retry', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, PHONE, ['Olá!', 'Tudo bem?'], { at: NOON });
  const claim = await sends.claim(conversation, NOON);
  await sends.record(claim, { kind: 'retry', class: 'provider_error', detail: '', delay_ms: 5_000, counts: true }, later(500));
  await record(sends, echo('Olá!', 'wa-1', NOON), later(1_000));
  assert.equal((await sendRow(sends, ids[0] ?? 0)).status, 'sent');
  const next = await sends.claim(conversation, later(6_000));
  assert.deepEqual([next.action, next.message_id], ['send', ids[1]]);
});

test('O2 echo: words that were never claimed are a person’s, even when the agent is about to say the same', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, PHONE, ['Olá!'], { at: NOON });
  await record(sends, said({ id: 'wa-1', pn: PHONE, text: 'Olá!', at: NOON, fromMe: true }), NOON);
  assert.equal((await sendRow(sends, ids[0] ?? 0)).status, 'queued');
  assert.equal((await sends.claim(conversation, later(1_000))).reason, 'takeover');
});

test('O2 I8 a send whose conversation is merged while it is on its way: settled, once, where the contact is now', async (t) => {
  const sends = await sendsDatabase(t);
  await record(sends, said({ id: 'P1', pn: PHONE, at: NOON }), NOON);
  await record(sends, said({ id: 'L1', pn: null, lid: '4444', at: NOON }), NOON);
  const [kept, dropped] = await sends.query<{ id: number }>('select id::int from conversations order by id');
  await sends.query(
    `with turn as (insert into turns (tenant_id, conversation_id, status, fence, lease_until, worker, inbound_seq) values ('default', $1, 'committed', 0, now(), 'test', 0) returning id)
     insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, turn_id, kind, priority, part, due_at, created_at)
     select 'default', 1, $1, 10, 'out', 'agent', 'text', 'queued', 'Olá!', $2, turn.id, 'reply', 0, 1, $2, $2 from turn`,
    [dropped?.id, NOON],
  );
  const claim = await sends.claim(dropped?.id ?? 0, NOON);
  assert.equal(claim.action, 'send');
  await record(sends, said({ id: 'B1', pn: PHONE, lid: '4444', at: minutesAfter(1) }), minutesAfter(1));
  assert.equal((await sends.claim(kept?.id ?? 0, later(500))).reason, 'sending');
  await sends.record(claim, sentAs('wa-1'), later(1_000));
  assert.deepEqual(await sends.query(`select conversation_id::int as c, status from messages where direction = 'out'`), [
    { c: kept?.id, status: 'sent' },
  ]);
  assert.equal((await sends.claim(kept?.id ?? 0, minutesAfter(2))).action, 'idle');
  assert.equal((await sends.claim(dropped?.id ?? 0, minutesAfter(2))).action, 'idle');
});

test('X11 after a merge the timeline of a message still tells its turn, its tools and its handoff', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'P1', pn: PHONE })], NOON);
  await sql.record([said({ id: 'L1', pn: null, lid: '4444', text: 'quero uma pessoa' })], NOON);
  const [kept, dropped] = await sql.rows('select id from conversations order by id');
  const [claimed] = await sql.rows('select claim_turn($1, $2, 30000, $3) as turn', [dropped?.['id'], 'w', NOON]);
  const turn = claimed?.['turn'] as { turn_id: number; fence: number };
  const result = {
    kind: 'answer',
    parts: [{ text: 'Vou chamar alguém.', typing_ms: 0, kind: 'handoff' }],
    effects: [{ type: 'handoff', reason: 'asked', summary: null }],
    tool_calls: [{ name: 'handoff_to_human', input: {}, output: 'ok', ok: true, ms: 1 }],
    model_calls: [
      {
        model: 'm',
        outcome: 'end_turn',
        ms: 5,
        input_tokens: 1,
        output_tokens: 1,
        cache_read_tokens: 0,
        cache_write_tokens: 0,
        cost_usd: 0,
      },
    ],
  };
  await sql.rows('select complete_turn($1, $2, $3, $4)', [turn.turn_id, turn.fence, JSON.stringify(result), NOON]);
  await sql.rows('select return_handoff($1, $2, $3, $4)', ['default', dropped?.['id'], 'ana', 'done']);
  await sql.record([said({ id: 'B1', pn: PHONE, lid: '4444', at: minutesAfter(1) })], minutesAfter(1));
  const [timeline] = await sql.rows(
    `select array_agg(distinct e ->> 'what' order by e ->> 'what') as what from jsonb_array_elements(timeline('default', $1, 100) -> 'entries') e`,
    [kept?.['id']],
  );
  assert.deepEqual(timeline?.['what'], ['handoff', 'message', 'model_call', 'tool_call', 'turn']);
});

test('I5 a claim that waited for the conversation begins its turn when it has it, so that turns never overlap on record', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'P1', pn: PHONE })]);
  const [conversation] = await sql.rows('select id from conversations');
  const holder = await sql.client();
  await holder.query('begin');
  await holder.query('select 1 from conversations for no key update');
  const claiming = sql.rows('select claim_turn($1, $2, 30000) as turn', [conversation?.['id'], 'w']);
  await waitsForLock(sql, 'claim_turn', claiming);
  const [released] = (await holder.query<{ at: Date }>('select clock_timestamp() as at')).rows;
  await holder.query('commit');
  await claiming;
  const [turn] = await sql.rows('select started_at >= $1 as after from turns', [released?.at]);
  assert.equal(turn?.['after'], true);
});

test('I10 a pause that ends in the middle of a claim: the picture that came in it is read before it is answered', async (t) => {
  const sql = await openSql(t);
  const text = said({ id: 'P1', at: NOON });
  assert.ok(text.kind === 'message');
  const content = { type: 'image' as const, text: '[imagem]', typed: null, media: null };
  const [stored] = await sql.record([{ ...text, content }], NOON);
  const id = Number(stored?.conversation_id);
  const pause = (status: string) =>
    sql.rows(`insert into julia_status (status, motivo, alterado_via) values ($1, 'x', 'manual')`, [status]);
  const claim = async () =>
    (await sql.rows(`select claim_turns($1, 'w', 30000, null, $2, true) as claims`, [JSON.stringify([id]), minutesAfter(1)]))[0]?.[
      'claims'
    ] as [{ state: string; items?: { message_id: number }[] }];
  await pause('pausado');
  assert.deepEqual((await claim())[0].state, 'paused', 'nothing is paid for meanwhile');
  const holder = await sql.client();
  await holder.query('begin');
  await holder.query('select from conversations where id = $1 for update', [id]);
  const claimed = claim();
  await waitsForLock(sql, 'claim_turns', claimed);
  await pause('ativo');
  await holder.query('commit');
  const [{ state, items }] = await claimed;
  assert.deepEqual([state, items?.length], ['media', 1]);
  assert.deepEqual(await sql.rows('select from turns'), [], 'nothing is held meanwhile');
});
