/**
 * The Postgres server that all test processes of a checkout share.
 *
 * The first test that wants a database starts this file as a process of its own; later ones find its address in
 * `.data/test-postgres/server.json`. It ends when `scripts/test` says so (`--stop`), or by itself when no test has been
 * connected for a minute, so a killed test run leaves nothing behind.
 *
 *   node scripts/lib/test-postgres.ts          runs the server
 *   node scripts/lib/test-postgres.ts --stop   stops the one that runs, if any, as soon as no test is connected:
 *                                              another test run of the same checkout may be using it
 */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

import { removePostgresData, startPostgres } from './embedded-postgres.ts';
import { processAlive, waitForExit } from './guarded-process.ts';
import { lockHolder, releaseLock, takeLock } from './lock.ts';
import { dataDirectory } from './tools.ts';

const DIRECTORY = path.join(dataDirectory, 'test-postgres');
const DATA = path.join(DIRECTORY, 'data');
const ADDRESS = path.join(DIRECTORY, 'server.json');
const LOCK = path.join(DIRECTORY, 'lock');
const LOG = path.join(DIRECTORY, 'server.log');
const IDLE_MS = 60_000;
/** the same once `--stop` was said: longer than a test needs between finding the server and connecting to it */
const IDLE_STOPPING_MS = 500;
/** initdb, a start and, on a busy machine, some waiting */
const START_MS = 60_000;

type Address = { url: string; pid: number };

/** The address (superuser, database `postgres`) of the shared server; starts it when it does not run. Safe in any number of processes at once. */
export async function sharedTestPostgres(): Promise<string> {
  const end = performance.now() + START_MS;
  let starter: { exited: boolean; pid: number | undefined } | null = null;
  for (;;) {
    const address = await readAddress();
    if (address !== null && (await answers(address.url))) return address.url;
    // Nobody who lives holds the lock: start one. Of several that start at once, one gets the lock and the others end.
    if ((starter === null || starter.exited) && (await lockHolder(LOCK)) === null) starter = spawnServer();
    if (performance.now() > end) throw new Error(`The test Postgres did not start in ${START_MS / 1000} s; see ${LOG}`);
    await delay(50);
  }
}

/** Asks the shared server to stop and waits a little for its end. Does nothing when none runs. */
async function stopSharedTestPostgres(): Promise<void> {
  const holder = await lockHolder(LOCK);
  if (holder === null) return;
  process.kill(holder, 'SIGTERM');
  await waitForExit(holder, 5_000);
}

async function readAddress(): Promise<Address | null> {
  try {
    const found: Address = JSON.parse(await readFile(ADDRESS, 'utf8'));
    return processAlive(found.pid) ? found : null;
  } catch {
    // not there yet, or half written
    return null;
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

function spawnServer(): { exited: boolean; pid: number | undefined } {
  const child = spawn(process.execPath, [import.meta.filename], { detached: true, stdio: 'ignore', env: withoutTestRunner() });
  const state = { exited: false, pid: child.pid };
  child.once('exit', () => {
    state.exited = true;
  });
  child.once('error', () => {
    state.exited = true;
  });
  child.unref();
  return state;
}

/** node's test runner marks its children by NODE_TEST_CONTEXT; a server that inherits it would think it is a test file. */
function withoutTestRunner(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _context, NODE_V8_COVERAGE: _coverage, NODE_OPTIONS: _options, ...env } = process.env;
  return env;
}

async function main(): Promise<void> {
  await mkdir(DIRECTORY, { recursive: true });
  if (process.argv.includes('--stop')) return stopSharedTestPostgres();
  if (!(await takeLock(LOCK))) return;
  const wish = { stop: false, now: new AbortController() };
  process.on('SIGTERM', () => {
    wish.stop = true;
  });
  process.on('SIGINT', () => wish.now.abort());
  try {
    await serve(wish);
  } finally {
    await rm(ADDRESS, { force: true });
    await releaseLock(LOCK);
  }
}

type Wish = { stop: boolean; now: AbortController };

async function serve(wish: Wish): Promise<void> {
  const lines: string[] = [];
  const server = await startPostgres({
    dataDir: DATA,
    durable: false,
    inMemory: true,
    settings: { shared_buffers: '64MB', max_wal_size: '256MB', autovacuum: 'off', log_min_messages: 'fatal' },
    log: (line) => lines.push(line),
  });
  const client = new pg.Client({ connectionString: server.url });
  client.on('error', () => {});
  try {
    await client.connect();
    await dropLeftovers(client);
    const address: Address = { url: server.url, pid: process.pid };
    await writeFile(`${ADDRESS}.new`, JSON.stringify(address), { mode: 0o600 });
    await rename(`${ADDRESS}.new`, ADDRESS);
    await untilIdle(client, wish);
  } finally {
    await client.end().catch(() => {});
    await server.stop();
    await removePostgresData(DATA); // it would keep its place in memory
    await writeFile(LOG, lines.join('\n'));
  }
}

/** Databases of tests that were killed. Templates stay: they are named after what is in them. */
async function dropLeftovers(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ datname: string }>(`select datname from pg_database where datname ~ '^(test|building)_'`);
  for (const { datname } of rows) await client.query(`drop database ${client.escapeIdentifier(datname)} with (force)`);
}

async function untilIdle(client: pg.Client, wish: Wish): Promise<void> {
  let lastUsed = performance.now();
  while (!wish.now.signal.aborted && performance.now() - lastUsed < (wish.stop ? IDLE_STOPPING_MS : IDLE_MS)) {
    const used = await client.query(`select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`);
    if ((used.rowCount ?? 0) > 0) lastUsed = performance.now();
    // an abort is why we look again, not an error
    await delay(200, undefined, { signal: wish.now.signal }).catch(() => {});
  }
}

if (import.meta.main) await main();
