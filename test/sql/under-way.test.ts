/** The narrow tables of what is under way: whatever becomes of messages, they say the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { narrowDifferences } from '../../scripts/lib/under-way.ts';
import { queueReplies, sendsDatabase, sentAs } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

const INBOUND = ['received', 'answered', 'skipped', 'handed_over'];
const OUTBOUND = [
  'draft',
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'failed',
  'blocked',
  'expired',
  'cancelled',
  'uncertain',
  'unproven',
];
const KINDS = ['reply', 'handoff', 'follow_up', 'notification', 'campaign', 'prospecting', 'manual', 'operator', 'transactional'];
const NOON = new Date('2026-03-02T12:00:00Z');

const minutes = fc.integer({ min: -1500, max: 1500 });
const at = fc.option(minutes.map((minute) => new Date(NOON.getTime() + minute * 60_000)));
/** Any state that a message may have. */
const state = fc.record({
  inbound: fc.boolean(),
  in: fc.constantFrom(...INBOUND),
  out: fc.constantFrom(...OUTBOUND),
  kind: fc.constantFrom(...KINDS),
  conversation: fc.integer({ min: 1, max: 3 }),
  priority: fc.integer({ min: 0, max: 4 }),
  command: fc.boolean(),
  slot: at,
  due: at,
  lease: at,
  expires: at,
  reason: fc.option(fc.constantFrom('cap_hour', 'typing')),
  error: fc.option(fc.constantFrom('provider_refused', 'timeout')),
  first: fc.boolean(),
});
type State = typeof state extends fc.Arbitrary<infer T> ? T : never;
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ act: fc.constant('add' as const), state }) },
  { weight: 6, arbitrary: fc.record({ act: fc.constant('change' as const), which: fc.nat(9), state }) },
  {
    weight: 1,
    arbitrary: fc.record({ act: fc.constant('move' as const), from: fc.integer({ min: 1, max: 3 }), to: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('age' as const), minutes }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('delete' as const), which: fc.nat(9) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const COLUMNS =
  'direction, author, status, kind, conversation_id, priority, meaning, slot_at, due_at, lease_until, expires_at, reason, error_class, first_contact, claimed_at';
const values = (s: State): unknown[] => [
  s.inbound ? 'in' : 'out',
  s.inbound ? 'contact' : 'agent',
  s.inbound ? s.in : s.out,
  s.inbound ? null : s.kind,
  s.conversation,
  s.priority,
  s.command ? { command: { kind: 'help' } } : null,
  s.inbound ? null : s.slot,
  s.due,
  s.lease,
  s.expires,
  s.reason,
  s.error,
  s.first,
  s.lease,
];

async function act(sends: SendsDatabase, each: Step, seq: number): Promise<void> {
  switch (each.act) {
    case 'add':
      await sends.query(
        `insert into messages (${COLUMNS}, seq, tenant_id, instance_id, text, provider_at)
         values (${Array.from({ length: 15 }, (_, n) => `$${n + 1}`).join(', ')}, $16, 'default', 1, 'x', now())`,
        [...values(each.state), seq],
      );
      return;
    case 'change':
      await sends.query(
        `update messages set (${COLUMNS}, seq) = (select ${Array.from({ length: 15 }, (_, n) => `$${n + 2}::${TYPES[n]}`).join(', ')}, $17::bigint)
         where id = (select id from messages order by id offset $1 limit 1)`,
        [each.which, ...values(each.state), seq],
      );
      return;
    case 'move':
      await sends.query(`update messages set conversation_id = $2, seq = seq + 1000 * $3 where conversation_id = $1`, [
        each.from,
        each.to,
        seq,
      ]);
      return;
    case 'age':
      await sends.query(
        `update messages set created_at = created_at + $1, slot_at = slot_at + $1, due_at = due_at + $1, lease_until = lease_until + $1`,
        [`${each.minutes} minutes`],
      );
      return;
    case 'delete':
      await sends.query(`delete from messages where id = (select id from messages order by id offset $1 limit 1)`, [each.which]);
  }
}
const TYPES =
  'text text text text bigint smallint jsonb timestamptz timestamptz timestamptz timestamptz text text boolean timestamptz'.split(' ');

test('X1 R2 I5 what is under way: after any history the narrow tables say what messages say, in both directions', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`insert into contacts (tenant_id) select 'default' from generate_series(1, 3)`);
  await sends.query(`insert into conversations (tenant_id, instance_id, contact_id, jid) select 'default', 1, id, 'x' from contacts`);
  let seq = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await sends.query('delete from messages');
      for (const each of steps) await act(sends, each, ++seq);
      assert.deepEqual(await narrowDifferences(sends.query), []);
    }),
    { numRuns: 60 },
  );
});

