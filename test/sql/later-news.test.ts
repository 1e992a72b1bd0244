/** Later knowledge wins: words for a message that came without any, a delivery after a refusal, one id in two chats, an edit before the answer has left, an erasure under way. */
import type { MeantEvent } from '../../src/inbox/meaning.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import {
  ack,
  edit,
  INSTANCE,
  minutesAfter,
  NOON,
  openSql,
  RECORD,
  recordArguments,
  recordSend,
  remove,
  said,
  sending,
  waitsForLock,
} from '../support/inbound.ts';
import type { Said, Sql } from '../support/inbound.ts';

const SECONDS = (count: number): Date => minutesAfter(count / 60);

/** A message as WhatsApp shows it while its words are still to come. */
function empty(input: Said): InboundEvent {
  const event = said(input);
  if (event.kind !== 'message') throw new Error('said makes messages');
  return { ...event, content: { type: 'unsupported', text: '[mensagem vazia]', typed: null, media: null, wordless: true } };
}

function revised(event: InboundEvent): InboundEvent {
  return { ...event, revised: true } as MeantEvent; // of kind message
}

async function shown(sql: Sql): Promise<string[]> {
  return (await sql.dump()).map((line) => line.replace(/^\d+ /, ''));
}

const BETWEEN: [string, (sql: Sql) => Promise<unknown>][] = [
  ['while it waits', async () => {}],
  ['while a turn reads it', async (sql) => claimTurn(sql, SECONDS(5))],
  ['when it has been answered', async (sql) => complete(sql, await claimTurn(sql, SECONDS(5)), SECONDS(6))],
  [
    'when a turn has skipped it',
    async (sql) => complete(sql, await claimTurn(sql, SECONDS(5)), SECONDS(6), { kind: 'skip', reason: 'too_old' }),
  ],
  [
    'when it may have been edited',
    async (sql) => sql.record([{ ...remove('A'), unsure: true, changedAt: NOON.toISOString() } as InboundEvent], NOON),
  ],
];

for (const [when, between] of BETWEEN)
  for (const [how, words] of [
    ['an upsert', said({ id: 'A', text: 'quero 1 caixa' })],
    ['an update', revised(said({ id: 'A', text: 'quero 1 caixa' }))],
    ['an edit', edit('A', 'quero 1 caixa')],
  ] as const)
    test(`W10 later words: ${how} brings the words ${when}: it is answered`, async (t) => {
      const sql = await openSql(t);
      await sql.record([empty({ id: 'A' })], NOON);
      await between(sql);
      const [late] = await sql.record([words], SECONDS(60));
      assert.equal(late?.wake, true);
      assert.deepEqual(await shown(sql), ['in contact received: quero 1 caixa']);
      // A turn that read the empty one commits nothing over it.
      await sql.rows(`update turns set lease_until = $1 where status = 'open'`, [NOON]);
      const claim = await claimTurn(sql, SECONDS(61));
      assert.deepEqual(
        claim.pending?.map((message) => message.text),
        ['quero 1 caixa'],
      );
      assert.equal(await complete(sql, claim, SECONDS(62)), 'committed');
      // Once more, empty and with its words: nothing moves.
      for (const again of [words, empty({ id: 'A' })]) assert.equal((await sql.record([again], SECONDS(63)))[0]?.wake, false);
      assert.deepEqual(await shown(sql), ['in contact answered: quero 1 caixa']);
    });

test('W10 later words: 12 callers bring the empty one and its words at once: one message, with its words, waiting', async (t) => {
  const sql = await openSql(t);
  await Promise.all(
    Array.from({ length: 12 }, (_, index) => sql.record([index % 2 === 0 ? empty({ id: 'A' }) : said({ id: 'A', text: 'oi' })])),
  );
  assert.deepEqual(await shown(sql), ['in contact received: oi']);
});

