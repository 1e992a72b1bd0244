/** What business tools write, in the database: limits over many turns at once, one yes out of many, one call out of many claims, deaths at any moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { testDatabase } from '../support/database.ts';

/** Kills around approvals and calls; CI runs a few, and TOOL_KILLS=100 all of the issue. */
const KILLS = Number(process.env['TOOL_KILLS'] ?? 12);
const START = new Date('2026-11-25T15:00:00Z');
const LEASE_MS = 30_000;
const later = (ms: number): Date => new Date(START.getTime() + ms);
const MINUTE = 60_000;

type Json = Record<string, unknown>;
type Ended = { outcome: string; status?: string; by?: string; again?: boolean; write_id?: number };

type Book = {
  pool: pg.Pool;
  query<T extends Json>(sql: string, values?: unknown[]): Promise<T[]>;
  one<T>(sql: string, values?: unknown[]): Promise<T>;
  conversations: number[];
  /** A turn of this conversation that answers and asks for a call. */
  ask(conversation: number, effect?: Json, now?: Date): Promise<string>;
  decide(id: number, yes: boolean, actor: string, now?: Date): Promise<Ended>;
  claim(id: number | null, now?: Date): Promise<{ id: number; claim: number; key: string } | null>;
  record(id: number, claim: number, end: Json, now?: Date): Promise<boolean>;
  sweep(now?: Date): Promise<{ conversations: number[]; due: number[]; untold: { id: number }[] }>;
  statuses(): Promise<string[]>;
};

const DEFINITION = {
  name: 'cancelar',
  class: 'write',
  approval_minutes: 240,
  says: { done: 'Feito: {pedido}.', failed: 'Não deu.', refused: 'Não pode.', expired: 'Sem sim.' },
};

async function book(t: Parameters<typeof testDatabase>[0], people: number, definition: Json = {}): Promise<Book> {
  const database = await testDatabase(t);
  const pool = new pg.Pool({ connectionString: database.runtimeUrl, max: 20 });
  pool.on('error', () => {});
  t?.after(() => pool.end());
  const query = async <T extends Json>(sql: string, values: unknown[] = []): Promise<T[]> => (await pool.query(sql, values)).rows as T[];
  const one = async <T>(sql: string, values: unknown[] = []): Promise<T> => ((await query<{ r: T }>(sql, values))[0] as { r: T }).r;
  await query(
    `select ensure_setup('{"instance": "julia-dev", "agent": {"name": "A", "tone": "t", "instructions": "i", "promises": "p"}}')`,
  );
  await query('select save_tool($1, $2, 9, $3)', ['default', { ...DEFINITION, ...definition }, 'test']);
  const rows = await query<{ id: string }>(
    `with k as (insert into contacts (tenant_id) select 'default' from generate_series(1, $1) returning id)
     insert into conversations (tenant_id, instance_id, contact_id, jid)
       select 'default', (select id from instances), id, '55119' || (10000000 + id) || '@s.whatsapp.net' from k returning id`,
    [people],
  );
  return {
    pool,
    query,
    one,
    conversations: rows.map(({ id }) => Number(id)),
    async ask(conversation, effect = {}, now = START) {
      await query(
        `with c as (update conversations set last_seq = last_seq + 1, inbound_seq = inbound_seq + 1 where id = $1 returning *)
         insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, created_at)
           select tenant_id, instance_id, id, last_seq, 'in', 'contact', 'text', 'received', 'cancele', $2, $2 from c`,
        [conversation, now],
      );
      const claim = await one<{ turn_id: number; fence: number }>('select claim_turn($1, $2, $3, $4) as r', [
        conversation,
        'w',
        LEASE_MS,
        now,
      ]);
      const write = {
        type: 'tool_write',
        tool_id: 1,
        version: 1,
        input: { pedido: '1' },
        request: { method: 'POST', url: 'https://x', body: '{}' },
        amount: null,
        risks: [],
      };
      const result = { kind: 'answer', model: 'm', parts: [{ text: 'Pedi.', kind: 'reply' }], effects: [{ ...write, ...effect }] };
      const ended = await one<{ outcome: string }>('select complete_turn($1, $2, $3, $4) as r', [claim.turn_id, claim.fence, result, now]);
      return ended.outcome;
    },
    decide: (id, yes, actor, now = START) => one('select decide_approval($1, $2, $3, $4, null, $5) as r', ['default', id, yes, actor, now]),
    claim: (id, now = START) => one('select claim_tool_write($1, $2, $3, $4) as r', [id, 'w', LEASE_MS, now]),
    record: async (id, claim, end, now = START) =>
      (await one<{ recorded: boolean }>('select record_tool_write($1, $2, $3, $4) as r', [id, claim, end, now])).recorded,
    sweep: (now = START) => one('select sweep_tool_writes(50, $1) as r', [now]),
    statuses: async () =>
      (await query<{ line: string }>(`select status || coalesce('(' || reason || ')', '') as line from tool_writes order by id`)).map(
        ({ line }) => line,
      ),
  };
}

