/** Whose words: an edit or a deletion touches a message of its own author only, whoever knows the id. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatAddress, InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { INSTANCE, minutesAfter, NOON, openSql, recordSend, said, sending } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

const MARIA = '5511912345678';
const JOAO = '5511987654321';
const MARIA_LID = '119123456789012';
const OTHER_NUMBER = 'julia-2';
const OTHER_TENANT = 'vizinha';

type By = { fromMe?: boolean; chat?: ChatAddress | null; instance?: string };

function edits(id: string, { fromMe, chat = null, instance = INSTANCE }: By): InboundEvent {
  const by = fromMe === undefined ? {} : { fromMe };
  const changedAt = minutesAfter(2).toISOString();
  return { instance, instanceId: null, kind: 'edit', providerId: id, chat, ...by, text: 'falso', typed: 'falso', changedAt };
}

function removes(id: string, { fromMe, chat = null, instance = INSTANCE }: By): InboundEvent {
  return { instance, instanceId: null, kind: 'delete', providerId: id, chat, ...(fromMe === undefined ? {} : { fromMe }) };
}

/** Maria wrote (known by both addresses), the agent answered, a person typed; João wrote too. */
async function talk(t: Parameters<typeof openSql>[0]): Promise<Sql> {
  const sql = await openSql(t);
  await sql.rows(`insert into tenants (id, name) values ('${OTHER_TENANT}', 'Vizinha')`);
  await sql.rows(`insert into instances (name, tenant_id) values ('${OTHER_NUMBER}', 'default'), ('${OTHER_TENANT}', '${OTHER_TENANT}')`);
  await sql.record([said({ id: 'HERS', text: 'quero 1 caixa', lid: MARIA_LID }), said({ id: 'HIS', text: 'oi', pn: JOAO })], NOON);
  const answer = await sending(sql, { text: 'São 10 reais' });
  await recordSend(sql, answer, { kind: 'sent', provider_id: 'OURS' }, minutesAfter(1));
  await sql.record([said({ id: 'STAFF', text: 'Aqui é a Ana, com desconto', fromMe: true, at: minutesAfter(1) })], minutesAfter(1));
  return sql;
}

/** The new owner of her number writes: the account that had it keeps its history. */
async function movesNumber(sql: Sql): Promise<void> {
  await sql.record([said({ id: 'NEW', text: 'oi', pn: MARIA, lid: '119000000000001', at: minutesAfter(1) })], minutesAfter(1));
}

const state = (sql: Sql) => sql.rows('select provider_id, text, edited_at, deleted_at, status, original_text from messages order by id');

const hers: ChatAddress = { pn: MARIA, lid: null };
const refused: [who: string, id: string, by: By][] = [
  ['the contact, of the agent', 'OURS', { fromMe: false, chat: hers }],
  ['the contact, of the agent, at the lid', 'OURS', { fromMe: false, chat: { pn: null, lid: MARIA_LID } }],
  ['the contact, of the agent, without a chat', 'OURS', { fromMe: false }],
  ['the contact, of a person of ours', 'STAFF', { fromMe: false, chat: hers }],
  ['nobody knows who, of the agent', 'OURS', {}],
  ['nobody knows who, of a person of ours', 'STAFF', {}],
  ['another contact, of the agent', 'OURS', { fromMe: false, chat: { pn: JOAO, lid: null } }],
  ['another contact, of hers', 'HERS', { fromMe: false, chat: { pn: JOAO, lid: null } }],
  ['a stranger, of hers', 'HERS', { fromMe: false, chat: { pn: '5511900001111', lid: null } }],
  ['a stranger at a lid, of hers', 'HERS', { fromMe: false, chat: { pn: null, lid: '119000000000001' } }],
  ['a stranger at a lid, of his, who is known by the phone only', 'HIS', { fromMe: false, chat: { pn: null, lid: '119000000000001' } }],
  ['her number under a lid that nobody knows, of hers', 'HERS', { fromMe: false, chat: { pn: MARIA, lid: '119000000000009' } }],
  ['her number, which another account has now, of hers', 'HERS', { fromMe: false, chat: { pn: MARIA, lid: '119000000000001' } }],
  ['our number, of hers', 'HERS', { fromMe: true, chat: hers }],
  ['our number, of his', 'HIS', { fromMe: true }],
];

