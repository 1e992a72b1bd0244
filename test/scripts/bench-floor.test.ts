import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { INSTANCES, jidOf, phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from '../../bench/messages.ts';
import { startFloorAnswer } from '../../bench/programs.ts';
import { startSimulator } from '../../simulator/index.ts';
import { openRedis } from '../support/system.ts';

test('bench: the floor that the answers are compared with does answer', async () => {
  await using stack = new AsyncDisposableStack();
  const logs = await mkdtemp(path.join(tmpdir(), 'whats-agents-bench-'));
  stack.defer(() => rm(logs, { recursive: true, force: true }));
  const redis = await openRedis();
  stack.defer(() => redis.stop());
  const simulator = await startSimulator({ instances: [...INSTANCES], noise: false, ackMs: null });
  stack.defer(() => simulator.close());
  simulator.script([{ text: 'Abrimos aos sábados.', repeat: true }]);
  const around = { databaseUrl: '', redisUrl: redis.url, simulator, logs };
  const [api, worker] = await Promise.all([startFloorAnswer('api', around), startFloorAnswer('worker', around)]);
  stack.defer(async () => void (await Promise.all([api.kill(), worker.kill()])));

  const sent = Promise.withResolvers<string | null>();
  stack.defer(simulator.on((event) => (event.type === 'send' ? sent.resolve(event.send.jid) : undefined)));
  AbortSignal.timeout(60_000).addEventListener('abort', () => sent.reject(new Error('the floor has sent nothing')));
  const phone = phoneOf(1, 1);
  const body = webhookBody(phone);
  const response = await fetch(`http://127.0.0.1:${api.port}${WEBHOOK_PATH}`, { method: 'POST', headers: WEBHOOK_HEADERS, body });
  assert.equal(response.status, 200);
  assert.equal(await sent.promise, jidOf(phone));
});
