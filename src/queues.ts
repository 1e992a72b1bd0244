/**
 * The queues only wake work up: a job carries ids of conversations and nothing else. So a job that is lost, repeated, late or out of
 * order does no harm; what a queue forgets, the sweeps find. BullMQ on Redis with REDIS_URL, on Postgres without.
 *
 * A wake-up for now goes into a list with those that come with it: a job is dear, an id in it costs nothing. A handler gets the ids one by one. What a worker has
 * no place for goes back to the queue, for who has; an id that fails is repeated alone.
 *
 * A wake-up for later is a job of its own. Per conversation there is at most one that ends a debounce (a new one replaces it while it waits, and is kept for later
 * while it runs) and one `later` job (a wait that a turn or a lane asked for). They have ids of their own so that neither pushes the other away; when both run at
 * once, the claim in SQL lets one through. Only workers ask for later: when it is, is a matter of the clock of who adds and of who takes a job.
 */
import { createPostgresBackend, Queue, Worker } from 'bullmq';
import type { BackendFactory, Job } from 'bullmq';
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { QUEUE_NAMES } from './words/queue-names.ts';
import { toError } from './process/errors.ts';
import type { KeptWebhook } from './inbox/kept-webhook.ts';
import { createBatcher } from './process/batch.ts';
import type { Logger } from './process/log.ts';
import { createPlaces } from './process/places.ts';
import { isCluster, openRedis } from './process/redis.ts';
import { waitAtMost, within } from './process/wait.ts';

export type QueueName = 'turn' | 'send';

/** The one job with content: a webhook that came while the database was unavailable. Or the wish to compare a number with its provider. */
export type InboundJob = KeptWebhook | { reconcile: string };

/** One conversation, or many in the order in which they are to be looked at. */
export type Conversations = number | readonly number[];