test('X1 what is under way: a row that is missing, wrong or too much is seen', async (t) => {
  const sends = await sendsDatabase(t);
  const { id } = await sends.proactive('5511960000001', NOON);
  assert.deepEqual(await narrowDifferences(sends.query), []);
  await sends.query(`update outbox set reason = 'x'`);
  assert.equal((await narrowDifferences(sends.query)).length, 2);
  await sends.query('delete from outbox');
  assert.match((await narrowDifferences(sends.query)).join(), /^outbox lacks/);
  await sends.query(`update messages set status = 'sent', slot_at = $2 where id = $1`, [id, NOON]);
  assert.deepEqual(await narrowDifferences(sends.query), []);
  await sends.query('update slot_hours set n = 2');
  assert.equal((await narrowDifferences(sends.query)).length, 2);
});

const WINDOWS = ['30 minutes', '1 hour', '1 day'];
const CLASSES = ['reply', 'proactive', 'stranger', 'campaign', 'follow_up'];

/** free_at as it was defined before there were sums: over the messages themselves. */
const COUNTS = `(kind in ('reply', 'handoff')) = ($1 = 'reply') and case $1 when 'reply' then true when 'proactive' then true when 'stranger' then first_contact else kind = $1 end`;
const PLAIN = `with room as (select $3::int - count(*) as n from messages where status in ('sending', 'uncertain') and ${COUNTS})
  select case when $3 = 0 or room.n <= 0 then $5::timestamptz + $2::interval else (
    select slot_at from messages where slot_at > greatest($5::timestamptz - $2::interval, $4::timestamptz) and status not in ('sending', 'uncertain')
      and ${COUNTS} order by slot_at desc offset room.n - 1 limit 1) + $2::interval end as at from room`;

test('R1 R2 free_at: the sums say what the slots say, for any slots, window, cap and reset', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`insert into contacts (tenant_id) values ('default')`);
  await sends.query(`insert into conversations (tenant_id, instance_id, contact_id, jid) select 'default', 1, id, 'x' from contacts`);
  let seq = 0;
  const slot = fc.record({
    kind: fc.constantFrom('reply', 'handoff', 'campaign', 'follow_up', 'notification'),
    status: fc.constantFrom('sent', 'sent', 'sent', 'read', 'unproven', 'sending', 'uncertain'),
    first: fc.boolean(),
    // Near each other, at edges of minutes, and some ahead: the provider's clock.
    seconds: fc.oneof(
      fc.integer({ min: -90_000, max: 120 }),
      fc.integer({ min: -65, max: 0 }).map((n) => n * 60),
      fc.integer({ min: -3_700, max: -3_500 }),
    ),
  });
  const ask = fc.record({
    window: fc.constantFrom(...WINDOWS),
    class: fc.constantFrom(...CLASSES),
    cap: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constant(1_000_000)),
    since: fc.option(fc.integer({ min: -90_000, max: 0 })),
    now: fc.integer({ min: -30, max: 90 }),
  });
  const after = (seconds: number) => new Date(NOON.getTime() + seconds * 1000);
  await fc.assert(
    fc.asyncProperty(fc.array(slot, { maxLength: 40 }), fc.array(ask, { minLength: 8, maxLength: 8 }), async (slots, asks) => {
      await sends.query('delete from messages');
      await sends.query(
        `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, kind, status, first_contact, slot_at, text, provider_at)
         select 'default', 1, 1, $1 + row_number() over (), 'out', 'agent', s.kind, s.status, s.first, s.at, 'x', now()
         from jsonb_to_recordset($2) as s (kind text, status text, first boolean, at timestamptz)`,
        [seq, JSON.stringify(slots.map((each) => ({ ...each, at: after(each.seconds) })))],
      );
      seq += slots.length;
      for (const each of asks) {
        // No answer is asked of a longer time.
        const window = each.class === 'reply' && each.window === '1 day' ? '1 hour' : each.window;
        const values = [each.class, window, each.cap, each.since === null ? null : after(each.since), after(each.now)];
        const [sums] = await sends.query('select free_at(1, $1::text, $2::interval, $3::int, $4, $5) as at', values);
        const [plain] = await sends.query(PLAIN, values);
        assert.deepEqual(sums, plain, JSON.stringify({ each, slots }));
      }
    }),
    { numRuns: 60 },
  );
});

