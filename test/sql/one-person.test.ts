/** W7: an account is a person, a phone number is lent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minutesAfter, NOON, openSql, said, TAKEOVER, waitsForLock } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

const PN = '5511912345678';
const PN2 = '5521987654321';
const LID = '111111111111111';
const LID2 = '222222222222222';

type Facts = {
  pn?: number;
  lid?: number;
  other_lid?: boolean;
  other_pn?: boolean;
  parted?: boolean;
  old?: boolean;
  pn_elsewhere?: boolean;
  lid_elsewhere?: boolean;
};

const CASES: [expected: string, why: string, facts: Facts][] = [
  ['create', 'both unknown', {}],
  ['same', 'both known, one person', { pn: 1, lid: 1 }],
  ['same', 'one person with more addresses', { pn: 1, lid: 1, other_lid: true, other_pn: true, old: true }],
  ['learn', 'a known number shows its lid', { pn: 1 }],
  ['learn', 'a known lid shows its number', { lid: 1 }],
  ['new_account', 'a known number with another lid', { pn: 1, other_lid: true }],
  ['lid_only', 'the same, by a message from before the number moved', { pn: 1, other_lid: true, old: true }],
  ['new_phone', 'a known lid with another number', { lid: 1, other_pn: true }],
  ['merge', 'a number and a lid that were two contacts', { pn: 1, lid: 2 }],
  ['moved', 'the number of one account comes with another known one', { pn: 1, lid: 2, other_lid: true }],
  ['moved', 'an account gets the number of somebody whose account nobody knows', { pn: 1, lid: 2, other_pn: true }],
  ['moved', 'two known accounts change numbers', { pn: 1, lid: 2, other_lid: true, other_pn: true }],
  ['moved', 'two whom a person parted', { pn: 1, lid: 2, parted: true }],
  ['lid_only', 'a message from before the number moved', { pn: 1, lid: 2, other_lid: true, old: true }],
  ['same', 'one person, whom another number knows too', { pn: 1, lid: 1, pn_elsewhere: true, lid_elsewhere: true }],
  ['learn', 'a number that others know shows its lid here', { pn: 1, pn_elsewhere: true }],
  ['merge', 'a number that others know, and a lid of here', { pn: 1, lid: 2, pn_elsewhere: true }],
  ['lid_only', 'a number that others know cannot become another account’s', { pn: 1, other_lid: true, pn_elsewhere: true }],
  ['lid_only', 'nor be moved to one', { pn: 1, lid: 2, other_pn: true, pn_elsewhere: true }],
  ['lid_only', 'whom others know gets no number', { lid: 1, lid_elsewhere: true }],
  ['lid_only', 'nor another one', { lid: 1, other_pn: true, lid_elsewhere: true }],
  ['lid_only', 'nor is made one with somebody', { pn: 1, lid: 2, lid_elsewhere: true }],
];

test('W7 one account, one person: each combination', async (t) => {
  const sql = await openSql(t);
  for (const [expected, why, facts] of CASES) {
    const [row] = await sql.rows('select judge_pair($1) as verdict', [JSON.stringify(facts)]);
    assert.equal(row?.['verdict'], expected, why);
  }
});

/** The n-th minute: somebody writes from these addresses; resolves with the conversation. */
async function write(sql: Sql, minute: number, pn: string | null, lid: string | null, name = 'Maria'): Promise<number> {
  const [result] = await sql.record(
    [said({ id: `M${minute}-${pn}-${lid}`, pn, lid, name, at: minutesAfter(minute) })],
    minutesAfter(minute),
  );
  assert.equal(result?.outcome, 'stored');
  return result?.conversation_id ?? 0;
}

async function addresses(sql: Sql): Promise<string[]> {
  const rows = await sql.rows(
    `select contact_id || ' ' || kind || ' ' || address as line from contact_addresses order by contact_id, kind, address`,
  );
  return rows.map((row) => String(row['line']));
}

async function jids(sql: Sql): Promise<string[]> {
  return (await sql.rows('select jid from conversations order by id')).map((row) => String(row['jid']));
}

