/** Erased stays erased: every address that a person had, in every writing, in whatever was put aside, also while something comes in the very moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { jidVariants } from '../../src/words/phone.ts';
import { ack, edit, INSTANCE, minutesAfter, openSql, remove, said, TAKEOVER, waitsForLock } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

const PN = '5511912345678';
const PN2 = '5511987654321';
const LID = '119169703847771';
const LID2 = '119169703847772';
const WORDS = 'tenho cardiopatia';

type Heard = { outcome: string; conversation_id?: number };

/** One webhook that says this, and whose body is `raw`. */
async function hear(sql: Sql, event: InboundEvent, raw: unknown = event, now: Date | null = null): Promise<Heard> {
  const webhook = { requestId: 'r', instance: INSTANCE, event: 'test', raw, events: [event] };
  const [row] = await sql.rows('select record_inbound($1, $2, $3) -> 0 -> $4 -> 0 as result', [
    JSON.stringify([webhook]),
    JSON.stringify(TAKEOVER),
    now,
    'results',
  ]);
  return row?.['result'] as Heard; // as the header of record_inbound promises
}

/** A message of a group, which is put aside. */
const group = (id: string): InboundEvent => ({
  kind: 'ignored',
  reason: 'group',
  kept: true,
  providerId: id,
  instance: INSTANCE,
  instanceId: null,
});
const from = (participant: string, words = WORDS) => ({ participant: `${participant}@s.whatsapp.net`, words });

async function erase(sql: Sql, who: { id?: number; phone?: string }, now: Date | null = null): Promise<string> {
  const [row] = await sql.rows(`select erase_contact('default', $1, $2, 'cli:ana', 'pedido', $3) ->> 'outcome' as outcome`, [
    who.id ?? null,
    who.phone ?? null,
    now,
  ]);
  return String(row?.['outcome']);
}

/** In which tables these words stand. */
async function left(sql: Sql, ...words: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const table of ['webhook_events', 'early_updates', 'messages', 'contact_addresses', 'former_phones', 'erasures', 'audit_log'])
    for (const word of words)
      if ((await sql.rows(`select from ${table} t where to_jsonb(t)::text like '%' || $1 || '%'`, [word])).length > 0)
        found.push(`${word} in ${table}`);
  return found;
}

const minute = (n: number) => minutesAfter(n);

test('Z6 an earlier phone of an erased person is theirs until it was another’s: what was sent from it before does not come back, what is sent after is somebody else’s', async (t) => {
  const sql = await openSql(t);
  await hear(sql, said({ id: 'A', pn: PN, lid: LID, at: minute(0) }), {}, minute(0));
  await hear(sql, group('G'), from(PN), minute(1));
  await hear(sql, said({ id: 'B', pn: PN2, lid: LID, at: minute(10) }), {}, minute(10));
  assert.equal(await erase(sql, { phone: PN2 }, minute(20)), 'erased');
  assert.deepEqual(await left(sql, PN, PN2, LID, WORDS), []);

  // what Evolution still has of before, and news of it
  assert.equal((await hear(sql, said({ id: 'C', pn: PN, text: WORDS, at: minute(5) }), from(PN), minute(30))).outcome, 'erased');
  assert.equal(
    (await hear(sql, { ...edit('D', WORDS), chat: { pn: PN, lid: null } } as InboundEvent, from(PN), minute(30))).outcome,
    'erased',
  );
  await hear(sql, group('G2'), from(PN), minute(30));
  assert.deepEqual(await left(sql, PN, WORDS), []);

  const next = await hear(
    sql,
    said({ id: 'E', pn: PN, text: 'sou outra pessoa', at: minute(12) }),
    from(PN, 'sou outra pessoa'),
    minute(31),
  );
  assert.equal(next.outcome, 'stored', 'it was sent after the number had changed hands, and before the erasure');
  assert.deepEqual(await left(sql, 'sou outra pessoa'), ['sou outra pessoa in webhook_events', 'sou outra pessoa in messages']);
  assert.equal((await hear(sql, group('G3'), from(PN, 'bom dia'), minute(32))).outcome, 'ignored');
  assert.deepEqual(await left(sql, 'bom dia'), ['bom dia in webhook_events'], 'entries of who has it now are kept');
});

