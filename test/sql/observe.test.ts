/** Where the agent only looks on nothing leaves, whatever is called in whatever order: the database sees to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { FREE, sendsDatabase } from '../support/sends.ts';

const RUNS = 150;
const PHONE = '5511912345678';
const START = new Date('2026-03-02T12:00:00Z');

type Json = Record<string, unknown>;
type Call = (name: string, ...args: unknown[]) => Promise<Json>;
/** What a step of a history may ask of the database; `talk` is the conversation. */
type Step = (call: Call, talk: number, at: string) => Promise<unknown>;

const PART = fc.record({
  text: fc.constantFrom('um', 'dois'),
  typing_ms: fc.constantFrom(0, 700),
  kind: fc.constantFrom('reply', 'handoff'),
});
const RESULT = fc.record({
  kind: fc.constantFrom('answer', 'answer', 'answer', 'handoff', 'skip', 'failed', 'aborted', 'deferred'),
  reason: fc.constantFrom(null, 'why'),
  model: fc.constantFrom(null, 'm'),
  parts: fc.array(PART, { maxLength: 3 }),
  effects: fc.constantFrom(
    [],
    [{ type: 'handoff', reason: 'x', summary: null, controls: true }],
    [{ type: 'label', labels: ['troca'], summary: 'Quer trocar.' }],
  ),
  retry_ms: fc.constant(1_000),
  apology: fc.constant('Um momento.'),
  apology_ms: fc.constantFrom(null, 0),
});