const texts = async (it: Book) =>
  (await it.query<{ text: string }>(`select text from messages where direction = 'out' and author = 'system' order by id`)).map(
    ({ text }) => text,
  );
const count = (all: string[], one: string) => all.filter((each) => each === one).length;

test('X12: 20 turns at once: not one call over what the tool may do in an hour, and whose call is over it has a person', async (t) => {
  const it = await book(t, 20, { limits: { hour: 7 } });
  const ended = await Promise.all(
    it.conversations.map((conversation, index) => it.ask(conversation, { input: { pedido: String(index) } })),
  );
  assert.equal(count(ended, 'committed'), 20);
  const statuses = await it.statuses();
  assert.deepEqual([count(statuses, 'queued'), count(statuses, 'refused(tool_limit)')], [7, 13]);
  assert.deepEqual(await it.query(`select reason, count(*)::int as n from handoffs group by 1`), [{ reason: 'tool_limit', n: 13 }]);
  // an hour on there is room again
  await it.query(`update conversations set controlled_by = 'agent'`);
  await it.ask(it.conversations[0] ?? 0, { input: { pedido: 'x' } }, later(61 * MINUTE));
  assert.equal(count(await it.statuses(), 'queued'), 8);
});

test('X12: money a day: 20 turns at once on a sum that 4 of them fill', async (t) => {
  const it = await book(t, 20, { limits: { amount_day: 100 } });
  await Promise.all(
    it.conversations.map((conversation, index) => it.ask(conversation, { input: { pedido: String(index) }, amount: 24.9 })),
  );
  const [sum] = await it.query<{ n: string }>(`select sum(amount) as n from tool_writes where status <> 'refused'`);
  assert.equal(Number(sum?.n), 99.6);
});

test('X12: what one contact asks for in a day is counted over its conversations of that day, and what was refused does not count', async (t) => {
  const it = await book(t, 1, { limits: { contact_day: 2 } });
  const [conversation = 0] = it.conversations;
  for (const pedido of ['1', '2']) await it.ask(conversation, { input: { pedido }, risks: ['always'] });
  await it.decide(1, false, 'ana');
  for (const pedido of ['3', '4']) {
    await it.query(`update conversations set controlled_by = 'agent'`);
    await it.ask(conversation, { input: { pedido } });
  }
  assert.deepEqual(await it.statuses(), ['refused(approval_refused)', 'waiting', 'queued', 'refused(tool_limit)']);
});

test('X12: the same is asked for once while it is under way; another version of the tool lets nothing leave', async (t) => {
  const it = await book(t, 2);
  const [one = 0, other = 0] = it.conversations;
  await it.ask(one, { risks: ['always'] });
  await it.ask(one, { risks: ['always'] });
  assert.deepEqual(await it.statuses(), ['waiting']);
  await it.query('select save_tool($1, $2, 9, $3)', ['default', { ...DEFINITION, method: 'PUT' }, 'test']);
  await it.ask(other);
  assert.deepEqual(await it.statuses(), ['waiting', 'refused(tool_changed)']);
  // what waits was asked with what was in force then
  assert.equal((await it.decide(1, true, 'ana')).outcome, 'approved');
  const [kept] = await it.query<{ method: string | null }>(`select definition ->> 'method' as method from tool_writes where id = 1`);
  assert.equal(kept?.method, null);
});

test('X12: in mode assist a call waits with its draft', async (t) => {
  const it = await book(t, 1);
  await it.query(`update conversations set mode = 'assist'`);
  await it.ask(it.conversations[0] ?? 0);
  assert.deepEqual(await it.query('select status, risks from tool_writes'), [{ status: 'waiting', risks: ['draft'] }]);
});

