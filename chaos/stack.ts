/** One installation of the product under attack: api, worker and scheduler as processes, their database and queue, and the simulator around them. */
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { migrate } from '../src/db/migrate.ts';
import { MODES } from '../src/process/liveness.ts';
import { createLogger } from '../src/process/log.ts';
import { openQueues, type QueueStore } from '../src/queues.ts';
import { removePostgresData, startPostgres, type Postgres } from '../scripts/lib/embedded-postgres.ts';
import type { GuardedProcess } from '../scripts/lib/guarded-process.ts';
import { installationEnvironment, startMode, WEBHOOK_SECRET, type Mode } from '../scripts/lib/installation.ts';
import { freePort } from '../scripts/lib/ports.ts';
import { flushPostgresQueue } from '../scripts/lib/postgres-queue.ts';
import { startRedis, type RedisServer } from '../scripts/lib/redis.ts';
import { startSimulator, type Simulator } from '../simulator/index.ts';
import type { Backend } from './cells.ts';
import { GATES_SQL } from './gates.ts';

/** A process that is not ready by then will never be. Generous: many start at once. */
const READY_MS = 60_000;
/** What a supervisor takes to start a dead process again. */
const RESTART_MS = 500;

export type Stack = {
  simulator: Simulator;
  postgres: Postgres;
  /** Null when the queue lives in Postgres. */
  redis: RedisServer | null;
  /** Rejects while the database is away. */
  query<T extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]>;
  /** SIGKILL to these processes at once, then a new start of each. Resolves when the new ones are ready. */
  kill(modes?: readonly Mode[]): Promise<void>;
  /**
   * SIGTERM, as a rolling deployment does it: worker and scheduler get successors at once, the api when it has ended (its port).
   * `ended` resolves when the old ones are gone, `ready` when the new ones are ready too.
   */
  terminate(modes?: readonly Mode[]): { ended: Promise<void>; ready: Promise<void> };
  /** Empties the queue's store. */
  flushQueue(): Promise<void>;
  /** Late and needless jobs, as a queue may bring them: wakes turn and lane of these conversations. */
  wake(conversations: readonly number[]): Promise<void>;
  /** What the processes said that nobody should have to say: critical lines, unexpected ends. */
  troubles: string[];
  close(): Promise<void>;
};

export type StackOptions = {
  backend: Backend;
  /** WhatsApp numbers. */
  instances: string[];
  /** For logs and data; emptied first. */
  directory: string;
  /** A server to make the database on; null starts one of its own, which may be restarted. */
  postgres: Postgres | null;
  /** Puts the gates of gates.ts into its database. */
  gates: boolean;
  seed: number;
};

/** Starting takes the whole machine: a few at a time, or those that run already are starved. */
const STARTS_AT_ONCE = 2;
const starting = new Set<Promise<Stack>>();

/** Rejects when a process does not get ready within a minute; nothing is left running then. */
export async function startStack(options: StackOptions): Promise<Stack> {
  while (starting.size >= STARTS_AT_ONCE) await Promise.race([...starting].map((each) => each.catch(() => {})));
  const start = open(options);
  starting.add(start);
  try {
    return await start;
  } finally {
    starting.delete(start);
  }
}

