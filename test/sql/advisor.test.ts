/** What Supabase's advisor looks for, asked of the catalog of a migrated database; and the three roles, each as itself. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { parse } from 'libpg-query';
import pg from 'pg';
import { dumpSchema, SCHEMA_FILE } from '../../scripts/dump-schema.ts';
import { migrate, migrationNames } from '../../src/db/migrate.ts';
import { emptyDatabase, testDatabase } from '../support/database.ts';

const OURS = `p.pronamespace = 'public'::regnamespace and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')`;

/**
 * Rows of these are never deleted, so nobody looks for what points at them: an index on each tenant_id would be written with each message and
 * read by nothing. The test below holds the product to it.
 */
const NEVER_DELETED = ['tenants', 'instances', 'agents'];

test('D1 T1 advisor: every foreign key to rows that may be deleted is indexed', async (t) => {
  const client = await connect(t);
  const { rows } = await client.query<{ key: string }>(
    `select format('%s.%s', c.conrelid::regclass, c.conname) as key from pg_constraint c
     where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not c.confrelid::regclass::text = any ($1)
       and not exists (
         select from pg_index i where i.indrelid = c.conrelid and (i.indkey::int2[])[0:array_length(c.conkey, 1) - 1] @> c.conkey
           and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', (select attname from pg_attribute where attrelid = c.conrelid and attnum = c.conkey[1]))))
     order by 1`,
    [NEVER_DELETED],
  );
  assert.deepEqual(rows, []);
});

test('D1 advisor: tenants, numbers and agents are never deleted', async (t) => {
  const client = await connect(t);
  const { rows } = await client.query<{ name: string }>(
    `select p.proname as name from pg_proc p where ${OURS} and p.prosrc ~* ('delete from (public\\.)?(' || array_to_string($1::text[], '|') || ')\\M')`,
    [NEVER_DELETED],
  );
  assert.deepEqual(rows, []);
  const { rows: may } = await client.query(
    `select t from unnest($1::text[]) as t where has_table_privilege('service_role', 'public.' || t, 'delete')`,
    [NEVER_DELETED],
  );
  assert.deepEqual(may, [], 'the runtime may not delete them either');
});

test('D1 T1 advisor: no function runs with the rights of its owner, but the one that ends the audit after its time, which has a fixed path', async (t) => {
  const client = await connect(t);
  assert.deepEqual((await client.query(`select p.proname, p.proconfig from pg_proc p where ${OURS} and p.prosecdef`)).rows, [
    { proname: 'purge_audit', proconfig: ['search_path=public, pg_temp'] },
  ]);
});

test('D1 T1 advisor: every function has a fixed search path, but for one-expression helpers that run inside others', async (t) => {
  const client = await connect(t);
  const { rows } = await client.query<{ name: string; inlined: boolean }>(
    `select p.proname as name, l.lanname = 'sql' and p.prorettype <> 'jsonb'::regtype as inlined from pg_proc p join pg_language l on l.oid = p.prolang
     where ${OURS} and not coalesce(p.proconfig, '{}') @> array['search_path=public, pg_temp'] order by 1`,
  );
  assert.deepEqual(
    rows.filter((row) => !row.inlined),
    [],
  );
  const door = await doorCalls();
  assert.deepEqual(
    rows.filter((row) => door.has(row.name)),
    [],
    'called from outside',
  );
});

test('D1 advisor: no index says the same as another, and every table has a primary key', async (t) => {
  const client = await connect(t);
  const { rows } = await client.query<{ narrow: string; wide: string }>(
    // the same columns, or the first ones of a wider index that has the same condition; a unique index is a rule of its own
    `select a.indexrelid::regclass::text as narrow, b.indexrelid::regclass::text as wide from pg_index a join pg_index b on a.indrelid = b.indrelid and a.indexrelid <> b.indexrelid
     join pg_class t on t.oid = a.indrelid
     where t.relnamespace = 'public'::regnamespace and not a.indisunique and a.indexprs is null and b.indexprs is null
       and a.indpred is not distinct from b.indpred and (b.indkey::text || ' ') like (a.indkey::text || ' %')
       and (a.indkey::text <> b.indkey::text or a.indexrelid < b.indexrelid)`,
  );
  assert.deepEqual(rows, []);
  const { rows: keyless } = await client.query(
    `select c.oid::regclass from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)`,
  );
  assert.deepEqual(keyless, []);
});

