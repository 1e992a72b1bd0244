import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { Redis as Client } from 'ioredis';

import { startGuarded, type GuardedProcess } from './guarded-process.ts';
import { freePort } from './ports.ts';
import { withProgress } from './progress.ts';
import { findOnPath, unpackedProgram, unpackPackages } from './tools.ts';
import type { Program } from './tools.ts';

type RedisOptions = {
  /** for its append-only file and dump; created when missing */
  dir: string;
  /** default: a free one */
  port?: number;
  /** keep data over restarts (append-only file). Default false: a restart is empty, as a crashed cache is */
  persistent?: boolean;
  log?: (line: string) => void;
};

export type RedisServer = {
  url: string;
  port: number;
  pid(): number;
  stop(): Promise<void>;
  /** SIGKILL, as a crash would */
  kill(): Promise<void>;
  /** stops and starts on the same port; what it kept depends on `persistent` */
  restart(): Promise<void>;
  /** FLUSHALL: everything gone, connections stay */
  flush(): Promise<void>;
};

/** The Redis server of this machine: on PATH, else the one that ensureRedisServer unpacked. Null when there is none. */
export async function findRedisServer(): Promise<Program | null> {
  const installed = findOnPath('redis-server');
  if (installed !== null) return { command: installed, env: process.env };
  return unpackedProgram('redis', 'usr/bin/redis-server');
}

/**
 * The same, getting it first when it is missing: downloads the distribution's packages and unpacks them into `.data/tools`.
 * Works as root and as a user, and starts no service, which installing the package would. Safe to call in several processes:
 * the directory appears at once, complete.
 * Throws with what to do by hand when the machine has no apt or no network.
 */
export async function ensureRedisServer(): Promise<Program> {
  const found = await findRedisServer();
  if (found !== null) return found;
  try {
    await withProgress('getting a Redis server', unpackRedis);
  } catch (error) {
    throw new Error(
      `There is no redis-server on this machine and getting one failed. Install it (Debian: apt-get install redis-server; macOS: brew install redis) and try again.\n${String(error)}`,
      { cause: error },
    );
  }
  const unpacked = await findRedisServer();
  if (unpacked === null) throw new Error('The downloaded packages hold no redis-server. Install one by hand and try again.');
  return unpacked;
}

/** Starts a Redis server on 127.0.0.1 that ends with this process, however that ends. Gets one first when the machine has none. */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const program = await ensureRedisServer();
  await mkdir(options.dir, { recursive: true });
  const port = options.port ?? (await freePort());
  const url = `redis://127.0.0.1:${port}`;
  const keep = options.persistent === true ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no', '--save', ''];
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    path.resolve(options.dir),
    '--maxmemory-policy',
    'noeviction',
    ...keep,
  ];

  async function start(): Promise<GuardedProcess> {
    const lastLines: string[] = [];
    const server = await startGuarded(program.command, args, {
      stopSignal: 'TERM',
      env: program.env,
      log: (line) => {
        lastLines.push(line);
        if (lastLines.length > 20) lastLines.shift();
        options.log?.(line);
      },
    });
    const ended = server.exited.then((code) => new Error(`Redis did not start on port ${port} (code ${code}):\n${lastLines.join('\n')}`));
    const failure = await Promise.race([ended, untilReady(url, server.pid)]);
    if (failure instanceof Error) {
      await server.stop();
      throw failure;
    }
    return server;
  }

  let server = await start();
  return {
    url,
    port,
    pid: () => server.pid,
    stop: () => server.stop(),
    kill: () => server.kill(),
    restart: async () => {
      await server.stop();
      server = await start();
    },
    flush: () => withClient(url, async (client) => void (await client.flushall())),
  };
}

/** Debian's redis-server is a link to a file of redis-tools, which comes with it; other releases have the file itself. */
async function unpackRedis(): Promise<void> {
  await unpackPackages('redis-server', 'redis', async (folder) => {
    const server = path.join(folder, 'usr/bin/redis-server');
    if (!existsSync(server)) await symlink('redis-check-rdb', server);
  });
}

/** Resolves when this very process answers. A foreign server on the port answers too: then ours ends by itself, and this never resolves. */
async function untilReady(url: string, pid: number): Promise<void> {
  const info = await withClient(url, (client) => client.info('server'));
  if (!info.includes(`process_id:${pid}\r`)) await new Promise(() => {});
}

/** Retries the connection each 20 ms for as long as it takes; the caller races it with the server's end. */
async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}
