/** Money: reserved in the claim, settled with the turn, never above a ceiling: over many workers, deaths, and histories of any kind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { testDatabase } from '../support/database.ts';

const LEASE_MS = 30_000;
const START = new Date('2026-11-25T15:00:00Z');
const CALL = 0.003;
type Money = { usd?: number; refused?: string; told?: boolean };
type Claim = { state: string; turn_id: number; fence: number; money: Money | null; conversation_id: number };
type Ceilings = { contactDay?: number; day?: number; month?: number };

type Ledger = {
  query<T extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]>;
  /** Conversations with one unanswered message each. */
  conversations: number[];
  /** One call for all of them, as a worker that is asked for many at once does it. */
  claimAll(conversations: number[], ceilings: Ceilings | null, now?: Date, model?: string): Promise<Claim[]>;
  claim(conversation: number, ceilings: Ceilings | null, now?: Date, model?: string): Promise<Claim>;
  complete(claim: Claim, cost: number | null, more?: { kind?: string; now?: Date }): Promise<string>;
  reserve(claim: Claim, usd: number, ceilings: Ceilings, now?: Date): Promise<string | null>;
  ask(conversation: number, now?: Date): Promise<unknown>;
  tend(now: Date): Promise<unknown>;
  money(): Promise<{ spent: number; reserved: number; rows: number; calls: number }>;
};

async function ledger(t: Parameters<typeof testDatabase>[0], people: number): Promise<Ledger> {
  const database = await testDatabase(t);
  const pool = new pg.Pool({ connectionString: database.runtimeUrl, max: 20 });
  pool.on('error', () => {});
  t?.after(() => pool.end());
  const query = async <T extends Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<T[]> =>
    (await pool.query(sql, values)).rows as T[];
  await query(
    `select ensure_setup('{"instance": "julia-dev", "agent": {"name": "A", "tone": "t", "instructions": "i", "promises": "p"}}')`,
  );
  const rows = await query<{ id: string }>(
    `with k as (insert into contacts (tenant_id) select 'default' from generate_series(1, $1) returning id)
     insert into conversations (tenant_id, instance_id, contact_id, jid)
       select 'default', (select id from instances), id, '55119' || (10000000 + id) || '@s.whatsapp.net' from k returning id`,
    [people],
  );
  const ask = (conversation: number, now = START): Promise<unknown> =>
    query(
      `with c as (update conversations set last_seq = last_seq + 1, inbound_seq = inbound_seq + 1 where id = $1 returning *)
       insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, created_at)
         select tenant_id, instance_id, id, last_seq, 'in', 'contact', 'text', 'received', 'oi', $2, $2 from c`,
      [conversation, now],
    );
  const conversations = rows.map(({ id }) => Number(id));
  for (const conversation of conversations) await ask(conversation);
  const claimAll: Ledger['claimAll'] = async (list, ceilings, now = START, model = 'm') => {
    const limits = ceilings === null ? null : { spend: { ...ceilings, model, models: { m: { byte: 0, call: CALL } } } };
    const values = [JSON.stringify(list), LEASE_MS, now, JSON.stringify(limits)];
    const [row] = await query<{ claims: Claim[] }>(`select claim_turns($1, 'w', $2, null, $3, false, $4) as claims`, values);
    return row?.claims ?? [];
  };
  return {
    query,
    conversations,
    ask,
    claimAll,
    async claim(conversation, ...rest) {
      const [claim] = await claimAll([conversation], ...rest);
      assert.ok(claim);
      return claim;
    },
    async complete({ conversation_id, turn_id: turn, fence }, cost, { kind = 'answer', now = START } = {}) {
      const calls =
        cost === null
          ? []
          : [
              {
                model: 'm',
                outcome: 'end_turn',
                ms: 1,
                input_tokens: 1,
                output_tokens: 1,
                cache_read_tokens: 0,
                cache_write_tokens: 0,
                cost_usd: cost,
              },
            ];
      const parts = kind === 'answer' ? [{ text: 'Olá', typing_ms: 0, kind: 'reply' }] : [];
      const result = { kind, reason: kind === 'answer' ? null : 'x', parts, model: 'm', model_calls: calls, retry_ms: 0, apology_ms: null };
      const [row] = await query<{ done: { outcome: string }[] }>('select complete_turns($1, null, $2) as done', [
        JSON.stringify([{ conversation_id, turn, fence, result, send: false }]),
        now,
      ]);
      return row?.done[0]?.outcome ?? '';
    },
    async reserve({ turn_id, fence }, usd, ceilings, now = START) {
      const [row] = await query<{ said: { refused: string | null } }>('select reserve_spend($1, $2, $3, $4, $5, $6) as said', [
        turn_id,
        fence,
        usd,
        'dear',
        JSON.stringify(ceilings),
        now,
      ]);
      return row?.said.refused ?? null;
    },
    tend: (now) => query('select tend_spend($1)', [now]),
    async money() {
      const [row] = await query<Record<'spent' | 'reserved' | 'rows' | 'calls', string>>(
        `select (select coalesce(sum(usd), 0) from spend_days) as spent, (select coalesce(sum(usd), 0) from spend_reservations) as reserved,
           (select count(*) from spend_reservations) as rows, (select coalesce(sum(cost_usd), 0) from model_calls) as calls`,
      );
      return { spent: Number(row?.spent), reserved: Number(row?.reserved), rows: Number(row?.rows), calls: Number(row?.calls) };
    },
  };
}

