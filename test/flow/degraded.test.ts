/** Each thing that the product stands on is away for a while: what is documented of it, and that nothing is lost or doubled. */
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { removePostgresData, startPostgres } from '../../scripts/lib/embedded-postgres.ts';
import { sweepSendsJob } from '../../src/crons/sweep-sends.ts';
import { sweepTurnsJob } from '../../src/crons/sweep-turns.ts';
import { migrate } from '../../src/db/migrate.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { keptWebhook } from '../../src/inbox/kept-webhook.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';
import { clocked, queueReplies, sendRow } from '../support/sends.ts';
import type { Clock } from '../support/sends.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const RUN = { tick: new Date(), signal: new AbortController().signal };
const PHONE = '5511912345678';

function upsert(id: string, text: string, secondsAgo: number): object {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: `${PHONE}@s.whatsapp.net`, fromMe: false, id },
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000) - secondsAgo,
    },
  };
}

async function takes(system: System, body: object): Promise<void> {
  assert.equal((await system.webhook(body)).status, 200);
}

test('D8 I1 Postgres away, the queue in Redis: 200 and kept; when it is back all is stored once, read in the order of WhatsApp, answered once', async (t) => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-away-'));
  const postgres = await startPostgres({ dataDir, durable: false });
  t.after(async () => {
    await postgres.stop();
    await removePostgresData(dataDir);
  });
  await migrate(postgres.url);
  const system = await startSystem(t, { databaseUrl: postgres.url, queue: 'redis', env: { DEBOUNCE_MS: '1500', DEBOUNCE_MAX_MS: '5000' } });
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  await postgres.stop();
  // Out of order, and one of them twice, as Evolution's retries come.
  await takes(system, upsert('C', 'terceira', 10));
  await takes(system, upsert('A', 'primeira', 30));
  await takes(system, upsert('B', 'segunda', 20));
  await takes(system, upsert('C', 'terceira', 10));
  assert.equal(system.lines.filter((line) => line.message === 'Database away: webhook kept in the queue').length, 4);
  assert.equal(system.simulator.sends().length, 0);

  await postgres.restart();
  await system.until(() => system.simulator.sends({ sent: true }).length > 0, 'the answer');
  await system.until(async () => (await system.dump()).filter((line) => line.startsWith('in contact answered')).length === 3, 'answered');
  assert.equal(system.simulator.sends({ sent: true }).length, 1, 'one burst, one answer');
  const [call] = system.simulator.wire().claude;
  const said = JSON.stringify(call?.request['messages']);
  assert.ok(said.indexOf('primeira') < said.indexOf('segunda') && said.indexOf('segunda') < said.indexOf('terceira'), said);
  assert.deepEqual(await system.query(`select count(*)::int as n from messages where direction = 'in'`), [{ n: 3 }]);
  await system.close();
});

test('D8 P8 a worker that waits for the database with a kept webhook ends at once when it is told to, and the next one stores it', async (t) => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-away-'));
  const postgres = await startPostgres({ dataDir, durable: false });
  t.after(async () => {
    await postgres.stop();
    await removePostgresData(dataDir);
  });
  await migrate(postgres.url);
  const system = await startSystem(t, { databaseUrl: postgres.url, queue: 'redis', workers: 0 });
  const worker = await system.addWorker();
  await postgres.stop();
  await takes(system, upsert('A', 'oi', 0));
  // Whatever it waits for inside: a stop that took its grace time would outlast this test's patience.
  await worker.stop(600_000);
  await postgres.restart();
  await system.addWorker();
  await system.until(async () => (await system.dump()).some((line) => line.startsWith('in contact')), 'stored');
  await system.close();
});

test('D8 Redis away: 200 and stored; nothing wakes up, the sweep finds all of it, and it is answered once', async (t) => {
  const system = await startSystem(t, { queue: 'redis' });
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  await takes(system, upsert('A', 'antes', 0));
  await system.until(() => system.simulator.sends({ sent: true }).length === 1, 'the first answer');
  await system.redis?.kill();
  await takes(system, upsert('B', 'durante', 0));
  await takes(system, upsert('B', 'durante', 0));
  assert.ok((await system.dump()).includes('in contact received: durante'));
  await system.redis?.restart();
  await system.until(
    () => system.lines.filter((line) => line.message === 'Redis is back').length === 2,
    'Redis for the api and the worker',
  );
  // As if a minute had passed: the sweep leaves what is younger to its wake-up.
  await system.query(`update messages set created_at = created_at - interval '1 minute' where status = 'received'`);
  assert.equal(await sweepTurnsJob.run(system.ctx, RUN), 1);
  await system.until(() => system.simulator.sends({ sent: true }).length === 2, 'the second answer');
  await system.until(async () => (await system.dump()).includes('in contact answered: durante'), 'answered');
  assert.deepEqual(
    system.simulator.sends({ sent: true }).map((send) => send.text),
    ['Certo!', 'Certo!'],
  );
  // The worker's third connection is back too: what was kept is stored. (BullMQ never closes a worker whose connection is just being made again.)
  const events = parseWebhook(upsert('C', 'depois', 0), null, new Date());
  const record = { requestId: 'kept', instance: INSTANCE, event: 'messages.upsert', raw: {}, from: { tenant: 'default' }, events };
  await system.ctx.queues.keepWebhook(keptWebhook(record, null));
  await system.until(() => system.lines.some((line) => line.context['request_id'] === 'kept'), 'what was kept is stored');
});

test('D8 Evolution away: the answer waits without using up its attempts, says why, and leaves once when it is back', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { EVOLUTION_BREAKER_FAILURES: '1000' } });
  const clock: Clock = { now: new Date() };
  const ctx = clocked(await system.openContext('worker'), clock);
  const { conversation, ids } = await queueReplies(system, PHONE, ['Certo!']);
  const [id = 0] = ids;
  system.simulator.fault({ target: 'send', kind: 'status', status: 503, times: null });
  // An hour of it.
  for (let index = 0; index < 60; index++) {
    assert.equal((await sendNext(ctx, conversation)).kind, 'wait');
    clock.now = new Date((clock.now ?? new Date()).getTime() + 76_000);
  }
  const held = await sendRow(system, id);
  assert.deepEqual([held.status, held.reason], ['queued', 'service_unavailable']);
  assert.equal(held.attempts, 0);
  system.simulator.clearFaults();
  assert.deepEqual(await sweepSendsJob.run(ctx, RUN), 1);
  await sendNext(ctx, conversation);
  assert.equal(system.simulator.sends({ sent: true }).length, 1);
  assert.equal((await sendNext(ctx, conversation)).kind, 'idle');
});
