/** What is ordinary goes a way of its own through complete_turns and record_sends: it must come to what the general functions come to, in any state. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { recordInbound } from '../../src/inbox/calls.ts';
import { said } from '../support/inbound.ts';
import { FREE, sendsDatabase } from '../support/sends.ts';

const RUNS = 150;
const PN = '5511910000000';

/** Each may stand in the way of an ordinary answer; some of them do nothing. */
const STATES: Record<string, string> = {
  assist: `update conversations set mode = 'assist'`,
  manual: `update conversations set mode = 'manual'`,
  human: `update conversations set controlled_by = 'human'`,
  takeover: `update conversations set takeover_until = now() + interval '1 hour'`,
  apologised: `update conversations set apologised_at = now(), deferred_since = now()`,
  deferred: `update conversations set deferred_since = now(), deferred_until = now(), deferred_reason = 'x', failed_in_row = 2`,
  superseded: `update conversations set superseded_in_row = 1`,
  wroteAgain: `update conversations set inbound_seq = inbound_seq + 1`,
  wroteOften: `update conversations set inbound_seq = inbound_seq + 1, superseded_in_row = 2`,
  fence: `update conversations set fence = fence + 1`,
  closed: `update instances set status = 'close'`,
  open: `update instances set status = 'open'`,
  heldNumber: `update instances set held_reason = 'number_rate_limited', held_since = now(), held_until = now() + interval '1 hour'`,
  ownCap: `update instances set reply_cap_hour = 1`,
  noCap: `update instances set reply_cap_hour = 0`,
  pausedAll: `insert into julia_status (status, motivo, alterado_via) values ('pausado', 'x', 'test')`,
  pausedConversation: `insert into julia_status (status, motivo, alterado_via, scope, target) select 'pausado', 'x', 'test', 'conversation', id::text from conversations`,
  resumed: `insert into julia_status (status, motivo, alterado_via) values ('ativo', 'x', 'test')`,
  optedOutBefore: `insert into opt_outs (tenant_id, contact_id, source, created_at) select tenant_id, id, 'message', now() - interval '1 hour' from contacts on conflict do nothing`,
  optedOutNow: `insert into opt_outs (tenant_id, contact_id, source, created_at) select tenant_id, id, 'message', now() + interval '1 hour' from contacts on conflict do nothing`,
  expiredTurn: `update turns set status = 'expired'`,
  laneQueued: `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, kind, priority, part, due_at)
    select tenant_id, instance_id, id, 100, 'out', 'system', 'text', 'queued', 'x', now(), 'manual', 1, 0, now() - interval '1 minute' from conversations`,
  laneSending: `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, kind, priority, part, due_at, claim, lease_until, slot_at)
    select tenant_id, instance_id, id, 101, 'out', 'agent', 'text', 'sending', 'y', now(), 'reply', 0, 0, now(), 1, now() + interval '1 minute', now() from conversations`,
  anotherWaits: `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at)
    select tenant_id, instance_id, id, 102, 'in', 'contact', 'text', 'received', 'mais', now() from conversations`,
  callsPaid: `insert into model_calls (tenant_id, turn_id, model, outcome, ms) select tenant_id, id, 'm', 'end_turn', 1 from turns`,
};

/** Half of the states say nothing, so that the ordinary way is gone often enough to be compared. */
const states = fc.oneof(fc.constant([]), fc.uniqueArray(fc.constantFrom(...Object.keys(STATES)), { minLength: 1, maxLength: 3 }));

/** Four times in five the first. */
function mostly<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
}

const part = fc.record({
  text: fc.constantFrom('um', 'dois'),
  typing_ms: fc.constantFrom(0, 0, 700),
  kind: fc.constantFrom('reply', 'handoff'),
});
const call = fc.record({
  model: fc.constant('m'),
  outcome: fc.constantFrom('end_turn', 'end_turn', 'end_turn', 'refusal'),
  ms: fc.constant(5),
  input_tokens: fc.nat(900),
  output_tokens: fc.nat(90),
  thinking_tokens: fc.nat(9),
  cache_read_tokens: fc.nat(9),
  cache_write_tokens: fc.nat(9),
  cost_usd: fc.constantFrom(0.25, null),
  estimated: fc.boolean(),
  detail: fc.constant(null),
  cache_miss: fc.constant(null),
});
const result = fc.record({
  kind: mostly('answer', 'skip', 'failed'),
  reason: fc.constantFrom(null, 'why'),
  model: fc.constantFrom('m', null),
  parts: fc.array(part, { maxLength: 3 }),
  effects: mostly<object[]>([], [{ type: 'remember', fact: 'gosta de café' }], [{ type: 'opt_out' }]),
  tool_calls: mostly<object[]>([], [{ name: 'x', input: {}, output: 'y', ok: true, ms: 1 }]),
  model_calls: fc.array(call, { maxLength: 2 }),
  transcript: fc.constantFrom([{ role: 'assistant' }], null),
  answer_id: fc.constantFrom('msg_1', null),
  route: fc.constantFrom('plain', 'objection'),
  verdict: fc.constantFrom('ok', null),
});
const MIXED = {
  kind: 'answer',
  reason: null,
  model: null,
  parts: (['handoff', 'reply'] as const).map((kind) => ({ text: 'um' as const, typing_ms: 0 as const, kind })),
  effects: [],
  tool_calls: [],
  model_calls: [],
  transcript: null,
  answer_id: null,
  route: 'plain' as const,
  verdict: null,
};
const policy = fc.record({
  allowlist: fc.constantFrom(null, null, [PN], ['5511999999999']),
  replyCapHour: fc.constantFrom(100_000, 100_000, 1, 0, null),
});

