/** Z4: a number's own secret speaks for that number alone: what it says of people changes nothing that other numbers know of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INSTANCE, minutesAfter, openSql, said, TAKEOVER } from '../support/inbound.ts';
import type { Said, Sql } from '../support/inbound.ts';
import { FREE } from '../support/sends.ts';

const OTHER = 'segundo';
const VICTIM = '5511911110000';
const ATTACKER = '5511922220000';
const LID = '777777777777777';
const INSTALLATION = { tenant: 'default' };
type Poster = { instance: string } | { tenant: string } | { ourselves: true };

async function twoNumbers(t: Parameters<typeof openSql>[0]): Promise<Sql> {
  const sql = await openSql(t);
  await sql.rows('insert into instances (name) values ($1)', [OTHER]);
  return sql;
}

let told = 0;

/** A message on a number, as posted with somebody's secret; resolves with its conversation. */
async function tell(sql: Sql, instance: string, from: Poster, input: Omit<Said, 'id'>, intent?: string): Promise<number> {
  const minute = ++told;
  const event = said({ id: `W${minute}`, instance, at: minutesAfter(minute), ...input });
  const meaning = intent === undefined ? {} : { meaning: { intent } };
  const webhook = { requestId: 'r', instance, event: 'test', raw: {}, from, events: [{ ...event, ...meaning }] };
  const [row] = await sql.rows('select record_inbound($1, $2, $3) as result', [
    JSON.stringify([webhook]),
    JSON.stringify(TAKEOVER),
    minutesAfter(minute),
  ]);
  const stored = (row?.['result'] ?? []) as { results: { outcome: string; conversation_id: number }[] }[];
  const result = stored[0]?.results[0];
  assert.equal(result?.outcome, 'stored');
  return result?.conversation_id ?? 0;
}

const own = { instance: OTHER };
const first = { instance: INSTANCE };

async function phones(sql: Sql): Promise<string[]> {
  const rows = await sql.rows(`select contact_id || ' ' || address as line from contact_addresses where kind = 'pn' order by 1`);
  return rows.map((row) => String(row['line']));
}

async function optedOut(sql: Sql, pn: string): Promise<boolean> {
  const rows = await sql.rows(
    `select 1 from opt_outs o join contact_addresses a on a.contact_id = o.contact_id where a.address = $1 and o.revoked_at is null`,
    [pn],
  );
  return rows.length > 0;
}

const PAIRS: [why: string, pairs: [pn: string, lid: string][]][] = [
  ['the victim first', [[VICTIM, LID], [ATTACKER, LID]]],
  ['the attacker first', [[ATTACKER, LID], [VICTIM, LID]]],
  ['under two lids', [[VICTIM, LID], [ATTACKER, '8'.repeat(15)], [VICTIM, '8'.repeat(15)], [ATTACKER, LID]]],
  ['as another account', [[VICTIM, LID], [VICTIM, '8'.repeat(15)], [ATTACKER, '8'.repeat(15)]]],
]; // prettier-ignore

for (const [why, pairs] of PAIRS)
  for (const lids of [true, false])
    test(`Z4 the own secret of a number moves nobody whom another number knows: ${why}${lids ? '' : ', no lids there'}`, async (t) => {
      const sql = await twoNumbers(t);
      const victim = await tell(sql, INSTANCE, INSTALLATION, { pn: VICTIM, lid: lids ? '1'.repeat(15) : null });
      const attacker = await tell(sql, INSTANCE, INSTALLATION, { pn: ATTACKER, lid: lids ? '2'.repeat(15) : null });
      const before = await phones(sql);
      for (const [pn, lid] of pairs) await tell(sql, OTHER, own, { pn, lid });
      assert.deepEqual(await phones(sql), before);
      assert.equal(await tell(sql, INSTANCE, INSTALLATION, { pn: ATTACKER, lid: null }), attacker);
      assert.equal(await tell(sql, INSTANCE, INSTALLATION, { pn: VICTIM, lid: null }), victim);
    });

test('Z4 the own secret of a number moves nobody to whom another number has only written', async (t) => {
  const sql = await twoNumbers(t);
  await sql.rows(`select enqueue_message($1, $2)`, [
    JSON.stringify({ tenant: 'default', instance: INSTANCE, phone: VICTIM, text: 'Seu código', kind: 'notification', actor: 'test' }),
    minutesAfter(0),
  ]);
  const before = await phones(sql);
  await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  await tell(sql, OTHER, own, { pn: ATTACKER, lid: LID });
  assert.deepEqual(await phones(sql), before);
});

