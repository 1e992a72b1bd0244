/** X6: one person with two addresses: where answers go, and a merge that is taken back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import type { AdminContext } from '../../src/admin/command.ts';
import { openPostgres } from '../../src/db/door.ts';
import { recordInbound } from '../../src/inbox/calls.ts';
import { testDatabase } from '../support/database.ts';
import { ack, minutesAfter, NOON, openSql, recordSend, said, sending } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

const PN = '5511912345678';
const LID = '123456789012345';

/** All that a person sees of two contacts, without ids of rows that a merge writes anew. */
async function picture(sql: Sql): Promise<Record<string, unknown>> {
  const one = async (text: string) => sql.rows(text);
  return {
    contacts: await one('select id, name, merged_into, cooling_until, next_allowed_at from contacts order by id'),
    facts: await one('select contact_id, kind, about, fact, replaced_at from contact_facts order by id'),
    addresses: await one('select contact_id, kind, address from contact_addresses order by id'),
    conversations: await one(
      `select id, contact_id, jid, controlled_by, escalation_reason, mode, takeover_since, takeover_until, last_inbound_at, merged_into,
         pause_reason('default', 'julia-dev', id, null) as paused from conversations order by id`,
    ),
    messages: await one('select id, conversation_id, seq, text, status, provider_id from messages order by id'),
    opt_outs: await one('select contact_id, source, revoked_at from opt_outs order by id'),
    handoffs: await one('select conversation_id, reason, status from handoffs order by id'),
    turns: await one('select conversation_id, status from turns order by id'),
  };
}

async function twoPeople(sql: Sql): Promise<void> {
  await sql.record([said({ id: 'P1', pn: PN, text: 'by number', name: 'Maria', at: minutesAfter(0) })], minutesAfter(0));
  await sql.record([said({ id: 'L1', pn: null, lid: LID, text: 'by lid', name: 'Pedro', at: minutesAfter(1) })], minutesAfter(1));
  await sql.record([said({ id: 'L2', pn: null, lid: LID, text: 'colleague', at: minutesAfter(2), fromMe: true })], minutesAfter(2));
  await sql.record([said({ id: 'P2', pn: PN, text: 'again by number', at: minutesAfter(3) })], minutesAfter(3));
  // each its name, and both their size: of the two the newer one is current
  await sql.rows(`select remember_fact(id, jsonb_build_object('fact', name, 'kind', 'name'), null, $1::timestamptz) from contacts`, [NOON]);
  await sql.rows(
    `select remember_fact(id, jsonb_build_object('fact', 'veste ' || id, 'kind', 'preference', 'about', 'tamanho'), null, $1::timestamptz + id * interval '1 day') from contacts`,
    [NOON],
  );
  await sql.rows(
    `update contacts set cooling_until = $1::timestamptz + id * interval '1 day', next_allowed_at = $1::timestamptz - id * interval '1 day'`,
    [NOON],
  );
  await sql.rows(`select add_opt_out(id, 'test') from contacts order by id`);
  await sql.rows(`update conversations set mode = 'manual', controlled_by = 'human', escalation_reason = 'asked' where id = 2`);
  await sql.rows(`select open_handoff(id, null, 'asked', null, true, $1) from conversations order by id`, [NOON]);
  await sql.rows(`insert into julia_status (status, scope, target) values ('pausado', 'conversation', '2')`);
  await sql.rows(
    `insert into turns (tenant_id, conversation_id, status, fence, lease_until, worker, inbound_seq) select 'default', id, 'committed', 0, now(), 'w', 0 from conversations`,
  );
}

test('X6 a merge is taken back: both have what they had, to the last message, opt-out, pause and handoff', async (t) => {
  const sql = await openSql(t);
  await twoPeople(sql);
  const before = await picture(sql);
  await sql.rows('select merge_contacts(1, 2)');
  const merged = await picture(sql);
  assert.notDeepEqual(merged, before);
  assert.deepEqual(
    (merged['messages'] as { conversation_id: string }[]).map((row) => Number(row.conversation_id)),
    [1, 1, 1, 1],
  );
  assert.deepEqual(await sql.rows(`select unmerge_contact('default', 'cli:ana', 1) as r`), [{ r: { outcome: 'unmerged', merged: 2 } }]);
  assert.deepEqual(await picture(sql), before);
  assert.deepEqual(await sql.rows(`select action, actor, subject, details from audit_log order by id`), [
    { action: 'contact.merge', actor: 'runtime', subject: '1', details: { merged: 2 } },
    { action: 'contact.unmerge', actor: 'cli:ana', subject: '1', details: { merged: 2 } },
  ]);
  assert.deepEqual(await sql.rows(`select unmerge_contact('default', 'cli:ana', 1) as r`), [{ r: { outcome: 'no_merge' } }]);
  // each goes on by itself
  const [p3, l3] = [
    await sql.record([said({ id: 'P3', pn: PN, at: minutesAfter(5) })], minutesAfter(5)),
    await sql.record([said({ id: 'L3', pn: null, lid: LID, at: minutesAfter(5) })], minutesAfter(5)),
  ];
  assert.deepEqual([p3[0]?.conversation_id, l3[0]?.conversation_id], [1, 2]);
});

