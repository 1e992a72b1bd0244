/** What waits in Redis for the database: who reaches Redis speaks for nobody, and no two webhooks are one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { keptWebhook } from '../../src/inbox/kept-webhook.ts';
import { redisPrefix } from '../../src/queues.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const SECRETS_KEY = 'a-secrets-key-of-tests-0123456789abcdef';

let ids = 0;
function record(words: string, from: object, requestId = `kept-${words}`) {
  const body = {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: '5511912345678@s.whatsapp.net', fromMe: false, id: `K${++ids}` },
      message: { conversation: words },
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
  return {
    requestId,
    instance: INSTANCE,
    event: body.event,
    raw: body,
    from: from as { tenant: string },
    events: parseWebhook(body, null, new Date()),
  };
}

const words = async (system: System) =>
  (await system.query<{ text: string }>('select text from messages order by text')).map(({ text }) => text);

for (const key of [null, SECRETS_KEY])
  test(`Z4 Z14 ${key === null ? 'without' : 'with'} SECRETS_KEY: a job that somebody wrote into Redis is nobody's word; what the api kept is stored, also two of one request id`, async (t) => {
    const system = await startSystem(t, { queue: 'redis', env: key === null ? {} : { SECRETS_KEY: key } });
    assert.ok(system.redis);
    const connection = new Redis(system.redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue('inbound', { connection, prefix: redisPrefix(system.ctx.queues.installation ?? '', 'inbound') });
    const foreign = { current: 'b'.repeat(40), previous: null };
    const forged = [
      { webhook: record('ourselves', { ourselves: true }) },
      { webhook: record('instance', { instance: INSTANCE }) },
      { webhook: record('both', { tenant: 'default', ourselves: true }) },
      keptWebhook(record('sealed by a stranger', { tenant: 'default' }), foreign),
      { sealed: 'v1.x.y.z' },
      { sealed: 1 },
      { webhook: null },
      ...(key === null ? [] : [{ webhook: record('in the name of the installation', { tenant: 'default' }) }]),
    ];
    try {
      for (const job of forged) await queue.add('webhook', job, { attempts: 1, removeOnFail: true });
      const { secrets } = system.ctx.config;
      for (const said of ['um', 'dois'])
        await system.ctx.queues.keepWebhook(keptWebhook(record(said, { tenant: 'default' }, 'one-request-id'), secrets));
      if (key !== null) {
        const waiting = JSON.stringify(keptWebhook(record('dito em segredo', { tenant: 'default' }), secrets));
        assert.ok(!waiting.includes('segredo') && !waiting.includes('5511912345678'), 'nor is it read there');
      }
      await system.until(async () => (await words(system)).length >= 2, 'what was kept is stored');
      await system.until(
        () => system.lines.filter(({ message }) => message.startsWith('A webhook in the queue is refused')).length === forged.length,
        'each forged one is told',
      );
      assert.deepEqual(await words(system), ['dois', 'um']);
    } finally {
      await queue.close();
      connection.disconnect();
    }
  });

test('Z4 Z14 what was copied from Redis during one outage changes nothing later: it counts once, and for 48 hours', async (t) => {
  const system = await startSystem(t, { queue: 'redis', env: { SECRETS_KEY } });
  const { secrets } = system.ctx.config;
  const state = (to: string) => {
    const body = { event: 'connection.update', instance: INSTANCE, data: { state: to, statusReason: to === 'open' ? 200 : 428 } };
    return {
      ...record('', { tenant: 'default' }, `kept-${to}`),
      event: body.event,
      raw: body,
      events: parseWebhook(body, null, new Date()),
    };
  };
  const status = async () => (await system.query<{ status: string }>('select status from instances'))[0]?.status;
  // Jobs run one after the other: what is kept last is stored last.
  const end = async (said: string) => {
    await system.ctx.queues.keepWebhook(keptWebhook(record(said, { tenant: 'default' }), secrets));
    await system.until(async () => (await words(system)).includes(said), `${said} is stored`);
  };
  const copied = keptWebhook(state('close'), secrets);
  await system.ctx.queues.keepWebhook(copied);
  await end('um');
  assert.equal(await status(), 'close');
  await system.ctx.queues.keepWebhook(keptWebhook(state('open'), secrets));
  await end('dois');
  assert.equal(await status(), 'open');
  await system.ctx.queues.keepWebhook(copied);
  await system.ctx.queues.keepWebhook(copied);
  await end('tres');
  assert.equal(await status(), 'open', 'once only');
  const hour = 3_600_000;
  await system.ctx.queues.keepWebhook(keptWebhook(state('close'), secrets, Date.now() - 49 * hour));
  await end('quatro');
  assert.equal(await status(), 'open', 'and not for ever');
  assert.ok(system.lines.some(({ level, message }) => level === 'ERROR' && message.includes('older than 48 hours')));
  await system.ctx.queues.keepWebhook(keptWebhook(state('close'), secrets, Date.now() - 47 * hour));
  await end('cinco');
  assert.equal(await status(), 'close', 'what waited for long is stored');
});

test('Z4 Z14 a job that stops before its transaction ends spends nothing: what was kept is stored by the next try', async (t) => {
  const system = await startSystem(t, { queue: 'redis', env: { SECRETS_KEY } });
  const { secrets } = system.ctx.config;
  assert.ok(system.redis);
  const connection = new Redis(system.redis.url, { maxRetriesPerRequest: null });
  const queue = new Queue('inbound', { connection, prefix: redisPrefix(system.ctx.queues.installation ?? '', 'inbound') });
  try {
    // Storing fails after the id is spent, until the table is whole again.
    await system.query('alter table webhook_events add constraint never check (false) not valid');
    await system.ctx.queues.keepWebhook(keptWebhook(record('um', { tenant: 'default' }), secrets));
    await system.until(async () => (await queue.getDelayedCount()) === 1, 'the first try');
    await system.query('alter table webhook_events drop constraint never');
    for (const job of await queue.getDelayed()) await job.promote();
    await system.until(async () => (await words(system)).length === 1, 'the next one');
  } finally {
    await queue.close();
    connection.disconnect();
  }
});