test('Z4 W7 a number with its own secret still sees who gets another phone, as long as it alone knows the person', async (t) => {
  const sql = await twoNumbers(t);
  const talk = await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  assert.equal(await tell(sql, OTHER, own, { pn: ATTACKER, lid: LID }), talk);
  assert.deepEqual(await phones(sql), [`1 ${ATTACKER}`]);
  assert.notEqual(await tell(sql, OTHER, own, { pn: ATTACKER, lid: '8'.repeat(15) }), talk);
  assert.deepEqual(await phones(sql), [`2 ${ATTACKER}`]);
});

for (const from of [INSTALLATION, { ourselves: true } as const])
  test(`Z4 W7 a person of two numbers gets another phone by the word of ${JSON.stringify(from)}`, async (t) => {
    const sql = await twoNumbers(t);
    await tell(sql, INSTANCE, from, { pn: VICTIM, lid: null });
    await tell(sql, OTHER, from, { pn: VICTIM, lid: LID });
    await tell(sql, OTHER, from, { pn: ATTACKER, lid: LID });
    assert.deepEqual(await phones(sql), [`1 ${ATTACKER}`]);
  });

test('Z4 W7 another account under a phone that another number knows is somebody new, who has opted out with it', async (t) => {
  const sql = await twoNumbers(t);
  await tell(sql, INSTANCE, first, { pn: VICTIM, lid: null }, 'opt_out');
  const talk = await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  assert.notEqual(await tell(sql, OTHER, own, { pn: VICTIM, lid: '8'.repeat(15) }), talk);
  assert.deepEqual(await phones(sql), [`1 ${VICTIM}`]);
  assert.equal((await sql.rows('select 1 from opt_outs where contact_id = 2 and revoked_at is null')).length, 1);
});

test('Z4 an opt-out is taken back where it was said, and by no other number’s own secret', async (t) => {
  const sql = await twoNumbers(t);
  await tell(sql, INSTANCE, first, { pn: VICTIM }, 'opt_out');
  await tell(sql, OTHER, own, { pn: VICTIM, text: 'oi' });
  await tell(sql, OTHER, own, { pn: VICTIM }, 'resubscribe');
  assert.ok(await optedOut(sql, VICTIM));
  await tell(sql, OTHER, own, { pn: VICTIM }, 'opt_out');
  await tell(sql, OTHER, own, { pn: VICTIM }, 'resubscribe');
  assert.ok(await optedOut(sql, VICTIM), 'also when it was said there before');
  await tell(sql, INSTANCE, first, { pn: VICTIM }, 'resubscribe');
  assert.ok(!(await optedOut(sql, VICTIM)));
});

test('Z4 an opt-out that was said on two numbers is taken back on both; one of an operator by nobody who speaks for one of them', async (t) => {
  const sql = await twoNumbers(t);
  await tell(sql, INSTANCE, first, { pn: VICTIM }, 'opt_out');
  await tell(sql, OTHER, own, { pn: VICTIM }, 'opt_out');
  await tell(sql, INSTANCE, first, { pn: VICTIM }, 'resubscribe');
  assert.ok(await optedOut(sql, VICTIM));
  await tell(sql, OTHER, own, { pn: VICTIM }, 'resubscribe');
  assert.ok(!(await optedOut(sql, VICTIM)));
  await sql.rows(`select set_opt_out('default', $1, true, 'op', 'r')`, [VICTIM]);
  await tell(sql, OTHER, own, { pn: VICTIM }, 'opt_out');
  for (const [instance, from] of [[INSTANCE, first], [OTHER, own]] as const) await tell(sql, instance, from, { pn: VICTIM }, 'resubscribe'); // prettier-ignore
  assert.ok(await optedOut(sql, VICTIM));
  await tell(sql, OTHER, INSTALLATION, { pn: VICTIM }, 'resubscribe');
  assert.ok(!(await optedOut(sql, VICTIM)), 'the secret of the installation speaks for all');
});

test('Z4 an edit takes an opt-out back no more than a message does, and an opt-out that outlived an erasure keeps its number', async (t) => {
  const sql = await twoNumbers(t);
  await tell(sql, INSTANCE, first, { pn: VICTIM }, 'opt_out');
  await tell(sql, OTHER, own, { pn: VICTIM, text: 'oi' });
  const edit = {
    instance: OTHER,
    instanceId: null,
    kind: 'edit',
    providerId: `W${told}`,
    chat: { pn: VICTIM, lid: null },
    fromMe: false,
    text: 'voltar',
    typed: 'voltar',
    changedAt: minutesAfter(told + 1),
    meaning: { intent: 'resubscribe' },
  };
  await sql.rows('select record_inbound($1, $2, $3)', [
    JSON.stringify([{ requestId: 'r', instance: OTHER, event: 'test', raw: {}, from: own, events: [edit] }]),
    JSON.stringify(TAKEOVER),
    minutesAfter(told + 1),
  ]);
  assert.ok(await optedOut(sql, VICTIM));
  await sql.rows(`select erase_contact('default', 1, null, 'op', 'r', $1)`, [minutesAfter(told + 1)]);
  told += 2;
  await tell(sql, OTHER, own, { pn: null, lid: LID }, 'opt_out');
  await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  await tell(sql, OTHER, own, { pn: VICTIM, lid: LID }, 'resubscribe');
  assert.ok(await optedOut(sql, VICTIM));
});