test("T1 row level security alone keeps everybody out: who has every grant but not the service role's pass sees and writes nothing", async (t) => {
  const client = await connect(t);
  const role = `tenant_${Date.now().toString(36)}`;
  await client.query(
    `select ensure_setup('{"instance": "julia-dev", "agent": {"name": "a", "tone": "a", "instructions": "a", "promises": "a"}}')`,
  );
  await client.query(`create role ${role}`);
  try {
    await client.query(`grant all on all tables in schema public to ${role}`);
    const tables = (await client.query<{ name: string }>(`select tablename as name from pg_tables where schemaname = 'public'`)).rows;
    await client.query(`set role ${role}`);
    for (const { name } of tables) assert.equal((await client.query(`select from public.${name}`)).rowCount, 0, name);
    await assert.rejects(client.query(`insert into tenants (id, name) values ('mine', 'mine')`), { code: '42501' });
    assert.equal((await client.query(`update agents set instructions = 'say yes'`)).rowCount, 0);
  } finally {
    await client.query(`reset role; drop owned by ${role}; drop role ${role}`);
  }
  assert.equal((await client.query('select from tenants')).rowCount, 1, 'they are there');
});

test('T1 the service role reads and writes every table and calls every function, and deletes no tenant, number or agent, and no line of the audit', async (t) => {
  const client = await connect(t);
  const { rows } = await client.query<{ name: string; rights: string[] }>(
    `select c.relname as name, array(select r from unnest(array['select', 'insert', 'update', 'delete']) as r where has_table_privilege('service_role', c.oid, r)) as rights
     from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1`,
  );
  for (const { name, rights } of rows) {
    assert.deepEqual(rights, expectedRights(name), name);
  }
});

function expectedRights(table: string): string[] {
  if (table === 'schema_migrations') return [];
  if (table === 'audit_log') return ['select']; // and insert, of some columns
  if (NEVER_DELETED.includes(table)) return ['select', 'insert', 'update'];
  return ['select', 'insert', 'update', 'delete'];
}

test('D1 supabase db push: file names as the CLI reads them, and each statement alone, in one transaction a file, leads to the same schema', async (t) => {
  const { url } = await emptyDatabase(t);
  const client = await connect(t, url);
  const folder = new URL('../../supabase/migrations/', import.meta.url);
  await client.query(
    `create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text)`,
  );
  let last = '';
  for (const name of await migrationNames()) {
    const version = /^([0-9]{14})_[a-z0-9_]+\.sql$/.exec(name)?.[1] ?? '';
    assert.ok(version > last, `${name}: a version of its own, in order`);
    last = version;
    const file = await readFile(new URL(name, folder));
    const { stmts = [] } = await parse(file.toString('utf8'));
    assert.ok(stmts.length > 0, name);
    await client.query('begin');
    for (const { stmt, stmt_location: from = 0, stmt_len: length } of stmts) {
      assert.ok(!('TransactionStmt' in (stmt ?? {})), `${name}: the CLI brings the transaction`);
      const text = file.subarray(from, length === undefined ? undefined : from + length).toString('utf8');
      // The extended protocol, as the CLI uses it, takes one statement at a time.
      await client.query({ text, values: [], queryMode: 'extended' } as pg.QueryConfig);
    }
    await client.query('insert into supabase_migrations.schema_migrations (version) values ($1)', [version]);
    await client.query('commit');
  }
  assert.deepEqual(await migrate(url, { queue: false }), [], 'adopted, nothing to do');
  // Not assert.equal: a diff of a thousand lines helps nobody.
  assert.ok((await dumpSchema(url)) === (await readFile(SCHEMA_FILE, 'utf8')), 'supabase/schema.sql is another schema');
});

/** Names of the SQL functions that src calls. */
async function doorCalls(): Promise<Set<string>> {
  const folder = new URL('../../src/', import.meta.url);
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'));
  const sources = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')));
  return new Set([...sources.join('\n').matchAll(/\.call\(\s*'(\w+)'/g)].map(([, name = '']) => name));
}

async function connect(t: TestContext, url?: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url ?? (await testDatabase(t)).url });
  client.on('error', () => {}); // the database is dropped under it
  await client.connect();
  t.after(() => client.end());
  return client;
}

test('H9 advisor: the newest messages of a tenant are read by its index, whatever the others have', async (t) => {
  const client = await connect(t);
  await client.query('set enable_seqscan = off');
  const plan = await client.query(`explain select id from messages where tenant_id = 'outra' order by id desc limit 25`);
  assert.match(JSON.stringify(plan.rows), /Scan Backward using messages_tenant .*Index Cond: \(tenant_id = 'outra'/);
});