const near = (actual: number, expected: number): void => assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} instead of ${expected}`);
const spentBefore = (usd: number) =>
  `insert into spend_days (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced) values ('default', '2026-11-25', 'audio', 0, 0, ${usd}, 1, 0)`;

for (const period of ['day', 'month'] as const)
  test(`X9 of 50 workers with the last cent of a ${period} none gets more than is left; the others hear which ceiling it is, and people are told once`, async (t) => {
    const l = await ledger(t, 50);
    await l.query(spentBefore(0.99));
    const ceilings = { [period]: 1 };
    const claims =
      period === 'day'
        ? await Promise.all(l.conversations.map((conversation) => l.claim(conversation, ceilings)))
        : (await Promise.all([0, 25].map((from) => l.claimAll(l.conversations.slice(from, from + 25), ceilings)))).flat();
    assert.ok(claims.every(({ state }) => state === 'claimed'));
    const able = claims.filter(({ money }) => money?.usd !== undefined);
    assert.equal(able.length, 3, 'three worst cases of 0.003 fit into 0.01');
    assert.ok(claims.every(({ money }) => money?.usd === CALL || (money?.refused === period && money.told === false)));
    near((await l.money()).reserved, 3 * CALL);
    // Who has a reservation asks for more at the same time: there is 0.001.
    const more = await Promise.all(able.map((claim) => l.reserve(claim, 0.001, ceilings)));
    assert.deepEqual([more.filter((each) => each === period).length, more.filter((each) => each === null).length], [2, 1]);
    await Promise.all(claims.map((claim) => l.complete(claim, claim.money?.usd === undefined ? null : CALL)));
    const { spent, reserved, rows } = await l.money();
    near(spent, 0.999);
    assert.deepEqual([reserved, rows], [0, 0]);
    assert.deepEqual(
      (await l.query<{ key: string }>('select key from notices order by key')).map(({ key }) => key),
      period === 'day'
        ? ['spend-day-model-dear-2026-11-25', 'spend-day-person-2026-11-25']
        : ['spend-month-model-dear-2026-11', 'spend-month-person-2026-11'],
    );
  });

test('X9 a ceiling of a contact holds over its numbers, and is nobody else’s; a day later there is room again; without a ceiling nothing is reserved', async (t) => {
  const l = await ledger(t, 2);
  const [maria = 0, joao = 0] = l.conversations;
  const ceilings = { contactDay: 0.005 };
  const first = await l.claim(maria, ceilings);
  assert.equal(first.money?.usd, CALL);
  assert.equal(await l.complete(first, CALL), 'committed');
  await l.ask(maria);
  const second = await l.claim(maria, ceilings);
  assert.deepEqual(second.money, { refused: 'contact_day', told: false });
  assert.equal((await l.claim(joao, ceilings)).money?.usd, CALL);
  assert.equal(await l.complete(second, null, { kind: 'skip' }), 'committed');
  const tomorrow = new Date(START.getTime() + 86_400_000);
  await l.ask(maria, tomorrow);
  const third = await l.claim(maria, ceilings, tomorrow);
  assert.equal(third.money?.usd, CALL);
  await l.complete(third, CALL, { now: tomorrow });
  await l.ask(maria, tomorrow);
  assert.equal((await l.claim(maria, null, tomorrow)).money, null);
  assert.equal(await l.complete(await l.claim(joao, null, tomorrow), 0.001, { now: tomorrow }), 'committed');
  assert.equal((await l.money()).reserved, 0);
});

test('X9 L16 a model without a price is refused where there is a ceiling, and people are told which', async (t) => {
  const l = await ledger(t, 1);
  const claim = await l.claim(l.conversations[0] ?? 0, { day: 5 }, START, 'claude-of-tomorrow');
  assert.deepEqual(claim.money, { refused: 'unpriced', told: false });
  assert.match(String((await l.query('select text from notices'))[0]?.['text']), /claude-of-tomorrow não tem preço/);
});

test('X9 of 200 workers that die with a reservation none stays: what they may have paid for is spent, also in a paused conversation, and one that lives tells what it was', async (t) => {
  const l = await ledger(t, 20);
  const ceilings = { day: 5, month: 50, contactDay: 1 };
  let now = START.getTime();
  let last: Claim[] = [];
  for (let round = 0; round < 10; round++) {
    last = await Promise.all(l.conversations.map((conversation) => l.claim(conversation, ceilings, new Date(now))));
    assert.ok(last.every(({ money }) => money?.usd === CALL));
    now += LEASE_MS + 1_000;
  }
  // The last of them in conversations that nobody asks for again.
  await l.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'test')`);
  await Promise.all([l.tend(new Date(now)), l.tend(new Date(now)), l.tend(new Date(now))]);
  const { spent, rows, calls } = await l.money();
  assert.equal(rows, 0);
  near(spent, 200 * CALL);
  near(calls, spent);
  // One was only slow.
  const [slow] = last;
  assert.ok(slow);
  assert.equal(await l.complete(slow, 0.001, { now: new Date(now) }), 'lost');
  assert.equal(await l.complete(slow, 0.001, { now: new Date(now) }), 'lost');
  const after = await l.money();
  near(after.spent, 199 * CALL + 0.001);
  near(after.calls, after.spent);
  assert.equal(await l.reserve(slow, 0.001, ceilings), 'lost');
  assert.deepEqual(await l.query('select status, cost_usd::text as cost from turns where id = $1', [slow.turn_id]), [
    { status: 'expired', cost: '0.00100000' },
  ]);
});

