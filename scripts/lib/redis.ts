import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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
  /** More of redis-server's options. */
  args?: readonly string[];
  /** How its clients come, in the place of a bare address: `redis://user:password@host:port`, or rediss. */
  address?: { protocol: 'redis:' | 'rediss:'; user: string; password: string };
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
  const { protocol = 'redis:', user, password } = options.address ?? {};
  const url = `${protocol}//${user === undefined ? '' : `${user}:${password}@`}127.0.0.1:${port}`;
  const keep = options.persistent === true ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no', '--save', ''];
  const args = [
    ...(protocol === 'rediss:' ? ['--port', '0', '--tls-port'] : ['--port']),
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    path.resolve(options.dir),
    '--maxmemory-policy',
    'noeviction',
    ...keep,
    ...(options.args ?? []),
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
    const given = new AbortController();
    const failure = await Promise.race([ended, untilReady(url, server.pid, given.signal)]);
    if (failure instanceof Error) {
      given.abort();
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

type ClusterOptions = Pick<RedisOptions, 'address' | 'args'> & {
  /** for what its nodes keep of themselves; created when missing */
  dir: string;
  /** each of the three has a second one, which takes over when it is gone */
  replicas?: boolean;
};

export type RedisCluster = {
  /** The address of one node. */
  url: string;
  /** The three masters, and behind them their replicas. */
  nodes: readonly RedisServer[];
  /** The node that serves a key now. */
  nodeOf(key: string): Promise<RedisServer>;
  stop(): Promise<void>;
};

/** A node that says nothing for so long is taken for gone. Milliseconds. */
const NODE_TIMEOUT_MS = 1_000;
const SLOTS = 16_384;
const MASTERS = 3;

/** Starts a Redis Cluster on 127.0.0.1: three masters that share the slots. As with startRedis each node ends with this process, and comes back empty. */
export async function startRedisCluster({ dir, replicas = false, address, args = [] }: ClusterOptions): Promise<RedisCluster> {
  const nodes: RedisServer[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    for (let index = 0; index < (replicas ? 2 : 1) * MASTERS; index++)
      nodes.push(await startNode(path.join(dir, String(index)), address, args));
    await joined(nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  const [first] = nodes;
  if (first === undefined) throw new Error('a cluster without nodes');
  return {
    url: first.url,
    nodes,
    async nodeOf(key) {
      for (const node of nodes) {
        const owner = await onNode(node, async (client) => {
          const slot = await client.cluster('KEYSLOT', key);
          return (await client.cluster('SLOTS')).find(([from, to]) => from <= slot && slot <= to)?.[2]?.[1];
        }).catch(() => null);
        const found = nodes.find(({ port }) => port === owner);
        if (found !== undefined) return found;
      }
      throw new Error(`no node serves ${key}`);
    },
    stop,
  };
}

async function startNode(dir: string, address: ClusterOptions['address'], args: readonly string[]): Promise<RedisServer> {
  // The default for the nodes' own way to each other is ten thousand ports higher, which may be no port.
  const bus = await freePort();
  const own = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
  return startRedis({ dir, ...(address === undefined ? {} : { address }), args: [...own, ...args] });
}

/** Gives the masters their slots, makes the nodes known to each other, and waits until every one of them finds the cluster whole. */
async function joined(nodes: readonly RedisServer[]): Promise<void> {
  const share = Math.ceil(SLOTS / MASTERS);
  const ids: string[] = [];
  for (const [index, node] of nodes.entries())
    await onNode(node, async (client) => {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
      if (index < MASTERS) await client.call('CLUSTER', 'ADDSLOTSRANGE', index * share, Math.min(SLOTS, (index + 1) * share) - 1);
      for (const other of nodes.slice(0, index)) {
        const bus = await onNode(other, async (there) => (await there.config('GET', 'cluster-port'))[1]);
        await client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, bus ?? '');
      }
      ids.push(String(await client.call('CLUSTER', 'MYID')));
    });
  await untilWhole(nodes);
  for (const [index, node] of nodes.entries())
    if (index >= MASTERS) await onNode(node, (client) => client.call('CLUSTER', 'REPLICATE', ids[index - MASTERS] ?? ''));
  if (nodes.length > MASTERS) await untilWhole(nodes, MASTERS);
}

/** Every node knows all others and finds all slots served; `replicas`: so many of them follow their master. */
async function untilWhole(nodes: readonly RedisServer[], replicas = 0): Promise<void> {
  for (const node of nodes)
    await onNode(node, async (client) => {
      for (;;) {
        const info = String(await client.call('CLUSTER', 'INFO'));
        const known = String(await client.call('CLUSTER', 'NODES'));
        const following = known.split('\n').filter((line) => line.includes('slave')).length;
        const link = replicas === 0 || !(await client.info('replication')).includes('master_link_status:down');
        if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}\r`) && following === replicas && link)
          return;
        await delay(20);
      }
    });
}

/** One connection to one node, however it is encrypted: certificates of tests are signed by nobody. */
async function onNode<T>(node: RedisServer, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(node.url, { retryStrategy: () => null, ...unchecked(node.url) });
  client.on('error', () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

function unchecked(url: string): { tls?: { rejectUnauthorized: false } } {
  return url.startsWith('rediss:') ? { tls: { rejectUnauthorized: false } } : {};
}

/** Debian's redis-server is a link to a file of redis-tools, which comes with it; other releases have the file itself. */
async function unpackRedis(): Promise<void> {
  await unpackPackages('redis-server', 'redis', async (folder) => {
    const server = path.join(folder, 'usr/bin/redis-server');
    if (!existsSync(server)) await symlink('redis-check-rdb', server);
  });
}

/** Resolves when this very process answers. A foreign server on the port answers too: then ours ends by itself, and this never resolves. */
async function untilReady(url: string, pid: number, given: AbortSignal): Promise<void> {
  const info = await withClient(url, (client) => client.info('server'), given);
  if (!info.includes(`process_id:${pid}\r`)) await new Promise(() => {});
}

/** Retries the connection each 20 ms for as long as it takes, or until it is given up; the caller races it with the server's end. */
async function withClient<T>(url: string, use: (client: Client) => Promise<T>, given?: AbortSignal): Promise<T> {
  const client = new Client(url, { retryStrategy: () => 20, maxRetriesPerRequest: null, ...unchecked(url) });
  client.on('error', () => {});
  given?.addEventListener('abort', () => client.disconnect());
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}
