/** What later news make of a message that is stored: edits, deletions, words that come after it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEALED_EDIT } from '../../src/whatsapp/message-content.ts';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { INSTANCE, minutesAfter, NOON, openSql, said } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

type Change = { text?: string; typed?: string | null; at?: Date; meaning?: object };

function edited(id: string, { text = 'novo', at = NOON, meaning, typed = text }: Change = {}): InboundEvent {
  const event = {
    instance: INSTANCE,
    instanceId: null,
    kind: 'edit',
    providerId: id,
    chat: null,
    text,
    typed,
    changedAt: at.toISOString(),
  };
  return { ...event, ...(meaning === undefined ? {} : { meaning }) } as InboundEvent; // meaning is what the test says
}

function sealed(id: string, at: Date = NOON): InboundEvent {
  return { ...edited(id, { text: SEALED_EDIT, typed: null, at }), unsure: true } as InboundEvent; // an edit with its mark
}

function removed(id: string, unsure: boolean, at: Date = NOON): InboundEvent {
  const event: InboundEvent = { instance: INSTANCE, instanceId: null, kind: 'delete', providerId: id, chat: null };
  return unsure ? { ...event, unsure: true, changedAt: at.toISOString() } : event;
}

const SECONDS = (count: number): Date => minutesAfter(count / 60);

async function shown(sql: Sql): Promise<string[]> {
  return (await sql.dump()).map((line) => line.replace(/^\d+ /, ''));
}

for (const [name, news, end] of [
  ['an edit', [edited('A')], 'in contact received: novo'],
  ['a sealed edit', [sealed('A')], `in contact received: ${SEALED_EDIT}`],
  ['a sealed edit, and its words later', [sealed('A'), edited('A')], 'in contact received: novo'],
  ['an edit, and its sealed form later', [edited('A'), sealed('A', SECONDS(20))], 'in contact received: novo'],
  ['an edit, and its sealed form an hour late', [edited('A'), sealed('A', SECONDS(-5))], 'in contact received: novo'],
  ['an edit, and another one that is sealed', [edited('A'), sealed('A', minutesAfter(3))], `in contact received: ${SEALED_EDIT}`],
  ['a deletion', [removed('A', false)], 'in contact skipped(deleted_by_contact): velho'],
  ['a deletion, and an edit that is late', [removed('A', false), edited('A')], 'in contact skipped(deleted_by_contact): velho'],
  ['a deletion that may be an edit', [removed('A', true)], 'in contact skipped(deleted_or_edited): velho'],
  ['a deletion that was an edit', [removed('A', true), edited('A')], 'in contact received: novo'],
  ['an edit, and the deletion that it looks like', [edited('A'), removed('A', true, SECONDS(1))], 'in contact received: novo'],
  ['an edit, then sure deletion', [edited('A'), removed('A', false)], 'in contact skipped(deleted_by_contact): novo'],
  ['a deletion that may be an edit, and a sealed edit', [removed('A', true), sealed('A')], 'in contact skipped(deleted_or_edited): velho'],
] as [string, InboundEvent[], string][]) {
  test(`W5 F1 news: ${name}: ${end}`, async (t) => {
    const sql = await openSql(t);
    await sql.record([said({ id: 'A', text: 'velho' })], NOON);
    for (const event of news) await sql.record([event], NOON);
    assert.deepEqual(await shown(sql), [end]);
    // Each of them once more, a minute later: nothing moves.
    await sql.record(news, minutesAfter(1));
    const again = await shown(sql);
    if (news.length === 1) assert.deepEqual(again, [end]);
  });

  test(`W5 F1 news: ${name}, before its message: ${end}`, async (t) => {
    const sql = await openSql(t);
    for (const event of news)
      assert.deepEqual(
        (await sql.record([event], NOON)).map((result) => result.outcome),
        ['early'],
      );
    await sql.record([said({ id: 'A', text: 'velho' })], NOON);
    assert.deepEqual(await shown(sql), [end]);
  });
}

test('W5 F1 news: an edit during the debounce begins it anew, and the turn reads the new words', async (t) => {
  const sql = await openSql(t);
  const [first] = await sql.record([said({ id: 'A', text: 'quero 10 caixas' })], NOON);
  const [news] = await sql.record([edited('A', { text: 'quero 1 caixa' })], SECONDS(1));
  assert.equal(news?.wake, true);
  assert.deepEqual(news?.first_pending_at, first?.first_pending_at);
  const claim = await claimTurn(sql, SECONDS(5));
  assert.deepEqual(
    claim.pending?.map((message) => message.text),
    ['quero 1 caixa'],
  );
});

test('W5 F1 news: an answer to words that were edited never goes, however often the contact has interrupted', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'A', text: 'quero 10 caixas' })], NOON);
  await sql.rows('update conversations set superseded_in_row = 5');
  const claim = await claimTurn(sql, SECONDS(5));
  await sql.record([edited('A', { text: 'quero 1 caixa' })], SECONDS(6));
  assert.equal(await complete(sql, claim, SECONDS(8)), 'superseded');
  const second = await claimTurn(sql, SECONDS(9));
  assert.deepEqual(
    second.pending?.map((message) => message.text),
    ['quero 1 caixa'],
  );
  assert.equal(await complete(sql, second, SECONDS(10)), 'committed');
  assert.deepEqual(await shown(sql), ['in contact answered: quero 1 caixa']);
});

test('W5 F1 news: an edit after the answer changes the history, and nothing is answered again', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'A', text: 'quero 10 caixas' })], NOON);
  assert.equal(await complete(sql, await claimTurn(sql, SECONDS(5)), SECONDS(6)), 'committed');
  const [news] = await sql.record([edited('A', { text: 'quero 1 caixa' })], SECONDS(9));
  assert.equal(news?.wake, false);
  assert.deepEqual(await shown(sql), ['in contact answered: quero 1 caixa']);
});

test('O13 opt-out: words that were edited into one hold, and a command that was edited away is none', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'A', text: 'oi' })], NOON);
  await sql.record([edited('A', { text: 'sair', meaning: { intent: 'opt_out', command: null, handset: null } })], SECONDS(1));
  assert.deepEqual(await sql.rows('select source from opt_outs where revoked_at is null'), [{ source: 'message' }]);
  const claim = await claimTurn(sql, SECONDS(5));
  assert.deepEqual(
    claim.pending?.map((message) => message.intent),
    ['opt_out'],
  );

  await sql.rows(`update messages set meaning = '{"command": {"kind": "help"}}'`);
  await sql.record([edited('A', { text: 'deixa pra lá' })], SECONDS(9));
  assert.deepEqual(
    await sql.rows('select meaning from messages'),
    [{ meaning: { command: { kind: 'edited' } } }],
    'which commands nothing',
  );
});

type Claim = { turn_id: number; fence: number; pending?: { text: string; intent: string | null }[] };

async function claimTurn(sql: Sql, now: Date): Promise<Claim> {
  const [row] = await sql.rows(`select claim_turn((select min(id) from conversations), 'w', 90000, $1) as result`, [now]);
  return row?.['result'] as Claim; // what the function's header promises
}

async function complete(sql: Sql, claim: Claim, now: Date): Promise<string> {
  const result = JSON.stringify({ kind: 'answer', parts: [] });
  const [row] = await sql.rows('select complete_turn($1, $2, $3, $4) as result', [claim.turn_id, claim.fence, result, now]);
  const { outcome } = (row ?? {})['result'] as { outcome: string }; // likewise
  return outcome;
}
