/** The product behind PgBouncer: what works in transaction mode, and what is said of the rest. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { takeBackup } from '../../src/backup/dump.ts';
import { NeedsSession } from '../../src/db/failures.ts';
import { migrate } from '../../src/db/migrate.ts';
import { hasSessions } from '../../src/db/pooler.ts';
import { MIGRATION_NEEDS_SESSION, QUEUE_NEEDS_SESSION, saysTransactionPooler } from '../../src/db/pooler-words.ts';
import { loadConfig } from '../../src/config.ts';
import { startPgBouncer } from '../../scripts/lib/pgbouncer.ts';
import { emptyDatabase, testDatabase } from '../support/database.ts';
import { startProgram } from '../support/process.ts';
import { startSystem, testEnvironment } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Hooks = { after(hook: () => Promise<void>): void };

async function bouncer(t: Hooks, url: string, mode: 'transaction' | 'session', sessions?: number): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-pgbouncer-'));
  const started = await startPgBouncer({ url, dir, mode, ...(sessions === undefined ? {} : { sessions }) });
  t.after(async () => {
    await started.stop();
    await rm(dir, { recursive: true, force: true });
  });
  return started.url;
}

/** Contacts write at once, several times each; resolves when each has an answer. */
async function answered(system: System, contacts: number): Promise<void> {
  for (let round = 0; round < 2; round++)
    await Promise.all(
      Array.from({ length: contacts }, (_, index) =>
        system
          .webhook({
            event: 'messages.upsert',
            instance: 'julia-dev',
            data: {
              key: { remoteJid: `55119123400${10 + index}@s.whatsapp.net`, fromMe: false, id: `P17-${round}-${index}` },
              pushName: `Contato ${index}`,
              message: { conversation: 'oi' },
              messageType: 'conversation',
              messageTimestamp: Math.floor(Date.now() / 1000),
            },
          })
          .then((answer) => assert.equal(answer.status, 200)),
      ),
    );
  await system.until(
    async () => new Set(system.simulator.sends().map((send) => send.number)).size === contacts && (await waiting(system)) === 0,
    'an answer for everybody',
  );
}

async function waiting(system: System): Promise<number> {
  return (
    (await system.query<{ n: number }>(`select count(*)::int as n from messages where status in ('received', 'queued', 'sending')`))[0]
      ?.n ?? -1
  );
}

const troubles = (system: System): string[] =>
  system.lines.filter(({ level }) => level === 'WARNING' || level === 'ERROR' || level === 'CRITICAL').map((line) => JSON.stringify(line));

test('P17 pooler: with Redis everything works through one in transaction mode, whoever prepared what on its sessions before', async (t) => {
  const database = await testDatabase();
  const url = await bouncer(t, database.runtimeUrl, 'transaction', 3);
  const system = await startSystem(t, { queue: 'redis', workers: 2, databaseUrl: database.url, env: { DATABASE_URL: url } });
  t.after(() => database.close());
  await answered(system, 12);
  assert.ok(system.lines.some(({ message }) => message.includes('pooler in transaction mode')));
  assert.deepEqual(troubles(system), []);
});

test('P17 pooler: without Redis one in transaction mode ends the start with one line that says what to set', async (t) => {
  const database = await testDatabase(t);
  const url = await bouncer(t, database.runtimeUrl, 'transaction');
  const env = testEnvironment({ databaseUrl: url, redisUrl: null, simulator: { url: 'http://127.0.0.1:9', apiKey: 'k' } });
  for (const mode of ['worker', 'scheduler']) {
    const program = startProgram(t, 'src/main.ts', { env: { ...env, RUN_MODE: mode } });
    assert.equal(await program.ended, 1);
    assert.deepEqual(program.stderr, []);
    assert.deepEqual(
      program
        .lines()
        .filter(({ level }) => level === 'CRITICAL')
        .map(({ message, context }) => [message, context]),
      [[QUEUE_NEEDS_SESSION, {}]],
    );
    assert.equal(
      program.stdout.some((line) => /\bat .*:\d+:\d+/.test(line)),
      false,
      'no stack',
    );
  }
});

test('P17 pooler: one in session mode is as good as the database, the queue included', async (t) => {
  const database = await testDatabase();
  const url = await bouncer(t, database.runtimeUrl, 'session', 60);
  assert.equal(await hasSessions(url), true);
  const system = await startSystem(t, { queue: 'postgres', databaseUrl: database.url, env: { DATABASE_URL: url } });
  t.after(() => database.close());
  await answered(system, 4);
});

test('P17 pooler: migrations and backups go through none in transaction mode, and say which address they want', async (t) => {
  const database = await emptyDatabase(t);
  const url = await bouncer(t, database.url, 'transaction', 2);
  await assert.rejects(migrate(url, { queue: false }), { name: 'NeedsSession', message: MIGRATION_NEEDS_SESSION });
  assert.equal((await migrate(database.url, { queue: false })).length > 0, true, 'and nothing of it is in the way');
  assert.deepEqual(await migrate(url, { queue: false }), [], 'nothing to apply, nothing to refuse');
  await assert.rejects(migrate(url), NeedsSession, 'the tables of the queue');
  const settings = { dir: path.join(tmpdir(), 'none'), keepDays: 1, encryptionKey: null, toolsDir: null, verifyUrl: null };
  await assert.rejects(takeBackup(url, settings, { verify: false, say: () => {} }), NeedsSession);
});

test('P17 pooler: it is told from a database with one session at hand, with many, and while others use it', async (t) => {
  const database = await testDatabase(t);
  assert.equal(await hasSessions(database.url), true);
  for (const sessions of [1, 20]) assert.equal(await hasSessions(await bouncer(t, database.url, 'transaction', sessions)), false);
});

test('P17 pooler: an address that says so by itself is known before anything is opened', () => {
  const supabase = 'postgresql://postgres.abc:secret@aws-0-sa-east-1.pooler.supabase.com:6543/postgres';
  assert.equal(saysTransactionPooler(supabase), true);
  assert.equal(saysTransactionPooler('postgresql://postgres:secret@db.abc.supabase.co:6543/postgres'), true);
  assert.equal(saysTransactionPooler('postgresql://u:p@10.0.0.1:6432/x?pgbouncer=true'), true);
  assert.equal(saysTransactionPooler(supabase.replace('6543', '5432')), false);
  assert.equal(saysTransactionPooler('postgresql://u:p@10.0.0.1:6543/x'), false);
  const problemsOf = (env: Record<string, string>): string[] => {
    const loaded = loadConfig({ RUN_MODE: 'api', DATABASE_URL: supabase, ...env });
    return loaded.ok ? [] : loaded.problems;
  };
  assert.deepEqual(problemsOf({}), [QUEUE_NEEDS_SESSION]);
  assert.deepEqual(problemsOf({ REDIS_URL: 'redis://127.0.0.1:6379' }), []);
});