export type Queues = {
  /** Wakes turns in `delayMs`; with a delay a wake-up that still waits is replaced. Rejects when the queue is unavailable. */
  wakeTurn(conversations: Conversations, delayMs: number): Promise<void>;
  wakeTurnLater(conversation: number, delayMs: number): Promise<void>;
  /** Wakes lanes. */
  wakeSend(conversations: Conversations): Promise<void>;
  wakeSendLater(conversation: number, delayMs: number): Promise<void>;
  /** In whose name its keys in Redis are; null: the queue lives in the database, and is nobody else's. */
  installation: string | null;
  /** The queue does not live in the database: it can keep what the database cannot take. */
  survivesDatabase: boolean;
  /** Keeps a webhook until a worker has stored it. Rejects when the queue is unavailable. */
  keepWebhook(webhook: KeptWebhook): Promise<void>;
  /** Whether a webhook, or a wish to compare, waits for a worker. Rejects when the queue is unavailable. */
  holdsInbound(): Promise<boolean>;
  /** Asks a worker to compare a number's messages with its provider's; one wish at a time for a number. */
  wakeReconcile(instance: string): Promise<void>;
  /** As `work`, for the queue `inbound`; one job at a time. A job that throws is repeated for as long as it takes. */
  workInbound(handle: (job: InboundJob) => Promise<void>): Promise<void>;
  /**
   * Starts the worker of a queue; `handle` runs at most `places` times at once. It may throw: the conversation is repeated with a growing wait. It may be called
   * for one conversation twice at once.
   */
  work(name: QueueName, places: number, handle: (conversation: number) => Promise<void>): Promise<void>;
  /** Waiting, delayed and active jobs. */
  counts(): Promise<Record<QueueName, Record<string, number>>>;
  /** Rejects when the queue's store is unavailable. */
  ping(): Promise<void>;
  /** Workers take nothing new; waits for what they have, at most so long. */
  stop(timeoutMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** `installation`: whose queues they are, among those of others in the same Redis. */
export type QueueStore = { kind: 'redis'; url: string; installation: string } | { kind: 'postgres'; url: string };

/** A job that throws (the database is unavailable) is repeated after 1, 2, 4 ... s, up to a minute; after that the sweep brings it back. */
const JOB_OPTIONS = {
  removeOnComplete: true,
  removeOnFail: true,
  attempts: 6,
  backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
} as const;

/** The database may be unavailable for long; 5 s are a fair time to look again. */
const INBOUND_OPTIONS = { removeOnComplete: true, attempts: 1_000_000, backoff: { type: 'fixed', delay: 5_000 } } as const;

/** What closing takes when nothing is under way, and much more. Milliseconds. */
const CLOSE_MS = 2_000;

/** A store that answered a moment ago and goes on saying nothing is opened again. Milliseconds. */
const OPEN_MS = 10_000;

/** Opens the queues; the store must answer. Rejects when it does not. */
export async function openQueues(store: QueueStore, log: Logger): Promise<Queues> {
  const link = store.kind === 'redis' ? await redisLink(store, log) : postgresLink(store.url, log);
  const turn = link.queue('turn');
  const send = link.queue('send');
  const inbound = link.queue('inbound');
  const all = [turn, send, inbound];
  const workers: Worker[] = [];
  /** Jobs that a handler has at this moment. */
  const underWay = new Set<Promise<void>>();
  const followed = (job: Promise<void>): Promise<void> => {
    underWay.add(job);
    const gone = (): void => void underWay.delete(job);
    job.then(gone, gone);
    return job;
  };
  const onError = throttled((error) => log.warning({ error }, 'Queue unavailable'));
  for (const queue of all) queue.on('error', onError);

  const addLater = (queue: Queue, which: 'now' | 'later', conversation: number, delayMs: number): Promise<unknown> =>
    link.ask(() =>
      queue.add(queue.name, jobOf([conversation]), {
        ...JOB_OPTIONS,
        delay: Math.max(0, Math.round(delayMs)),
        deduplication: { id: `${which}-${conversation}`, replace: true, keepLastIfActive: true },
      }),
    );
  const turnsNow = gathered(turn, link);
  const sendsNow = gathered(send, link);

  const queues: Queues = {
    async wakeTurn(conversations, delayMs) {
      if (delayMs <= 0) await turnsNow(conversations);
      else for (const conversation of listOf(conversations)) await addLater(turn, 'now', conversation, delayMs);
    },
    wakeTurnLater: async (conversation, delayMs) => void (await addLater(turn, 'later', conversation, delayMs)),
    wakeSend: (conversations) => sendsNow(conversations),
    wakeSendLater: async (conversation, delayMs) => void (await addLater(send, 'later', conversation, delayMs)),
    installation: store.kind === 'redis' ? store.installation : null,
    survivesDatabase: store.kind === 'redis',
    async keepWebhook(webhook) {
      // An id of our own: the request's may be its sender's, and of two jobs with one id the queue keeps the first only.
      await link.ask(() => inbound.add('webhook', webhook, { ...INBOUND_OPTIONS, jobId: randomUUID() }));
    },
    async holdsInbound() {
      const counts = await link.ask(() => inbound.getJobCounts('wait', 'delayed', 'active', 'prioritized'));
      return Object.values(counts).some((count) => count > 0);
    },
    async wakeReconcile(instance) {
      // One that is under way began before this news: one more follows it, and one only.
      const deduplication = { id: `reconcile-${Buffer.from(instance).toString('hex')}`, keepLastIfActive: true };
      await link.ask(() => inbound.add('reconcile', { reconcile: instance }, { ...JOB_OPTIONS, deduplication }));
    },
    async workInbound(handle) {
      const worker = link.worker('inbound', (job: Job<InboundJob>) => followed(handle(job.data)), 1);
      worker.on('error', onError);
      workers.push(worker);
      await worker.waitUntilReady();
    },
    async work(name, most, handle) {
      const queue = name === 'turn' ? turn : send;
      // A worker that is full takes no more jobs: the others may have room. It goes on when a tenth is free, since each time costs a way to the queue.
      const goOn = Math.max(1, Math.floor(most / 10));
      let full = false;
      const places = createPlaces(most, (free) => {
        if (free > 0 && (!full || free < goOn)) return;
        full = free === 0;
        void (full ? worker.pause(true) : worker.resume());
      });
      const run = async (job: Job<ListJob>): Promise<void> => {
        const { conversations: ids } = job.data;
        const mine = ids.filter(() => places.take());
        const others = ids.slice(mine.length);
        try {
          // At the front of the queue, where they were.
          if (others.length > 0) await link.ask(() => queue.add(name, jobOf(others), { ...JOB_OPTIONS, lifo: true }));
        } catch (error) {
          mine.forEach(() => places.give());
          throw error;
        }
        const failures = (await Promise.all(mine.map((id) => handled(id)))).filter((failure) => failure !== null);
        if (failures.length > 0) await repeatAlone(queue, link, ids, failures);
      };
      const handled = async (conversation: number): Promise<Failure | null> => {
        try {
          await handle(conversation);
          return null;
        } catch (error) {
          return { conversation, error };
        } finally {
          places.give();
        }
      };
      const worker = link.worker(name, (job: Job<ListJob>) => followed(run(job)), most);
      worker.on('error', onError);
      worker.on('failed', (job, error) =>
        log.warning(
          { queue: name, conversa_id: job && (job.data as ListJob).conversations.join(' '), attempt: job?.attemptsMade, error },
          'Job failed, it will be repeated',
        ),
      );
      workers.push(worker);
      await worker.waitUntilReady();
    },
    async counts() {
      const [turns, sends] = await link.ask(() =>
        Promise.all([turn, send].map((queue) => queue.getJobCounts('wait', 'delayed', 'active', 'prioritized'))),
      );
      return { turn: turns ?? {}, send: sends ?? {} };
    },
    ping: () => link.ask(() => link.ping()),
    async stop(timeoutMs) {
      const closed = Promise.all(workers.map((worker) => worker.close()));
      // A worker whose connection was just being made again is never closed for BullMQ: when no job is under way, a moment is enough.
      const idle = Promise.allSettled(underWay).then(() => delay(CLOSE_MS, undefined, { ref: false }));
      await waitAtMost(timeoutMs, Promise.race([closed, idle]));
    },
    async [Symbol.asyncDispose]() {
      // Forced: what is still active is given back by its lock running out, and the claims in SQL know nothing of jobs anyway.
      await waitAtMost(CLOSE_MS, Promise.allSettled(workers.map((worker) => worker.close(true))));
      await waitAtMost(CLOSE_MS, Promise.allSettled(all.map((queue) => queue.close())));
      await link.close();
    },
  };
  try {
    await within(OPEN_MS, Promise.all(all.map((queue) => queue.waitUntilReady())));
    return queues;
  } catch (error) {
    await queues[Symbol.asyncDispose]();
    throw toError(error);
  }
}

/** Ids of one job: its handler keeps them until the last of them is done. */
const MOST_IDS = 50;

type ListJob = { conversations: number[] };
type Failure = { conversation: number; error: unknown };

function jobOf(conversations: readonly number[]): ListJob {
  return { conversations: [...conversations] };
}

function listOf(conversations: Conversations): readonly number[] {
  return typeof conversations === 'number' ? [conversations] : conversations;
}

/** Wake-ups for now: what is asked for at once leaves together, in lists. */
function gathered(queue: Queue, link: Link): (conversations: Conversations) => Promise<void> {
  const batcher = createBatcher(
    async (asked: (readonly number[])[]) => {
      const ids = [...new Set(asked.flat())];
      const lists = Array.from({ length: Math.ceil(ids.length / MOST_IDS) }, (_, index) =>
        ids.slice(index * MOST_IDS, (index + 1) * MOST_IDS),
      );
      const jobs = lists.map((list) => ({ name: queue.name, data: jobOf(list), opts: { ...JOB_OPTIONS, deduplication: onceOf(list) } }));
      await link.ask(() => queue.addBulk(jobs));
      return asked.map(() => true);
    },
    { maxItems: 1_000, maxConcurrent: 1, splits: () => false, together: true },
  );
  return async (conversations) => {
    const ids = listOf(conversations);
    if (ids.length > 0) await batcher.add(ids);
  };
}

/** The same list that waits already is enough; while it runs, one more is kept for after it: it may have looked before this was stored. */
function onceOf(list: readonly number[]): { id: string; keepLastIfActive: true } {
  const text = list.join(',');
  return { id: `list-${list.length === 1 ? text : createHash('sha256').update(text).digest('hex').slice(0, 32)}`, keepLastIfActive: true };
}

/** What failed comes again alone, so that it takes no neighbour with it; a job of one id is repeated by the queue. Throws then. */
async function repeatAlone(queue: Queue, link: Link, ids: readonly number[], failures: readonly Failure[]): Promise<void> {
  if (ids.length === 1) throw toError(failures[0]?.error);
  const { delay } = JOB_OPTIONS.backoff;
  const alone = failures.map(({ conversation }) => ({
    name: queue.name,
    data: jobOf([conversation]),
    opts: { ...JOB_OPTIONS, delay: Math.round(delay * (1 + Math.random() * JOB_OPTIONS.backoff.jitter)) },
  }));
  await link.ask(() => queue.addBulk(alone));
}

type Link = {
  queue(name: (typeof QUEUE_NAMES)[number]): Queue;
  worker(name: (typeof QUEUE_NAMES)[number], handle: (job: Job) => Promise<void>, concurrency: number): Worker;
  /** For what a producer asks of a queue: rejects when its store is unavailable, rather than wait. */
  ask<T>(call: () => Promise<T>): Promise<T>;
  ping(): Promise<void>;
  close(): Promise<void>;
};

/** A node of a cluster that takes a connection and says nothing holds a producer up for so long. What was asked may still be done later, which does no harm. Milliseconds. */
const ASK_MS = 5_000;

/** A job whose worker died is taken up again within the sum of the two. A false alarm does no harm: the claims in SQL let one through. */
const WORKER_OPTIONS = {
  lockDuration: 15_000,
  stalledInterval: 7_500,
  maxStalledCount: 100,
  // A part of a cluster that is unavailable is an answer, and not a connection that is waited for. Milliseconds.
  runRetryDelay: 1_000,
} as const;

/**
 * What the keys of a queue begin with in Redis. Installations that share a Redis never meet. The braces keep all keys of one queue on one node of a cluster, as
 * BullMQ's scripts need, and each queue may be on another one.
 */
export function redisPrefix(installation: string, queue: (typeof QUEUE_NAMES)[number]): string {
  return `{wa-${installation}-${queue}}`;
}

async function redisLink({ url, installation }: { url: string; installation: string }, log: Logger): Promise<Link> {
  const onError = throttled((error: Error) => log.warning({ error }, 'Redis unavailable'));
  let away = false;
  // Producers fail at once when Redis is unavailable (the sweep finds the work); workers wait for it for ever.
  const { producer, consumer } = await openRedis(url);
  for (const client of [producer, consumer]) {
    client.on('error', onError);
    client.on('node error', onError);
  }
  producer.on('close', () => (away = true));
  producer.on('ready', () => {
    if (away) log.info({}, 'Redis is back');
    away = false;
  });
  producer.connect().catch(() => {});
  return {
    queue: (name) => new Queue(name, { connection: producer, prefix: redisPrefix(installation, name) }),
    worker: (name, handle, concurrency) =>
      new Worker(name, handle, { connection: consumer, prefix: redisPrefix(installation, name), concurrency, ...WORKER_OPTIONS }),
    async ask(call) {
      if (!isCluster(producer)) return call();
      if (producer.status !== 'ready') throw new Error('the Redis Cluster is unavailable');
      return within(ASK_MS, call());
    },
    async ping() {
      if (!isCluster(producer)) await producer.ping();
      // Each queue may be on another node.
      else await Promise.all(QUEUE_NAMES.map((name) => producer.exists(`${redisPrefix(installation, name)}:ping`)));
    },
    async close() {
      producer.disconnect();
      consumer.disconnect();
    },
  };
}

function postgresLink(url: string, log: Logger): Link {
  // A pool of our own: BullMQ loads `pg` by require when it makes one, which an ES module has not.
  const pool = new pg.Pool({
    connectionString: url,
    max: 8,
    // Not a start-up parameter: poolers refuse those.
    onConnect: (client) => client.query('set search_path to bullmq') as unknown as void, // awaited by the pool, although its type does not say so
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    application_name: 'whats-agents queue',
  });
  const onError = throttled((error: Error) => log.warning({ error }, 'Queue database unavailable'));
  pool.on('error', onError);
  const factory = createPostgresBackend as unknown as BackendFactory;
  const connection = pool as unknown as { host: string }; // BullMQ types the connection of the Redis backend here
  return {
    queue: (name) => new Queue(name, { connection }, factory as never),
    worker: (name, handle, concurrency) => new Worker(name, handle, { connection, concurrency, ...WORKER_OPTIONS }, factory as never),
    ask: (call) => call(),
    async ping() {
      await pool.query('select 1');
    },
    async close() {
      await pool.end();
    },
  };
}

/** One line a minute and kind of trouble is enough: a store that is unavailable says so at each try. */
function throttled(report: (error: Error) => void): (error: Error) => void {
  const last = new Map<string, number>();
  return (error) => {
    const now = performance.now();
    if (now - (last.get(error.message) ?? -Infinity) < 60_000) return;
    last.set(error.message, now);
    report(error);
  };
}