test('W7 another account under a known number is somebody new, who sees nothing; the one before keeps everything and is answered at its lid', async (t) => {
  const sql = await openSql(t);
  const first = await write(sql, 0, PN, LID);
  await sql.rows(`select remember_fact($1, '{"fact": "é alérgica a amendoim"}', null, $2)`, [1, minutesAfter(0)]);
  await sql.rows('update conversations set jid = $1', [`${PN}@s.whatsapp.net`]);
  await sql.rows(`select enqueue_message($1, $2)`, [
    JSON.stringify({
      tenant: 'default',
      instance: 'julia-dev',
      phone: PN,
      text: 'Seu exame está pronto',
      kind: 'notification',
      actor: 'test',
    }),
    NOON,
  ]);
  const second = await write(sql, 1, PN, LID2, 'Pedro');
  assert.notEqual(second, first);
  assert.deepEqual(await addresses(sql), [`1 lid ${LID}`, `2 lid ${LID2}`, `2 pn ${PN}`]);
  assert.deepEqual(await jids(sql), [`${LID}@lid`, `${LID2}@lid`], 'nothing of the first goes to the phone of the second');
  const [claim] = await sql.rows(`select claim_turn($1, 'w', 30000, $2) as turn`, [second, minutesAfter(2)]);
  const turn = claim?.['turn'] as { history: unknown[]; contact: { name: string; memory: unknown[] }; opted_out: boolean };
  assert.deepEqual([turn.history, turn.contact.memory, turn.contact.name, turn.opted_out], [[], [], 'Pedro', false]);
  assert.equal(await write(sql, 3, null, LID), first);
  assert.equal(await write(sql, 4, PN, null), second, 'the number alone is the new one’s');
  assert.deepEqual(await sql.rows(`select action, subject, details ->> 'to' as to from audit_log where action = 'contact.phone_moved'`), [
    { action: 'contact.phone_moved', subject: '1', to: '2' },
  ]);
});

test('W7 the opt-out stays with the phone, and with the person', async (t) => {
  const sql = await openSql(t);
  await write(sql, 0, PN, LID);
  await sql.rows(`select add_opt_out(1, 'message')`);
  await write(sql, 1, PN, LID2);
  assert.deepEqual(await sql.rows(`select contact_id::int as id, source from opt_outs where revoked_at is null order by 1`), [
    { id: 1, source: 'message' },
    { id: 2, source: 'message' },
  ]);
  // the first one gets another number: the opt-out of the old one stays there too, for whoever comes
  await write(sql, 2, PN2, LID);
  await write(sql, 3, '5531999990000', LID);
  await write(sql, 4, PN2, null);
  const [row] = await sql.rows(
    `select count(*)::int as n from opt_outs o join contact_addresses a on a.contact_id = o.contact_id where a.address = $1`,
    [PN2],
  );
  assert.deepEqual(row, { n: 1 });
});

test('W7 the same account with a new number keeps everything; the old number is nobody’s', async (t) => {
  const sql = await openSql(t);
  const first = await write(sql, 0, PN, LID);
  await sql.rows(`select remember_fact($1, '{"fact": "prefere pix"}', null, $2)`, [1, minutesAfter(0)]);
  assert.equal(await write(sql, 1, PN2, LID), first);
  assert.deepEqual(await addresses(sql), [`1 lid ${LID}`, `1 pn ${PN2}`]);
  assert.deepEqual(await sql.rows('select contact_id, fact from contact_facts'), [{ contact_id: '1', fact: 'prefere pix' }]);
  assert.notEqual(await write(sql, 2, PN, null), first, 'whoever has the old number is somebody else');
});

test('W7 two accounts change numbers, and a late message of before moves nothing back', async (t) => {
  const sql = await openSql(t);
  const a = await write(sql, 0, PN, LID);
  const b = await write(sql, 1, PN2, LID2);
  assert.equal(await write(sql, 10, PN2, LID), a);
  assert.deepEqual(await addresses(sql), [`1 lid ${LID}`, `1 pn ${PN2}`, `2 lid ${LID2}`]);
  assert.equal(await write(sql, 11, PN, LID2), b);
  const after = [`1 lid ${LID}`, `1 pn ${PN2}`, `2 lid ${LID2}`, `2 pn ${PN}`];
  assert.deepEqual(await addresses(sql), after);
  const [late] = await sql.record([said({ id: 'LATE', pn: PN2, lid: LID2, at: minutesAfter(5) })], minutesAfter(20));
  assert.equal(late?.conversation_id, b, 'the lid says whose it is');
  assert.deepEqual(await addresses(sql), after);
});

test('W7 who has no other address gets nothing at the phone of another', async (t) => {
  const sql = await openSql(t);
  await write(sql, 0, PN, null);
  await sql.rows(`select enqueue_message($1, $2)`, [
    JSON.stringify({
      tenant: 'default',
      instance: 'julia-dev',
      phone: PN,
      text: 'Seu exame está pronto',
      kind: 'notification',
      actor: 'test',
    }),
    NOON,
  ]);
  await write(sql, 1, PN2, LID);
  await write(sql, 2, PN, LID);
  assert.deepEqual(await sql.rows(`select status, reason from messages where kind = 'notification'`), [
    { status: 'cancelled', reason: 'phone_moved' },
  ]);
  assert.deepEqual((await jids(sql))[0], 'moved');
});

