/** claim_turns, complete_turns, claim_sends, record_sends, renew_turns: many at once in one call. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import type { Door } from '../../src/db/door.ts';
import { DatabaseRefused } from '../../src/db/failures.ts';
import { recordInbound } from '../../src/inbox/calls.ts';
import { claimSend, recordSend } from '../../src/outbox/calls.ts';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import { claimTurn, completeTurn, renewTurns } from '../../src/turns/calls.ts';
import type { TurnClaim, TurnResult } from '../../src/turns/calls.ts';
import { said } from '../support/inbound.ts';
import { FREE, queueReplies, sendsDatabase } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

const LEASE_MS = 30_000;
const POLICY = FREE as SendPolicy;
const LANE = { policy: POLICY, random: 0 };
const ANSWER: TurnResult = { kind: 'answer', reason: null, parts: ['um', 'dois'].map((text) => ({ text, typing_ms: 0, kind: 'reply' })) };
/** The database has no such effect, and says so. */
const BAD = { ...ANSWER, effects: [{ type: 'nonsense' }] } as unknown as TurnResult;

/** `count` people write; resolves with their conversations. */
async function hear(db: Door, count: number, first = 0): Promise<number[]> {
  const webhooks = Array.from({ length: count }, (_, index) => ({
    requestId: 'r',
    instance: 'julia-dev',
    event: 'messages.upsert',
    raw: {},
    from: { tenant: 'default' },
    events: [said({ id: `A${first + index}`, pn: `55119${10_000_000 + first + index}`, at: new Date() })],
  }));
  const stored = await recordInbound(db, webhooks, { takeoverMinutes: 30, takeoverCapMinutes: 240, withdrawParts: true });
  return stored.map(({ results }) => Number(results[0]?.conversation_id));
}

/** The same door; `calls` says what went through it, as name and number of items. */
function counted(db: Door): { db: Door; calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    db: {
      ...db,
      call(name, args) {
        const items = (args['p_ids'] ?? args['p_items'] ?? []) as unknown[];
        calls.push(`${name} ${items.length}`);
        return db.call(name, args);
      },
    },
  };
}

async function claimAll(db: Door, conversations: number[]): Promise<TurnClaim[]> {
  const claims = await Promise.all(conversations.map((each) => claimTurn(db, each, 'w', LEASE_MS)));
  return claims.filter((claim) => claim.state === 'claimed');
}

const count = async ({ query }: SendsDatabase, what: string): Promise<number> =>
  Number((await query(`select count(*) from ${what}`))[0]?.['count']);

test('X13 many at once share a call, and each gets its own result', async (t) => {
  const database = await sendsDatabase(t);
  const { db, calls } = counted(database.db);
  const conversations = await hear(database.db, 40);
  const claims = await claimAll(db, conversations);
  assert.deepEqual(
    claims.map((claim) => claim.conversation_id),
    conversations,
  );
  await Promise.all(claims.map((claim) => completeTurn(db, claim, ANSWER)));
  await Promise.all(conversations.map((each) => claimSend(db, each, POLICY, 0)));
  for (const name of ['claim_turns', 'complete_turns', 'claim_sends']) {
    const sizes = calls.filter((call) => call.startsWith(name)).map((call) => Number(call.split(' ')[1]));
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      40,
      name,
    );
    assert.ok(sizes.length <= 5, `${name}: ${sizes.join(', ')}`);
  }
});

test('X13 one bad item fails alone: its neighbours of the group are committed, once', async (t) => {
  const database = await sendsDatabase(t);
  const claims = await claimAll(database.db, await hear(database.db, 12));
  const results = await Promise.allSettled(
    claims.map((claim, index) => completeTurn(database.db, claim, index === 7 ? BAD : ANSWER, LANE)),
  );
  assert.deepEqual(
    results.map((result) => (result.status === 'rejected' ? 'rejected' : result.value.outcome)),
    claims.map((_, index) => (index === 7 ? 'rejected' : 'committed')),
  );
  assert.ok(results[7]?.status === 'rejected' && results[7].reason instanceof DatabaseRefused);
  assert.equal(await count(database, `messages where direction = 'out'`), 22);
  assert.equal(await count(database, `turns where status = 'open'`), 1);
});

