/** The schema as a whole: what every table and function must have, and that supabase/schema.sql says what the migrations do. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { dumpSchema, SCHEMA_FILE } from '../../scripts/dump-schema.ts';
import { migrationFile, migrationOf, schemaDifference } from '../../scripts/schema-migration.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { migrate, migrationNames } from '../../src/db/migrate.ts';
import { emptyDatabase } from '../support/database.ts';

const OURS = `p.pronamespace = 'public'::regnamespace and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')`;

test('D1 schema.sql is what the migrations lead to', async (t) => {
  const { url } = await emptyDatabase(t);
  await migrate(url, { queue: false });
  const dumped = await dumpSchema(url);
  assert.equal(dumped, await dumpSchema(url), 'the same twice');
  // Not assert.equal: a diff of a thousand lines helps nobody.
  const stored = (await readFile(SCHEMA_FILE, 'utf8')).split('\n');
  const differs = dumped.split('\n').findIndex((line, index) => line !== stored[index]);
  assert.ok(
    differs === -1 && stored.length === dumped.split('\n').length,
    `supabase/schema.sql is not what supabase/migrations lead to, from line ${differs + 1} on; run \`npm run schema\` and read the diff`,
  );
});

test('D1 schema.sql is complete: a database made of it has the same schema', async (t) => {
  const made = await emptyDatabase(t);
  const dumped = await readFile(SCHEMA_FILE, 'utf8');
  const client = await connect(t, made.url);
  await client.query(dumped);
  assert.equal(await dumpSchema(made.url), dumped);
});

test('D1 T1 each table has tenant_id and row level security, and nobody but the service role has rights, as Supabase grants by default', async (t) => {
  const { client } = await supabaseLike(t);
  const { rows: tables } = await client.query<{ name: string; rls: boolean; tenant: boolean }>(
    `select c.oid::regclass::text as name, c.relrowsecurity as rls,
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and (a.attnotnull or c.relname = 'tenants')) as tenant
     from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1`,
  );
  assert.ok(tables.length > 15);
  assert.deepEqual(
    tables.filter((table) => !table.rls).map(({ name }) => name),
    [],
  );
  // A tenant is its own row; the ledger of migrations is of the installation.
  assert.deepEqual(
    tables.filter((table) => !table.tenant).map(({ name }) => name),
    ['schema_migrations', 'tenants'],
  );
  const { rows: granted } = await client.query(
    `select c.relname, coalesce(r.rolname, 'public') as grantee, string_agg(a.privilege_type, ',') as rights
     from pg_class c cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
     where c.relnamespace = 'public'::regnamespace and (a.grantee = 0 or r.rolname in ('anon', 'authenticated')) group by 1, 2`,
  );
  assert.deepEqual(granted, []);
});

test('D1 T1 anon and authenticated can read nothing, write nothing and call nothing', async (t) => {
  const { client } = await supabaseLike(t);
  const { rows: tables } = await client.query<{ name: string }>(
    `select quote_ident(tablename) as name from pg_tables where schemaname = 'public'`,
  );
  const { rows: functions } = await client.query<{ signature: string; call: string }>(
    `select p.oid::regprocedure::text as signature,
       format('select public.%I(%s)', p.proname, (select string_agg('null::' || format_type(u.type, null), ', ' order by u.n) from unnest(p.proargtypes) with ordinality as u (type, n))) as call
     from pg_proc p where ${OURS} and p.prorettype <> 'trigger'::regtype`,
  );
  assert.ok(functions.length > 40);
  for (const role of ['anon', 'authenticated']) {
    for (const { name } of tables) {
      assert.equal(await refusal(client, role, `select * from public.${name}`), '42501', `${role} reads ${name}`);
      assert.equal(await refusal(client, role, `delete from public.${name}`), '42501', `${role} deletes ${name}`);
    }
    for (const { signature, call } of functions) assert.equal(await refusal(client, role, call), '42501', `${role} calls ${signature}`);
  }
  const { rows: open } = await client.query(
    `select p.oid::regprocedure::text as name from pg_proc p where ${OURS} and (p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0))`,
  );
  assert.deepEqual(open, [], 'functions that everybody may call');
  const { rows: closed } = await client.query(
    `select p.oid::regprocedure::text as name from pg_proc p where ${OURS} and not has_function_privilege('service_role', p.oid, 'execute')`,
  );
  assert.deepEqual(closed, [], 'functions that the runtime may not call');
});

test('D1 the migrations make exactly what supabase/schemas says, and each of its functions is valid', async (t) => {
  const { url } = await emptyDatabase(t);
  await migrate(url, { queue: false });
  const { changed, dropped, rights } = await schemaDifference(url);
  const found = { changed: changed.map(({ key }) => key), dropped, rights };
  assert.deepEqual(found, { changed: [], dropped: [], rights: [] }, 'run `npm run schema -- --migration NAME`');
});

test('D1 what is new, another, gone or gains an argument in supabase/schemas becomes a migration that makes it so', async (t) => {
  const { url } = await emptyDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'schemas-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(path.join(projectRoot, 'supabase/schemas'), path.join(folder, 'schemas'), { recursive: true });
  await cp(path.join(projectRoot, 'supabase/migrations'), path.join(folder, 'migrations'), { recursive: true });
  const schemas = path.join(folder, 'schemas');
  const edit = async (file: string, from: string | RegExp, to: string): Promise<void> => {
    const text = await readFile(path.join(schemas, file), 'utf8');
    assert.notEqual(text.search(from), -1, `${file}: ${from}`);
    await writeFile(
      path.join(schemas, file),
      text.replaceAll(from, () => to),
    );
  };
  await edit('db.sql', /clock_timestamp\(\)\) \$\$/g, "clock_timestamp() + interval '0 seconds') $$");
  await edit('db.sql', /session_rights\(\)/g, 'session_rights(p_more boolean default false)');
  await edit('db.sql', /^( {2})session_rights\(p_more boolean default false\)/gm, '  session_rights(boolean)');
  await edit('inbox.sql', /-- greetings_to_tell[^]*?\$\$;\n/g, '');
  await edit('inbox.sql', / {2}greetings_to_tell\(int\),\n/g, '');
  const hello = '-- hello: for a test.\ncreate or replace function hello(p_name text) returns text language sql as $$ select p_name $$;\n';
  const grants =
    'revoke all on function\n  hello(text)\n  from public, anon, authenticated;\ngrant execute on function\n  hello(text)\n  to service_role, whats_agents_runtime;\n';
  await writeFile(path.join(schemas, 'hello.sql'), `-- A room.\n\n${hello}\n${grants}`);

  await migrate(url, { queue: false });
  const difference = await schemaDifference(url, schemas);
  assert.deepEqual(
    { changed: difference.changed.map(({ key }) => key), dropped: difference.dropped },
    {
      changed: ['function clock', 'function session_rights', 'function hello'],
      dropped: ['session_rights()', 'greetings_to_tell(integer)'].toSorted(),
    },
  );
  const file = '20991231000000_next.sql';
  const text = migrationOf(file, difference);
  assert.match(text ?? '', /^-- hello: for a test\.\ncreate or replace function hello/m);
  await writeFile(path.join(folder, 'migrations', file), text ?? '');
  assert.deepEqual(await migrate(url, { queue: false, folder: pathToFileURL(`${folder}/migrations/`) }), [file]);
  const left = await schemaDifference(url, schemas);
  assert.deepEqual(left, { changed: [], dropped: [], rights: [] });
  const client = await connect(t, url);
  assert.deepEqual((await client.query('select schema_version() as version')).rows, [{ version: '20991231000000' }]);
  assert.equal(migrationOf(file, left), null);
});

test('D1 a table in supabase/schemas, a broken function and a bad name are refused in words', async (t) => {
  const { url } = await emptyDatabase(t);
  await migrate(url, { queue: false });
  const folder = await mkdtemp(path.join(tmpdir(), 'schemas-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(path.join(folder, 'shop.sql'), 'create table shop (id int);');
  await assert.rejects(
    schemaDifference(url, folder),
    /shop\.sql: CreateStmt does not belong here: tables, indexes and data are written by hand/,
  );
  await writeFile(
    path.join(folder, 'shop.sql'),
    'create or replace function shop() returns int language sql as $$ select nothing from nowhere $$;',
  );
  await assert.rejects(schemaDifference(url, folder), /shop\.sql: function shop: .*nowhere/);
  await assert.rejects(migrationFile('Not Good', new Date(0)), /--migration Not Good: a name of lower case letters/);
  assert.match(await migrationFile('tickets', new Date(0)), /^19700101000000_tickets\.sql$/);
  assert.equal(await migrationFile('functions', new Date(0)), '20261123000100_functions.sql');
});

test('D1 the newest migration says its own number, which a program that needs it waits for', async (t) => {
  const { url } = await emptyDatabase(t);
  await migrate(url, { queue: false });
  const client = await connect(t, url);
  const newest = (await migrationNames()).at(-1) ?? '';
  assert.deepEqual(
    (await client.query('select schema_version() as version')).rows,
    [{ version: newest.split('_')[0] }],
    `${newest} lacks schema_version(): end it with what \`npm run schema -- --migration NAME\` writes`,
  );
});

test('D1 a line of supabase/schemas is at most 120 wide, a text for people aside', async () => {
  const folder = new URL('../../supabase/schemas/', import.meta.url);
  for (const file of await readdir(folder))
    for (const [index, line] of (await readFile(new URL(file, folder), 'utf8')).split('\n').entries())
      assert.ok(line.length <= 120 || /'[^']{60,}'/.test(line), `supabase/schemas/${file}:${index + 1} has ${line.length}`);
});

/** Steps of the way of a message that everybody reads first; what they do is in the functions that they name. */
const TABLES_OF_CONTENTS = { 'turns.sql': 'complete_turn', 'inbox.sql': 'record_message', 'outbox.sql': 'claim_send' };