/** All that a commit can have changed; without what is drawn at random or counts on. */
const SEEN = `select jsonb_build_object(
  'messages', (select jsonb_agg(to_jsonb(m) - array['id', 'wire_id', 'updated_at'] order by m.seq) from messages m),
  'turns', (select jsonb_agg(to_jsonb(t) - array['updated_at'] order by t.id) from turns t),
  'calls', (select jsonb_agg(to_jsonb(c) - array['id', 'created_at'] order by c.id) from model_calls c),
  'events', (select jsonb_agg(jsonb_build_object('type', type, 'payload', payload - 'handoff_id', 'at', occurred_at, 'cause', causation_id is not null) order by id)
    from events where type <> 'conversation.handed_over'),
  'tools', (select count(*) from tool_calls), 'handoffs', (select jsonb_agg(to_jsonb(h) - array['id'] order by h.id) from handoffs h),
  'conversations', (select jsonb_agg(to_jsonb(c) - array['updated_at']) from conversations c),
  'instances', (select jsonb_agg(to_jsonb(i) - array['updated_at']) from instances i),
  'wires', (select count(*) from messages where wire_id is not null),
  'under', (select jsonb_build_array((select count(*) from inbox), (select count(*) from outbox), (select count(*) from on_wire), (select count(*) from slots)))) as seen`;