test('O1 the first part of an answer is claimed with its commit, the next with the record of the one before, each once', async (t) => {
  const database = await sendsDatabase(t);
  const { db } = database;
  const claims = await claimAll(db, await hear(db, 8));
  const ends = await Promise.all(claims.map((claim) => completeTurn(db, claim, ANSWER, LANE)));
  const texts: string[] = [];
  const seconds = await Promise.all(
    ends.map(async ({ send }, index) => {
      assert.ok(send?.action === 'send');
      texts.push(send.text);
      // who asks meanwhile waits for it
      assert.equal((await claimSend(db, send.conversation_id, POLICY, 0)).action, 'wait');
      return recordSend(db, send, { kind: 'sent', provider_id: `P${index}` }, LANE);
    }),
  );
  const last = await Promise.all(
    seconds.map(async ({ next }, index) => {
      assert.ok(next?.action === 'send');
      texts.push(next.text);
      return recordSend(db, next, { kind: 'sent', provider_id: `Q${index}` }, LANE);
    }),
  );
  assert.ok(last.every((record) => record.more === false && record.next === undefined));
  assert.deepEqual(texts, [...Array.from({ length: 8 }, () => 'um'), ...Array.from({ length: 8 }, () => 'dois')]);
  assert.equal(await count(database, `messages where status = 'sent' and claim = 1`), 16);
});

test('O1 what may not be sent now is not claimed with the commit', async (t) => {
  const { db, query } = await sendsDatabase(t);
  const claims = await claimAll(db, await hear(db, 2));
  const [free, held] = await Promise.all([
    completeTurn(db, claims[0] as TurnClaim, ANSWER),
    completeTurn(db, claims[1] as TurnClaim, ANSWER, { policy: { ...POLICY, replyCapHour: 0 }, random: 0 }),
  ]);
  assert.equal(free.send, null);
  assert.ok(held.send?.action === 'wait' && held.send.wait_ms !== null && held.send.wait_ms > 0);
  assert.deepEqual(await query(`select distinct status from messages where direction = 'out'`), [{ status: 'queued' }]);
});

test('I5 two workers claim overlapping lists at once, forwards and backwards: each conversation has one turn, and nobody deadlocks', async (t) => {
  const database = await sendsDatabase(t);
  const conversations = await hear(database.db, 40);
  const ids = (list: number[]): Record<string, unknown> => ({ p_ids: list, p_worker: 'w', p_lease_ms: LEASE_MS });
  const lists = [conversations, conversations.toReversed(), conversations.slice(10), conversations.toReversed().slice(10)];
  const told = (await Promise.all(lists.map((list) => database.db.call('claim_turns', ids(list))))) as {
    state: string;
    conversation_id: number;
  }[][];
  for (const [index, list] of lists.entries())
    assert.deepEqual(
      told[index]?.map((each) => each.conversation_id),
      list,
      'in the order in which they were asked',
    );
  assert.equal(told.flat().filter((each) => each.state === 'claimed').length, 40);
  assert.equal(await count(database, `turns where status = 'open'`), 40);
  assert.deepEqual(await deadlocks(database), 0);
});

test('O1 four workers claim and record the lanes of three numbers in any order: each message once, and nobody deadlocks', async (t) => {
  const database = await sendsDatabase(t);
  for (const name of ['n2', 'n3']) await database.query('insert into instances (name) values ($1)', [name]);
  const lanes: number[] = [];
  for (let index = 0; index < 30; index++) {
    const instance = ['julia-dev', 'n2', 'n3'][index % 3] as string;
    lanes.push((await queueReplies(database.query, `55119${20_000_000 + index}`, ['um', 'dois'], { instance })).conversation);
  }
  const sent: number[] = [];
  const work = async (worker: number): Promise<void> => {
    const mine = lanes.toSorted((a, b) => ((a * (worker + 3)) % 31) - ((b * (worker + 3)) % 31));
    // a door of its own, so that its groups are its own
    const db = { ...database.db };
    await Promise.all(
      mine.map(async (lane) => {
        let claim = await claimSend(db, lane, POLICY, 0);
        while (claim.action === 'send') {
          sent.push(claim.message_id);
          const { next } = await recordSend(db, claim, { kind: 'sent', provider_id: `P${claim.message_id}` }, LANE);
          claim = next ?? (await claimSend(db, lane, POLICY, 0));
        }
      }),
    );
  };
  await Promise.all([0, 1, 2, 3].map(work));
  assert.equal(new Set(sent).size, sent.length);
  assert.equal(await count(database, `messages where status = 'sent'`), 60);
  assert.deepEqual(await deadlocks(database), 0);
});