test('Z6 who has the earlier phone of an erased person keeps everything, also in a restored backup', async (t) => {
  const sql = await openSql(t);
  await sql.rows(`update instances set created_at = $1`, [minute(-60)]);
  await hear(sql, said({ id: 'A', pn: PN, lid: LID, at: minute(0) }), from(PN, 'da primeira'), minute(0));
  const other = await hear(sql, said({ id: 'N', pn: null, lid: LID2, text: 'oi', at: minute(1) }), {}, minute(1));
  await hear(sql, said({ id: 'B', pn: PN2, lid: LID, at: minute(10) }), {}, minute(10));
  const now = await hear(
    sql,
    said({ id: 'O', pn: PN, lid: LID2, text: 'agora é meu', at: minute(11) }),
    from(PN, 'agora é meu'),
    minute(11),
  );
  assert.equal(now.conversation_id, other.conversation_id);
  await sql.rows(`update contacts set created_at = $1`, [minute(0)]);
  await sql.rows(`update contact_addresses set created_at = case address when $3 then $2 else $1 end::timestamptz`, [
    minute(1),
    minute(11),
    PN,
  ]);
  const eraser = await sql.client();
  await eraser.query('begin');
  await eraser.query(`select erase_contact('default', null, $1, 'cli:ana', 'pedido', $2)`, [PN2, minute(20)]);
  const { rows } = await eraser.query<{ list: unknown }>('select list_erasures(null) as list');
  await eraser.query('rollback');
  const list = JSON.stringify(rows[0]?.list);
  const [applied] = await sql.rows(`select apply_erasures($1::jsonb || $1::jsonb, 'restore', $2) ->> 'erased' as n`, [list, minute(40)]);
  assert.equal(applied?.['n'], '1');
  assert.deepEqual(await left(sql, PN2, 'da primeira'), []);
  assert.deepEqual(await left(sql, 'agora é meu'), ['agora é meu in webhook_events', 'agora é meu in messages']);
  assert.equal((await hear(sql, said({ id: 'P', pn: PN, lid: LID2, at: minute(15) }), {}, minute(41))).outcome, 'stored');
});

test('Z6 a backup of before a number changed hands: who has it since is heard in full after the restore', async (t) => {
  const sql = await openSql(t);
  await hear(sql, said({ id: 'A', pn: PN, lid: LID, at: minute(0) }), {}, minute(0));
  await sql.rows(`update contacts set created_at = $1`, [minute(0)]);
  await sql.rows(`update contact_addresses set created_at = $1`, [minute(0)]);
  const later = await sql.client();
  await later.query('begin');
  await later.query('select move_phone(i, $1, null, $2) from instances i', [PN, minute(10)]);
  await later.query(`select erase_contact('default', 1, null, 'cli:ana', 'pedido', $1)`, [minute(20)]);
  const { rows } = await later.query<{ list: unknown }>('select list_erasures(null) as list');
  await later.query('rollback');
  await sql.rows(`select apply_erasures($1, 'restore', $2)`, [JSON.stringify(rows[0]?.list), minute(40)]);
  assert.deepEqual(await left(sql, PN, LID), []);
  assert.equal((await hear(sql, said({ id: 'B', pn: PN, at: minute(5) }), {}, minute(41))).outcome, 'erased');
  assert.equal((await hear(sql, said({ id: 'C', pn: PN, at: minute(15) }), {}, minute(41))).outcome, 'stored');
});

for (const [country, canonical, other] of [
  ['Brazil', '5531988887772', '553188887772'],
  ['Mexico', '525512345678', '5215512345678'],
  ['Argentina', '541123456789', '5491123456789'],
] as const)
  test(`Z6 ${country}: both writings of a phone are found in what is stored, and known in what comes later`, async (t) => {
    const sql = await openSql(t);
    const [row] = await sql.rows('select both_writings($1) as one, both_writings($2) as two', [canonical, other]);
    const writings = jidVariants(`${canonical}@s.whatsapp.net`)
      .map((jid) => jid.split('@')[0] ?? '')
      .toSorted((a, b) => a.localeCompare(b));
    assert.deepEqual(row, { one: writings, two: writings });
    await hear(sql, said({ id: 'A', pn: canonical }), { remoteJid: `${canonical}@s.whatsapp.net` });
    await hear(sql, ack('X', 'read'), from(other));
    await hear(sql, group('G'), from(other));
    assert.equal((await left(sql, other)).length, 1);
    assert.equal(await erase(sql, { phone: canonical }), 'erased');
    assert.deepEqual(await left(sql, canonical, other, WORDS), []);
    await hear(sql, group('G2'), from(other));
    await hear(sql, group('G3'), from(canonical));
    assert.deepEqual(await left(sql, canonical, other, WORDS), []);
  });

test('Z6 of whom there is only what was put aside, that is erased too, and nothing of it comes back; of nobody there is nothing to erase', async (t) => {
  const sql = await openSql(t);
  await hear(sql, group('G'), from('551187654321'));
  assert.equal(await erase(sql, { phone: PN }), 'unknown');
  assert.equal(await erase(sql, { phone: PN2 }), 'again');
  assert.equal(await erase(sql, { phone: PN2 }), 'erased');
  assert.deepEqual(await left(sql, PN2, '551187654321', WORDS), []);
  assert.equal(await erase(sql, { phone: PN2 }), 'unknown');
  await hear(sql, group('G2'), from(PN2));
  assert.equal((await hear(sql, said({ id: 'A', pn: PN2, text: WORDS }))).outcome, 'erased');
  assert.deepEqual(await left(sql, PN2, WORDS), []);
  assert.deepEqual(await sql.rows(`select details -> 'webhooks' as n from audit_log where action = 'contact.erase'`), [{ n: 1 }]);
});

