/** Connections to Redis, by one address: of a single server, or of any node of a Redis Cluster, whose others are found by asking that one. */
import { Cluster, Redis } from 'ioredis';
import type { ClusterOptions, RedisOptions } from 'ioredis';

export type RedisClient = Redis | Cluster;

export type RedisClients = {
  /** For who must not wait: on a single server a command fails at once while the server is unavailable, on a cluster within some 300 ms. */
  producer: RedisClient;
  /** For who waits as long as it takes. BullMQ makes more like it. */
  consumer: RedisClient;
};

/** A server that does not answer by then is unavailable. Milliseconds. */
const CONNECT_MS = 5_000;

/** A node without an answer, or without its slots, is asked again after so long. Milliseconds. */
const PRODUCER_AGAIN_MS = 50;
const CONSUMER_AGAIN_MS = 200;
/** Tries of a producer's command. More than the two or three steps by which a command follows a slot that moves. */
const PRODUCER_TRIES = 6;

/** A change of the nodes is noticed at the first command that goes astray. Beyond that each client looks this often, with a connection of its own. Milliseconds. */
const LOOK_MS = 60_000;

/** Opens both, without having connected them: who uses them does. Rejects when the server does not answer, or its cluster does not work. */
export async function openRedis(url: string): Promise<RedisClients> {
  const options = { connectTimeout: CONNECT_MS, lazyConnect: true } as const;
  const nodes = await clusterNodes(url);
  if (nodes === null)
    return {
      producer: new Redis(url, { ...options, maxRetriesPerRequest: 1, enableOfflineQueue: false }),
      consumer: new Redis(url, { ...options, maxRetriesPerRequest: null }),
    };
  // With an offline queue, also for the producer: without one a command is refused while the connection to its node is just being made. So who must not wait
  // bounds the time, and asks nothing while no node is there.
  const own: ClusterOptions = {
    lazyConnect: true,
    slotsRefreshInterval: LOOK_MS,
    // With it a connection that is made while the cluster is down has a connect() that never ends, also after it is up again. Without it commands are refused until then.
    enableReadyCheck: false,
    // Resolved by each connection, so that a certificate is compared with the name. The default would connect to the number.
    dnsLookup: (name, callback) => callback(null, name),
  };
  const node = nodeOptions(url);
  return {
    producer: new Cluster(nodes, {
      ...own,
      maxRedirections: PRODUCER_TRIES,
      retryDelayOnFailover: PRODUCER_AGAIN_MS,
      retryDelayOnClusterDown: PRODUCER_AGAIN_MS,
      redisOptions: { ...node, maxRetriesPerRequest: 1 },
    }),
    consumer: new Cluster(nodes, {
      ...own,
      retryDelayOnFailover: CONSUMER_AGAIN_MS,
      retryDelayOnClusterDown: CONSUMER_AGAIN_MS,
      redisOptions: { ...node, maxRetriesPerRequest: null },
    }),
  };
}

export function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}

type Node = { host: string; port: number };

/** The nodes of the cluster that this one belongs to, itself first: any of them tells where the others are. Null: it is a server of its own. */
async function clusterNodes(url: string): Promise<Node[] | null> {
  const client = new Redis(url, { connectTimeout: CONNECT_MS, lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null });
  // What connect() rejects with says only that the connection is closed.
  let why: Error | null = null;
  client.on('error', (error) => (why = error));
  try {
    await client.connect();
    if (!/^cluster_enabled:1\r?$/m.test(await client.info('cluster'))) return null;
    const state = /^cluster_state:(\w+)/m.exec(await client.cluster('INFO'))?.[1];
    if (state !== 'ok')
      throw new Error(`the Redis Cluster does not work (cluster_state:${state}): a part of its slots is served by no node`);
    const slots = await client.cluster('SLOTS');
    const first: Node = { host: client.options.host ?? '', port: client.options.port ?? 0 };
    const others = slots.flatMap(([, , ...members]) => members.map(([host, port]) => ({ host: host || first.host, port })));
    const names = new Set<string>();
    return [first, ...others].filter(({ host, port }) => names.size < names.add(`${host}:${port}`).size);
  } catch (error) {
    throw why ?? error;
  } finally {
    client.disconnect();
  }
}

/** What the address says of each node: who comes, and that the way is encrypted. A cluster has one database, so its number does not count. */
function nodeOptions(url: string): Pick<RedisOptions, 'connectTimeout' | 'username' | 'password' | 'tls' | 'family'> {
  const { username, password, tls, family } = new Redis(url, { lazyConnect: true }).options;
  return {
    connectTimeout: CONNECT_MS,
    ...(username == null ? {} : { username }),
    ...(password == null ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...(family === undefined ? {} : { family }),
  };
}
