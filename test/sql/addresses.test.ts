/** Under which address a person is called: SQL dial, confirm_address, refuse_address and what they keep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalPhone } from '../../src/words/phone.ts';
import { sendsDatabase } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';
import { INSTANCE } from '../support/system.ts';

const NOON = new Date('2026-12-01T12:00:00Z');
const days = (count: number) => new Date(NOON.getTime() + count * 86_400_000);

/** A person with these addresses, and a conversation whose answers go to `jid`. */
async function person(
  base: SendsDatabase,
  addresses: { pn?: string; lid?: string },
  jid: string,
): Promise<{ contact: number; conversation: number }> {
  const [row] = await base.query<{ contact: number; conversation: number }>(
    `with a as (select i as instance, ensure_contact(i, $2, $3, null) as contact from instances i where name = $1)
     select contact::int, (ensure_conversation(instance, contact, $4, false)).id::int as conversation from a`,
    [INSTANCE, addresses.pn ?? null, addresses.lid ?? null, jid],
  );
  assert.ok(row);
  return row;
}

const dialled = async (base: SendsDatabase, contact: number, jid: string) =>
  (await base.query<{ number: string }>(`select dial($1, $2) as number`, [contact, jid]))[0]?.number;

test('W3 addresses: two writings of one number compare equal, as the canonical form has it', async (t) => {
  const base = await sendsDatabase(t);
  const pairs: [string, string][] = [
    ['5511988887777', '551188887777'],
    ['5531988887772', '553188887772'],
    ['5215512345678', '525512345678'],
    ['5491123456789', '541123456789'],
  ];
  const alone = ['553133334444', '4915112345678', '351912345678', '12125550123', '5511888877', '521551234567', '55119888877771'];
  for (const [left, right] of pairs) {
    const [row] = await base.query(`select one_writing($1) = one_writing($2) as same`, [left, right]);
    assert.deepEqual(row, { same: true }, left);
    assert.equal(canonicalPhone(`+${left}`), canonicalPhone(`+${right}`));
  }
  for (const number of alone) {
    assert.deepEqual(await base.query(`select one_writing($1) as digits`, [number]), [{ digits: number }]);
  }
});

test('W3 addresses: typed digits are dialled bare until WhatsApp has named them; a lid is dialled as it is', async (t) => {
  const base = await sendsDatabase(t);
  const pn = '5531988887772';
  const { contact, conversation } = await person(base, { pn, lid: '77' }, `${pn}@s.whatsapp.net`);
  assert.equal(await dialled(base, contact, `${pn}@s.whatsapp.net`), pn);
  assert.equal(await dialled(base, contact, '77@lid'), '77@lid');
  assert.equal(await dialled(base, contact, '553188887772@s.whatsapp.net'), '553188887772', 'unknown in that writing: both are found');
  const { id } = await base.proactive(pn, NOON);
  const claim = await base.claim(conversation, NOON);
  await base.record(claim, { kind: 'sent', provider_id: 'A1', jid: '553188887772@s.whatsapp.net' }, NOON);
  for (const jid of [`${pn}@s.whatsapp.net`, '553188887772@s.whatsapp.net']) {
    assert.equal(await dialled(base, contact, jid), '553188887772@s.whatsapp.net');
  }
  assert.deepEqual(await base.query(`select jid from conversations where id = $1`, [conversation]), [
    { jid: '553188887772@s.whatsapp.net' },
  ]);
  // Its delivery is written down under the address, in whichever writing it was sent to.
  await base.query(`select note_delivery(m, $2, $3) from messages m where id = $1`, [id, contact, NOON]);
  assert.deepEqual(await base.query(`select delivered_at is not null as there from contact_addresses where kind = 'pn'`), [
    { there: true },
  ]);
});

test('W3 addresses: a refusal leads to the other address for a week, and each address is tried once', async (t) => {
  const base = await sendsDatabase(t);
  const pn = '5511988887777';
  const { contact, conversation } = await person(base, { pn, lid: '77' }, '77@lid');
  const refused = { kind: 'failed', class: 'not_on_whatsapp', detail: 'x' };
  await base.proactive(pn, NOON);
  const first = await base.claim(conversation, NOON);
  assert.equal((await base.record(first, refused, NOON)).status, 'queued');
  const second = await base.claim(conversation, NOON);
  assert.deepEqual([second.message_id, (second as unknown as { number: string }).number], [first.message_id, pn]);
  // Twice, and late: only the claim that was sent may speak.
  assert.equal((await base.record(first, refused, NOON)).outcome, 'stale');
  assert.equal((await base.record(second, refused, NOON)).status, 'failed');
  assert.deepEqual(
    await base.query(`select count(*)::int as n from contact_addresses where contact_id = $1 and refused_at = $2`, [contact, NOON]),
    [{ n: 2 }],
  );
  assert.deepEqual(await base.query(`select address_refused($1, '77@lid', $2) as refused`, [contact, days(8)]), [{ refused: false }]);
  await base.proactive(pn, days(8), { text: 'de novo' });
  const later = await base.claim(conversation, days(8));
  assert.equal((await base.record(later, refused, days(8))).status, 'queued', 'after a week the other one may be tried again');
});

test('W3 addresses: two workers record the refusals of two numbers of one person at once', async (t) => {
  const base = await sendsDatabase(t);
  await base.query(`insert into instances (name) values ('vendas')`);
  const pn = '5511988887777';
  const { conversation } = await person(base, { pn, lid: '77' }, `${pn}@s.whatsapp.net`);
  await base.proactive(pn, NOON);
  const other = await base.proactive(pn, NOON, { instance: 'vendas' });
  const claims = [await base.claim(conversation, NOON), await base.claim(other.conversation, NOON)];
  const results = await Promise.all(
    claims.map((claim) => base.record(claim, { kind: 'failed', class: 'not_on_whatsapp', detail: 'x' }, NOON)),
  );
  // The lid was seen on the first number only: there the message goes on, the other one has nothing left.
  assert.deepEqual(
    results.map(({ status }) => status),
    ['queued', 'failed'],
  );
});

test('W13 ids: the id of a row outlives attempts and a doubt, not a refusal that a person retries', async (t) => {
  const base = await sendsDatabase(t);
  const { id, conversation } = await base.proactive('5511988887777', NOON);
  const wire = async () => (await base.query<{ wire_id: string | null }>(`select wire_id from messages where id = $1`, [id]))[0]?.wire_id;
  const retry = (status: string) =>
    base
      .query(`update messages set status = $2 where id = $1`, [id, status])
      .then(() => base.query(`select retry_dead_letter('default', $1, 'ana', 'olhei', $2)`, [id, NOON]));
  const first = await base.claim(conversation, NOON);
  const own = await wire();
  await base.record(first, { kind: 'retry', class: 'disconnected', detail: 'x', delay_ms: 0, counts: false }, NOON);
  await base.claim(conversation, NOON);
  assert.equal(await wire(), own);
  await retry('unproven');
  assert.equal(await wire(), own, 'it may have left: a phone that has it drops the second');
  await retry('failed');
  assert.equal(await wire(), null);
});
