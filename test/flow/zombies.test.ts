/** Numbers that are dead while Evolution says otherwise, and the return of a number, of Evolution and of the api. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateAlerts } from '../../src/watch/alerts.ts';
import { reconcile } from '../../src/crons/reconcile-inbox.ts';
import type { Context } from '../../src/context.ts';
import { CURED_BY_RESTART } from '../../src/whatsapp/send-fault.ts';
import { createGatewayWatch, watchGateway } from '../../src/watch/gateway.ts';
import { createHeartbeat, startHeartbeat } from '../../src/breakers/heartbeat.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { startWorker } from '../../src/worker.ts';
import { queueReplies, states } from '../support/sends.ts';
import { INSTANCE, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System, SystemOptions } from '../support/system.ts';

type Hooks = { after(hook: () => Promise<void>): void };

/** What was started last ends first: a worker before what it stands on. */
function inReverse(t: Hooks): Hooks {
  const hooks: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const hook of hooks) await hook();
  });
  return { after: (hook) => void hooks.unshift(hook) };
}

const phoneOf = (index: number): string => `55119${String(64_000_000 + index)}`;

/** A number that was connected, as Evolution told. */
async function pairedSystem(t: Hooks, options: SystemOptions = {}): Promise<System> {
  const system = await startSystem(t, { workers: 0, slack: 'webhook', ...options });
  system.simulator.connection('open');
  await system.until(async () => (await system.query(`select 1 from instances where paired and status = 'open'`)).length > 0, 'paired');
  return system;
}

/** A worker that lives: it sends, tells of its breakers, and hears. */
async function livingWorker(t: Hooks, ctx: Context): Promise<void> {
  const worker = await startWorker(ctx);
  t.after(() => worker.stop(2_000));
  const end = startHeartbeat(ctx);
  t.after(async () => end());
}

/** A scheduler that looks again and again, as it does: webhooks of one moment come in any order, and the last may be an old one. */
function keepLooking(t: Hooks, ctx: Context): void {
  const end = watchGateway(ctx);
  t.after(async () => end());
}

const restarts = async (system: System) => (await system.query(`select 1 from instance_events where event = 'restarted'`)).length;
const calls = (system: System) => system.simulator.sends().length;

async function failLanes(system: System, ctx: Context, count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let index = 0; index < count; index++) {
    const lane = await queueReplies(system, phoneOf(index), ['seu pedido saiu']);
    await sendNext(ctx, lane.conversation);
    ids.push(...lane.ids);
  }
  return ids;
}

async function alerts(system: System): Promise<string[]> {
  await evaluateAlerts(system.ctx, ['seconds']);
  return (await system.query<{ text: string }>(`select text from notices order by id`)).map(({ text }) => text);
}

test('W4 F13 a zombie: five calls, then none but probes; told at once; of two schedulers one restarts it; and what waited leaves by itself, at the cost of no attempt and no trust', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t);
  const ctx = await system.openContext('worker');
  system.simulator.trouble({ kind: 'zombie', heals: 'restart' });
  const ids = await failLanes(system, ctx, 10);
  assert.equal(calls(system), 5);
  assert.equal(ctx.breakers.evolution(INSTANCE).report().reason, 'connection_closed');
  await createHeartbeat(ctx)();
  const told = await alerts(system);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /Disjuntor aberto: evolution \(número julia-dev\).*a conexão dele está morta.*reiniciado/);
  assert.equal(calls(system), 5);

  const schedulers = [await system.openContext('scheduler'), await system.openContext('scheduler')];
  await livingWorker(t, ctx);
  await Promise.all(schedulers.map((each) => createGatewayWatch(each)()));
  assert.equal(await restarts(system), 1);
  keepLooking(t, schedulers[0] ?? ctx);
  await system.until(
    async () => (await states(system, ids)).every((state) => /^(sent|delivered)$/.test(state)),
    'all have left, long before five minutes',
  );
  assert.equal(calls(system), 15);
  const rows = await system.query(`select max(attempts)::int as attempts from messages where id = any($1)`, [ids]);
  assert.deepEqual(rows, [{ attempts: 1 }]);
  assert.deepEqual(await system.query(`select trust_now(i, now()) as trust, held_reason from instances i`), [
    { trust: 100, held_reason: null },
  ]);
});

