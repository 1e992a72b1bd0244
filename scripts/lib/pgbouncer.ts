import { mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

import { startGuarded } from './guarded-process.ts';
import { freePort } from './ports.ts';
import { withProgress } from './progress.ts';
import { findOnPath, unpackedProgram, unpackPackages } from './tools.ts';
import type { Program } from './tools.ts';

/** PgBouncer of this machine: on PATH, else the one that was unpacked here before. Null when there is none. */
async function findPgBouncer(): Promise<Program | null> {
  const installed = findOnPath('pgbouncer');
  return installed === null ? unpackedProgram('pgbouncer', 'usr/sbin/pgbouncer') : { command: installed, env: process.env };
}

/** The same, getting the distribution's package first when it is missing. Throws with what to do by hand when the machine has no apt or no network. */
export async function ensurePgBouncer(): Promise<Program> {
  const found = await findPgBouncer();
  if (found !== null) return found;
  try {
    await withProgress('getting PgBouncer', () => unpackPackages('pgbouncer', 'pgbouncer'));
  } catch (error) {
    throw new Error(
      `There is no pgbouncer on this machine and getting one failed. Install it (Debian: apt-get install pgbouncer; macOS: brew install pgbouncer) and try again.\n${String(error)}`,
      { cause: error },
    );
  }
  const unpacked = await findPgBouncer();
  if (unpacked === null) throw new Error('The downloaded packages hold no pgbouncer. Install one by hand and try again.');
  return unpacked;
}

type PgBouncer = { url: string; stop(): Promise<void> };

/**
 * Starts a PgBouncer on 127.0.0.1 before the server and with the user of `url`; it ends with this process, however that ends. `dir` is for its settings.
 * `sessions`: of the server, for all of its clients.
 */
export async function startPgBouncer(options: {
  url: string;
  dir: string;
  mode: 'transaction' | 'session';
  sessions?: number;
}): Promise<PgBouncer> {
  const program = await ensurePgBouncer();
  const port = await freePort();
  const behind = new URL(options.url);
  const url = new URL(options.url);
  url.port = String(port);
  await mkdir(options.dir, { recursive: true });
  const file = path.join(options.dir, `pgbouncer-${port}.ini`);
  const password = behind.password === '' ? '' : ` password=${decodeURIComponent(behind.password)}`;
  await writeFile(
    file,
    `[databases]
* = host=${behind.hostname} port=${behind.port || '5432'} user=${decodeURIComponent(behind.username)}${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${options.mode}
default_pool_size = ${options.sessions ?? 20}
max_client_conn = 500
`,
  );
  const lastLines: string[] = [];
  // It refuses to run as root.
  const user = userInfo().uid === 0 ? ['-u', 'nobody'] : [];
  const server = await startGuarded(program.command, [...user, file], {
    stopSignal: 'INT',
    env: program.env,
    log: (line) => {
      lastLines.push(line);
      if (lastLines.length > 20) lastLines.shift();
    },
  });
  const ended = server.exited.then((code) => new Error(`PgBouncer did not start (code ${code}):\n${lastLines.join('\n')}`));
  const failure = await Promise.race([ended, untilReady(url.href)]);
  if (failure instanceof Error) throw failure;
  return { url: url.href, stop: () => server.stop() };
}

async function untilReady(url: string): Promise<void> {
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    try {
      await client.connect();
      return;
    } catch {
      await delay(20);
    } finally {
      await client.end().catch(() => {});
    }
  }
}
