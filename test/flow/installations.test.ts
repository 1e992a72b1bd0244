/** Several installations on one Redis: each does its own work and nothing else. */
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { removePostgresData, startPostgres } from '../../scripts/lib/embedded-postgres.ts';
import { migrate } from '../../src/db/migrate.ts';
import { installationId } from '../../src/db/server-calls.ts';
import { keptWebhook } from '../../src/inbox/kept-webhook.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';
import { emptyDatabase, testDatabase } from '../support/database.ts';
import { DOORS, openDoor } from '../support/doors.ts';
import { startSite } from '../support/site.ts';
import { INSTANCE, openRedis, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

/** What has not come by then does not come. Milliseconds. */
const PATIENCE_MS = 120_000;

type Shared = { url: string; stop(): Promise<void>; keys(): Promise<string[]> };

/** Its caller stops it, after those who use it. */
async function sharedRedis(): Promise<Shared> {
  const server = await openRedis();
  return {
    url: server.url,
    stop: () => server.stop(),
    async keys() {
      const client = new Redis(server.url);
      try {
        return await client.keys('*');
      } finally {
        client.disconnect();
      }
    },
  };
}

function upsert(id: string, words: string, phone: string) {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: `${phone}@s.whatsapp.net`, fromMe: false, id },
      pushName: 'Maria',
      message: { conversation: words },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
}

/** Keeps a webhook as an api does while the database is unavailable. */
async function keep(system: System, words: string): Promise<void> {
  const raw = upsert(words, words, '5511912340000');
  const events = parseWebhook(raw, null, new Date());
  const kept = { requestId: words, instance: INSTANCE, event: raw.event, raw, from: { tenant: 'default' }, events };
  await system.ctx.queues.keepWebhook(keptWebhook(kept, system.ctx.config.secrets));
}

const texts = async (system: System): Promise<string[]> =>
  (await system.query<{ text: string }>(`select text from messages where direction = 'in' order by text`)).map(({ text }) => text);

const waiting = async (system: System): Promise<number> =>
  (await system.query(`select from messages where status in ('received', 'queued', 'sending')`)).length;

async function idOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<{ id: string }>('select installation_id() as id')).rows[0]?.id ?? '';
  } finally {
    await client.end();
  }
}

async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

test('P18 two installations on one Redis: each message is answered by its own, at once and without a sweep', async (t) => {
  const redis = await sharedRedis();
  const env = { REDIS_URL: redis.url };
  const systems = await Promise.all([startSystem(t, { env, workers: 2 }), startSystem(t, { env, workers: 2 })]);
  t.after(() => redis.stop());
  const phones = systems.map((_, side) => Array.from({ length: 12 }, (_each, index) => `551191234${side}0${10 + index}`));
  // In both the same conversations have the same ids: a wake-up that goes astray finds somebody else's conversation and does nothing.
  for (let round = 0; round < 3; round++)
    await Promise.all(
      systems.flatMap((system, side) =>
        (phones[side] ?? []).map(async (phone, index) =>
          assert.equal((await system.webhook(upsert(`P18-${side}-${round}-${index}`, `oi ${side} ${round}`, phone))).status, 200),
        ),
      ),
    );
  for (const [side, system] of systems.entries()) {
    await system.until(async () => (await texts(system)).length === 36 && (await waiting(system)) === 0, `the answers of ${side}`);
    assert.deepEqual(new Set(system.simulator.sends().map(({ number }) => number.split('@')[0])), new Set(phones[side]));
    assert.ok((await texts(system)).every((text) => text.startsWith(`oi ${side}`)));
    // Nothing went astray: no sweep ran here, which would have found what a queue forgot.
    assert.deepEqual(
      system.lines.filter(({ level }) => level === 'WARNING' || level === 'ERROR' || level === 'CRITICAL'),
      [],
    );
  }
  const ids = systems.map(({ ctx }) => ctx.queues.installation);
  assert.equal(new Set(ids).size, 2);
  const keys = await redis.keys();
  assert.deepEqual(
    keys.filter((key) => !ids.some((id) => key.startsWith(`{wa-${id}-`))),
    [],
    'every key carries an id',
  );
});

test('P18 a webhook that is kept in a shared Redis is stored by its own installation, however long the other one is alone', async (t) => {
  const redis = await sharedRedis();
  const env = { REDIS_URL: redis.url };
  const mine = await startSystem(t, { env, workers: 0 });
  await keep(mine, 'para mim');
  const other = await startSystem(t, { env, workers: 2 });
  t.after(() => redis.stop());
  await keep(other, 'para o outro');
  await other.until(async () => (await texts(other)).length > 0 && (await waiting(other)) === 0, 'its own');
  assert.equal(await mine.ctx.queues.holdsInbound(), true);
  await mine.addWorker();
  await mine.until(async () => (await texts(mine)).length > 0 && (await waiting(mine)) === 0, 'mine');
  assert.deepEqual([await texts(mine), await texts(other)], [['para mim'], ['para o outro']]);
});

