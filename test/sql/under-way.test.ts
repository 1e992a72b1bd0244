/** The narrow tables of what is under way: whatever becomes of messages, they say the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { narrowDifferences } from '../../scripts/lib/under-way.ts';
import { sendsDatabase } from '../support/sends.ts';
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
const KINDS = ['reply', 'handoff', 'follow_up', 'notification', 'campaign', 'prospecting', 'manual', 'operator'];
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