test('X12: 20 people answer at once, yes and no: one answer counts, each is told which, and a yes is one call', async (t) => {
  for (const round of [1, 2, 3]) {
    const it = await book(t, 1);
    await it.ask(it.conversations[0] ?? 0, { risks: ['always'] });
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => it.decide(1, (index + round) % 2 === 0, `p${index}`)));
    const first = all.filter(({ outcome }) => outcome === 'approved' || outcome === 'refused');
    assert.equal(first.length, 1, JSON.stringify(all));
    assert.ok(all.every(({ outcome, status }) => outcome !== 'already' || status === first[0]?.outcome));
    const claims = (await Promise.all(Array.from({ length: 10 }, () => it.claim(1)))).filter((each) => each !== null);
    assert.equal(claims.length, first[0]?.outcome === 'approved' ? 1 : 0);
  }
});

test('X12: a yes twice from one person is one yes; late, of another tenant, of nothing: no yes', async (t) => {
  const it = await book(t, 2);
  const [one = 0, other = 0] = it.conversations;
  await it.ask(one, { risks: ['always'] });
  assert.deepEqual(await it.decide(1, true, 'ana'), { outcome: 'approved', again: false, write_id: 1, conversation_id: one });
  assert.equal((await it.decide(1, true, 'ana')).again, true);
  assert.deepEqual(await it.decide(1, false, 'ana'), { outcome: 'already', status: 'approved', by: 'ana' });
  assert.deepEqual(await it.decide(1, true, 'bia'), { outcome: 'already', status: 'approved', by: 'ana' });
  assert.equal((await it.decide(9, true, 'ana')).outcome, 'unknown');
  assert.deepEqual(await it.one('select decide_approval($1, 1, true, $2, null) as r', ['outro', 'mallory']), { outcome: 'unknown' });
  await it.ask(other, { risks: ['always'] });
  assert.deepEqual(await it.decide(2, true, 'ana', later(241 * MINUTE)), { outcome: 'expired' });
  assert.deepEqual(await it.decide(2, true, 'ana', START), { outcome: 'expired' });
  assert.deepEqual(await it.statuses(), ['queued', 'expired(approval_expired)']);
  assert.deepEqual(await texts(it), ['Sem sim.']);
  assert.deepEqual(await it.query(`select action, actor from audit_log where action like 'approval%'`), [
    { action: 'approval.approve', actor: 'ana' },
  ]);
});

test('X12: what nobody answers ends by itself, once, and the contact and a person are told', async (t) => {
  const it = await book(t, 3);
  for (const conversation of it.conversations) await it.ask(conversation, { risks: ['always'] });
  assert.deepEqual((await it.sweep(later(239 * MINUTE))).conversations, []);
  const swept = await Promise.all([1, 2, 3, 4].map(() => it.sweep(later(241 * MINUTE))));
  assert.equal(swept.flatMap(({ conversations }) => conversations).length >= 3, true);
  assert.deepEqual(await texts(it), ['Sem sim.', 'Sem sim.', 'Sem sim.']);
  assert.deepEqual(await it.query('select reason, count(*)::int as n from handoffs group by 1'), [{ reason: 'approval_expired', n: 3 }]);
});

test('X12: a call that surely never left is made again, one of which nobody knows never', async (t) => {
  const it = await book(t, 2);
  for (const conversation of it.conversations) await it.ask(conversation);
  const claim = await it.claim(1);
  assert.ok(claim);
  assert.equal(await it.claim(1), null);
  assert.equal(await it.record(1, claim.claim, { status: 'queued', reason: 'tool_unreachable', retry_ms: 15_000 }), true);
  assert.equal(await it.claim(1, later(14_000)), null);
  const again = await it.claim(1, later(15_000));
  assert.equal(again?.key, claim.key, 'under the same key');
  // its process died: whoever knows later changes nothing any more
  const other = await it.claim(2);
  assert.deepEqual((await it.sweep(later(20_000))).conversations, []);
  assert.equal((await it.sweep(later(60_000))).conversations.length, 2);
  assert.deepEqual(await it.statuses(), ['uncertain(tool_worker_lost)', 'uncertain(tool_worker_lost)']);
  assert.equal(await it.record(2, other?.claim ?? 0, { status: 'done', reason: null, answer: '{}' }), false);
  assert.deepEqual([await it.claim(1, later(90_000)), await it.claim(null, later(90_000))], [null, null]);
  assert.deepEqual(await texts(it), ['Não deu.', 'Não deu.']);
});

