/** Workers on the queue: slots that do not wait, numbers that go and come, breakers, the allowlist. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { sendNext } from '../../src/outbox/send.ts';
import { clocked, queueReplies, sendRow, states } from '../support/sends.ts';
import type { Clock } from '../support/sends.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const phoneOf = (base: number, index: number) => `55119${base + index}`;

test('O9 typing is shown and holds no worker: another conversation is served meanwhile by the only slot', async (t) => {
  const system = await startSystem(t, { env: { WORKER_CONCURRENCY: '1' } });
  const slow = await queueReplies(system, '5511972000001', ['devagar'], { typingMs: 4_000 });
  const fast = await queueReplies(system, '5511972000002', ['ligeiro']);
  await system.ctx.queues.wakeSend(slow.conversation);
  await system.simulator.waitFor((wire) => wire.presences.length > 0, 15_000);
  await system.ctx.queues.wakeSend(fast.conversation);
  await system.simulator.waitFor((wire) => wire.sends.length >= 2, 20_000);
  assert.deepEqual(
    system.simulator.sends().map((send) => send.text),
    ['ligeiro', 'devagar'],
  );
  const [shown] = system.simulator.wire().presences;
  assert.deepEqual(
    { ...shown, at: 0 },
    { at: 0, instance: INSTANCE, jid: '5511972000001@s.whatsapp.net', presence: 'composing', delay: 4_000 },
  );
});

test('O9 typing: an answer shows it with HUMAN_DELAY, and leaves at once without', async (t) => {
  for (const [humanDelay, presences] of [
    ['true', 1],
    ['false', 0],
  ] as const) {
    const system = await startSystem(t, { env: { HUMAN_DELAY: humanDelay } });
    const maria = system.simulator.addContact({ name: 'Maria', phone: '5511972000003' });
    system.simulator.script([{ text: 'Oi!' }]);
    system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
    await system.simulator.waitFor((wire) => wire.sends.length > 0, 20_000);
    assert.equal(system.simulator.wire().presences.length, presences);
    await system.close();
  }
});

test('O7 parts: a long answer goes out in order, each part recorded', async (t) => {
  const system = await startSystem(t, { env: { LLM_MAX_TOKENS: '1000' } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511972000004' });
  const sentences = Array.from(
    { length: 14 },
    (_, index) => `Esta é a frase ${index} de uma resposta bastante longa, como as pessoas não leem.`,
  );
  system.simulator.script([{ text: sentences.join(' ') }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Me conta tudo' });
  await system.until(
    async () => (await system.dump()).length > 1 && (await system.dump()).slice(1).every((line) => line.startsWith('out agent delivered')),
    'all parts',
  );
  const sends = system.simulator.sends().map((send) => send.text);
  assert.ok(sends.length >= 3 && sends.every((part) => part.length <= 400));
  assert.equal(sends.join(' '), sentences.join(' '));
  assert.deepEqual(
    (await system.dump()).slice(1),
    sends.map((part) => `out agent delivered: ${part}`),
  );
});

test('I17 a number that is away holds its sends, and its return releases them', async (t) => {
  const system = await startSystem(t);
  const status = async () =>
    (await system.query<{ status: string }>(`select status from instances where name = $1`, [INSTANCE]))[0]?.status;
  system.simulator.connection('close');
  await system.until(async () => (await status()) === 'close', 'the news');
  const { conversation, ids } = await queueReplies(system, '5511972000005', ['quando voltar']);
  await system.ctx.queues.wakeSend(conversation);
  await system.until(async () => (await states(system, ids))[0] === 'queued(number_disconnected)', 'held');
  assert.equal(system.simulator.sends().length, 0);
  system.simulator.connection('open');
  await system.simulator.waitFor((wire) => wire.sends.some((send) => send.id !== null), 15_000);
  assert.equal((await sendRow(system, ids[0] ?? 0)).attempts, 1);
});

test('C3 breaker: opens after 5 failures of one number, lets nothing but a probe out, costs no attempts, and all leave in the end', async (t) => {
  const system = await startSystem(t, {
    workers: 0,
    simulator: { instances: [INSTANCE, 'outro'] },
    env: { EVOLUTION_BREAKER_RESET_SECONDS: '1', EVOLUTION_BREAKER_MAX_RESET_SECONDS: '2' },
  });
  await system.query(`insert into instances (name) values ('outro')`);
  const clock: Clock = { now: null };
  const ctx = clocked(await system.openContext('worker'), clock);
  const lanes = await Promise.all(Array.from({ length: 8 }, (_, index) => queueReplies(system, phoneOf(73_000_000, index), ['doente'])));
  const ids = lanes.flatMap((lane) => lane.ids);
  const here = { kind: 'status', status: 503, times: null, match: { instance: INSTANCE } } as const;
  system.simulator.fault({ target: 'send', ...here });
  system.simulator.fault({ target: 'state', ...here });
  for (const { conversation } of lanes) await sendNext(ctx, conversation);
  const calls = () => system.simulator.sends({ instance: INSTANCE }).length;
  assert.equal(calls(), 5);
  assert.deepEqual(await states(system, ids), [
    ...Array<string>(5).fill('queued(service_unavailable)'),
    ...Array<string>(3).fill('queued(breaker_open)'),
  ]);
  const attempts = async () => (await Promise.all(ids.map((id) => sendRow(system, id)))).map((row) => row.attempts);
  assert.deepEqual(await attempts(), Array<number>(8).fill(0));
  const healthy = await queueReplies(system, phoneOf(73_000_000, 100), ['sadio'], { instance: 'outro' });
  await sendNext(ctx, healthy.conversation);
  assert.equal(system.simulator.sends({ instance: 'outro', sent: true }).length, 1);

  // Every lane comes again and again while it is open; the presence is a call too.
  await system.query(`update messages set typing_ms = 10 where id = any($1)`, [ids]);
  const breaker = ctx.breakers.evolution(INSTANCE);
  const all = async () => {
    for (const { conversation } of lanes) {
      clock.now = new Date((clock.now?.getTime() ?? Date.now()) + 700_000);
      await sendNext(ctx, conversation);
    }
  };
  await all();
  await all();
  assert.equal(calls(), 5);
  assert.equal(system.simulator.wire().presences.length, 0);
  assert.deepEqual(await attempts(), Array<number>(8).fill(0));
  // The probe is harmless, and comes by itself; while it fails, nothing else goes out.
  const probes = () => system.lines.filter((line) => line.context['state'] === 'half_open').length;
  await system.until(() => probes() >= 2, 'probes');
  await all();
  assert.equal(calls(), 5);
  // Evolution answers, and still refuses every message: one message finds out.
  system.simulator.clearFaults();
  system.simulator.fault({ target: 'send', ...here });
  await system.until(() => breaker.report().on_trial, 'on trial');
  system.simulator.fault({ target: 'state', ...here });
  await Promise.all(lanes.map(({ conversation }) => sendNext(ctx, conversation)));
  await all();
  assert.equal(calls(), 6, 'one message on trial');
  system.simulator.clearFaults();
  await system.until(() => breaker.report().on_trial, 'on trial');
  await all();
  await all();
  assert.deepEqual(
    (await states(system, ids)).filter((state) => !/^(sent|delivered)$/.test(state)),
    [],
  );
  assert.equal(calls(), 6 + 8);
  await system.until(
    async () => (await system.query(`select 1 from circuit_transitions where instance = $1 and state = 'closed'`, [INSTANCE])).length === 2,
    'recorded',
  );
  assert.deepEqual(await system.query(`select distinct instance from circuit_transitions`), [{ instance: INSTANCE }]);
});

test('C3 breaker: an uncertain send is not looked up while the number is not called', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { EVOLUTION_BREAKER_FAILURES: '1', EVOLUTION_BREAKER_RESET_SECONDS: '300' } });
  const clock: Clock = { now: null };
  const ctx = clocked(await system.openContext('worker'), clock);
  const { conversation, ids } = await queueReplies(system, '5511972000006', ['talvez']);
  system.simulator.fault({ target: 'send', kind: 'drop', sent: false });
  await sendNext(ctx, conversation);
  let asked = 0;
  const whatsapp = ctx.whatsapp;
  assert.ok(whatsapp);
  const watched = { ...ctx, whatsapp: { ...whatsapp, findMessages: () => ((asked += 1), Promise.reject(new Error('called'))) } };
  for (let index = 1; index <= 10; index++) {
    clock.now = new Date(Date.now() + index * 15_000);
    await sendNext(watched, conversation);
  }
  assert.equal(asked, 0);
  assert.deepEqual(await states(system, ids), ['unproven(reset)'], 'a look that could not be made counts: the conversation goes on');
});

async function token(): Promise<string> {
  const jwt = new SignJWT({ role: 'admin', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('test')
    .setExpirationTime('5m');
  return await jwt.sign(new TextEncoder().encode(JWT_SECRET));
}

async function post(system: System, body: object): Promise<{ id: number }> {
  const response = await fetch(`${system.url}/api/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await token()}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 202);
  return (await response.json()) as { id: number };
}

test('O12 allowlist: outside production an empty one lets nothing out, by no path; a number on it gets its own', async (t) => {
  for (const allowed of ['', '+55 11 97200-0007']) {
    const system = await startSystem(t, { env: { OUTBOUND_ALLOWLIST: allowed, HUMAN_DELAY: 'true' } });
    const people = ['5511972000007', '5511972000008'].map((phone) => system.simulator.addContact({ name: 'Rui', phone }));
    people.push(system.simulator.addContact({ name: 'Lia', phone: '5511972000009', addressing: 'lid-hidden' }));
    system.simulator.script([{ text: 'Olá!', tools: [{ name: 'react', input: { emoji: '👍' } }], repeat: true }]);
    for (const { id } of people) system.simulator.inbound({ contactId: id, text: 'Oi' });
    for (const to of ['11 97200-0007', '+5511972000008']) await post(system, { to, text: 'Aviso' });
    const rows = async () =>
      (
        await system.query<{ line: string }>(
          `select kind || ' ' || status || ' ' || coalesce(reason, '') as line from messages where direction = 'out' order by 1`,
        )
      ).map((row) => row.line.trim());
    const ended = await system.until(async () => {
      const lines = await rows();
      return lines.length === 8 && lines.every((line) => /blocked|sent|delivered/.test(line)) ? lines : null;
    }, 'all ended');
    const to = new Set([...system.simulator.sends(), ...system.simulator.wire().presences].map((each) => each.jid));
    if (allowed === '') {
      assert.deepEqual([...to], []);
      assert.deepEqual([...new Set(ended)], ['notification blocked allowlist', 'reply blocked allowlist']);
    } else {
      assert.deepEqual([...to], ['5511972000007@s.whatsapp.net']);
      assert.deepEqual(
        ended.map((line) => line.replace('delivered', 'sent')),
        [
          ...Array<string>(1).fill('notification blocked allowlist'),
          'notification sent',
          ...Array<string>(4).fill('reply blocked allowlist'),
          'reply sent',
          'reply sent',
        ],
      );
    }
    await system.close();
  }
});

test('R2 a flushed Redis frees nothing', async (t) => {
  const system = await startSystem(t, { queue: 'redis', env: { MAX_MSGS_POR_HORA: '1' } });
  await post(system, { to: '5511972000010', text: 'primeira' });
  await system.simulator.waitFor((wire) => wire.sends.length === 1, 15_000);
  const { Redis } = await import('ioredis');
  const redis = new Redis(system.redis?.url ?? '');
  await redis.flushall();
  redis.disconnect();
  const { id } = await post(system, { to: '5511972000011', text: 'segunda' });
  await system.until(async () => (await states(system, [id]))[0] === 'queued(cap_hour)', 'held');
  assert.equal(system.simulator.sends().length, 1);
});