async function open(options: StackOptions): Promise<Stack> {
  const { backend, directory } = options;
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const stack = new AsyncDisposableStack();
  try {
    const postgres = options.postgres ?? (await ownPostgres(path.join(directory, 'postgres'), stack));
    const databaseUrl = await createDatabase(postgres, backend);
    await onServer(postgres, numbersSql(options.instances), databaseUrl);
    if (options.gates) await onServer(postgres, GATES_SQL, databaseUrl);
    const redis = backend === 'redis' ? await startRedis({ dir: path.join(directory, 'redis') }) : null;
    if (redis) stack.defer(() => redis.stop());
    const port = await freePort();
    const webhook = { url: `http://127.0.0.1:${port}/webhook/evolution`, secret: WEBHOOK_SECRET };
    // Evolution's own waits (webhook attempts after 5, 10, 20 s ...) pass five times as fast.
    const simulator = await startSimulator({ instances: options.instances, webhook, noise: false, timeScale: 5, seed: options.seed });
    stack.defer(() => simulator.close());
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, connectionTimeoutMillis: 5_000 });
    pool.on('error', () => {}); // the server is restarted under it
    pool.on('connect', (client) => client.on('error', () => {}));
    stack.defer(() => pool.end());

    const instance = options.instances[0] ?? '';
    const installation = installationEnvironment({ environment: 'test', databaseUrl, redisUrl: redis?.url ?? null, simulator, instance });
    const troubles: string[] = [];
    const processes = createProcesses({ ...installation, ...OWN }, port, directory, troubles);
    stack.defer(() => processes.close());
    await Promise.all(MODES.map((mode) => processes.start(mode)));
    return {
      simulator,
      postgres,
      redis,
      query: async (sql, values = []) => (await pool.query(sql, values)).rows,
      kill: (modes = MODES) => processes.kill(modes),
      terminate: (modes = MODES) => processes.terminate(modes),
      flushQueue: () => (redis ? redis.flush() : flushPostgresQueue((sql) => pool.query(sql))),
      wake: async (conversations) =>
        wakeAll(
          redis ? { kind: 'redis', url: redis.url, installation: await installationOf(pool) } : { kind: 'postgres', url: databaseUrl },
          conversations,
        ),
      troubles,
      close: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Numbers as somebody has connected them: what a webhook names is set aside unless it is known. The names are the runner's own. */
function numbersSql(names: readonly string[]): string {
  return names.map((name) => `select ensure_instance('${name}', null);`).join('\n');
}

async function installationOf(pool: pg.Pool): Promise<string> {
  return (await pool.query<{ id: string }>('select installation_id() as id')).rows[0]?.id ?? '';
}

async function wakeAll(store: QueueStore, conversations: readonly number[]): Promise<void> {
  const quiet = createLogger({ level: 'CRITICAL', service: 'chaos', pretty: false, destination: { write: () => {} } });
  await using queues = await openQueues(store, quiet);
  await Promise.all(conversations.flatMap((each) => [queues.wakeTurn(each, 0), queues.wakeSend(each)]));
}

export async function ownPostgres(dataDir: string, stack: AsyncDisposableStack): Promise<Postgres> {
  const postgres = await startPostgres({
    dataDir,
    durable: false,
    inMemory: true,
    settings: { max_connections: '800', shared_buffers: '64MB', log_min_messages: 'fatal' },
  });
  stack.defer(async () => {
    await postgres.stop();
    await removePostgresData(dataDir);
  });
  return postgres;
}

/** One template per server and backend; made by whoever comes first. */
const templates = new WeakMap<Postgres, Map<Backend, Promise<string>>>();
let databases = 0;

async function createDatabase(postgres: Postgres, backend: Backend): Promise<string> {
  const made = templates.get(postgres) ?? new Map<Backend, Promise<string>>();
  templates.set(postgres, made);
  const template = made.get(backend) ?? makeTemplate(postgres, backend);
  made.set(backend, template);
  const name = `chaos_${++databases}`;
  const from = await template;
  await onServer(postgres, `create database ${name} template ${from}`);
  return postgres.urlOf(name);
}

async function makeTemplate(postgres: Postgres, backend: Backend): Promise<string> {
  const name = `template_${backend}`;
  await onServer(postgres, `create database ${name}`);
  await migrate(postgres.urlOf(name), { queue: backend === 'postgres' });
  return name;
}

/** One after the other: a template must have no other user while it is copied. */
const serverWork = new WeakMap<Postgres, Promise<void>>();

function onServer(postgres: Postgres, sql: string, url = postgres.url): Promise<void> {
  const work = (serverWork.get(postgres) ?? Promise.resolve()).then(async () => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    await client.query(sql);
    await client.end();
  });
  serverWork.set(
    postgres,
    work.catch(() => {}),
  );
  return work;
}