test('X6 W10 two chats with a message of the same id: merged one of them is found by its words, taken back both have it again', async (t) => {
  const sql = await openSql(t);
  await sql.record([
    said({ id: 'X', pn: PN, lid: LID, text: 'first', at: minutesAfter(0) }),
    said({ id: 'X', pn: '5511912345679', lid: '123456789012346', text: 'second', at: minutesAfter(1) }),
  ]);
  const before = await picture(sql);
  const ids = () => sql.rows(`select text, provider_id from messages order by id`);
  const both = [
    { text: 'first', provider_id: 'X' },
    { text: 'second', provider_id: 'X' },
  ];
  assert.deepEqual(await ids(), both);
  await sql.rows('select merge_contacts(1, 2)');
  assert.deepEqual(await ids(), [both[0], { text: 'second', provider_id: null }]);
  await sql.rows(`select unmerge_contact('default', 'cli:ana', 1)`);
  assert.deepEqual(await ids(), both);
  assert.deepEqual(await picture(sql), before);
});

test('X6 what came after a merge stays with the one that was kept; a conversation that had no counterpart goes back whole', async (t) => {
  const sql = await openSql(t);
  await twoPeople(sql);
  await sql.rows('select ensure_instance($1, null)', ['other']);
  await sql.record([said({ id: 'O1', pn: null, lid: '999999999999999', instance: 'other', text: 'elsewhere' })], NOON);
  await sql.rows(`update conversations set contact_id = 2 where instance_id = (select id from instances where name = 'other')`);
  await sql.rows('select merge_contacts(1, 2)');
  await sql.record([said({ id: 'B1', pn: PN, lid: LID, text: 'after', at: minutesAfter(9) })], minutesAfter(9));
  await sql.rows(`select remember_fact(1, '{"fact": "new"}', null, $1)`, [minutesAfter(10)]);
  await sql.rows(`select unmerge_contact('default', 'cli:ana', 1, 2)`);
  assert.deepEqual(await sql.dump(), [
    '1 in contact received: by number',
    '1 in contact received: again by number',
    '1 in contact received: after',
    '2 in contact received: by lid',
    '2 out human sent: colleague',
    '3 in contact received: elsewhere',
  ]);
  assert.deepEqual(await sql.rows('select id, contact_id from conversations order by id'), [
    { id: '1', contact_id: '1' },
    { id: '2', contact_id: '2' },
    { id: '3', contact_id: '2' },
  ]);
  assert.deepEqual(
    await sql.rows(
      `select contact_id as id, array_agg(fact order by id) as facts from contact_facts where replaced_at is null group by 1 order by 1`,
    ),
    [
      { id: '1', facts: ['Maria', 'veste 1', 'new'] },
      { id: '2', facts: ['Pedro', 'veste 2'] },
    ],
  );
});

test('X6 of two merges the later one is taken back first; an erasure leaves nothing to take back', async (t) => {
  const sql = await openSql(t);
  await twoPeople(sql);
  await sql.record([said({ id: 'T1', pn: '5511912345699', text: 'third' })], NOON);
  await sql.rows('select merge_contacts(1, 2)');
  await sql.rows('select merge_contacts(1, 3)');
  assert.deepEqual(await sql.rows(`select unmerge_contact('default', 'x', 1, 2) as r`), [{ r: { outcome: 'later_merge', merged: 3 } }]);
  const both = await Promise.all([1, 2].map(() => sql.rows(`select unmerge_contact('default', 'x', 1, 3) ->> 'outcome' as r`)));
  assert.deepEqual(
    both
      .flat()
      .map((row) => String(row['r']))
      .toSorted(),
    ['no_merge', 'unmerged'],
    'two at once: once',
  );
  await sql.rows(`select erase_contact('default', 1, null, 'x', 'asked')`);
  assert.deepEqual(await sql.rows(`select count(*)::int as n from contact_merges where kept = 1 and merged = 2`), [{ n: 0 }]);
});

