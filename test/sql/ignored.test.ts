/** W9: which webhooks leave an entry, what of a flood is kept, when an entry is over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { edit, INSTANCE, minutesAfter, NOON, openSql, remove, said, TAKEOVER } from '../support/inbound.ts';
import type { Sql } from '../support/inbound.ts';

type Webhook = {
  raw: unknown;
  instance: string | null;
  event: string;
  requestId: string;
  from?: object;
  events: InboundEvent[];
  replays?: number;
};

const group = (id: string, instance = INSTANCE): InboundEvent => ({
  kind: 'ignored',
  reason: 'group',
  kept: true,
  providerId: id,
  instance,
  instanceId: null,
});

function webhook(events: InboundEvent[], more: Partial<Webhook> = {}): Webhook {
  return {
    raw: { words: events.length },
    instance: events[0]?.instance ?? null,
    event: 'messages.upsert',
    requestId: 'r',
    events,
    ...more,
  };
}

async function record(sql: Sql, webhooks: Webhook[], now: Date = NOON): Promise<void> {
  await sql.rows('select record_inbound($1, $2, $3)', [JSON.stringify(webhooks), JSON.stringify(TAKEOVER), now]);
}

const entries = (sql: Sql) => sql.rows(`select instance, ignored, body from webhook_events where ignored is not null order by id`);
const sums = (sql: Sql) =>
  sql.rows(
    `select coalesce(instance, '-') as instance, ignored[1] as reason, count(*)::int as n, count(*) filter (where body <> '{"left_out": "too_many"}')::int as whole
     from webhook_events where ignored is not null group by 1, 2 order by 1, 2`,
  );

test('W9 flood: all of a busy group leave their entry, and a thousand a day their body, of each number and reason', async (t) => {
  const sql = await openSql(t);
  await sql.rows(`insert into instances (name) values ('segundo')`);
  const busy = Array.from({ length: 2_000 }, (_, index) => webhook([group(`G${index}`)]));
  for (let start = 0; start < busy.length; start += 50) await record(sql, busy.slice(start, start + 50));
  await record(sql, [webhook([group('G', 'segundo')]), webhook([{ ...group('S'), reason: 'status' } as InboundEvent])]);
  assert.deepEqual(await sums(sql), [
    { instance: INSTANCE, reason: 'group', n: 2_000, whole: 1_000 },
    { instance: INSTANCE, reason: 'status', n: 1, whole: 1 },
    { instance: 'segundo', reason: 'group', n: 1, whole: 1 },
  ]);
  await record(sql, [webhook([group('T')])], minutesAfter(12 * 60));
  assert.deepEqual((await sums(sql))[0], { instance: INSTANCE, reason: 'group', n: 2_001, whole: 1_001 }, 'the next day begins again');
  // What holds something else is kept whole, whatever it holds besides, and what is large is not.
  await record(
    sql,
    [webhook([said({ id: 'M1', text: 'oi' }), group('G')]), webhook([group('H')], { raw: { words: 'x'.repeat(300_000) } })],
    minutesAfter(1),
  );
  assert.deepEqual(
    (await entries(sql)).slice(-2).map(({ body }) => body),
    [{ words: 2 }, { left_out: 'large' }],
  );
});

test('W9 two callers at once: each of a flood leaves its entry, nobody waits for the other', async (t) => {
  const sql = await openSql(t);
  const first = await sql.client();
  await first.query('begin');
  await first.query('select record_inbound($1, $2, $3)', [JSON.stringify([webhook([group('A')])]), JSON.stringify(TAKEOVER), NOON]);
  await record(sql, [webhook([group('A')])]);
  await first.query('commit');
  assert.equal((await entries(sql)).length, 2);
});

test('W9 news of a message that never came is an entry until the message comes, also in the same webhook and under another id', async (t) => {
  const sql = await openSql(t);
  await record(sql, [
    webhook([edit('M1', 'uma caixa')]),
    webhook([remove('M2')]),
    webhook([{ ...edit('M3', 'x'), kind: 'ack', status: 'read' } as unknown as InboundEvent]),
  ]);
  const reasons = async () => (await entries(sql)).map(({ ignored }) => ignored);
  assert.deepEqual(await reasons(), [['unknown_message'], ['unknown_message']], 'an ack is no loss');
  await sql.record([said({ id: 'M1', text: 'dez caixas' })]);
  assert.deepEqual(await reasons(), [['unknown_message']]);
  assert.deepEqual(await sql.dump(), ['1 in contact received: uma caixa']);
  await record(sql, [webhook([edit('M4', 'depois'), group('G'), said({ id: 'M4', text: 'antes' })])]);
  assert.deepEqual(await reasons(), [['unknown_message'], ['group']]);
  // The one that still waits is replayed a day later, when nothing of it waits any more.
  await sql.rows('delete from early_updates');
  const [row] = await sql.rows(`select id::int from webhook_events where ignored[1] = 'unknown_message'`);
  const again = webhook([remove('M2')], { replays: Number(row?.['id']) });
  await record(sql, [again]);
  await record(sql, [again]);
  assert.deepEqual(await reasons(), [['unknown_message'], ['group']], 'one entry, however often');
  await sql.record([said({ id: 'M2', text: 'apagada' })]);
  assert.deepEqual(await reasons(), [['group']]);
});

test('W9 a replay moves its entry: what finds its place ends it, what does not keeps it, and both at once', async (t) => {
  const sql = await openSql(t);
  await record(sql, [webhook([group('G'), { ...group('S'), reason: 'status' } as InboundEvent])]);
  const [row] = await sql.rows('select id::int from webhook_events');
  const replays = Number(row?.['id']);
  const found = said({ id: 'G', text: 'oi' });
  await record(sql, [webhook([group('G')], { replays })]);
  assert.deepEqual(
    (await entries(sql)).map(({ ignored }) => ignored),
    [['group']],
  );
  assert.equal((await sql.rows('select from webhook_events')).length, 1, 'nothing more is stored of it');
  for (let repeat = 0; repeat < 3; repeat++) await record(sql, [webhook([found, group('G2')], { replays })]);
  assert.deepEqual(
    (await entries(sql)).map(({ ignored }) => ignored),
    [['group']],
  );
  await record(sql, [webhook([found], { replays })]);
  await record(sql, [webhook([found], { replays })]);
  assert.deepEqual(await entries(sql), []);
  assert.deepEqual(await sql.dump(), ['1 in contact received: oi']);
});

test('W9 Z4 whose number: too many unknown names share one allowance, a forgotten one is counted where it is forgotten, and all of them place nothing', async (t) => {
  const sql = await openSql(t);
  await sql.rows(
    `insert into set_aside (name, reason, first_at, last_at) select 'n' || n, 'nobodys_number', now(), now() from generate_series(1, 200) n`,
  );
  await sql.rows(`update set_aside set forgotten_at = now() where name = 'n1'`);
  const of = (instance: string): Webhook => webhook([said({ id: `M${instance}`, text: 'oi', instance })]);
  await record(sql, [of('n1'), of('x1'), of('x2'), webhook([group('G', 'x3')]), of('n2')]);
  assert.deepEqual(
    (await entries(sql)).map(({ instance, ignored }) => ({ instance, ignored })),
    ['x1', 'x2', 'x3'].map(() => ({ instance: null, ignored: ['too_many_unknown'] })),
  );
  assert.deepEqual(await sql.rows(`select name, webhooks::int as n from set_aside where name in ('n1', 'n2') order by name`), [
    { name: 'n1', n: 2 },
    { name: 'n2', n: 2 },
  ]);
  assert.deepEqual(await sql.rows(`select from webhook_events where aside_id is not null`), [{}], 'n2 alone waits');
  assert.deepEqual(await sql.dump(), []);
});

test('W9 who changes what somebody else wrote is refused, and that is an entry too', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'M1', text: 'oi' })]);
  await record(sql, [webhook([edit('M1', 'forjada', true)])]);
  assert.deepEqual(
    (await entries(sql)).map(({ ignored, body }) => [ignored, body]),
    [[['not_its_author'], { words: 1 }]],
  );
});