/** Numbers from 0 to 1 that a seed repeats. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('X9 X15 an erasure ends a turn whose worker is dead: what it had reserved is settled all the same (simulation, seed 122)', async (t) => {
  const books = await ledger(t, 1);
  const [conversation = 0] = books.conversations;
  await books.claim(conversation, { day: 1 });
  const [contact] = await books.query<{ id: string }>('select contact_id as id from conversations where id = $1', [conversation]);
  const erase = `select erase_contact('default', $1, null, 'cli:ana', 'pedido', $2) ->> 'outcome' as outcome`;
  assert.deepEqual(await books.query(erase, [contact?.id, new Date(START.getTime() + 5_000)]), [{ outcome: 'erased' }]);
  await books.tend(new Date(START.getTime() + LEASE_MS - 1));
  assert.equal((await books.money()).reserved, CALL, 'its worker may live, and tell what it was');
  await books.tend(new Date(START.getTime() + LEASE_MS));
  const { spent, reserved, rows } = await books.money();
  assert.deepEqual({ spent, reserved, rows }, { spent: CALL, reserved: 0, rows: 0 });
});

test('X9 over random histories of claims, more calls, ends of each kind, deaths and days, spent and reserved never come above a ceiling, and the ledger is what the calls say', async (t) => {
  const l = await ledger(t, 8);
  const ceilings = { day: 0.05, month: 0.12, contactDay: 0.02 };
  for (let seed = 1; seed <= 6; seed++) {
    const random = dice(seed);
    let now = START.getTime() + seed * 40 * 86_400_000;
    await l.query('delete from spend_days');
    await l.query('delete from model_calls');
    await l.query(`update turns set cost_usd = 0`);
    for (let step = 0; step < 40; step++) {
      const at = new Date(now);
      await Promise.all(
        l.conversations.map(async (conversation) => {
          const [kill, again, kind, part] = [random(), random(), random(), random()];
          await l.ask(conversation, at);
          const claim = await l.claim(conversation, ceilings, at);
          if (claim.state !== 'claimed') return;
          let reserved = claim.money?.usd ?? 0;
          if (again < 0.4 && (await l.reserve(claim, 0.004 * again, ceilings, at)) === null) reserved += 0.004 * again;
          if (kill < 0.2) return;
          const cost = reserved === 0 ? null : Math.floor(reserved * part * 1e8) / 1e8;
          await l.complete(claim, cost, {
            now: at,
            kind: ['answer', 'aborted', 'failed', 'deferred', 'answer'][Math.floor(kind * 5)] ?? 'answer',
          });
        }),
      );
      if (random() < 0.2) await l.tend(at);
      const [row] = await l.query<Record<string, string>>(
        `select (select coalesce(sum(usd), 0) from spend_reservations) as reserved,
           (select coalesce(sum(usd), 0) from spend_days where day = spend_day($1)) as day,
           (select coalesce(sum(usd), 0) from spend_days where day >= date_trunc('month', spend_day($1)::timestamp)) as month,
           (select max(coalesce(t.usd, 0) + coalesce(r.usd, 0)) from conversations c
              left join lateral (select sum(cost_usd) as usd from turns where conversation_id = c.id and started_at >= spend_day($1)::timestamp at time zone 'UTC') t on true
              left join lateral (select sum(usd) as usd from spend_reservations where contact_id = c.contact_id) r on true) as contact`,
        [at],
      );
      const [reserved, day, month, contact] = ['reserved', 'day', 'month', 'contact'].map((name) => Number(row?.[name]));
      assert.ok((reserved ?? 1) + (day ?? 1) <= ceilings.day + 1e-9, `seed ${seed}, step ${step}: ${day} and ${reserved} of a day`);
      assert.ok((reserved ?? 1) + (month ?? 1) <= ceilings.month + 1e-9, `seed ${seed}, step ${step}: ${month} and ${reserved} of a month`);
      assert.ok((contact ?? 1) <= ceilings.contactDay + 1e-9, `seed ${seed}, step ${step}: ${contact} of a contact`);
      now += random() < 0.1 ? 86_400_000 * random() : 20_000 * random();
    }
    await l.tend(new Date(now + 60_000));
    const { spent, rows, calls } = await l.money();
    assert.equal(rows, 0);
    near(spent, calls);
    assert.ok(spent > 0.01, 'something was spent');
  }
});

test('X9 the rows of days that are over become one for each kind and number, and say the same', async (t) => {
  const l = await ledger(t, 1);
  await l.query(
    `insert into spend_days (tenant_id, day, kind, instance_id, backend, usd, calls, unpriced, units)
       select 'default', date '2026-11-20' + d, k, 0, b, 0.25, 1, 0, 2 from generate_series(0, 5) d, generate_series(1, 30) b, unnest(array['model', 'audio']) k`,
  );
  const report = async () => {
    const [row] = await l.query<{ r: { now: string; month: number; day: number; kinds: unknown[]; days: unknown[] } }>(
      'select spend_report($1, $2) as r',
      ['default', START],
    );
    return row?.r;
  };
  const before = await report();
  assert.equal(before?.month, 90);
  await Promise.all([l.tend(START), l.tend(START)]);
  assert.equal((await l.query('select from spend_days')).length, 4 * 2 + 2 * 2 * 30);
  assert.deepEqual(await report(), before);
});
