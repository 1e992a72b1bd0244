import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Redis as Client } from 'ioredis';

import { startGuarded, type GuardedProcess } from './guarded-process.ts';
import { freePort } from './ports.ts';
import { withProgress } from './progress.ts';
import { findOnPath, missingPackages, toolsDirectory } from './tools.ts';

const run = promisify(execFile);

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

type Program = { command: string; env: NodeJS.ProcessEnv };

/** The Redis server of this machine: on PATH, else the one that ensureRedisServer unpacked. Null when there is none. */
export async function findRedisServer(): Promise<Program | null> {
  const installed = findOnPath('redis-server');
  if (installed !== null) return { command: installed, env: process.env };
  const unpacked = path.join(toolsDirectory(), 'redis/usr/bin/redis-server');
  if (!existsSync(unpacked)) return null;
  return { command: unpacked, env: { ...process.env, LD_LIBRARY_PATH: await libraryPath(path.join(toolsDirectory(), 'redis')) } };
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

async function unpackRedis(): Promise<void> {
  const place = path.join(toolsDirectory(), 'redis');
  const half = `${place}.${process.pid}`;
  await mkdir(half, { recursive: true });
  try {
    const packages = await missingPackages('redis-server');
    await packages.download(half);
    for (const file of await readdir(half)) {
      if (file.endsWith('.deb')) await run('dpkg', ['-x', path.join(half, file), half]);
    }
    // Debian's redis-server is a link to a file of redis-tools, which comes with it; other releases have the file itself.
    const server = path.join(half, 'usr/bin/redis-server');
    if (!existsSync(server)) await symlink('redis-check-rdb', server);
    await rename(half, place).catch((error: unknown) => {
      // another process was quicker: use its copy
      if (!existsSync(place)) throw error;
    });
  } finally {
    await rm(half, { recursive: true, force: true });
  }
}

async function libraryPath(root: string): Promise<string> {
  const folders: string[] = [];
  for (const base of ['usr/lib', 'lib']) {
    const folder = path.join(root, base);
    if (!existsSync(folder)) continue;
    folders.push(folder);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) folders.push(path.join(folder, entry.name));
    }
  }
  return [...folders, process.env['LD_LIBRARY_PATH'] ?? ''].filter(Boolean).join(':');
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