test('D1 what ends a turn, stores a message and claims a send reads as a table of contents, and rows are named by what they are', async () => {
  for (const [file, name] of Object.entries(TABLES_OF_CONTENTS)) {
    const text = await readFile(new URL(`../../supabase/schemas/${file}`, import.meta.url), 'utf8');
    const body = new RegExp(`^create or replace function ${name}\\b[^]*?\\nbegin\\n([^]*?)\\nend \\$\\$;`, 'm').exec(text)?.[1];
    assert.ok(body !== undefined && body.split('\n').length <= 50, `${name} has ${body?.split('\n').length} lines`);
    assert.deepEqual(text.match(/\b\w (?:conversations|messages|instances|turns|set_aside)\b(?= *[;,)])/g), null, file);
  }
});

test('D1 the contract of each function stands above it', async () => {
  const folder = new URL('../../supabase/schemas/', import.meta.url);
  const bare: string[] = [];
  let seen = 0;
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.sql'))) {
    const lines = (await readFile(new URL(file, folder), 'utf8')).split('\n');
    for (const [index, line] of lines.entries()) {
      const name = /^create (?:or replace )?function (?:public\.)?(\w+)/.exec(line)?.[1];
      if (name === undefined) continue;
      seen++;
      if (!lines[index - 1]?.startsWith('-- ')) bare.push(`${file}: ${name}`);
    }
  }
  assert.ok(seen > 40);
  assert.deepEqual(bare, []);
});

/** A migrated database in which `public` had the default rights of a Supabase project. */
async function supabaseLike(t: TestContext): Promise<{ client: pg.Client }> {
  const { url } = await emptyDatabase(t);
  const client = await connect(t, url);
  // The roles belong to the server and are there as soon as any database was migrated.
  const another = await emptyDatabase(t);
  await migrate(another.url, { queue: false });
  await client.query(`
    grant usage on schema public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
    alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
    alter default privileges in schema public grant all on sequences to anon, authenticated, service_role`);
  await migrate(url, { queue: false });
  return { client };
}

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the database is dropped under it
  await client.connect();
  t.after(() => client.end());
  return client;
}

/** The SQL state with which a statement of this role is refused; null when it is not. Nothing stays of it. */
async function refusal(client: pg.Client, role: string, sql: string): Promise<string | null> {
  await client.query(`begin; set local role ${role}`);
  try {
    await client.query(sql);
    return null;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await client.query('rollback');
  }
}