type Answer = Record<string, unknown>;
const random = ['message_id', 'wire_id', 'now', 'created_at', 'read_ids'];
function withoutRandom(claim: unknown): unknown {
  if (claim == null) return null;
  return Object.fromEntries(
    Object.entries(claim)
      .filter(([key]) => !random.includes(key))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Somebody has written, and waits; a session of the database in which to try what may come of it. */
async function oneConversation(t: Parameters<typeof sendsDatabase>[0]): Promise<pg.Client> {
  const { db, url, query } = await sendsDatabase(t);
  await query(`select keep_events('default')`);
  await recordInbound(
    db,
    [
      {
        requestId: 'r',
        instance: 'julia-dev',
        event: 'messages.upsert',
        raw: {},
        from: { tenant: 'default' },
        events: [said({ id: 'A1', pn: PN, at: new Date() })],
      },
    ],
    { takeoverMinutes: 30, takeoverCapMinutes: 240, withdrawParts: true },
  );
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // its database goes before it
  await client.connect();
  t.after(() => client.end());
  return client;
}

type Ended = { said: Answer; seen: unknown; plain: boolean };
type Claim = { turn_id: number; fence: number };

async function oneByOne(client: pg.Client, claim: Claim, id: string, given: unknown, rules: unknown): Promise<Ended> {
  const ask = async (sql: string, values: unknown[]): Promise<Answer> => (await client.query(sql, values)).rows[0].said as Answer;
  const done = await ask('select complete_turn($1, $2, $3, now()) as said', [claim.turn_id, claim.fence, JSON.stringify(given)]);
  const sends = done['outcome'] === 'committed' && Number(done['parts']) > 0;
  const send = sends ? await ask('select claim_send($1, $2, now()) as said', [id, JSON.stringify(rules)]) : null;
  const { rows } = await client.query(SEEN);
  return { said: { ...done, send: withoutRandom(send) }, seen: rows[0].seen, plain: false };
}

async function inAGroup(client: pg.Client, claim: Claim, id: string, given: unknown, rules: unknown): Promise<Ended> {
  const item = { conversation_id: Number(id), turn: claim.turn_id, fence: claim.fence, result: given, send: true };
  const asked = await client.query('select complete_turns($1, $2, now()) as said', [JSON.stringify([item]), JSON.stringify(rules)]);
  const [{ pending_ms: _, send, ...done }] = asked.rows[0].said as [Answer];
  const { wait_ms: __, ...claimed } = (withoutRandom(send) ?? {}) as Answer;
  const { rows } = await client.query(SEEN);
  return { said: { ...done, send: send === null ? null : claimed }, seen: rows[0].seen, plain: !('first_pending_at' in done) };
}

test('X1 I4 O1 an ordinary answer, committed and claimed with others in one statement, comes to what complete_turn and claim_send come to', async (t) => {
  const client = await oneConversation(t);
  let ordinary = 0;
  await fc.assert(
    fc.asyncProperty(states, result, policy, async (chosen, given, limits) => {
      const rules = { ...FREE, ...limits };
      // both from the same state, at the same moment: what the first has done is rolled back
      await client.query('begin');
      const { rows: claims } = await client.query(`select claim_turn(id, 'w', 30000, now()) as c, id from conversations`);
      const { c: claim, id } = claims[0] as { c: { turn_id: number; fence: number }; id: string };
      for (const state of chosen) await client.query(STATES[state] ?? '');
      await client.query('savepoint before');
      const one = await oneByOne(client, claim, id, given, rules);
      await client.query('rollback to before');
      const group = await inAGroup(client, claim, id, given, rules);
      await client.query('rollback');
      if (group.plain && group.said['outcome'] === 'committed') ordinary++;
      const { first_pending_at: _, ...oneSaid } = one.said;
      const { first_pending_at: __, ...groupSaid } = group.said;
      assert.deepEqual(groupSaid, oneSaid);
      assert.deepEqual(group.seen, one.seen);
    }),
    {
      numRuns: RUNS,
      // the lane has a reply before the offer of a person, wherever it stands in the answer
      examples: [[[], MIXED, { allowlist: null, replyCapHour: 100_000 }]],
    },
  );
  // what went the ordinary way is not the exception here
  assert.ok(ordinary > RUNS / 15, String(ordinary));
});

const SENDS: Record<string, string> = {
  none: 'select 1',
  settled: `update messages set status = 'sent', provider_id = 'P' where direction = 'out' and status = 'sending'`,
  settledOtherwise: `update messages set status = 'sent', provider_id = 'Q' where direction = 'out' and status = 'sending'`,
  uncertain: `update messages set status = 'uncertain', lease_until = null, reason = 'worker_lost' where status = 'sending'`,
  claimedAgain: `update messages set claim = claim + 1 where status = 'sending'`,
  givenBack: `update messages set status = 'queued', slot_at = null, reason = 'x' where status = 'sending'`,
  heldNumber: STATES['heldNumber'] ?? '',
  unauthorized: `update instances set held_reason = 'number_unauthorized', held_since = now(), held_until = now() + interval '1 hour'`,
  superseded: `update conversations set superseded_in_row = 2`,
  anotherPerson: `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_id, provider_at)
    select tenant_id, instance_id, id, 200, 'out', 'human', 'text', 'sent', 'um', 'P', now() from conversations`,
  anotherOfOurs: `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_id, provider_at, kind, priority, part)
    select tenant_id, instance_id, id, 201, 'out', 'agent', 'text', 'delivered', 'um', 'P', now(), 'reply', 0, 1 from conversations`,
  early: `insert into early_updates (tenant_id, instance_id, provider_id, event) select tenant_id, id, 'P', '{"kind": "ack", "providerId": "P", "ack": "delivered", "fromMe": true, "at": "2026-11-30T00:00:00Z"}' from instances`,
  more: STATES['laneQueued'] ?? '',
};

test('X1 I4 O1 T8 a send that arrived, recorded with others in one statement, comes to what record_send comes to', async (t) => {
  const client = await oneConversation(t);
  const ask = async (sql: string, values: unknown[]): Promise<Answer> => (await client.query(sql, values)).rows[0].said as Answer;
  const outcome = fc.record({
    kind: fc.constantFrom('sent', 'sent', 'sent', 'retry', 'failed', 'uncertain'),
    jid: fc.constantFrom(null, null, `${PN}@s.whatsapp.net`),
  });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.constantFrom(...Object.keys(SENDS)), { maxLength: 2 }), outcome, async (states, given) => {
      await client.query('begin');
      const { rows } = await client.query(`select claim_turn(id, 'w', 30000, now()) as c, id from conversations`);
      const { c: claim, id } = rows[0] as { c: Claim; id: string };
      const answer = { kind: 'answer', reason: null, parts: [{ text: 'um', typing_ms: 0, kind: 'reply' }] };
      await ask('select complete_turn($1, $2, $3, now()) as said', [claim.turn_id, claim.fence, JSON.stringify(answer)]);
      const send = await ask('select claim_send($1, $2, now()) as said', [id, JSON.stringify(FREE)]);
      for (const state of states) {
        // some exclude each other
        await client.query('savepoint state');
        await client.query(SENDS[state] ?? '').catch(() => client.query('rollback to state'));
      }
      const end = { ...given, provider_id: 'P', class: 'timeout', detail: 'x', delay_ms: 1000, counts: true, look_ms: 1000, trouble: null };
      await client.query('savepoint before');
      const one = await ask('select record_send($1, $2, $3, now()) as said', [send['message_id'], send['claim'], JSON.stringify(end)]);
      const oneSeen = (await client.query(SEEN)).rows[0].seen as unknown;
      await client.query('rollback to before');
      const item = { conversation_id: Number(id), message_id: send['message_id'], claim: send['claim'], outcome: end, next: false };
      const [group] = (await ask('select record_sends($1, $2, now()) as said', [
        JSON.stringify([item]),
        JSON.stringify(FREE),
      ])) as unknown as [Answer];
      const groupSeen = (await client.query(SEEN)).rows[0].seen as unknown;
      await client.query('rollback');
      assert.deepEqual(group, { ...one, next: null });
      assert.deepEqual(groupSeen, oneSeen);
    }),
    { numRuns: RUNS },
  );
});