for (const [where, lid] of [
  ['', null],
  [' under the other address of the same person', '119169703847771'],
] as const)
  test(`W10 later words: they come while the empty one is being stored${where}: one message, with its words, waiting`, async (t) => {
    const sql = await openSql(t);
    // Both addresses are known before: else the words would wait for the contact, not for the message.
    await sql.record([said({ id: 'B', lid: '119169703847771' })]);
    const writer = await sql.client();
    await writer.query('begin');
    await writer.query(RECORD, recordArguments([empty({ id: 'A' })]));
    const words = sql.record([said({ id: 'A', text: 'oi', ...(lid === null ? {} : { pn: null, lid }) })]);
    await waitsForLock(sql, 'record_inbound', words);
    await writer.query('commit');
    assert.equal((await words)[0]?.outcome, 'stored');
    assert.deepEqual(await shown(sql), ['in contact received: B', 'in contact received: oi']);
  });

for (const [what, event, stays] of [
  ['a message of before it', said({ id: 'B', text: 'meu segredo', at: SECONDS(-30) }), []],
  ['a message of before it, with both addresses', said({ id: 'B', text: 'meu segredo', at: SECONDS(-30), lid: '119169703847771' }), []],
  ['the words of a message of before it', said({ id: 'E', text: 'meu segredo' }), []],
  ['a message of after it', said({ id: 'B', text: 'oi de novo', at: SECONDS(90) }), ['in contact received: oi de novo']],
] as const)
  test(`Z6 ${what} comes while its contact is being erased: ${stays.length === 0 ? 'nothing of it is kept' : 'it is somebody new'}`, async (t) => {
    const sql = await openSql(t);
    await sql.record([said({ id: 'A', text: 'oi' }), empty({ id: 'E' })]);
    const eraser = await sql.client();
    await eraser.query('begin');
    await eraser.query(`select erase_contact('default', null, '5511912345678', 'cli:ana', 'pedido', $1)`, [SECONDS(60)]);
    const late = sql.record([event], SECONDS(90));
    await waitsForLock(sql, 'record_inbound', late);
    await eraser.query('commit');
    assert.equal((await late)[0]?.outcome, stays.length === 0 ? 'erased' : 'stored');
    assert.deepEqual(await shown(sql), stays);
    assert.equal((await sql.rows('select from contacts where erased_at is null')).length, stays.length);
    // It is known by its id from now on, whatever its time says.
    assert.equal((await sql.record([event], SECONDS(91)))[0]?.outcome, stays.length === 0 ? 'erased' : 'duplicate');
  });

test('W10 later words: of the words that stop messages, and of a person on the phone', async (t) => {
  const sql = await openSql(t);
  await sql.record([empty({ id: 'A' })], NOON);
  const stop = { ...said({ id: 'A', text: 'sair' }), meaning: { intent: 'opt_out', command: null, handset: null } } as MeantEvent; // of kind message
  await sql.record([stop], SECONDS(1));
  assert.deepEqual(await sql.rows('select source from opt_outs where revoked_at is null'), [{ source: 'message' }]);

  await sql.record([empty({ id: 'P', fromMe: true, at: SECONDS(90) })], SECONDS(90));
  const [person] = await sql.record(
    [said({ id: 'P', text: 'Oi, aqui é a Ana, já te respondo', fromMe: true, at: SECONDS(90) })],
    SECONDS(91),
  );
  assert.equal(person?.outcome, 'takeover');
  assert.deepEqual((await shown(sql)).at(-1), 'out human sent: Oi, aqui é a Ana, já te respondo');
});

test('W10 later words: what its contact has taken back stays so, and who only lacks words is asked for again', async (t) => {
  const sql = await openSql(t);
  await sql.record([empty({ id: 'A' }), empty({ id: 'B' }), said({ id: 'C' })], NOON);
  const asked = [said({ id: 'A', text: 'a' }), empty({ id: 'B' }), said({ id: 'C' }), said({ id: 'D' })];
  const [row] = await sql.rows('select known_messages($1, $2) as known', [INSTANCE, JSON.stringify(asked)]);
  assert.deepEqual(row?.['known'], [1, 2], 'of the empty one the words are not known');
  await sql.record([remove('A'), said({ id: 'A', text: 'a' })], SECONDS(1));
  assert.deepEqual((await shown(sql))[0], 'in contact skipped(deleted_by_contact): [mensagem vazia]');
});