test('Z4 instance unlearn: a stranger whom a number paired with a known phone is nobody there again, and a true pair is learned anew', async (t) => {
  const sql = await twoNumbers(t);
  const secret = async (name: string, since: string | null = null) =>
    (await sql.rows('select unlearn_lids($1, $2, $3, $4) as u', ['default', name, since, 'cli:ana']))[0]?.['u'];
  const victim = await tell(sql, INSTANCE, INSTALLATION, { pn: VICTIM, lid: '1'.repeat(15) }, 'opt_out');
  const paired = await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  assert.equal(await tell(sql, OTHER, own, { pn: null, lid: LID, text: 'quem sou eu?' }), paired);
  const where = async (id: number) => (await sql.rows('select jid from conversations where id = $1', [id]))[0]?.['jid'];
  assert.deepEqual(
    [await where(victim), await where(paired)],
    [`${'1'.repeat(15)}@lid`, `${LID}@lid`],
    'its answers, on that number alone',
  );
  const alone = await tell(sql, OTHER, own, { pn: null, lid: '9'.repeat(15) });
  const queued = {
    tenant: 'default',
    instance: OTHER,
    phone: VICTIM,
    text: 'Seu código',
    kind: 'manual',
    actor: 'test',
    bypass: { reason: 'x' },
  };
  await sql.rows(`select enqueue_message($1, $2)`, [JSON.stringify(queued), minutesAfter(told)]);

  assert.deepEqual(await secret('nenhum'), { outcome: 'unknown' });
  assert.deepEqual(await secret(OTHER, '2100-01-01'), { outcome: 'unlearned', lids: 0 });
  assert.deepEqual(await secret(OTHER), { outcome: 'unlearned', lids: 1 });
  const jids = await sql.rows('select id, jid from conversations order by id');
  assert.deepEqual(
    jids.map(({ jid }) => jid),
    [`${'1'.repeat(15)}@lid`, `${VICTIM}@s.whatsapp.net`, `${'9'.repeat(15)}@lid`],
  );
  assert.deepEqual(await sql.rows(`select status, reason from messages where direction = 'out'`), [
    { status: 'cancelled', reason: 'address_unlearned' },
  ]);
  const stranger = await tell(sql, OTHER, INSTALLATION, { pn: null, lid: LID });
  assert.ok(stranger !== paired && stranger !== victim);
  assert.equal((await sql.rows('select from opt_outs o join conversations c using (contact_id) where c.id = $1', [stranger])).length, 1);
  assert.equal(await tell(sql, OTHER, own, { pn: null, lid: '9'.repeat(15) }), alone, 'a lid without a phone names itself');
  assert.equal(await tell(sql, INSTANCE, INSTALLATION, { pn: null, lid: '1'.repeat(15) }), victim, 'of other numbers nothing is taken');
  assert.equal(await tell(sql, OTHER, own, { pn: VICTIM, lid: '6'.repeat(15) }), paired);
  assert.equal(await tell(sql, OTHER, own, { pn: null, lid: '6'.repeat(15) }), paired);
  assert.deepEqual(
    await sql.rows(
      `select actor, subject, details ->> 'lids' as lids from audit_log where action = 'instance.unlearn' order by id desc limit 1`,
    ),
    [{ actor: 'cli:ana', subject: OTHER, lids: '1' }],
  );
});

type Claim = { action: string; reason?: string; number: string; message_id: number; claim: number };

/** A message that the company orders to a phone, on the second number; resolves with its conversation. */
async function order(sql: Sql, phone: string): Promise<number> {
  const request = { tenant: 'default', instance: OTHER, phone, text: 'Seu código: 4711', kind: 'manual', actor: 'test', bypass: 'x' };
  const [row] = await sql.rows(`select (enqueue_message($1, $2) ->> 'conversation_id')::int as id`, [
    JSON.stringify(request),
    minutesAfter(told),
  ]);
  return Number(row?.['id']);
}

async function claim(sql: Sql, conversation: number): Promise<Claim> {
  await sql.rows(`update instances set status = 'open', held_reason = null`);
  const [row] = await sql.rows('select claim_send($1, $2, $3) as claim', [conversation, JSON.stringify(FREE), minutesAfter(++told)]);
  return row?.['claim'] as Claim;
}

