/** Migrations: once each, in order, by one at a time, all or nothing; and what the ledger does not know is told, not guessed. */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { migrate, migrationNames, migrationStates } from '../../src/db/migrate.ts';
import { emptyDatabase } from '../support/database.ts';
import { SIGKILLED, startProgram } from '../support/process.ts';

const NAMES = await migrationNames();
const [FIRST = '', SECOND = ''] = NAMES;
const LAST = NAMES.at(-1) ?? '';
/** What somebody else has applied already: all but the newest. */
const PUSHED = NAMES.slice(0, -1);
/** A migration after all others. */
const NEXT = '20991231000000_next.sql';

test('D1 migrations are applied in order, once; running them again changes nothing', async (t) => {
  const { url, client } = await database(t);
  assert.deepEqual(await migrate(url), NAMES);
  const before = await ledger(client);
  assert.deepEqual(
    before.map(({ name }) => name),
    NAMES,
  );
  assert.deepEqual(await migrate(url), []);
  assert.deepEqual(await ledger(client), before);
  // The tables of a queue in Postgres come along.
  assert.equal(
    (
      await client.query(
        `select to_regclass('bullmq.job') is not null or exists (select from pg_namespace where nspname = 'bullmq') as there`,
      )
    ).rows[0].there,
    true,
  );
});

test('D1 several that migrate at once: each file is applied by one of them', async (t) => {
  const { url, client } = await database(t);
  const done = await Promise.all([migrate(url), migrate(url), migrate(url)]);
  assert.deepEqual(done.flat().toSorted(), NAMES);
  assert.deepEqual(
    (await ledger(client)).map(({ name }) => name),
    NAMES,
  );
});

test('D1 several databases of one new server migrate at once: their roles are shared', async (t) => {
  const databases = await Promise.all([database(t), database(t), database(t)]);
  const done = await Promise.all(databases.map(({ url }) => migrate(url)));
  assert.deepEqual(done, [NAMES, NAMES, NAMES]);
});

test('D1 drift: an edited migration is named, and nothing is applied', async (t) => {
  const { url, client } = await database(t);
  await migrate(url);
  await client.query(`update schema_migrations set checksum = 'another' where name = $1`, [FIRST]);
  assert.deepEqual(await statesOf(url, FIRST, SECOND), ['edited', 'applied']);
  await client.query('delete from schema_migrations where name = $1', [LAST]);
  await assert.rejects(
    migrate(url),
    (error: Error) => error.message.includes(FIRST) && error.message.includes('edited') && !error.message.includes(SECOND),
  );
  assert.equal((await ledger(client)).length, NAMES.length - 1, 'the pending one was not applied');
  assert.deepEqual(await statesOf(url, FIRST, LAST), ['edited', 'pending']);
  const cli = startProgram(t, 'src/migrate.ts', { env: { DATABASE_URL: url } });
  assert.equal(await cli.ended, 1);
  assert.match(cli.stderr.join('\n'), new RegExp(`${FIRST}.*new migration`));
  assert.ok(!/\n\s+at /.test(cli.stderr.join('\n')), 'no stack trace');
});

test('D1 a database that is newer than the program is left alone', async (t) => {
  const { url, client } = await database(t);
  await migrate(url);
  await client.query(`insert into schema_migrations (name, checksum) values ('20991231000000_future.sql', 'x')`);
  await client.query('delete from schema_migrations where name = $1', [LAST]);
  await assert.rejects(migrate(url), /20991231000000_future\.sql.*newer version/s);
  assert.ok(!(await ledger(client)).some(({ name }) => name === LAST));
});

test('D1 a rollback: the version before finds a newer database with all that it needs, says so and goes on', async (t) => {
  const { url, client } = await database(t);
  await migrate(url);
  await client.query(`insert into schema_migrations (name, checksum) values ('20991231000000_future.sql', 'x')`);
  const lines: string[] = [];
  assert.deepEqual(await migrate(url, { log: (line) => void lines.push(line) }), []);
  assert.deepEqual(lines, ['the database is newer than this version: it has 20991231000000_future.sql; left as it is']);
});