test('I1 six apis record batches of the same people, new and then known, in any order, beside workers that claim them: all are stored, and nobody deadlocks', async (t) => {
  const database = await sendsDatabase(t);
  const { db } = database;
  const people = Array.from({ length: 40 }, (_, index) => `55119${80_000_000 + index}`);
  const batch = (api: number, round: number) =>
    people
      .toSorted((a, b) => ((Number(a) * (api + 3) + 5 * api) % 41) - ((Number(b) * (api + 3) + 5 * api) % 41))
      // some are told by the phone, some by the account, as one person's webhooks are
      .map((pn, index) => {
        const event = said({ id: `M-${round}-${api}-${pn}`, pn: index % 3 === 0 && round > 0 ? null : pn, lid: `9${pn}` });
        return {
          requestId: 'r',
          instance: 'julia-dev',
          event: 'messages.upsert',
          raw: {},
          from: { tenant: 'default' } as const,
          events: [event],
        };
      });
  for (let round = 0; round < 3; round++) {
    const known = (await database.query('select id from conversations order by id')).map((row) => Number(row['id']));
    const claims = [known, known.toReversed()].map((ids) => db.call('claim_turns', { p_ids: ids, p_worker: 'w', p_lease_ms: LEASE_MS }));
    await Promise.all([...[0, 1, 2, 3, 4, 5].map((api) => recordInbound(db, batch(api, round), {} as never)), ...claims]);
  }
  assert.equal(await count(database, `messages where direction = 'in'`), 3 * 6 * 40);
  assert.equal(await count(database, 'conversations'), 40);
  assert.deepEqual(await deadlocks(database), 0);
});

test('I3 a burst that goes on is early, by the clock of the database; its end, its cap, or nothing to wait for make it a turn', async (t) => {
  const { db, query } = await sendsDatabase(t);
  const [conversation = 0] = await hear(db, 1);
  const aged = (seconds: number): Promise<unknown> =>
    query(`update messages set created_at = now() - make_interval(secs => $1)`, [seconds]);
  const debounce = { debounceMs: 3_000, debounceMaxMs: 15_000 };
  await aged(1);
  const early = await claimTurn(db, conversation, 'w', LEASE_MS, { debounce });
  assert.ok(early.state === 'early' && early.wait_ms > 0 && early.wait_ms <= 2_000, JSON.stringify(early));
  assert.deepEqual(await query('select id from turns'), [], 'nothing is held meanwhile');
  // a second message: its own debounce, but no longer than the cap of the first
  await aged(14);
  await query(`insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, created_at)
    select tenant_id, instance_id, id, last_seq + 1, 'in', 'contact', 'text', 'received', 'b', now(), now() from conversations`);
  const capped = await claimTurn(db, conversation, 'w', LEASE_MS, { debounce });
  assert.ok(capped.state === 'early' && capped.wait_ms <= 1_000, JSON.stringify(capped));
  await query(`update messages set created_at = now() - interval '15 seconds' where text <> 'b'`);
  assert.equal((await claimTurn(db, conversation, 'w', LEASE_MS, { debounce })).state, 'claimed');
});

test('I5 renew_turns keeps all leases of a worker in one call, tells of each, and waits for nobody', async (t) => {
  const database = await sendsDatabase(t);
  const { db, query } = database;
  const claims = await claimAll(db, await hear(db, 5));
  const [ended, stale, newer, held, kept] = claims as [TurnClaim, TurnClaim, TurnClaim, TurnClaim, TurnClaim];
  await completeTurn(db, ended, ANSWER);
  await query('update conversations set inbound_seq = inbound_seq + 1 where id = $1', [newer.conversation_id]);
  await query(`update turns set lease_until = now() + interval '1 second' where status = 'open'`);
  const holder = new pg.Client({ connectionString: database.url });
  holder.on('error', () => {}); // the database goes before it
  await holder.connect();
  t.after(() => holder.end());
  await holder.query('begin');
  // its commit is under way
  await holder.query('select 1 from conversations where id = $1 for update', [held.conversation_id]);
  await holder.query('select 1 from turns where id = $1 for update', [held.turn_id]);
  const renewals = await renewTurns(db, [ended, { ...stale, fence: stale.fence - 1 }, newer, held, kept], LEASE_MS);
  assert.deepEqual(
    renewals.map(({ alive, newer }) => [alive, newer]),
    [
      [false, false],
      [false, false],
      [true, true],
      [true, false],
      [true, false],
    ],
  );
  await holder.query('rollback');
  assert.deepEqual(
    (await query(`select id from turns where status = 'open' and lease_until > now() + interval '20 seconds' order by id`)).map((row) =>
      Number(row['id']),
    ),
    [newer.turn_id, kept.turn_id].toSorted((a, b) => a - b),
  );
  assert.deepEqual(await renewTurns(db, [], LEASE_MS), []);
});

async function deadlocks({ query }: SendsDatabase): Promise<number> {
  // a connection tells what it counted when it ends, or a second later
  await query(
    'select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  return Number((await query('select deadlocks from pg_stat_database where datname = current_database()'))[0]?.['deadlocks']);
}