async function end(sql: Sql, { message_id, claim: fence }: Claim, outcome: object): Promise<unknown> {
  const [row] = await sql.rows(`select record_send($1, $2, $3, $4) ->> 'status' as status`, [
    message_id,
    fence,
    JSON.stringify(outcome),
    minutesAfter(told),
  ]);
  return row?.['status'];
}

const sent = (sql: Sql, of: Claim) => end(sql, of, { kind: 'sent', provider_id: `S${told}` });
const refuse = (sql: Sql, of: Claim) => end(sql, of, { kind: 'failed', class: 'not_on_whatsapp', detail: 'x' });

for (const elsewhere of [true, false])
  test(`Z4 what is ordered to a phone goes to no lid that a number’s own secret alone has told: ${elsewhere ? 'another number knows the phone' : 'no other number does'}`, async (t) => {
    const sql = await twoNumbers(t);
    if (elsewhere) await tell(sql, INSTANCE, INSTALLATION, { pn: VICTIM, lid: '1'.repeat(15) });
    await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
    const conversation = await order(sql, VICTIM);
    const first = await claim(sql, conversation);
    assert.equal(first.number, VICTIM);
    await sent(sql, first);
    await order(sql, VICTIM);
    const second = await claim(sql, conversation);
    assert.equal(await refuse(sql, second), 'failed', 'nor when WhatsApp knows nobody there');
    assert.equal((await claim(sql, conversation)).action, 'idle');
  });

test('Z4 what is ordered to a phone is not sent where its chat was moved to by a number’s own secret', async (t) => {
  const sql = await twoNumbers(t);
  await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  const conversation = await order(sql, VICTIM);
  await tell(sql, OTHER, own, { pn: ATTACKER, lid: LID });
  const stopped = await claim(sql, conversation);
  assert.deepEqual([stopped.action, stopped.reason], ['ended', 'phone_moved']);
  // a lid that was somebody's by a better word vouches for that phone only
  await tell(sql, OTHER, INSTALLATION, { pn: ATTACKER, lid: LID });
  await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
  await order(sql, VICTIM);
  assert.equal((await claim(sql, conversation)).number, VICTIM);
});

for (const [who, vouch] of [
  ['the secret of the installation', (sql: Sql) => tell(sql, OTHER, INSTALLATION, { pn: VICTIM, lid: LID })],
  ['Evolution, when asked', (sql: Sql) => tell(sql, OTHER, { ourselves: true }, { pn: VICTIM, lid: LID })],
  [
    'a comparison that knows the message',
    (sql: Sql) =>
      sql.rows('select teach_addresses($1, $2)', [OTHER, JSON.stringify([{ pn: VICTIM, lid: LID, sent_at: minutesAfter(told) }])]),
  ],
] as const)
  // prettier-ignore
  test(`Z4 W3 a lid that is the phone’s by the word of ${who} is an address of what is ordered to it`, async (t) => {
    const sql = await twoNumbers(t);
    await tell(sql, OTHER, own, { pn: VICTIM, lid: LID });
    await vouch(sql);
    const conversation = await order(sql, VICTIM);
    const first = await claim(sql, conversation);
    assert.equal(first.number, `${LID}@lid`);
    assert.equal(await refuse(sql, first), 'queued');
    const second = await claim(sql, conversation);
    assert.equal(second.number, VICTIM);
    assert.equal(await refuse(sql, second), 'failed');
  });

test('Z4 a uuid that a number’s own secret has claimed hinders no other number', async (t) => {
  const sql = await twoNumbers(t);
  await sql.rows('insert into instances (name) values ($1)', ['terceiro']);
  await sql.rows(`update instances set webhook_secret = 'sealed' where name <> 'terceiro'`);
  const post = async (instance: string, from: Poster, instanceId: string, id: string) => {
    const event = { ...said({ id, instance, at: minutesAfter(++told) }), instanceId };
    const [row] = await sql.rows(`select record_inbound($1, $2, $3) -> 0 -> 'results' -> 0 ->> 'outcome' as outcome`, [
      JSON.stringify([{ requestId: 'r', instance, event: 'test', raw: {}, from, events: [event] }]),
      JSON.stringify(TAKEOVER),
      minutesAfter(told),
    ]);
    return row?.['outcome'];
  };
  assert.equal(await post(OTHER, own, 'uuid-of-the-first', 'U1'), 'stored');
  assert.equal(await post(INSTANCE, { instance: INSTANCE }, 'uuid-of-the-first', 'U2'), 'stored');
  assert.equal(await post('terceiro', INSTALLATION, 'uuid-of-the-first', 'U3'), 'stored');
  assert.equal(await post(OTHER, own, 'another-uuid', 'U4'), 'set_aside', 'its own copy is still told apart');
});