test('W4 the answers of a dead connection, whatever Evolution says of the state or whether it can say anything: the breaker opens after five, and nobody is called failed', async (context) => {
  const t = inReverse(context);
  const answers: [name: string, fault: Record<string, unknown>, state: Record<string, unknown> | null][] = [
    ['500 Connection Closed, open', { kind: 'closed' }, null],
    ['400 1006, open', { kind: 'socket-lost' }, null],
    ['400 Error: Connection Closed, open', { kind: 'refuse-before' }, null],
    ['500 Connection Closed, and connectionState fails', { kind: 'closed' }, { kind: 'status', status: 500 }],
    ['400 1006, and connectionState hangs up', { kind: 'socket-lost' }, { kind: 'drop' }],
  ];
  for (const [name, fault, state] of answers) {
    const system = await pairedSystem(t);
    const ctx = await system.openContext('worker');
    system.simulator.fault({ target: 'send', times: null, ...fault } as never);
    if (state !== null) system.simulator.fault({ target: 'state', times: null, ...state } as never);
    const ids = await failLanes(system, ctx, 8);
    assert.equal(calls(system), 5, name);
    const seen = await states(system, ids);
    assert.deepEqual(seen, [...Array<string>(5).fill('queued(connection_closed)'), ...Array<string>(3).fill('queued(breaker_open)')], name);
    await createHeartbeat(ctx)();
    assert.match((await alerts(system))[0] ?? '', /conexão dele está morta/, name);
    await createGatewayWatch(await system.openContext('scheduler'))();
    assert.equal(await restarts(system), state === null ? 1 : await restarts(system), name);
    await system.close();
  }
});

test('W4 connecting that never ends: held without a call, told, restarted, and what waited leaves', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t);
  const ctx = await system.openContext('worker');
  const scheduler = await system.openContext('scheduler');
  system.simulator.trouble({ kind: 'stuck', heals: 'restart' });
  await system.until(async () => (await system.query(`select 1 from instances where status = 'connecting'`)).length > 0, 'the news');
  const ids = await failLanes(system, ctx, 3);
  assert.deepEqual([...new Set(await states(system, ids))], ['queued(number_disconnected)']);
  assert.equal(calls(system), 0);
  assert.deepEqual(await alerts(system), [], 'a connection takes its time');
  const watch = createGatewayWatch(scheduler);
  await watch();
  assert.equal(await restarts(system), 0);
  await system.query(`update instances set status_at = now() - interval '31 seconds'`);
  const told = await alerts(system);
  assert.match(told[0] ?? '', /O número julia-dev está "conectando" há 31 s e não termina/);
  await livingWorker(t, ctx);
  await watch();
  keepLooking(t, scheduler);
  await system.until(async () => (await states(system, ids)).every((state) => /^(sent|delivered)$/.test(state)), 'all have left');
  assert.equal(await restarts(system), 1);
  assert.deepEqual((await alerts(system)).slice(1), ['Resolvido: o número julia-dev está conectado.']);
});

test('W4 a number that waits for its code is never restarted, nor any with EVOLUTION_AUTO_RESTART=false; people are told of it later, or at once', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t, { env: { EVOLUTION_AUTO_RESTART: 'false' } });
  system.simulator.trouble({ kind: 'stuck', heals: 'restart' });
  await system.until(async () => (await system.query(`select 1 from instances where status = 'connecting'`)).length > 0, 'the news');
  await system.query(`update instances set status_at = now() - interval '10 minutes'`);
  await createGatewayWatch(await system.openContext('scheduler'))();
  assert.equal(await restarts(system), 0);
  assert.match((await alerts(system))[0] ?? '', /"conectando"/);
  const claim = `select claim_restarts('["connection_closed"]') as c`;
  await system.query(`update instances set paired = false`);
  assert.deepEqual((await system.query(claim))[0]?.['c'], []);
  await system.query(`update instances set paired = true`);
  assert.deepEqual((await system.query(claim))[0]?.['c'], [{ instance: INSTANCE, reason: 'connecting', restarts: 1 }]);
});

