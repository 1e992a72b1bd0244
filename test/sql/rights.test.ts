/** Z14, E9: what the product's own user of the database may, and what nobody but the owner may. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { testDatabase } from '../support/database.ts';

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the database is dropped under it
  await client.connect();
  t.after(() => client.end());
  return client;
}

test('Z14 the runtime has no attribute, owns nothing anywhere, and is nobody else', async (t) => {
  const runtime = await connect(t, (await testDatabase(t)).runtimeUrl);
  const { rows } = await runtime.query(
    `select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication from pg_roles where pg_has_role(current_user, oid, 'member') and rolname <> 'pg_database_owner'`,
  );
  assert.ok(rows.length >= 2, 'itself and the group');
  for (const row of rows) assert.deepEqual(new Set(Object.values(row as object)), new Set([false]));
  const { rows: owned } = await runtime.query(
    `select 'relation ' || relname as what from pg_class where pg_has_role(current_user, relowner, 'member')
     union all select 'function ' || proname from pg_proc where pg_has_role(current_user, proowner, 'member')
     union all select 'schema ' || nspname from pg_namespace where pg_has_role(current_user, nspowner, 'member') and nspname !~ '^pg_(temp|toast_temp)_'
     union all select 'database ' || datname from pg_database where datname = current_database() and pg_has_role(current_user, datdba, 'member')`,
  );
  assert.deepEqual(owned, []);
  assert.deepEqual((await runtime.query('select session_rights() as rights')).rows, [
    { rights: { role: 'whats_agents_of_tests', superuser: false, owner: false, audit: false } },
  ]);
});

test('E9 Z14 the audit is append-only for the runtime, by every way that SQL has', async (t) => {
  const { url, runtimeUrl } = await testDatabase(t);
  const runtime = await connect(t, runtimeUrl);
  const owner = await connect(t, url);
  await owner.query(
    `insert into audit_log (actor, action, created_at) values ('cli:ana', 'pause', now() - interval '40 days'), ('cli:ana', 'resume', now())`,
  );
  await runtime.query(`insert into audit_log (actor, action) values ('api:bia', 'pause')`);
  const all = async () => (await owner.query('select id, actor, action, created_at from audit_log order by id')).rows;
  assert.equal((await runtime.query('select from audit_log')).rowCount, 3, 'it may read it');
  const untouched = await all();
  for (const sql of [
    `update audit_log set actor = 'nobody'`,
    'delete from audit_log',
    'truncate audit_log',
    'truncate audit_log cascade',
    `insert into audit_log (id, actor, action) overriding system value values (1, 'x', 'y') on conflict (id) do update set actor = 'nobody'`,
    `insert into audit_log (id, actor, action) overriding system value values (9000000000000000000, 'x', 'y')`,
    `insert into audit_log (id, actor, action) overriding user value values (5, 'x', 'y')`,
    `insert into audit_log overriding system value select * from audit_log`,
    `merge into audit_log a using (select 1) s on true when matched then delete`,
    `select id from audit_log for update`,
    `with gone as (delete from audit_log returning id) select * from gone`,
    'lock table audit_log in access exclusive mode',
    'alter table audit_log disable row level security',
    'alter table audit_log add column x int',
    'alter table audit_log rename to old',
    'alter table audit_log owner to current_user',
    'drop table audit_log',
    'drop policy runtime on audit_log',
    `create policy mine on audit_log using (true)`,
    `create trigger mine before insert on audit_log execute function pg_catalog.suppress_redundant_updates_trigger()`,
    `create rule mine as on insert to audit_log do instead nothing`,
    `comment on table audit_log is 'mine'`,
    `create or replace function purge_audit(p_before timestamptz, p_limit int) returns int language sql as 'select 1'`,
    `alter function purge_audit set search_path = pg_temp`,
    `set session_replication_role = replica`,
    'set role service_role',
    `set session authorization postgres`,
    `copy (select 1) to program 'true'`,
    `select pg_read_file('/etc/passwd')`,
    `create table public.mine (id int)`,
    `create function public.mine() returns int language sql as 'select 1'`,
    'create schema mine',
    'create extension pg_trgm',
    'select from schema_migrations',
    'select from pg_authid',
  ])
    await assert.rejects(runtime.query(sql), /permission denied|must be (?:owner|superuser)|only|cannot|not allowed/, sql);
  assert.deepEqual(await all(), untouched);
  // Nor is anything added to the past, or where no purge would come by.
  for (const at of ["now() - interval '29 days'", "'infinity'", "'-infinity'"])
    await runtime.query(`insert into audit_log (actor, action, created_at) values ('api:bia', 'forged', ${at})`);
  const { rows: dated } = await owner.query(
    `select actor, age(now(), created_at) < interval '1 hour' and created_at <= clock_timestamp() as now from audit_log where action = 'forged'`,
  );
  assert.deepEqual(
    dated,
    Array.from({ length: 3 }, () => ({ actor: 'api:bia', now: true })),
  );
  const before = await all();
  // A table of its own that stands in the way, for a function that runs as the owner.
  await runtime.query(`create temp table audit_log (id bigint, created_at timestamptz)`);
  assert.equal(
    (await runtime.query<{ n: number }>(`select public.purge_audit(now() + interval '1 year', 1000) as n`)).rows[0]?.n,
    1,
    'what is older than 30 days',
  );
  assert.deepEqual(await all(), before.slice(1));
});

test('Z14 the runtime may what the service role may, row by row and function by function', async (t) => {
  const { url } = await testDatabase(t);
  const client = await connect(t, url);
  const { rows } = await client.query(
    `select c.relname, p.privilege from pg_class c cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as p (privilege)
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'S')
       and has_table_privilege('whats_agents_runtime', c.oid, p.privilege) <> has_table_privilege('service_role', c.oid, p.privilege)`,
  );
  assert.deepEqual(rows, []);
  const { rows: functions } = await client.query(
    `select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace and not has_function_privilege('whats_agents_runtime', p.oid, 'execute')`,
  );
  assert.deepEqual(functions, []);
  const { rows: blind } = await client.query(
    `select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and has_table_privilege('whats_agents_runtime', c.oid, 'select')
       and not exists (select from pg_policy p where p.polrelid = c.oid and 'whats_agents_runtime'::regrole = any (p.polroles) and p.polcmd = '*')`,
  );
  assert.deepEqual(blind, [], 'a table without a policy is an empty one to it');
});
