import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import {
  ackBody,
  echoBody,
  INSTANCE,
  INSTANCES,
  jidOf,
  phoneOf,
  WEBHOOK_HEADERS,
  WEBHOOK_PATH,
  webhookBody,
} from '../../bench/messages.ts';
import { startFloorAnswer, startFloorDurable } from '../../bench/programs.ts';
import type { Program, Surroundings } from '../../bench/programs.ts';
import { startSimulator } from '../../simulator/index.ts';
import { emptyDatabase } from '../support/database.ts';
import { openRedis } from '../support/system.ts';

/** A floor, and what it stands on. `start` gets its surroundings without a database. */
async function openFloor(stack: AsyncDisposableStack, start: (mode: 'api' | 'worker', around: Surroundings) => Promise<Program>) {
  const logs = await mkdtemp(path.join(tmpdir(), 'whats-agents-bench-'));
  stack.defer(() => rm(logs, { recursive: true, force: true }));
  const redis = await openRedis();
  stack.defer(() => redis.stop());
  const simulator = await startSimulator({ instances: [...INSTANCES], noise: false, ackMs: null });
  stack.defer(() => simulator.close());
  simulator.script([{ text: 'Abrimos aos sábados.', repeat: true }]);
  const around = { databaseUrl: '', redisUrl: redis.url, simulator, logs };
  const api = await start('api', around);
  stack.defer(() => api.kill());
  const worker = await start('worker', around);
  stack.defer(() => worker.kill());
  const sent: string[] = [];
  const arrivals = new EventEmitter();
  stack.defer(
    simulator.on((event) => {
      if (event.type !== 'send' || event.send.jid === null) return;
      sent.push(event.send.jid);
      arrivals.emit(event.send.jid);
    }),
  );
  /** Resolves when this contact gets something; rejects after a minute. */
  const answered = async (phone: string) => void (await once(arrivals, jidOf(phone), { signal: AbortSignal.timeout(60_000) }));
  const post = async (body: string) =>
    (await fetch(`http://127.0.0.1:${api.port}${WEBHOOK_PATH}`, { method: 'POST', headers: WEBHOOK_HEADERS, body })).status;
  return { post, sent, answered };
}

test('bench: the floor that the answers are compared with does answer', async () => {
  await using stack = new AsyncDisposableStack();
  const { post, sent, answered } = await openFloor(stack, startFloorAnswer);
  const phone = phoneOf(1, 1);
  const answer = answered(phone);
  assert.equal(await post(webhookBody(phone)), 200);
  await answer;
  assert.deepEqual(sent, [jidOf(phone)]);
});

test('bench: the floor that keeps what it says answers a repeated webhook once, and takes what Evolution tells of its send', async (t) => {
  await using stack = new AsyncDisposableStack();
  const { url: databaseUrl } = await emptyDatabase(t);
  const { post, sent, answered } = await openFloor(stack, (mode, around) => startFloorDurable(mode, { ...around, databaseUrl }));
  const [phone, other] = [phoneOf(1, 2), phoneOf(1, 3)];
  const body = webhookBody(phone);
  const answer = answered(phone);
  assert.deepEqual(await Promise.all([post(body), post(body)]), [200, 200]);
  await answer;
  for (const told of [echoBody(INSTANCE, jidOf(phone), 'X'), ackBody(INSTANCE, jidOf(phone), 'X', 'READ'), body])
    assert.equal(await post(told), 200);
  // its job comes after all that the others could have led to
  const last = answered(other);
  assert.equal(await post(webhookBody(other)), 200);
  await last;
  assert.deepEqual(sent, [jidOf(phone), jidOf(other)]);
});