test('Z3 authors: what is not said by its author is refused, leaves a trace, and moves nothing; the same before its message came', async (t) => {
  const sql = await talk(t);
  for (const [who, id, by] of refused) {
    if (who.startsWith('her number')) await movesNumber(sql);
    const before = await state(sql);
    const unsure = { unsure: true, changedAt: NOON.toISOString() } as const;
    const tricks: InboundEvent[] = [edits(id, by), removes(id, by), { ...edits(id, by), ...unsure }, { ...removes(id, by), ...unsure }];
    for (const news of tricks) {
      const [result] = await sql.record([news], minutesAfter(3));
      assert.deepEqual([result?.outcome, result?.reason, result?.wake], ['refused', 'not_its_author', false], who);
      assert.deepEqual(await state(sql), before, who);
    }
    const [row] = await sql.rows('update messages set provider_id = null where provider_id = $1 returning id', [id]);
    for (const news of tricks) assert.equal((await sql.record([news], minutesAfter(3)))[0]?.outcome, 'early');
    await sql.rows('update messages set provider_id = $2 where id = $1', [row?.['id'], id]);
    await sql.rows(`select apply_early((select id from instances where name = '${INSTANCE}'), $1, $2)`, [id, minutesAfter(4)]);
    assert.deepEqual(await state(sql), before, `${who}, early`);
  }
  const [traces] = await sql.rows(`select count(*)::int as n from webhook_events where results -> 0 ->> 'outcome' = 'refused'`);
  assert.deepEqual(traces, { n: 4 * refused.length });
});

for (const instance of [OTHER_NUMBER, OTHER_TENANT]) {
  test(`Z3 authors: news on ${instance} knows no message of ${INSTANCE}, under whichever id`, async (t) => {
    const sql = await talk(t);
    const before = await state(sql);
    for (const id of ['HERS', 'HIS', 'OURS', 'STAFF'])
      for (const fromMe of [true, false])
        await sql.record([edits(id, { fromMe, instance, chat: hers }), removes(id, { fromMe, instance, chat: hers })], minutesAfter(3));
    assert.deepEqual(await state(sql), before);
  });
}

const allowed: [who: string, id: string, by: By][] = [
  ['the contact, of hers', 'HERS', { fromMe: false, chat: hers }],
  ['the contact at her lid', 'HERS', { fromMe: false, chat: { pn: null, lid: MARIA_LID } }],
  ['the contact with both addresses', 'HERS', { fromMe: false, chat: { pn: MARIA, lid: MARIA_LID } }],
  ['the contact with a number that nobody has seen, and her lid', 'HERS', { fromMe: false, chat: { pn: '5511911112222', lid: MARIA_LID } }],
  ['a contact known by the phone only, under the lid beside it', 'HIS', { fromMe: false, chat: { pn: JOAO, lid: '119876543210123' } }],
  ['nobody says who, of hers', 'HERS', {}],
  ['our number, of the agent', 'OURS', { fromMe: true, chat: hers }],
  ['our number, of a person of ours', 'STAFF', { fromMe: true, chat: hers }],
  ['our number, without a chat', 'STAFF', { fromMe: true }],
];

for (const [who, id, by] of allowed) {
  test(`Z3 authors: ${who}: changed`, async (t) => {
    const sql = await talk(t);
    const before = await state(sql);
    assert.equal((await sql.record([edits(id, by)], minutesAfter(3)))[0]?.outcome, 'edit');
    const after = await state(sql);
    assert.deepEqual(
      after
        .map((row, index) => (row['text'] === before[index]?.['text'] ? null : [row['provider_id'], row['text']]))
        .filter((each) => each !== null),
      [[id, 'falso']],
    );
    assert.equal((await sql.record([removes(id, by)], minutesAfter(4)))[0]?.outcome, 'delete');
    assert.equal((await sql.rows('select from messages where deleted_at is not null')).length, 1);
  });
}

test('Z3 authors: news about an id that we chose and have not heard of is no proof that it left, unless it is ours', async (t) => {
  const sql = await talk(t);
  const id = await sending(sql, { text: 'Até amanhã', now: minutesAfter(5) });
  const [row] = await sql.rows('select wire_id from messages where id = $1', [id]);
  const wireId = String(row?.['wire_id']);
  await sql.record([edits(wireId, { fromMe: false, chat: hers }), removes(wireId, {})], minutesAfter(6));
  assert.deepEqual(await sql.rows('select status, provider_id, text from messages where id = $1', [id]), [
    { status: 'sending', provider_id: null, text: 'Até amanhã' },
  ]);
});

test('Z3 authors: words that a message came without come from its author, and from nobody at a lid that nobody knows', async (t) => {
  const sql = await talk(t);
  const stub = said({ id: 'LATER', pn: JOAO });
  assert.equal(stub.kind, 'message');
  const content = { type: 'unsupported', text: '[mensagem vazia]', typed: null, media: null, wordless: true } as const;
  await sql.record([{ ...stub, content }], minutesAfter(2));
  const before = await state(sql);
  const stranger = said({ id: 'LATER', text: 'falso', pn: null, lid: '119000000000001' });
  assert.equal(stranger.kind, 'message');
  for (const event of [stranger, { ...stranger, revised: true as const }]) {
    const [result] = await sql.record([event], minutesAfter(3));
    assert.deepEqual([result?.outcome, await state(sql)], [event === stranger ? 'duplicate' : 'refused', before]);
  }
  await sql.record([said({ id: 'LATER', text: 'as palavras dele', pn: JOAO, lid: '119876543210123' })], minutesAfter(4));
  assert.equal((await state(sql)).find((row) => row['provider_id'] === 'LATER')?.['text'], 'as palavras dele');
});