/** What chaos sets beside what each installation needs. */
const OWN = {
  MAX_RESPOSTAS_POR_HORA: '100000',
  MAX_TURNOS_CONTATO_DIA: '100000',
  // A cell holds all of its conversations at one point at the same time.
  WORKER_CONCURRENCY: '150',
  DEBOUNCE_MS: '700',
  DEBOUNCE_MAX_MS: '2000',
  HUMAN_DELAY: 'true',
  SHUTDOWN_GRACE_MS: '6000',
  EVOLUTION_BREAKER_RESET_SECONDS: '5',
  EVOLUTION_BREAKER_MAX_RESET_SECONDS: '10',
  DATABASE_BREAKER_RESET_SECONDS: '1',
  DATABASE_BREAKER_MAX_RESET_SECONDS: '2',
  CLAUDE_BREAKER_RESET_SECONDS: '5',
  CLAUDE_BREAKER_MAX_RESET_SECONDS: '10',
  LLM_MAX_TOKENS: '600',
};

type Processes = {
  start(mode: Mode): Promise<void>;
  kill(modes: readonly Mode[]): Promise<void>;
  terminate(modes: readonly Mode[]): { ended: Promise<void>; ready: Promise<void> };
  close(): Promise<void>;
};

function createProcesses(env: Record<string, string>, port: number, directory: string, troubles: string[]): Processes {
  const running = new Map<Mode, GuardedProcess>();
  const all = new Set<GuardedProcess>();
  let closing = false;
  let count = 0;

  async function start(mode: Mode): Promise<void> {
    if (closing) return;
    const name = `${String(++count).padStart(2, '0')}-${mode}`;
    const file = createWriteStream(path.join(directory, `${name}.log`));
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    const started = await startMode(mode, env, {
      // The scheduler and the worker serve no HTTP here.
      port: mode === 'api' ? port : null,
      log: (line) => {
        file.write(`${line}\n`);
        if (line.includes(`"${mode} ready"`)) resolve();
        if (line.includes('"CRITICAL"')) troubles.push(`${name}: ${line.slice(0, 300)}`);
      },
    });
    running.set(mode, started);
    all.add(started);
    void started.exited.then((code) => {
      all.delete(started);
      file.end();
      if (running.get(mode) === started && !closing) troubles.push(`${name} ended by itself with code ${code}`);
    });
    const late = delay(READY_MS, 'late' as const, { ref: false });
    const first = await Promise.race([ready, started.exited, late]);
    // Struck while it was starting: whoever did that has started another one.
    if (first !== undefined && !closing && running.get(mode) === started)
      throw new Error(`${name} did not get ready (${first}); see ${directory}`);
  }

  function take(modes: readonly Mode[]): { mode: Mode; old: GuardedProcess }[] {
    return modes.flatMap((mode) => {
      const old = running.get(mode);
      running.delete(mode);
      return old ? [{ mode, old }] : [];
    });
  }

  return {
    start,
    async kill(modes) {
      const taken = take(modes);
      await Promise.all(taken.map(({ old }) => old.kill()));
      await delay(RESTART_MS);
      await Promise.all(taken.map(({ mode }) => start(mode)));
    },
    terminate(modes) {
      const taken = take(modes);
      const ends = new Map(taken.map(({ mode, old }) => [mode, old.stop(20_000)]));
      const ended = Promise.all(ends.values()).then(() => {});
      const ready = Promise.all(
        taken.map(async ({ mode }) => {
          if (mode === 'api') await ends.get(mode);
          await start(mode);
        }),
      );
      return { ended, ready: Promise.all([ended, ready]).then(() => {}) };
    },
    async close() {
      closing = true;
      await Promise.all([...all].map((each) => each.kill()));
    },
  };
}