test('Z6 an address is not hidden behind many others, and of a crowd of more than can be looked through nothing is kept', async (t) => {
  const sql = await openSql(t);
  await hear(sql, said({ id: 'A', pn: PN }), {});
  assert.equal(await erase(sql, { phone: PN }), 'erased');
  const crowd = (size: number) => [...Array.from({ length: size }, (_, index) => `55319${10_000_000 + index}`), from(PN)];
  await hear(sql, group('G1'), crowd(1_900));
  assert.deepEqual(await sql.rows('select body from webhook_events order by id desc limit 1'), [{ body: { erased: true } }]);
  await hear(sql, group('G2'), crowd(2_000));
  assert.deepEqual(await sql.rows('select body from webhook_events order by id desc limit 1'), [{ body: { left_out: 'large' } }]);
  assert.deepEqual(await left(sql, PN, WORDS), []);
});

const inChat = (event: InboundEvent, lid: string | null = null): InboundEvent =>
  ({ ...event, chat: { pn: lid === null ? PN : null, lid } }) as InboundEvent; // of a kind that has a chat

for (const [what, event] of [
  ['an edit of a message that nobody knows', inChat(edit('NEW', WORDS))],
  ['an edit of a message that nobody knows, under the lid', inChat(edit('NEW', WORDS), LID)],
  ['a deletion of a message that nobody knows', inChat(remove('NEW'))],
  ['an ack of a message that nobody knows', inChat(ack('NEW', 'read'))],
  ['an edit of a known message that names no chat', edit('A', WORDS)],
  ['a message that is known', said({ id: 'A', pn: PN, lid: LID })],
  ['an echo of ours', said({ id: 'OURS', pn: PN, lid: LID, fromMe: true })],
  ['something that is put aside and names the person', group('G')],
] as const)
  test(`Z6 ${what} comes while the person is being erased: it waits, and nothing of it is kept`, async (t) => {
    const sql = await openSql(t);
    await hear(sql, said({ id: 'A', pn: PN, lid: LID }), {});
    await sql.rows(
      `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, kind, text, provider_id, provider_at)
       select tenant_id, instance_id, id, 99, 'out', 'agent', 'text', 'sent', 'reply', 'oi', 'OURS', now() from conversations`,
    );
    const eraser = await sql.client();
    await eraser.query('begin');
    await eraser.query(`select erase_contact('default', 1, null, 'cli:ana', 'pedido')`);
    const late = hear(sql, event, what.includes('no chat') ? { words: WORDS } : from(PN));
    await waitsForLock(sql, 'record_inbound', late);
    await eraser.query('commit');
    assert.equal((await late).outcome, event.kind === 'ignored' ? 'ignored' : 'erased');
    assert.deepEqual(await left(sql, PN, LID, WORDS), []);
    assert.deepEqual(await sql.rows(`select body from webhook_events`), [{ body: { erased: true } }]);
    assert.deepEqual(await sql.rows('select from early_updates'), []);
  });

test('Z6 news that came first is waited for by the erasure, and goes with it', async (t) => {
  const sql = await openSql(t);
  await hear(sql, said({ id: 'A', pn: PN, lid: LID }), {});
  for (const [index, event] of [inChat(edit('NEW', WORDS)), said({ id: 'A', pn: PN, lid: LID }), group('G')].entries()) {
    if (index > 0) await hear(sql, said({ id: `A${index}`, pn: PN, lid: LID, at: new Date(Date.now() + 60_000) }), {});
    const writer = await sql.client();
    await writer.query('begin');
    const webhook = { requestId: 'r', instance: INSTANCE, event: 'test', raw: from(PN), events: [event] };
    await writer.query('select record_inbound($1, $2, null)', [JSON.stringify([webhook]), JSON.stringify(TAKEOVER)]);
    const erasing = erase(sql, { phone: PN });
    if (event.kind !== 'message') await waitsForLock(sql, 'erase_contact', erasing);
    await writer.query('commit');
    assert.equal(await erasing, 'erased');
    assert.deepEqual(await left(sql, PN, LID, WORDS), [], event.kind);
  }
});

test('Z6 what the team told the agent of one contact goes with it, also out of the audit', async (t) => {
  const sql = await openSql(t);
  await hear(sql, said({ id: 'A', pn: PN, text: 'oi' }));
  const [row] = await sql.rows('select id from contacts');
  await sql.rows(`select add_directive('default', $1, 'cli:ana')`, [
    JSON.stringify({ scope: 'contact', target: String(row?.['id']), text: WORDS, ends_at: null }),
  ]);
  assert.equal(await erase(sql, { id: Number(row?.['id']) }), 'erased');
  assert.deepEqual(await left(sql, WORDS), []);
  assert.equal((await sql.rows('select from directives')).length, 0);
});
