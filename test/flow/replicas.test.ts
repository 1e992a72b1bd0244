import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiRoutes } from '../../src/api.ts';
import { DatabaseAway } from '../../src/db/failures.ts';
import { createApp, listen } from '../../src/routes/http.ts';
import type { Process } from '../../src/routes/ops.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { runTick } from '../../src/schedule/run-job.ts';
import { testJob } from '../support/jobs.ts';
import { startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

/** One more api on the same database and queue. */
async function addApi(t: { after(hook: () => Promise<void>): void }, system: System): Promise<string> {
  const context = await system.openContext('api');
  const state: Process = { config: context.config, context, stopping: false };
  const server = await listen(
    createApp(state, context.log, (app) => apiRoutes(app, state)),
    '127.0.0.1',
    0,
  );
  t.after(() => server.close());
  return `http://127.0.0.1:${server.port}`;
}

for (const queue of ['postgres', 'redis'] as const) {
  test(`P9 X13 three apis, two workers, two schedulers: each inbound is answered once, each tick runs once (${queue} queue)`, async (t) => {
    const system = await startSystem(t, { queue, workers: 2 });
    const apis = [system.url, await addApi(t, system), await addApi(t, system)];
    system.simulator.setWebhook(null);
    const seconds = Math.floor(Date.now() / 1000);
    const body = (index: number) => ({
      event: 'messages.upsert',
      instance: 'julia-dev',
      data: {
        key: { remoteJid: `55119123400${10 + index}@s.whatsapp.net`, fromMe: false, id: `P9-${index}` },
        pushName: `Contato ${index}`,
        message: { conversation: 'oi' },
        messageType: 'conversation',
        messageTimestamp: seconds,
      },
    });
    // Evolution's balancer, and its repeats: every message comes to every api at the same moment.
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => index).flatMap((index) =>
        apis.map((api) =>
          fetch(`${api}/webhook/evolution`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: `Bearer ${WEBHOOK_SECRET}` },
            body: JSON.stringify(body(index)),
          }),
        ),
      ),
    );
    assert.ok(answers.every((answer) => answer.status === 200));
    await system.until(
      async () => (await system.dump()).filter((line) => /^out agent (sent|delivered)/.test(line)).length === 30,
      '30 answers',
    );
    const numbers = system.simulator.sends().map((send) => send.number);
    assert.equal(numbers.length, 30);
    assert.equal(new Set(numbers).size, 30, 'nobody was answered twice');

    let runs = 0;
    const job = testJob('count', async () => ++runs);
    const schedulers = [await system.openContext('scheduler'), await system.openContext('scheduler')];
    const ticks = Array.from({ length: 20 }, (_, minute) => new Date(Date.UTC(2026, 0, 1, 0, minute)));
    await Promise.all(ticks.flatMap((tick) => schedulers.map((scheduler) => runTick(scheduler, job, tick))));
    assert.equal(runs, 20);
  });
}

test('R3 the database is away: nothing leaves, and what was queued leaves once it is back', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const queued = await system.query<{ result: { conversation_id: number } }>(
    `select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "Seu pedido saiu", "kind": "notification"}') as result`,
  );
  const conversation = queued[0]?.result.conversation_id ?? 0;
  const away = {
    ...system.ctx,
    db: { call: async (name: string) => Promise.reject(new DatabaseAway(name, 'connection refused')), close: async () => {} },
  };
  await assert.rejects(sendNext(away, conversation), DatabaseAway);
  assert.deepEqual([system.simulator.wire().sends.length, system.simulator.wire().presences.length], [0, 0]);
  assert.deepEqual(await sendNext(system.ctx, conversation).then((step) => step.kind), 'idle');
  assert.deepEqual(
    system.simulator.sends().map((send) => send.text),
    ['Seu pedido saiu'],
  );
});

test('X13 four workers are four times the turns of one: each brings its slots, and a conversation has one turn at a time', async (t) => {
  const system = await startSystem(t, { workers: 1, env: { WORKER_CONCURRENCY: '3', DEBOUNCE_MS: '0', DEBOUNCE_MAX_MS: '0' } });
  const gate = Promise.withResolvers<void>();
  t.after(async () => gate.resolve());
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  system.simulator.fault({ target: 'claude', kind: 'slow', ms: 0, times: null, until: gate.promise });
  const contacts = Array.from({ length: 24 }, (_, index) =>
    system.simulator.addContact({ name: `Contato ${index}`, phone: `55119123450${10 + index}` }),
  );
  for (const { id } of contacts) for (const text of ['um', 'dois']) system.simulator.inbound({ contactId: id, text });
  const live = async () =>
    (
      await system.query<{ n: number; people: number }>(
        `select count(*)::int as n, count(distinct conversation_id)::int as people from turns where status = 'open'`,
      )
    )[0];
  const atWork = (count: number) => system.until(async () => (await live())?.n === count, `${count} turns at work`);
  await atWork(3);
  for (let index = 1; index < 4; index++) await system.addWorker();
  await atWork(12);
  assert.deepEqual(await live(), { n: 12, people: 12 });
  gate.resolve();
  system.simulator.clearFaults();
  await system.until(
    async () => (await system.dump()).filter((line) => line.startsWith('in contact answered')).length === 48,
    'all answered',
  );
});