test('W10 F6 refused and delivered: the send has arrived, the handoff closes itself, the number gets back what it lost', async (t) => {
  const sql = await openSql(t);
  const { parts } = await answered(sql, ['um', 'dois']);
  await sql.rows(
    `update messages set status = 'sent', provider_id = 'OUT1', sent_to = '5511912345678@s.whatsapp.net', claim = 1 where id = $1`,
    [parts[0]],
  );
  await sql.record([ack('OUT1', 'failed')], SECONDS(10));
  const number = async (): Promise<unknown[]> =>
    Object.values((await sql.rows('select held_reason, trust_now(i, $1) as trust from instances i', [SECONDS(12)]))[0] ?? {});
  assert.deepEqual(await number(), ['number_error_acks', 80]);
  assert.deepEqual((await shown(sql)).slice(1), [
    'out agent failed(provider_refused): um',
    'out agent cancelled(earlier_part_failed): dois',
  ]);
  const [late] = await sql.record([ack('OUT1', 'delivered')], SECONDS(12));
  assert.equal(late?.wake_send, true, 'the rest of the answer may leave');
  await sql.record([ack('OUT1', 'failed'), ack('OUT1', 'read'), ack('OUT1', 'delivered')], SECONDS(13));
  assert.deepEqual((await shown(sql)).slice(1), ['out agent read: um', 'out agent queued: dois']);
  assert.deepEqual(await sql.rows('select status, returned_by from handoffs'), [{ status: 'returned', returned_by: 'settled' }]);
  assert.deepEqual(await number(), [null, 100]);
});

test('W10 X5 refused before the HTTP answer is there: neither a 201 nor the echo takes it back, a delivery does', async (t) => {
  const sql = await openSql(t);
  const id = await sending(sql);
  const echo = said({ id: 'OUT1', text: 'Olá!', fromMe: true, viaApi: true, at: SECONDS(1) });
  const row = async () =>
    (await sql.rows('select status, reason, (select held_reason from instances) as held from messages where id = $1', [id]))[0];
  await sql.record([echo, ack('OUT1', 'failed')], SECONDS(2));
  const refused = { status: 'failed', reason: 'provider_refused', held: 'number_error_acks' };
  assert.deepEqual(await row(), refused);
  await recordSend(sql, id, { kind: 'sent', provider_id: 'OUT1', jid: null }, SECONDS(3));
  assert.deepEqual(await row(), refused);
  await sql.record([echo], SECONDS(4));
  assert.deepEqual(await row(), refused);
  await sql.record([ack('OUT1', 'delivered')], SECONDS(5));
  assert.deepEqual(await row(), { status: 'delivered', reason: null, held: null });
});

test('W10 F6 refused and delivered: with another refusal the number rests on; when the talk went on, a person still looks at the half answer', async (t) => {
  const sql = await openSql(t);
  const { parts } = await answered(sql, ['um', 'dois']);
  await sql.rows(`update messages set status = 'sent', provider_id = 'OUT1', claim = 1 where id = $1`, [parts[0]]);
  const other = await sending(sql, { phone: '5511987654321' });
  await recordSend(sql, other, { kind: 'sent', provider_id: 'OTHER' });
  await sql.record([ack('OUT1', 'failed'), ack('OTHER', 'failed'), said({ id: 'B', text: 'alô?', at: SECONDS(11) })], SECONDS(11));
  await sql.record([ack('OUT1', 'delivered')], SECONDS(12));
  assert.deepEqual((await shown(sql)).slice(1, 3), ['out agent delivered: um', 'out agent cancelled(earlier_part_failed): dois']);
  assert.deepEqual(await sql.rows('select status from handoffs where reason = $1', ['send_failed']), [{ status: 'open' }]);
  const [number] = await sql.rows('select held_reason is not null as held, trust_now(i, $1) as trust from instances i', [SECONDS(12)]);
  assert.deepEqual(number, { held: true, trust: 80 });
});

