/** What every figure needs: a durable Postgres, a Redis, the simulator, fresh databases; and the end of all of it. */
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';

import { migrate } from '../src/db/migrate.ts';
import { startPostgres } from '../scripts/lib/embedded-postgres.ts';
import type { Postgres } from '../scripts/lib/embedded-postgres.ts';
import type { RunMode } from '../scripts/lib/installation.ts';
import { withProgress } from '../scripts/lib/progress.ts';
import { startRedis } from '../scripts/lib/redis.ts';
import type { RedisServer } from '../scripts/lib/redis.ts';
import { dataDirectory, projectRoot } from '../scripts/lib/tools.ts';
import { cpuMs, familyCpuMs } from './cpu.ts';
import { checkOut, migrateEarlier } from './earlier.ts';
import type { Options } from './options.ts';
import { startFloorAccept, startFloorAnswer, startFloorDurable, startProduct } from './programs.ts';
import type { Program, Surroundings } from './programs.ts';
import { startBenchSimulator } from './simulator.ts';
import type { BenchSimulator } from './simulator.ts';

/** A version of the product. */
export type Source = {
  /** Of a commit: its short name. */
  name: string;
  /** Not the one whose bench this is. */
  isEarlier: boolean;
  /** A database with its schema and nothing else; its address. */
  database(): Promise<string>;
  /**
   * A program of it. `onRedis` says whether the queue lives there, `space` in which of its databases: two installations must not meet. It ends with the
   * stand, or earlier by its `stop`. `own` are variables that differ from those of all products.
   */
  product(mode: RunMode, databaseUrl: string, onRedis: boolean, space?: number, own?: Readonly<Record<string, string>>): Promise<Program>;
};

export type Stand = AsyncDisposable &
  Source & {
    options: Options;
    simulator: BenchSimulator;
    /** With `--against`: the commit that is measured beside this version. */
    earlier: Source | null;
    /** A database with this template's content. */
    cloneOf(template: string): Promise<string>;
    /** Makes a database under this name when it is not there. `fill` gets its address. */
    template(name: string, fill: (url: string) => Promise<void>): Promise<void>;
    floorAccept(databaseUrl: string): Promise<Program>;
    floorAnswer(mode: 'api' | 'worker'): Promise<Program>;
    floorDurable(mode: 'api' | 'worker', databaseUrl: string): Promise<Program>;
    /** Milliseconds of a core that they have taken so far. The product's Redis is not that of the floors; Postgres serves all. */
    cpuOf(server: 'postgres' | 'redis' | 'floorRedis'): Promise<number>;
    /** The address of a database without anything in it. */
    emptyDatabase(): Promise<string>;
    /** Nothing waits in a Redis: what a figure has left must not be done in the next one. */
    emptyQueues(): Promise<void>;
    /** Rows of a statement. */
    query<T extends Record<string, unknown>>(databaseUrl: string, sql: string): Promise<T[]>;
    say(line: string): void;
  };

/** For floor and product alike; fsync is on. Larger than the default so that the large database is read from memory, as on a server. */
const SETTINGS = { shared_buffers: '512MB', max_wal_size: '4GB', checkpoint_timeout: '30min' };