test('P18 INSTALLATION_ID names the keys, and takes over what another database left in Redis', async (t) => {
  const redis = await sharedRedis();
  const before = await startSystem(t, { env: { REDIS_URL: redis.url, INSTALLATION_ID: 'loja-2' }, workers: 0 });
  await keep(before, 'antes da mudança');
  assert.ok((await redis.keys()).every((key) => key.startsWith('{wa-loja-2-')));
  const after = await startSystem(t, { env: { REDIS_URL: redis.url, INSTALLATION_ID: 'loja-2' } });
  t.after(() => redis.stop());
  await after.until(async () => (await texts(after)).length === 1, 'what was kept');
});

test('P18 the id of an installation: the same for everybody who asks, another one in a copy of the database', async (t) => {
  const { url, runtimeUrl } = await testDatabase(t);
  const id = await idOf(url);
  assert.match(id, /^[0-9a-f]{12}$/);
  assert.equal(await idOf(runtimeUrl), id, 'to the runtime');
  for (const kind of DOORS) assert.match(await installationId((await openDoor(t, kind)).door), /^[0-9a-f]{12}$/, kind);

  // What a dump and its restore do: all rows, in a database of another name or on another server.
  const secret = async (from: string, to: string): Promise<void> => {
    const client = new pg.Client({ connectionString: from });
    await client.connect();
    const { rows } = await client.query<{ value: string }>(`select value from installation where key = 'suppression_salt'`);
    await client.end();
    await run(to, `update installation set value = '${rows[0]?.value}' where key = 'suppression_salt'`);
  };
  const renamed = await testDatabase(t);
  await secret(url, renamed.url);
  assert.notEqual(await idOf(renamed.url), id, 'under another name');

  const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-other-server-'));
  const server = await startPostgres({ dataDir, durable: false });
  t.after(async () => {
    await server.stop();
    await removePostgresData(dataDir);
  });
  const name = new URL(url).pathname.slice(1);
  await run(server.url, `create database ${name}`);
  const elsewhere = server.urlOf(name);
  await migrate(elsewhere, { queue: false });
  await secret(url, elsewhere);
  assert.notEqual(await idOf(elsewhere), id, 'on another server');

  // A service may hide which server it is; then secret and name remain.
  await run(url, 'revoke execute on function pg_control_system() from public');
  const hidden = await idOf(runtimeUrl);
  assert.match(hidden, /^[0-9a-f]{12}$/);
  const fresh = await emptyDatabase(t);
  await migrate(fresh.url, { queue: false });
  await run(fresh.url, 'revoke execute on function pg_control_system() from public');
  assert.notEqual(await idOf(fresh.url), hidden);
});

test('P18 a database that becomes another installation under a running process: what was kept is stored first, then the process ends, to begin again', async (t) => {
  const redis = await sharedRedis();
  const site = await startSite(t, { env: { REDIS_URL: redis.url } });
  t.after(() => redis.stop());
  const api = await site.startReady('api');
  const contact = site.simulator.addContact({ name: 'Maria', phone: '5511912340001' });
  await site.databaseDoor(false);
  site.simulator.inbound({ contactId: contact.id, text: 'no meio da mudança' });
  await api.line('Database away: webhook kept in the queue');
  await site.query(`update installation set value = 'of another server' where key = 'suppression_salt'`);
  await site.databaseDoor(true);
  // Nobody but a process of the old name finds what was kept: the api waits for a worker that still has it.
  await api.line('The database has become another installation: waiting until what was kept is stored');
  const worker = await site.start('worker', { INSTALLATION_ID: String((await api.line('api ready')).context['installation']) });
  const end = await Promise.race([api.ended, delay(PATIENCE_MS, 'late', { ref: false })]);
  assert.equal(end, 1, [...api.lines(), ...worker.lines()].map((line) => JSON.stringify(line)).join('\n'));
  assert.ok(
    api.lines().some(({ level, message }) => level === 'CRITICAL' && message.startsWith('The database has become another installation')),
  );
  assert.deepEqual(
    (await site.query<{ text: string }>(`select text from messages where direction = 'in'`)).map(({ text }) => text),
    ['no meio da mudança'],
  );
  // A send that is cut off would be looked for first, for two minutes.
  await site.until(
    async () => (await site.query(`select from messages where direction = 'out' and status in ('sent', 'delivered', 'read')`)).length === 1,
    'its answer',
  );
  worker.signal('SIGKILL');
  await worker.ended;
  await Promise.all([site.startReady('api'), site.startReady('worker')]);
  site.simulator.inbound({ contactId: contact.id, text: 'e agora?' });
  await site.until(() => site.simulator.sends({ sent: true }).length > 1, 'the answer');
});