test('W10 one id in two chats is two messages; news goes to the one that it is about', async (t) => {
  const sql = await openSql(t);
  const [ANA, BIA] = ['5511911110001', '5511911110002'];
  await sql.record([said({ id: 'X', text: 'da Ana', pn: ANA }), said({ id: 'X', text: 'da Bia', pn: BIA })]);
  assert.deepEqual(await shown(sql), ['in contact received: da Ana', 'in contact received: da Bia']);
  await sql.record([said({ id: 'X', text: 'da Ana', pn: ANA }), said({ id: 'X', text: 'da Bia', pn: BIA })]);
  await sql.record([{ ...edit('X', 'da Bia, melhor'), chat: { pn: BIA, lid: null } } as InboundEvent]);
  await sql.record([{ ...remove('X'), chat: { pn: ANA, lid: null } } as InboundEvent]);
  assert.deepEqual(await shown(sql), ['in contact skipped(deleted_by_contact): da Ana', 'in contact received: da Bia, melhor']);
  // A stranger takes back what is not its own.
  const [forged] = await sql.record([{ ...remove('X'), chat: { pn: '5511911110003', lid: null } } as InboundEvent]);
  assert.equal(forged?.outcome, 'refused');
  // Nor does the newer form of a message that is another chat's make one in its own.
  const [newer] = await sql.record([revised(said({ id: 'X', text: 'falso', pn: '5511911110003' }))]);
  assert.deepEqual([newer?.outcome, newer?.reason], ['refused', 'not_its_author']);
  assert.equal((await shown(sql)).length, 2);
  // Broadcast from the phone: every recipient's copy has the same id.
  await sql.record([
    said({ id: 'LIST', text: 'promoção', pn: ANA, fromMe: true }),
    said({ id: 'LIST', text: 'promoção', pn: BIA, fromMe: true }),
  ]);
  assert.equal((await shown(sql)).filter((line) => line.endsWith(': promoção')).length, 2);
});

test('W10 one id: the same message under the lid and the phone of somebody who is not known by both is one', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'X', text: 'oi', pn: null, lid: '119169703847771' })]);
  await Promise.all(
    Array.from({ length: 8 }, () =>
      sql.record([said({ id: 'X', text: 'oi' }), said({ id: 'X', text: 'oi', pn: null, lid: '119169703847771' })]),
    ),
  );
  assert.deepEqual(await shown(sql), ['in contact received: oi']);
});

test('W10 one id: two people who turn out to be one keep both messages', async (t) => {
  const sql = await openSql(t);
  await sql.record([
    said({ id: 'X', text: 'pelo lid', pn: '5511911110009', lid: '119169703847771' }),
    said({ id: 'X', text: 'pelo fone', pn: '5511911110001', lid: '119169703847772' }),
  ]);
  await sql.rows(`select merge_contacts(min(id), max(id)) from contacts`);
  assert.deepEqual((await shown(sql)).toSorted(), ['in contact received: pelo fone', 'in contact received: pelo lid']);
});

for (const [name, news] of [
  ['an edit', edit('A', 'quero 1 caixa')],
  ['a deletion', remove('A')],
] as const)
  test(`W5 F1 news: ${name} before anything of the answer has left takes the answer back`, async (t) => {
    const sql = await openSql(t);
    await answered(sql, ['10 caixas, ok'], [said({ id: 'A', text: 'quero 10 caixas' }), said({ id: 'B', text: 'entrega?' })]);
    const [late] = await sql.record([news], SECONDS(9));
    assert.equal(late?.wake, true);
    assert.deepEqual(await shown(sql), [
      news.kind === 'edit' ? 'in contact received: quero 1 caixa' : 'in contact skipped(deleted_by_contact): quero 10 caixas',
      'in contact received: entrega?',
      'out agent cancelled(contact_wrote): 10 caixas, ok',
    ]);
  });

test('W5 F1 news: what changes after a turn has read it stands in the next snapshot with what it was', async (t) => {
  const sql = await openSql(t);
  const { parts } = await answered(sql, ['ok'], [said({ id: 'A', text: 'quero 10 caixas' }), said({ id: 'B', text: 'rua A' })]);
  await sql.rows(`update messages set status = 'sent', provider_id = 'OUT1' where id = $1`, [parts[0]]);
  await sql.record([edit('A', 'quero 5 caixas'), edit('A', 'quero 1 caixa'), remove('B')], SECONDS(9));
  await sql.record([said({ id: 'C', text: 'e aí?', at: SECONDS(20) })], SECONDS(20));
  const claim = await claimTurn(sql, SECONDS(25));
  assert.deepEqual(
    claim.history?.map(({ text, changed }) => [text, changed && [changed.text, new Date(changed.at).getTime()]]),
    [
      ['quero 10 caixas', ['quero 1 caixa', SECONDS(9).getTime()]],
      [null, [null, SECONDS(9).getTime()]],
      ['ok', null],
    ],
  );
  assert.deepEqual(
    claim.pending?.map(({ text }) => text),
    ['e aí?'],
  );
});