export async function openStand(options: Options, say: (line: string) => void): Promise<Stand> {
  await using stack = new AsyncDisposableStack();
  // a quick run, as the tests do it, may run beside a full one
  const directory = path.join(dataDirectory, options.quick ? 'bench-quick' : 'bench');
  const logs = path.join(directory, 'logs');
  await rm(logs, { recursive: true, force: true });
  await mkdir(logs, { recursive: true });
  const { postgres, redis, floorRedis, simulator } = await withProgress('starting Postgres, Redis and the simulator', async () => {
    const started = await startPostgres({ dataDir: path.join(directory, 'postgres'), settings: SETTINGS });
    stack.defer(() => started.stop());
    await dropOldDatabases(started);
    const redis = await redisAt(path.join(directory, 'redis'), stack);
    const floorRedis = await redisAt(path.join(directory, 'redis-floor'), stack);
    const simulator = await startBenchSimulator();
    stack.defer(() => simulator.stop());
    return { postgres: started, redis, floorRedis, simulator };
  });
  await emptyTemplate(postgres, TEMPLATE, migrate);
  const programs = new Set<Program>();
  stack.defer(async () => void (await Promise.allSettled([...programs].map((program) => program.stop(3_000)))));

  const around = (databaseUrl: string, redisUrl: string | null): Surroundings => ({
    databaseUrl,
    redisUrl,
    simulator,
    logs,
  });
  const kept = async (starting: Promise<Program>): Promise<Program> => {
    const program = await starting;
    programs.add(program);
    return program;
  };
  let databases = 0;
  const cloneOf = async (template: string): Promise<string> => {
    databases += 1;
    await admin(postgres, (client) => client.query(`create database bench_${databases} template ${template}`));
    return postgres.urlOf(`bench_${databases}`);
  };
  const productOf =
    (root: string): Source['product'] =>
    (mode, databaseUrl, onRedis, space = 0, own = {}) =>
      kept(startProduct(mode, around(databaseUrl, onRedis ? `${redis.url}/${space}` : null), own, root));
  let earlier: Source | null = null;
  if (options.against !== null) {
    say(`checking out ${options.against}`);
    const version = stack.use(await checkOut(options.against, path.join(directory, 'earlier')));
    await emptyTemplate(postgres, EARLIER_TEMPLATE, (url) => migrateEarlier(version, url));
    earlier = { name: version.name, isEarlier: true, database: () => cloneOf(EARLIER_TEMPLATE), product: productOf(version.root) };
  }
  const owned = stack.move();
  return {
    name: 'product',
    isEarlier: false,
    earlier,
    options,
    simulator,
    database: () => cloneOf(TEMPLATE),
    cloneOf,
    template: (name, fill) => buildTemplate(postgres, name, fill),
    product: productOf(projectRoot),
    floorAccept: (databaseUrl) => kept(startFloorAccept(around(databaseUrl, null))),
    floorAnswer: (mode) => kept(startFloorAnswer(mode, around('', floorRedis.url))),
    floorDurable: (mode, databaseUrl) => kept(startFloorDurable(mode, around(databaseUrl, floorRedis.url))),
    cpuOf(server) {
      if (server === 'postgres') return familyCpuMs(postgres.pid());
      return cpuMs((server === 'redis' ? redis : floorRedis).pid());
    },
    emptyDatabase: () => cloneOf('template0'),
    async emptyQueues() {
      await redis.flush();
      await floorRedis.flush();
    },
    query: (databaseUrl, sql) => rowsOf(databaseUrl, sql),
    say,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function redisAt(dir: string, stack: AsyncDisposableStack): Promise<RedisServer> {
  const server = await startRedis({ dir });
  stack.defer(() => server.stop());
  return server;
}

const TEMPLATE = 'bench_template';
const EARLIER_TEMPLATE = 'bench_template_earlier';

/** Made anew in each run: the migrations may have changed. */
async function emptyTemplate(postgres: Postgres, name: string, migrate: (url: string) => Promise<unknown>): Promise<void> {
  await admin(postgres, (client) => client.query(`create database ${name}`));
  await migrate(postgres.urlOf(name));
}

/** Filled under another name and renamed when complete, so that a run that is ended here leaves no half template. */
async function buildTemplate(postgres: Postgres, name: string, fill: (url: string) => Promise<void>): Promise<void> {
  const { rows } = await admin(postgres, (client) =>
    client.query<{ datname: string }>(`select datname from pg_database where datname ~ '^stored_'`),
  );
  if (rows.some(({ datname }) => datname === name)) return;
  // of other migrations: it only takes room
  const kind = name.slice(0, name.lastIndexOf('_'));
  for (const { datname } of rows)
    if (!datname.startsWith(kind)) await admin(postgres, (client) => client.query(`drop database ${datname} with (force)`));
  await admin(postgres, (client) => client.query(`create database ${name}_half template ${TEMPLATE}`));
  await fill(postgres.urlOf(`${name}_half`));
  await admin(postgres, (client) => client.query(`alter database ${name}_half rename to ${name}`));
}

/** What an earlier run left, but for the large databases, which take long to fill (`stored_`, named after what is in them). */
async function dropOldDatabases(postgres: Postgres): Promise<void> {
  await admin(postgres, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      `select datname from pg_database where datname ~ '^bench_' or datname ~ '^stored_.*_half$'`,
    );
    for (const { datname } of rows) await client.query(`drop database ${datname} with (force)`);
  });
}

async function rowsOf<T extends Record<string, unknown>>(url: string, sql: string): Promise<T[]> {
  return withClient(url, async (client) => (await client.query<T>(sql)).rows);
}

function admin<T>(postgres: Postgres, use: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(postgres.url, use);
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