test('R2 O1 slots: two connections that settle sends of one number in one minute do not wait for each other', async (t) => {
  const sends = await sendsDatabase(t);
  const lanes = [
    await queueReplies(sends, '5511960000001', ['Olá!'], { at: NOON }),
    await queueReplies(sends, '5511960000002', ['Oi!'], { at: NOON }),
  ];
  const claims = await Promise.all(lanes.map(({ conversation }) => sends.claim(conversation, NOON)));
  const clients = lanes.map(() => new pg.Client({ connectionString: sends.url }));
  t.after(() => Promise.all(clients.map((client) => client.end())));
  for (const [index, client] of clients.entries()) {
    const claim = claims[index];
    assert.equal(claim?.action, 'send');
    client.on('error', () => {}); // its database goes before it
    await client.connect();
    await client.query(`begin; set local lock_timeout = '1s'`);
    await client.query(`select record_send($1, $2, $3, $4)`, [claim?.message_id, claim?.claim, sentAs(`wa-${index}`), NOON]);
  }
  for (const client of clients) await client.query('commit');
  assert.deepEqual(await sends.query(`select sum(n)::int as n, count(*)::int as rows from slot_minutes`), [{ n: 2, rows: 2 }]);
  assert.deepEqual(await narrowDifferences(sends.query), []);
});

test('R1 slots: retention ends those of answers and the sums after three days, and what is still looked at stays', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`insert into contacts (tenant_id) values ('default')`);
  await sends.query(`insert into conversations (tenant_id, instance_id, contact_id, jid) select 'default', 1, id, 'x' from contacts`);
  await sends.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, kind, status, slot_at, text, provider_at)
     select 'default', 1, 1, row_number() over (), 'out', 'agent', k, 'sent', $1::timestamptz - make_interval(hours => h), 'x', now()
     from unnest(array['reply', 'campaign']) k, generate_series(1, 97, 24) h`,
    [NOON],
  );
  const purge = () =>
    sends.db.call('purge_old', {
      p_ages: { webhooks: 0, jobs: 0, transcripts: 0, messages: 0, audit: 0 },
      p_limit: 100,
      p_now: NOON.toISOString(),
    });
  await purge();
  await purge();
  assert.deepEqual(
    await sends.query(`select (select count(*) from slots where reply)::int as replies, (select count(*) from slots where not reply)::int as others,
      (select sum(n) from slot_minutes)::int as minutes, (select sum(n) from slot_hours)::int as hours, (select count(*) from messages)::int as messages`),
    [{ replies: 3, others: 5, minutes: 6, hours: 3, messages: 10 }],
  );
  // What is deleted later leaves no sum of a minute that nobody counts any more.
  await sends.query('delete from messages');
  assert.deepEqual(await narrowDifferences(sends.query), []);
  assert.deepEqual(await sends.query(`select 1 from slot_minutes where minute < $1::timestamptz - interval '3 days'`, [NOON]), []);
});
