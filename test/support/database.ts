import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';

import { sharedTestPostgres } from '../../scripts/lib/test-postgres.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';

export type TestDatabase = {
  /** connection string of a superuser to a migrated database that nobody else uses */
  url: string;
  /** The same database as the product itself reaches it: with the rights of the runtime and no others. */
  runtimeUrl: string;
  /** Drops it, cutting what is still connected. May be called again. */
  close(): Promise<void>;
};

/** the part of node:test's TestContext that is needed here */
type TestHooks = { after(hook: () => Promise<void>): void };

/** A login with the rights of the runtime, one for the whole server. */
const RUNTIME = 'whats_agents_of_tests';

/** Of this process: the migrations do not change while it runs. */
let template: Promise<string> | null = null;

const MIGRATIONS = path.join(projectRoot, 'supabase/migrations');
const MIGRATE = path.join(projectRoot, 'src/db/migrate.ts');

/**
 * A migrated, empty database on the shared test server: a clone of a template that is named after the migrations' text, so it
 * is migrated once per change and cloned in some 50 ms. With a test context it is dropped after that test.
 */
export async function testDatabase(context?: TestHooks): Promise<TestDatabase> {
  const server = await sharedTestPostgres();
  template ??= ensureTemplate(server);
  return createDatabase(server, await template, context);
}

/** An empty database without any migration: for tests of the migrations themselves. */
export async function emptyDatabase(context?: TestHooks): Promise<TestDatabase> {
  return createDatabase(await sharedTestPostgres(), 'template0', context);
}

async function createDatabase(server: string, from: string, context: TestHooks | undefined): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await withClient(server, (client) => client.query(`create database ${name} template ${from} strategy file_copy`));
  let closed: Promise<unknown> | null = null;
  async function close(): Promise<void> {
    closed ??= withClient(server, (client) => client.query(`drop database ${name} with (force)`));
    await closed;
  }
  context?.after(close);
  const url = withDatabase(server, name);
  return { url, runtimeUrl: asRuntime(url), close };
}

/** Built under another name and renamed when complete, so a test run that is killed here leaves no half template. */
async function ensureTemplate(server: string): Promise<string> {
  const name = `template_${await migrationsHash()}`;
  return withClient(server, async (client) => {
    const exists = async () => (await client.query('select from pg_database where datname = $1', [name])).rowCount === 1;
    if (await exists()) return name;
    // test files run in parallel: one builds, the others wait here
    await client.query(`select pg_advisory_lock(hashtext('template'))`);
    if (await exists()) return name;
    const building = `building_${randomBytes(6).toString('hex')}`;
    await client.query(`create database ${building} template template0`);
    try {
      await migrateTemplate(withDatabase(server, building));
      await ensureRuntimeLogin(client);
      await client.query(`alter database ${building} rename to ${name}`);
    } catch (error) {
      await client.query(`drop database ${building} with (force)`);
      throw error;
    }
    return name;
  });
}

/** Under the lock of the templates. */
async function ensureRuntimeLogin(client: pg.Client): Promise<void> {
  await client.query(
    `do $$ begin
       if not exists (select from pg_roles where rolname = '${RUNTIME}') then create role ${RUNTIME} login password '${RUNTIME}' in role whats_agents_runtime; end if;
     end $$`,
  );
}

/** The address of a database of the shared server, as the runtime. */
function asRuntime(address: string): string {
  const url = new URL(address);
  url.username = RUNTIME;
  url.password = RUNTIME;
  return url.href;
}

async function migrationsHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of await migrationFiles())
    hash
      .update(path.basename(file))
      .update('\0')
      .update(await readFile(file));
  if (existsSync(MIGRATE)) hash.update(await readFile(MIGRATE));
  return hash.digest('hex').slice(0, 16);
}

async function migrateTemplate(url: string): Promise<void> {
  if (existsSync(MIGRATE)) {
    const { migrate }: { migrate: (url: string) => Promise<void> } = await import(MIGRATE);
    return migrate(url);
  }
  await withClient(url, async (client) => {
    for (const file of await migrationFiles()) {
      await client.query(await readFile(file, 'utf8')).catch((error: unknown) => {
        throw new Error(`${path.basename(file)}: ${String(error)}`, { cause: error });
      });
    }
  });
}

async function migrationFiles(): Promise<string[]> {
  const names = await readdir(MIGRATIONS);
  return names
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => path.join(MIGRATIONS, name));
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

function withDatabase(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