test('X12: while something is paused no call leaves for it, whoever says yes; afterwards it does, once', async (t) => {
  const it = await book(t, 1);
  const [conversation = 0] = it.conversations;
  await it.ask(conversation, { risks: ['always'] });
  await it.one('select set_pause($1, $2, $3, $4, $5, null, $6) as r', ['default', 'ana', 'pausado', 'all', '', START]);
  assert.equal((await it.decide(1, true, 'ana')).outcome, 'approved');
  assert.deepEqual([await it.claim(1), await it.claim(null)], [null, null]);
  assert.deepEqual(await it.statuses(), ['queued']);
  await it.one('select set_pause($1, $2, $3, $4, $5, null, $6) as r', ['default', 'ana', 'ativo', 'all', '', later(1)]);
  assert.deepEqual((await it.sweep(later(2))).due, [1]);
  assert.equal((await Promise.all([it.claim(1, later(3)), it.claim(1, later(3))])).filter((each) => each !== null).length, 1);
});

test('X12: two conversations of one person become one, with the same call open in both', async (t) => {
  const it = await book(t, 2);
  for (const conversation of it.conversations) await it.ask(conversation, { risks: ['always'] });
  const contacts = await it.query<{ id: string }>('select id from contacts order by id');
  await it.query(
    'select merge_contacts($1, $2)',
    contacts.map(({ id }) => Number(id)),
  );
  const rows = await it.query<{ n: number }>('select count(distinct conversation_id)::int as n from tool_writes');
  assert.deepEqual(rows, [{ n: 1 }]);
  assert.deepEqual(await it.query('select count(distinct conversation_id)::int as n from approvals'), [{ n: 1 }]);
  assert.equal((await it.decide(1, true, 'ana')).outcome, 'approved');
});

/**
 * A process may die before or after any of these calls of the database, and around the call outside. The service counts what it was asked to do; whoever comes
 * later (a sweep, the same person once more, another worker) goes on.
 */
test(`X12: ${KILLS} deaths around approvals and calls: each allowed effect happens at most once, what is done was done once, and nothing that nobody allowed`, async (t) => {
  const it = await book(t, KILLS);
  const served = new Map<string, number>();
  const allowed = new Set<number>();
  for (const [index, conversation] of it.conversations.entries()) {
    const id = index + 1;
    const risks = index % 3 === 0 ? [] : ['always'];
    await it.ask(conversation, { risks, input: { pedido: String(id) } });
    const approval = (await it.query<{ id: string }>('select id from approvals where write_id = $1', [id]))[0]?.id;
    const dies = index % 8;
    if (dies === 0) continue; // right after the commit
    if (approval !== undefined) {
      const yes = index % 5 !== 0;
      await it.decide(Number(approval), yes, 'ana');
      // who did not hear the answer says it again
      if (dies === 1) await it.decide(Number(approval), yes, 'ana');
    }
    if (dies <= 2) continue; // before the claim
    const claim = await it.claim(id);
    if (claim === null || dies === 3) continue; // claimed, and dead before the call
    served.set(claim.key, (served.get(claim.key) ?? 0) + 1);
    if (dies === 4) continue; // called, and dead before it was written down
    await it.record(id, claim.claim, { status: 'done', reason: null, answer: '{}' });
    if (dies === 5) assert.equal(await it.record(id, claim.claim, { status: 'done', reason: null, answer: '{}' }), false); // the answer of the database got lost
  }
  // the next minutes, with two sweepers at once
  for (const minute of [1, 2, 3]) {
    const [swept] = await Promise.all([it.sweep(later(minute * MINUTE)), it.sweep(later(minute * MINUTE))]);
    for (const id of swept?.due ?? []) {
      const claims = await Promise.all([it.claim(id, later(minute * MINUTE)), it.claim(id, later(minute * MINUTE))]);
      for (const claim of claims) {
        if (claim === null) continue;
        served.set(claim.key, (served.get(claim.key) ?? 0) + 1);
        await it.record(id, claim.claim, { status: 'done', reason: null, answer: '{}' });
      }
    }
  }
  const rows = await it.query<{ id: string; key: string; status: string; approved: string | null }>(
    'select w.id, w.key, w.status, a.status as approved from tool_writes w left join approvals a on a.write_id = w.id order by w.id',
  );
  for (const { id, key, status, approved } of rows) {
    if (approved === null || approved === 'approved') allowed.add(Number(id));
    const times = served.get(key) ?? 0;
    assert.ok(times <= 1, `${id} ${times} times`);
    if (times > 0) assert.ok(allowed.has(Number(id)), `${id} although ${approved}`);
    if (status === 'done') assert.equal(times, 1, id);
    assert.ok(['done', 'uncertain', 'waiting', 'refused'].includes(status), `${id} ${status}`);
    if (status === 'uncertain') assert.ok([3, 4].includes((Number(id) - 1) % 8), id);
  }
  assert.ok(rows.filter(({ status }) => status === 'done').length >= KILLS / 3, JSON.stringify(rows));
});