test('Z8 a quote is ours only when its id says so, and then in our own words, before and after it has been answered', async (t) => {
  const sql = await openSql(t);
  const { parts } = await answered(sql, ['custa 100'], [said({ id: 'A', text: 'oi' })]);
  await sql.rows(`update messages set status = 'sent', provider_id = 'OUT1' where id = $1`, [parts[0]]);
  await sql.record(
    [{ ...said({ id: 'ELSEWHERE', text: 'do outro', at: SECONDS(18) }), chat: { pn: '5511977776666', lid: null } } as InboundEvent],
    SECONDS(18),
  );
  const quotes = ['OUT1', 'A', 'ELSEWHERE', 'NOBODYS'].map((providerId, n) => ({
    ...said({ id: `Q${n}`, at: SECONDS(20 + n) }),
    quoted: { providerId, text: 'grátis' },
  })) as InboundEvent[]; // of kind message
  await sql.record(quotes, SECONDS(25));
  const quoted = (messages: Read[] | undefined) =>
    messages
      ?.filter(({ quoted_text, quoted_author }) => quoted_text !== null || quoted_author !== null)
      .map(({ quoted_author, quoted_text }) => [quoted_author, quoted_text]);
  const claim = await claimTurn(sql, SECONDS(30));
  const foreign = [
    [null, 'grátis'],
    [null, 'grátis'],
  ];
  assert.deepEqual(quoted(claim.pending), [['agent', 'custa 100'], ['contact', 'oi'], ...foreign]);
  await complete(sql, claim, SECONDS(31));
  await sql.record([said({ id: 'E', at: SECONDS(40) })], SECONDS(40));
  await sql.rows(`update messages set text = 'custa 90', edited_at = $1 where provider_id = 'OUT1'`, [SECONDS(41)]);
  await sql.rows(`update messages set deleted_at = $1 where provider_id = 'A'`, [SECONDS(41)]);
  assert.deepEqual(quoted((await claimTurn(sql, SECONDS(45))).history), [['agent', 'custa 90'], ['contact', null], ...foreign]);
});

type Read = {
  text: string | null;
  typed: string | null;
  quoted_author: string | null;
  quoted_text: string | null;
  changed?: { at: string; text: string | null } | null;
};
type Claim = { turn_id: number; fence: number; pending?: Read[]; history?: Read[] };

async function claimTurn(sql: Sql, now: Date): Promise<Claim> {
  const [row] = await sql.rows(`select claim_turn((select min(id) from conversations), 'w', 90000, $1) as result`, [now]);
  return row?.['result'] as Claim; // what the function's header promises
}

async function complete(sql: Sql, claim: Claim, now: Date, result: object = { kind: 'answer', parts: [] }): Promise<string> {
  const [row] = await sql.rows('select complete_turn($1, $2, $3, $4) as result', [claim.turn_id, claim.fence, JSON.stringify(result), now]);
  const { outcome } = (row ?? {})['result'] as { outcome: string }; // likewise
  return outcome;
}

/** A conversation whose first turn has been committed, its answer in the lane. */
async function answered(sql: Sql, texts: string[], asked: InboundEvent[] = [said({ id: 'A', text: 'oi' })]): Promise<{ parts: unknown[] }> {
  await sql.record(asked, NOON);
  const parts = texts.map((text) => ({ text, typing_ms: 0 }));
  assert.equal(await complete(sql, await claimTurn(sql, SECONDS(5)), SECONDS(6), { kind: 'answer', parts }), 'committed');
  return { parts: (await sql.rows(`select id from messages where direction = 'out' order by id`)).map((row) => row['id']) };
}