test('W4 restarts wait longer each time, up to an hour; a message that left ends the row', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t);
  const start = Date.parse('2026-03-02T12:00:00Z');
  await system.query(`update instances set status = 'connecting', status_at = $1`, [new Date(start - 60_000)]);
  const claimed: number[] = [];
  for (let minute = 0; minute <= 240; minute++) {
    const [row] = await system.query<{ c: unknown[] }>(`select claim_restarts($1, $2) as c`, [
      JSON.stringify(CURED_BY_RESTART),
      new Date(start + minute * 60_000),
    ]);
    if (row?.c.length === 1) claimed.push(minute);
  }
  assert.deepEqual(claimed, [0, 2, 6, 14, 30, 62, 122, 182], 'the next after 4 hours is the 9th');
  const { ids } = await queueReplies(system, phoneOf(1), ['oi']);
  await system.query(`update messages set status = 'sent', slot_at = $2 where id = $1`, [ids[0], new Date(start + 200 * 60_000)]);
  const [row] = await system.query<{ c: unknown }>(`select claim_restarts($1, $2) as c`, [
    JSON.stringify(CURED_BY_RESTART),
    new Date(start + 201 * 60_000),
  ]);
  assert.deepEqual(row?.c, [{ instance: INSTANCE, reason: 'connecting', restarts: 1 }]);
});

test('W4 W15 Evolution away and back: sends go on at once, and what came meanwhile is fetched and answered, with two schedulers and without a webhook', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t);
  const ctx = await system.openContext('worker');
  const watches = [createGatewayWatch(await system.openContext('scheduler')), createGatewayWatch(await system.openContext('scheduler'))];
  const look = async () => void (await Promise.all(watches.map((watch) => watch())));
  await system.query(`update instances set created_at = now() - interval '1 day', reconciled_at = now() - interval '1 hour'`);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  await look();
  const away = { kind: 'status', status: 503, times: null } as const;
  for (const target of ['send', 'state', 'find'] as const) system.simulator.fault({ target, ...away });
  const ids = await failLanes(system, ctx, 7);
  assert.equal(calls(system), 5);
  system.simulator.setWebhook(null);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  system.simulator.inbound({ contactId: ana.id, text: 'estou aqui', ageMs: 60_000 });
  system.simulator.setWebhook(`${system.url}/webhook/evolution`, WEBHOOK_SECRET);
  await look();
  await livingWorker(t, ctx);
  assert.deepEqual(
    system.lines.filter(({ message }) => message.startsWith('Evolution ')).map(({ message }) => message),
    ['Evolution does not answer', 'Evolution does not answer'],
  );
  system.simulator.clearFaults();
  await look();
  await system.until(async () => (await states(system, ids)).every((state) => /^(sent|delivered)$/.test(state)), 'what waited');
  await system.until(async () => (await system.dump()).includes('in contact answered: estou aqui'), 'what came meanwhile');
  assert.equal((await system.dump()).filter((line) => line.endsWith('estou aqui')).length, 1);
});

test('W15 a reconnect that Evolution tells although nobody knew that it was away starts a comparison', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t, { workers: 1 });
  await system.query(`update instances set created_at = now() - interval '1 day', reconciled_at = now() - interval '1 hour'`);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  system.simulator.setWebhook(null);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  system.simulator.inbound({ contactId: ana.id, text: 'perdida', ageMs: 60_000 });
  system.simulator.setWebhook(`${system.url}/webhook/evolution`, WEBHOOK_SECRET);
  system.simulator.connection('open');
  await system.until(async () => (await system.dump()).includes('in contact answered: perdida'), 'found and answered');
});

test('W15 a comparison teaches the other address of messages that are known, once, and takes nobody apart', async (context) => {
  const t = inReverse(context);
  const system = await pairedSystem(t);
  await system.query(`update instances set created_at = now() - interval '1 day'`);
  const bia = system.simulator.addContact({ name: 'Bia', phone: '5511912340002', addressing: 'lid' });
  system.simulator.inbound({ contactId: bia.id, text: 'oi', ageMs: 60_000 });
  await system.until(async () => (await system.dump()).length === 1, 'stored');
  const addresses = () => system.query<{ kind: string; address: string }>(`select kind, address from contact_addresses order by kind desc`);
  // As a release tells it that names the phone only.
  await system.query(`delete from contact_addresses where kind = 'lid'`);
  for (let run = 0; run < 2; run++) {
    assert.equal(await reconcile(system.ctx, INSTANCE), 0);
    assert.deepEqual(await addresses(), [
      { kind: 'pn', address: '5511912340002' },
      { kind: 'lid', address: bia.lid.split('@')[0] },
    ]);
    assert.equal((await system.query(`select 1 from contacts`)).length, 1);
  }
});
