/**
 * Applies supabase/migrations to a Postgres, once each and in order, under a lock, with checksums. The same files are valid for
 * `supabase db push`; there our ledger adopts what Supabase's own ledger lists as applied.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { runMigrations } from 'bullmq';
import pg from 'pg';
import { QUEUE_NAMES } from '../words/queue-names.ts';
import { NeedsSession } from './failures.ts';
import { hasSessions } from './pooler.ts';
import { MIGRATION_NEEDS_SESSION } from './pooler-words.ts';

export type MigrationState = { name: string; state: 'applied' | 'pending' | 'edited' | 'unknown'; appliedAt: Date | null };

const FOLDER = new URL('../../supabase/migrations/', import.meta.url);
/** BullMQ's own name for it. */
const QUEUE_SCHEMA = 'bullmq';
/** Any number: it only must be the same in every copy of this program. */
const LOCK = 7_264_001;

/**
 * Brings a database up to date; returns the names that were applied. Several machines may run it at once: the second waits and finds nothing to do. Processes may
 * run beside it: a migration that must wait for a lock gives way to the traffic behind it and tries again. A database that is newer than this program is left as
 * it is, since a rollback starts the version before. Throws when an applied file was edited (naming it), or when something is missing in a newer database; nothing
 * is applied then. Through a pooler in transaction mode nothing can be applied, since no lock lasts: NeedsSession, when there is something to apply.
 * `queue`: also bring the tables of the job queue up to date (needed when REDIS_URL is unset). `folder`: other files than supabase/migrations, for tests.
 */
export async function migrate(
  url: string,
  options: { log?: (line: string) => void; queue?: boolean; folder?: URL } = {},
): Promise<string[]> {
  const log = options.log ?? (() => {});
  if (!(await hasSessions(url))) {
    const states = await migrationStates(url);
    refuse(states);
    if ((options.queue ?? true) || states.some(({ state }) => state === 'pending')) throw new NeedsSession(MIGRATION_NEEDS_SESSION);
    return [];
  }
  return await withClient(url, async (client) => {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await ensureLedger(client);
    const wanted = await readMigrations(options.folder ?? FOLDER);
    await adopt(client, wanted);
    const states = await compare(client, wanted);
    refuse(states);
    for (const { name } of states.filter((each) => each.state === 'unknown'))
      log(`the database is newer than this version: it has ${name}; left as it is`);
    const applied: string[] = [];
    for (const { name } of states.filter((each) => each.state === 'pending')) {
      const migration = wanted.find((each) => each.name === name);
      if (!migration) continue;
      log(`applying ${name}`);
      await apply(client, migration, log);
      applied.push(name);
    }
    if (options.queue ?? true) await migrateQueue(client);
    return applied;
  });
}

/** The tables of the queue, and the runtime's rights in them. May be repeated. */
async function migrateQueue(client: pg.Client): Promise<void> {
  await runMigrations(client, QUEUE_SCHEMA);
  // BullMQ makes a sequence for each queue at its first job, and the runtime may make nothing.
  for (const name of QUEUE_NAMES) await client.query(`select ${QUEUE_SCHEMA}.next_job_id($1)`, [name]);
  await client.query(`grant usage on schema ${QUEUE_SCHEMA} to whats_agents_runtime;
    grant select, insert, update, delete on all tables in schema ${QUEUE_SCHEMA} to whats_agents_runtime;
    grant usage on all sequences in schema ${QUEUE_SCHEMA} to whats_agents_runtime`);
}

/** What is applied and what is not. Changes nothing. */
export async function migrationStates(url: string): Promise<MigrationState[]> {
  return await withClient(url, async (client) => {
    const pushed = await pushedVersions(client);
    const states = await compare(client, await readMigrations(FOLDER));
    return states.map((each) => (each.state === 'pending' && pushed.has(versionOf(each.name)) ? { ...each, state: 'applied' } : each));
  });
}

/** The names of all migrations that this program needs, oldest first. */
export async function migrationNames(folder: URL = FOLDER): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
}

type Migration = { name: string; sql: string; checksum: string };