test('D1 a migration that waits for a lock gives way to the traffic behind it, and is applied when the lock is free', async (t) => {
  const { url, client } = await database(t);
  await migrate(url);
  const folder = await folderWith(t, 'alter table messages add column later text;');
  const holder = await connect(t, url);
  await holder.query('begin; lock table messages in access share mode');
  const waiting = Promise.withResolvers<void>();
  const migrating = migrate(url, { folder, log: (line) => void (line.includes('waits for a lock') && waiting.resolve()) });
  await waiting.promise;
  // Between its tries it holds nothing, so a writer comes through.
  await client.query('update messages set text = text');
  await holder.query('rollback');
  assert.deepEqual(await migrating, [NEXT]);
});

test('D1 a file that says so runs outside a transaction: an index is built beside running writers, and again after it was cut off', async (t) => {
  const { url, client } = await database(t);
  await migrate(url);
  const sql = '-- outside a transaction\ncreate index concurrently if not exists messages_later on messages (tenant_id, created_at);';
  assert.deepEqual(await migrate(url, { folder: await folderWith(t, sql) }), [NEXT]);
  const { rows } = await client.query(`select indisvalid as valid from pg_index where indexrelid = 'messages_later'::regclass`);
  assert.deepEqual(rows, [{ valid: true }]);
  const broken = await folderWith(t, sql.replace('(tenant_id', '(no_such_column'));
  await client.query('drop index if exists messages_later');
  await client.query('delete from schema_migrations where name = $1', [NEXT]);
  await assert.rejects(migrate(url, { folder: broken }), /no_such_column/);
  assert.ok(!(await ledger(client)).some(({ name }) => name === NEXT));
});

test('D1 a migration that fails leaves nothing behind, names its file and line, and lets the next one try', async (t) => {
  const { url, client } = await database(t);
  await client.query('create table messages (mine int)');
  await assert.rejects(migrate(url), new RegExp(`${FIRST}.*"messages" already exists`));
  assert.deepEqual(await tables(client), ['messages', 'schema_migrations']);
  assert.deepEqual(await ledger(client), []);
  await client.query('drop table messages');
  assert.deepEqual(await migrate(url), NAMES);
});

test('D1 a migrating program that is killed in the middle leaves nothing half', async (t) => {
  const { url, client } = await database(t);
  // It stops in the middle of the first file, at a table that somebody else is about to make.
  const other = await connect(t, url);
  await other.query('begin; create table webhook_events (mine int)');
  const cli = startProgram(t, 'src/migrate.ts', { env: { DATABASE_URL: url } });
  const waiting = `select pid from pg_stat_activity where datname = current_database() and application_name = 'whats-agents migrate'`;
  await seen(client, `${waiting} and wait_event_type = 'Lock' and query like '-- The data model%'`);
  cli.signal('SIGKILL');
  assert.equal(await cli.ended, SIGKILLED);
  await other.query('rollback');
  await seen(client, `select 1 where not exists (${waiting})`);
  assert.deepEqual(await tables(client), ['schema_migrations']);
  assert.deepEqual(await ledger(client), []);
  assert.deepEqual(await migrate(url), NAMES);
});

test('D1 what `supabase db push` applied is adopted, not applied again', async (t) => {
  const { url, client } = await database(t);
  await client.query(
    `create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)`,
  );
  for (const name of PUSHED) {
    await client.query(await readFile(new URL(`../../supabase/migrations/${name}`, import.meta.url), 'utf8'));
    await client.query(
      'insert into supabase_migrations.schema_migrations (version, name) values ($1, $2)',
      name.replace('.sql', '').split(/_(.*)/).slice(0, 2),
    );
  }
  assert.deepEqual(
    (await migrationStates(url)).map(({ state }) => state),
    NAMES.map((name) => (PUSHED.includes(name) ? 'applied' : 'pending')),
  );
  assert.deepEqual(await tables(client).then((all) => all.includes('schema_migrations')), false, 'asking for the state changes nothing');
  assert.deepEqual(await migrate(url), NAMES.slice(PUSHED.length));
  assert.deepEqual(
    (await ledger(client)).map(({ name }) => name),
    NAMES,
  );
});