const heard: Step = async (call, talk, at) =>
  call(
    'sql',
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_id, provider_at, created_at)
       select tenant_id, instance_id, id, last_seq + 1, 'in', 'contact', 'text', 'received', 'oi', 'P' || id || '-' || last_seq, $2, $2 from conversations where id = $1`,
    talk,
    at,
  ).then(() =>
    call(
      'sql',
      'update conversations set last_seq = last_seq + 1, inbound_seq = inbound_seq + 1, last_inbound_at = $2 where id = $1',
      talk,
      at,
    ),
  );

const ANSWERED: fc.Arbitrary<Step> = RESULT.map((result): Step => async (call, talk, at) => {
  const claim = await call('claim_turn', talk, 'w', 30_000, at);
  if (claim['state'] !== 'claimed') return;
  const item = { conversation_id: talk, turn: claim['turn_id'], fence: claim['fence'], result, send: true };
  await call('complete_turns', [item], FREE, at);
});
/** Of people, and of those who run this. */
const DONE_BY_HAND: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom('auto', 'assist', 'manual', 'observe').map(
    (mode): Step =>
      (call, talk, at) =>
        call('set_mode', 'default', talk, mode, 'ana', null, at),
  ),
  fc.constant<Step>(async (call, _, at) => {
    const drafts = (await call('list_drafts', 'default', 10, null)) as unknown as { id: number }[];
    for (const { id } of drafts) await call('settle_draft', 'default', id, true, null, 'ana', null, at);
  }),
  fc.constant<Step>((call, talk, at) => call('take_conversation', 'default', talk, 'api:ana', true, at)),
  fc.constant<Step>((call, talk, at) => call('return_handoff', 'default', talk, 'ana', 'x', at)),
  fc.constant<Step>(async (call) => {
    await call(
      'sql',
      `update messages set status = 'failed', reason = 'send_failed' where direction = 'out' and status in ('queued', 'cancelled') and kind <> 'manual'`,
    );
    const { rows } = (await call('sql', `select id from messages where status = 'failed'`)) as { rows: { id: string }[] };
    for (const { id } of rows) await call('retry_dead_letter', 'default', id, 'ana', 'x');
  }),
  fc.constant<Step>((call, talk, at) =>
    call('sql', `update conversations set takeover_until = $2::timestamptz + interval '1 minute' where id = $1`, talk, at),
  ),
);
const STEP: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(heard) },
  { weight: 4, arbitrary: ANSWERED },
  {
    weight: 2,
    arbitrary: fc.constantFrom('campaign', 'follow_up', 'notification', 'prospecting').map(
      (kind): Step =>
        (call, _, at) =>
          call('enqueue_message', { instance: 'julia-dev', phone: PHONE, text: kind, kind }, at),
    ),
  },
  { weight: 2, arbitrary: fc.constant<Step>((call, talk, at) => call('claim_send', talk, FREE, at)) },
  { weight: 2, arbitrary: fc.constant<Step>((call, talk, at) => call('claim_sends', [talk], FREE, at)) },
  {
    weight: 2,
    arbitrary: fc.constant<Step>((call) =>
      call('sql', `update messages set status = 'sent', provider_id = 'S' || id where status = 'sending'`),
    ),
  },
  { weight: 3, arbitrary: DONE_BY_HAND },
);

const ON = ['conversation', 'instance', 'agent'] as const;

test('A14 over random calls nothing leaves a conversation, a number or an agent that is observed; not observed, the same calls send', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`insert into agents (name, tone, instructions, promises) values ('Julia', '', '', '')`);
  const first = await sends.proactive(PHONE, START);
  await sends.query(`update messages set status = 'cancelled' where id = $1`, [first.id]);
  const client = new pg.Client({ connectionString: sends.url });
  client.on('error', () => {}); // its database goes before it
  await client.connect();
  t.after(() => client.end());
  const call: Call = async (name, ...args) => {
    if (name === 'sql') return (await client.query(String(args[0]), args.slice(1))) as unknown as Json;
    const given = args.map((each) => (typeof each === 'object' && each !== null ? JSON.stringify(each) : each));
    const { rows } = await client.query(`select ${name}(${given.map((_, n) => `$${n + 1}`).join(', ')}) as v`, given);
    return (rows[0] as { v: Json }).v;
  };
  const left = async (): Promise<string[]> =>
    (
      await client.query<{ line: string }>(`select status || ' ' || kind as line from messages where claimed_at is not null order by id`)
    ).rows.map(({ line }) => line);
  let free = 0;

  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...ON),
      fc.array(STEP, { maxLength: 4 }),
      fc.array(fc.tuple(STEP, fc.constantFrom(0, 1_000, 60_000, 3_600_000)), { minLength: 6, maxLength: 25 }),
      async (scope, before, steps) => {
        for (const observed of [false, true]) {
          await client.query('rollback'); // of a run that failed
          await client.query('begin');
          // what is queued before, and has not left
          for (const step of before) await step(call, first.conversation, START.toISOString());
          await client.query(
            `update messages set status = 'queued', claimed_at = null, slot_at = null, lease_until = null where direction = 'out' and claimed_at is not null`,
          );
          if (observed) {
            const target = { conversation: String(first.conversation), instance: 'julia-dev', agent: 'default' }[scope];
            assert.notEqual((await call('set_observed', 'default', scope, target, true, 'ana', null))['outcome'], 'unknown');
          }
          let at = START.getTime() + 1_000;
          for (const [step, ms] of steps) {
            at += ms;
            await step(call, first.conversation, new Date(at).toISOString());
            if (!observed) continue;
            // by its mode it is observed until somebody gives it another one
            if (scope === 'conversation') await client.query(`update conversations set mode = 'observe'`);
            assert.deepEqual(await left(), []);
          }
          if (!observed) free += (await left()).length;
          await client.query('rollback');
        }
      },
    ),
    { numRuns: RUNS },
  );
  assert.ok(free > RUNS / 4, `${free} left where nothing is observed`);
});

test('A14 what a person writes by hand leaves all the same, and what is told to those who run this', async (t) => {
  const sends = await sendsDatabase(t);
  const kinds = ['campaign', 'manual', 'operator'];
  const made = [];
  for (const kind of kinds) made.push({ kind, ...(await sends.proactive(`551191234567${made.length}`, START, { kind })) });
  await sends.db.call('set_observed', {
    p_tenant: 'default',
    p_scope: 'instance',
    p_target: 'julia-dev',
    p_on: true,
    p_actor: 'ana',
    p_reason: 'x',
  });
  const said = [];
  for (const { kind, conversation } of made) said.push([kind, (await sends.claim(conversation, START)).action]);
  assert.deepEqual(said, [
    ['campaign', 'wait'],
    ['manual', 'send'],
    ['operator', 'send'],
  ]);
  const [held] = await sends.query('select status, reason from messages where id = $1', [made[0]?.id]);
  assert.deepEqual(held, { status: 'queued', reason: 'observe' });
  await sends.db.call('set_observed', {
    p_tenant: 'default',
    p_scope: 'instance',
    p_target: 'julia-dev',
    p_on: false,
    p_actor: 'ana',
    p_reason: null,
  });
  assert.equal(
    (await sends.claim(made[0]?.conversation ?? 0, new Date(START.getTime() + 660_000))).action,
    'send',
    'what nobody asked for goes on',
  );
});

test('A14 switching: audited once, of one tenant, nothing unknown; a mode that is not observe is left alone when it ends', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation } = await sends.proactive(PHONE, START);
  await sends.query(`insert into tenants (id, name) values ('loja', 'Loja')`);
  const set = async (scope: string, target: string, on: boolean, tenant = 'default') =>
    (
      (await sends.db.call('set_observed', {
        p_tenant: tenant,
        p_scope: scope,
        p_target: target,
        p_on: on,
        p_actor: 'ana',
        p_reason: 'r',
      })) as Json
    )['outcome'];
  assert.deepEqual(
    [
      await set('instance', 'x', true),
      await set('agent', 'x', true),
      await set('conversation', '99', true),
      await set('instance', 'julia-dev', true, 'loja'),
    ],
    ['unknown', 'unknown', 'unknown', 'unknown'],
  );
  assert.deepEqual(
    await Promise.all([set('instance', 'julia-dev', true), set('instance', 'julia-dev', true)]).then((all) =>
      all.map(String).toSorted((a, b) => a.localeCompare(b)),
    ),
    ['already', 'done'],
  );
  await sends.query(`update conversations set mode = 'manual' where id = $1`, [conversation]);
  assert.equal(await set('conversation', String(conversation), false), 'already');
  assert.deepEqual(await sends.query('select mode from conversations'), [{ mode: 'manual' }]);
  assert.equal(await set('conversation', String(conversation), true), 'done');
  assert.equal(await set('conversation', String(conversation), false), 'done');
  assert.equal(await set('instance', 'julia-dev', false), 'done');
  assert.deepEqual(await sends.query('select action, subject from audit_log order by id'), [
    { action: 'observe.on', subject: 'instance:julia-dev' },
    { action: 'observe.on', subject: `conversation:${conversation}` },
    { action: 'observe.off', subject: `conversation:${conversation}` },
    { action: 'observe.off', subject: 'instance:julia-dev' },
  ]);
});