async function readMigrations(folder: URL): Promise<Migration[]> {
  const names = await migrationNames(folder);
  return await Promise.all(
    names.map(async (name) => {
      const sql = (await readFile(new URL(name, folder), 'utf8')).replaceAll('\r\n', '\n');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function ensureLedger(client: pg.Client): Promise<void> {
  await client.query(`create table if not exists public.schema_migrations (
    name text primary key, checksum text not null, applied_at timestamptz not null default now())`);
  await client.query('alter table public.schema_migrations enable row level security');
  // Supabase grants every new table of `public` to the roles of its public API.
  await client.query(`do $$ declare r text; begin
    for r in select rolname from pg_roles where rolname in ('anon', 'authenticated') loop execute format('revoke all on public.schema_migrations from %I', r); end loop;
  end $$`);
}

/** What `supabase db push` has applied counts as applied here too. */
async function adopt(client: pg.Client, wanted: Migration[]): Promise<void> {
  const pushed = await pushedVersions(client);
  for (const { name, checksum } of wanted.filter((each) => pushed.has(versionOf(each.name)))) {
    await client.query('insert into public.schema_migrations (name, checksum) values ($1, $2) on conflict do nothing', [name, checksum]);
  }
}

/** The ledger of `supabase db push`; empty where there is none. */
async function pushedVersions(client: pg.Client): Promise<Set<string>> {
  if (!(await exists(client, 'supabase_migrations.schema_migrations'))) return new Set();
  const { rows } = await client.query<{ version: string }>('select version from supabase_migrations.schema_migrations');
  return new Set(rows.map((row) => row.version));
}

async function exists(client: pg.Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [table]);
  return rows[0]?.there ?? false;
}

function versionOf(name: string): string {
  return name.split('_')[0] ?? '';
}

type LedgerRow = { name: string; checksum: string; applied_at: Date };

async function compare(client: pg.Client, wanted: Migration[]): Promise<MigrationState[]> {
  const rows = (await exists(client, 'public.schema_migrations'))
    ? (await client.query<LedgerRow>('select name, checksum, applied_at from public.schema_migrations order by name')).rows
    : [];
  const done = new Map(rows.map((row) => [row.name, row]));
  const known = wanted.map((migration): MigrationState => {
    const row = done.get(migration.name);
    done.delete(migration.name);
    if (!row) return { name: migration.name, state: 'pending', appliedAt: null };
    return { name: migration.name, state: row.checksum === migration.checksum ? 'applied' : 'edited', appliedAt: row.applied_at };
  });
  const unknown = [...done.values()].map((row): MigrationState => ({ name: row.name, state: 'unknown', appliedAt: row.applied_at }));
  return [...known, ...unknown];
}

function refuse(states: MigrationState[]): void {
  const edited = states.filter((each) => each.state === 'edited').map((each) => each.name);
  if (edited.length > 0) {
    throw new Error(
      `applied migrations were edited: ${edited.join(', ')}. Restore the files as they were (git checkout) and put the change into a new migration.`,
    );
  }
  const unknown = states.filter((each) => each.state === 'unknown').map((each) => each.name);
  const pending = states.filter((each) => each.state === 'pending').map((each) => each.name);
  if (unknown.length > 0 && pending.length > 0) {
    throw new Error(
      `the database has migrations that this version does not know: ${unknown.join(', ')}, and lacks ${pending.join(', ')}. Run the newer version of whats-agents.`,
    );
  }
}

/** A statement that waits for a lock has all later ones of the table wait behind it: it may do so for a moment only. Milliseconds. */
const LOCK_MS = 2_000;
const LOCK_TRIES = 30;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * One transaction for each file. A file whose first line is `-- outside a transaction` holds one statement that cannot run in one (create index concurrently)
 * and that may be repeated.
 */
async function apply(client: pg.Client, migration: Migration, log: (line: string) => void): Promise<void> {
  const { name, sql, checksum } = migration;
  const alone = sql.startsWith('-- outside a transaction\n');
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(`set lock_timeout = ${LOCK_MS}`);
      if (!alone) await client.query('begin');
      await client.query(sql);
      await client.query('insert into public.schema_migrations (name, checksum) values ($1, $2)', [name, checksum]);
      if (!alone) await client.query('commit');
      return;
    } catch (error) {
      await client.query('rollback');
      if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE || attempt === LOCK_TRIES) throw failed(migration, error);
      log(`${name} waits for a lock (${attempt})`);
      await delay(LOCK_MS);
    } finally {
      await client.query('reset lock_timeout').catch(() => {});
    }
  }
}

function failed({ name, sql }: Migration, error: unknown): Error {
  const position = Number((error as { position?: string }).position);
  const line = Number.isFinite(position) ? ` (line ${sql.slice(0, position).split('\n').length})` : '';
  return new Error(`migration ${name}${line}: ${(error as Error).message}`, { cause: error });
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, application_name: 'whats-agents migrate' });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end(); // also frees the lock
  }
}