test('D1 npm run migrate: --status lists, --help helps, mistakes are told in a line', async (t) => {
  const { url, client } = await database(t);
  const run = async (args: string[], env: Record<string, string>) => {
    const cli = startProgram(t, 'src/migrate.ts', { args, env });
    const code = await cli.ended;
    return { code, out: cli.stdout.join('\n'), err: cli.stderr.join('\n') };
  };
  const pending = await run(['--status'], { DATABASE_URL: url });
  assert.deepEqual([pending.code, pending.err], [0, '']);
  assert.deepEqual(
    pending.out.split('\n').map((line) => line.split(/\s+/)),
    NAMES.map((name) => ['pending', name]),
  );
  assert.deepEqual(await tables(client), []);

  const applied = await run([], { SUPABASE_DB_URL: url });
  assert.deepEqual([applied.code, applied.err], [0, '']);
  assert.match(applied.out, new RegExp(`applied ${NAMES.length} migrations`));
  // The database's address and nothing else, also where all other variables of production are missing or wrong.
  const bare = { ENVIRONMENT: 'production', APP_ENV: 'staging', TZ: 'Mars/Olympus', JWT_SECRET_KEY: 'x', PORT: 'x' };
  assert.match((await run([], { ...bare, DATABASE_URL: url })).out, /up to date/);
  const status = await run(['--status'], { DATABASE_URL: url });
  for (const line of status.out.split('\n')) assert.match(line, /^applied +\d{14}_\w+\.sql +\d{4}-\d\d-\d\dT/);

  assert.equal((await run(['--help'], {})).code, 0);
  for (const [args, env, says] of [
    [['--stauts'], {}, /--stauts/],
    [[], {}, /DATABASE_URL/],
    [[], { DATABASE_URL: 'mysql://x' }, /DATABASE_URL/],
    [[], { DATABASE_URL: 'postgres://nobody:a-password@127.0.0.1:1/x' }, /ECONNREFUSED|refused/],
  ] as [string[], Record<string, string>, RegExp][]) {
    const told = await run(args, env);
    assert.equal(told.code, 1, told.out);
    assert.match(told.err, says);
    assert.ok(!told.err.includes('a-password') && !/\n\s+at /.test(told.err), told.err);
  }
});

/** All migrations, and one more. */
async function folderWith(t: TestContext, sql: string): Promise<URL> {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-migrations-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of NAMES) await copyFile(new URL(`../../supabase/migrations/${name}`, import.meta.url), path.join(folder, name));
  await writeFile(path.join(folder, NEXT), sql);
  return pathToFileURL(`${folder}/`);
}

async function database(t: TestContext): Promise<{ url: string; client: pg.Client }> {
  const { url } = await emptyDatabase(t);
  return { url, client: await connect(t, url) };
}

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the database is dropped under it
  await client.connect();
  t.after(() => client.end());
  return client;
}

async function ledger(client: pg.Client): Promise<{ name: string; checksum: string }[]> {
  return (await client.query<{ name: string; checksum: string }>('select name, checksum from schema_migrations order by name')).rows;
}

async function statesOf(url: string, ...names: string[]): Promise<(string | undefined)[]> {
  const states = await migrationStates(url);
  return names.map((name) => states.find((each) => each.name === name)?.state);
}

async function tables(client: pg.Client): Promise<string[]> {
  return (await client.query<{ name: string }>(`select tablename as name from pg_tables where schemaname = 'public' order by 1`)).rows.map(
    ({ name }) => name,
  );
}

/** Postgres tells nobody when a backend begins to wait or ends, so it is asked until it says so. */
async function seen(client: pg.Client, sql: string): Promise<void> {
  const patience = AbortSignal.timeout(20_000);
  while (!patience.aborted) {
    // pg_stat_activity is a snapshot within a transaction; each statement is one of its own
    if ((await client.query(sql)).rows.length > 0) return;
  }
  throw new Error(`never seen: ${sql}`);
}