test('W7 races: 20 webhooks of another account at once make one new contact', async (t) => {
  const sql = await openSql(t);
  await write(sql, 0, PN, LID);
  await Promise.all(
    Array.from({ length: 20 }, (_, n) => sql.record([said({ id: `N${n}`, pn: PN, lid: LID2, at: minutesAfter(1) })], minutesAfter(1))),
  );
  assert.deepEqual(await addresses(sql), [`1 lid ${LID}`, ...(await addresses(sql)).slice(1)]);
  assert.deepEqual(
    (await addresses(sql)).map((line) => line.replace(/^\d+ /, '')),
    [`lid ${LID}`, `lid ${LID2}`, `pn ${PN}`],
  );
  assert.deepEqual(await sql.rows('select count(*)::int as n from contacts where merged_into is null'), [{ n: 2 }]);
  assert.deepEqual(await sql.rows(`select count(*)::int as n from messages where conversation_id = 1`), [{ n: 1 }]);
});

test('W7 races: two accounts claim a number that has none at once: each is a person of its own', async (t) => {
  const sql = await openSql(t);
  await write(sql, 0, PN, null);
  const first = await sql.client();
  await first.query('begin');
  const webhook = (lid: string) => [{ requestId: 'r', raw: {}, events: [said({ id: `R-${lid}`, pn: PN, lid, at: minutesAfter(1) })] }];
  await first.query('select record_inbound($1, $2, $3)', [JSON.stringify(webhook(LID)), JSON.stringify(TAKEOVER), minutesAfter(1)]);
  const second = write(sql, 2, PN, LID2);
  await waitsForLock(sql, 'record_inbound', second);
  await first.query('commit');
  assert.notEqual(await second, 1);
  assert.deepEqual(await addresses(sql), [`1 lid ${LID}`, `2 lid ${LID2}`, `2 pn ${PN}`]);
});

test('W7 races: a mix of pairs of two accounts and two numbers always leaves each address with one person and each account whole', async (t) => {
  const sql = await openSql(t);
  const pairs = [
    [PN, LID],
    [PN, LID2],
    [PN2, LID],
    [PN2, LID2],
    [PN, null],
    [null, LID2],
  ] as const;
  await Promise.all(
    Array.from({ length: 24 }, (_, n) => {
      const [pn, lid] = pairs[n % pairs.length]!; // as long as the list
      return sql.record([said({ id: `X${n}`, pn, lid, at: minutesAfter(1) })], minutesAfter(1));
    }),
  );
  assert.deepEqual(await sql.rows('select count(*)::int as n from messages'), [{ n: 24 }]);
  const [row] = await sql.rows(
    `select count(*) filter (where kind = 'lid')::int as lids, count(distinct contact_id) filter (where kind = 'lid')::int as accounts from contact_addresses`,
  );
  assert.deepEqual(row, { lids: 2, accounts: 2 });
  assert.deepEqual(
    await sql.rows(
      'select 1 from conversations c join contacts k on k.id = c.contact_id where k.merged_into is not null and c.merged_into is null',
    ),
    [],
  );
});

test('W7 reversible: a person makes the two one, WhatsApp’s next pairs keep it so, and it can be taken back', async (t) => {
  const sql = await openSql(t);
  const first = await write(sql, 0, PN, LID);
  await write(sql, 1, PN, LID2);
  const merge = async (a: number, b: number) =>
    (await sql.rows(`select merge_by_hand('default', $1, $2, 'cli:ana', 'conta nova') as r`, [a, b]))[0]?.['r'];
  assert.deepEqual(await merge(2, 1), { outcome: 'merged', kept: 1 });
  assert.deepEqual(await merge(2, 1), { outcome: 'unknown' });
  assert.deepEqual(await merge(1, 1), { outcome: 'same' });
  assert.equal(await write(sql, 2, PN, LID2), first);
  assert.equal(await write(sql, 3, PN, LID), first);
  assert.equal(await write(sql, 4, null, LID2), first);
  const [undone] = await sql.rows(`select unmerge_contact('default', 'cli:ana', 1) as r`);
  assert.deepEqual(undone?.['r'], { outcome: 'unmerged', merged: 2 });
  assert.deepEqual(await addresses(sql), [`1 lid ${LID}`, `2 lid ${LID2}`, `2 pn ${PN}`]);
  assert.notEqual(await write(sql, 5, PN, LID2), first);
});

test('W7 reversible: two whom a person parted stay two when WhatsApp says their pair again', async (t) => {
  const sql = await openSql(t);
  await write(sql, 0, PN, null);
  await write(sql, 1, null, LID);
  assert.equal(await write(sql, 2, PN, LID), 1);
  await sql.rows(`select unmerge_contact('default', 'cli:ana', 1)`);
  assert.equal(await write(sql, 3, PN, LID), 2);
  assert.deepEqual(await addresses(sql), [`2 lid ${LID}`, `2 pn ${PN}`]);
});