test('A11 contact merge, contact unmerge', async (t) => {
  const { url } = await testDatabase(t);
  const db = openPostgres(url);
  t.after(() => db.close());
  const ctx = { db } as unknown as AdminContext; // all that these commands use
  const run = async (name: 'contact merge' | 'contact unmerge', args: object) => {
    const command = COMMANDS.find((each) => each.name === name);
    assert.ok(command);
    const answer = await runCommand(command, ctx, args, { id: 'cli:ana', tenant: 'default' });
    return answer.ok ? command.text(answer.result, String) : `${answer.kind}: ${answer.message}`;
  };
  assert.equal(await run('contact unmerge', { id: '7' }), 'not_found: nothing was merged into contact 7 that could be taken back');
  assert.equal(await run('contact merge', { id: '7', other: '8', reason: 'x' }), 'not_found: contacts 7 and 8 are not both there');
  assert.equal(await run('contact merge', { id: '7', other: '7', reason: 'x' }), 'bad_request: a contact cannot be merged with itself');
  await db.call('ensure_instance', { p_name: 'julia-dev', p_provider_id: null });
  await recordInbound(
    db,
    [
      {
        requestId: 'r',
        instance: 'julia-dev',
        event: 'x',
        raw: {},
        from: { tenant: 'default' },
        events: [said({ id: 'A', pn: PN }), said({ id: 'B', pn: null, lid: LID })],
      },
    ],
    {
      takeoverMinutes: 30,
      takeoverCapMinutes: 240,
      withdrawParts: true,
    },
  );
  assert.equal(await run('contact merge', { id: '2', other: '1', reason: 'the same person' }), 'They are one now: contact 1.');
  assert.equal(await run('contact unmerge', { id: '1' }), 'Contact 2 is a person of its own again, beside contact 1.');
});

test('X6 answers go where the contact wrote from last; where WhatsApp refuses one, to the address where something was delivered last', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'B1', pn: PN, lid: LID, at: minutesAfter(0) })], minutesAfter(0));
  const jid = async () => (await sql.rows('select jid from conversations'))[0]?.['jid'];
  const send = async (id: string, minute: number, status: 'delivered' | 'failed'): Promise<void> => {
    const message = await sending(sql, { text: id, now: minutesAfter(minute), phone: PN });
    await recordSend(sql, message, { kind: 'sent', provider_id: id }, minutesAfter(minute));
    await sql.record([ack(id, status)], minutesAfter(minute));
  };
  assert.equal(await jid(), `${LID}@lid`);
  await send('S1', 1, 'delivered');
  assert.equal(await jid(), `${LID}@lid`);
  assert.deepEqual(await sql.rows('select kind, delivered_at from contact_addresses order by kind'), [
    { kind: 'lid', delivered_at: minutesAfter(1) },
    { kind: 'pn', delivered_at: null },
  ]);
  await sql.rows(`update instances set held_reason = null`);
  await send('S2', 2, 'failed');
  assert.equal(await jid(), `${PN}@s.whatsapp.net`, 'the other address of the same person');
  await sql.rows(`update instances set held_reason = null`);
  await send('S3', 3, 'delivered');
  assert.equal(await jid(), `${PN}@s.whatsapp.net`);
  assert.deepEqual(await sql.rows(`select sent_to from messages where direction = 'out' order by id`), [
    { sent_to: `${LID}@lid` },
    { sent_to: `${LID}@lid` },
    { sent_to: `${PN}@s.whatsapp.net` },
  ]);
  await sql.record([said({ id: 'B2', pn: PN, lid: LID, at: minutesAfter(4) })], minutesAfter(4));
  assert.equal(await jid(), `${LID}@lid`, 'the contact wrote from there');
  // a late refusal of what went elsewhere does not turn it
  await sql.record([ack('S3', 'failed')], minutesAfter(5));
  assert.equal(await jid(), `${LID}@lid`);
});

test('X6 who has one address only keeps it, whatever WhatsApp refuses', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'P1', pn: PN })], NOON);
  const message = await sending(sql, { phone: PN });
  await recordSend(sql, message, { kind: 'sent', provider_id: 'S1' });
  await sql.record([ack('S1', 'failed')], NOON);
  assert.deepEqual(await sql.rows('select jid from conversations'), [{ jid: `${PN}@s.whatsapp.net` }]);
});
