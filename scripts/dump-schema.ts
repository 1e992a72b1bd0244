/**
 * Writes supabase/schema.sql: the schema that supabase/migrations lead to, made from the catalog of a freshly migrated database, so that a
 * migration's effect is read as a diff. It is valid SQL, and the same on every machine. (Rejected: pg_dump, which the embedded Postgres does not bring.)
 *
 *   npm run schema                        writes the file; a test compares it
 *   npm run schema -- --migration NAME    first writes the migration that makes what supabase/schemas says (schema-migration.ts)
 */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';

import { migrate, migrationNames } from '../src/db/migrate.ts';
import { sharedTestPostgres } from './lib/test-postgres.ts';
import { projectRoot } from './lib/tools.ts';
import { migrationFile, migrationOf, OF_EXTENSION, schemaDifference } from './schema-migration.ts';

export const SCHEMA_FILE = path.join(projectRoot, 'supabase/schema.sql');
const MIGRATIONS = pathToFileURL(path.join(projectRoot, 'supabase/migrations/'));

const HELP = `Usage: npm run schema [-- --migration NAME]

Writes supabase/schema.sql: what the migrations lead to, to be read as a diff.

  --migration NAME   first writes supabase/migrations/TIME_NAME.sql with the functions and triggers of supabase/schemas that
                     the other migrations do not make. The same NAME again replaces the file, until a release has it.
                     Tables, indexes and data are migrations written by hand.
`;

/** The schema `public` of a database as SQL, without what belongs to extensions. Throws when it holds kinds of things that this file cannot write. */
export async function dumpSchema(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // Names are written in full whatever the server's settings are.
    await client.query('set search_path = pg_catalog');
    await refuseUnknownKinds(client);
    const parts = [
      '-- Made by `npm run schema` from supabase/migrations. Do not edit: edit supabase/schemas or write a migration.',
      'set check_function_bodies = off;',
      ...(await tables(client)),
      ...(await foreignKeys(client)),
      ...(await compositeTypes(client)),
      ...(await functions(client)),
      ...(await triggers(client)),
    ];
    return `${parts.join('\n\n')}\n`;
  } finally {
    await client.end();
  }
}

const relations = (kind: 'r' | 'c'): string =>
  `from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = '${kind}' and not ${OF_EXTENSION('c.oid')}`;

async function refuseUnknownKinds(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ what: string }>(`
    select 'relation ' || relname as what from pg_class c where relnamespace = 'public'::regnamespace and not ${OF_EXTENSION('c.oid')}
      and not (relkind in ('r', 'i', 'c') or (relkind = 'S' and exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i')))
    union all select 'type ' || typname from pg_type t where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r') and not ${OF_EXTENSION('t.oid')}
    union all select 'routine ' || proname from pg_proc p where pronamespace = 'public'::regnamespace and prokind <> 'f' and not ${OF_EXTENSION('p.oid')}
    union all select 'rule ' || rulename from pg_rules where schemaname = 'public'`);
  if (rows.length > 0) throw new Error(`scripts/dump-schema.ts cannot write yet: ${rows.map((row) => row.what).join(', ')}`);
}

async function tables(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ oid: number; name: string; rls: boolean; storage: string | null }>(
    `select c.oid, c.relname as name, c.relrowsecurity as rls, array_to_string(c.reloptions, ', ') as storage ${relations('r')} order by c.relname`,
  );
  const written: string[] = [];
  for (const { oid, name, rls, storage } of rows) {
    const inside = [...(await columns(client, oid)), ...(await constraints(client, oid))];
    const lines = [
      `create table public.${name} (\n${inside.map((line) => `  ${line}`).join(',\n')}\n)${storage === null ? '' : ` with (${storage})`};`,
    ];
    if (rls) lines.push(`alter table public.${name} enable row level security;`);
    written.push(
      [...lines, ...(await indexes(client, oid)), ...(await policies(client, oid)), ...(await tableGrants(client, oid, name))].join('\n'),
    );
  }
  return written;
}

async function compositeTypes(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ oid: number; name: string }>(
    `select c.oid, c.relname as name ${relations('c')} order by c.relname`,
  );
  const written: string[] = [];
  for (const { oid, name } of rows) {
    const fields = (await columns(client, oid)).map((line) => `  ${line}`);
    written.push(`create type public.${name} as (\n${fields.join(',\n')}\n);`);
  }
  return written;
}

async function columns(client: pg.Client, table: number): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select concat_ws(' ', quote_ident(attname), format_type(atttypid, atttypmod),
       case attidentity when 'a' then 'generated always as identity' when 'd' then 'generated by default as identity' end,
       case when attgenerated = 's' then format('generated always as (%s) stored', pg_get_expr(adbin, adrelid)) else 'default ' || pg_get_expr(adbin, adrelid) end,
       case when attnotnull then 'not null' end) as line
     from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where attrelid = $1 and attnum > 0 and not attisdropped order by attnum`,
    [table],
  );
  return rows.map((row) => row.line);
}

/** Not null stands beside the column (Postgres 18 counts it as a constraint, older ones do not); foreign keys come when all tables are there. */
async function constraints(client: pg.Client, table: number): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select format('constraint %I %s', conname, pg_get_constraintdef(oid)) as line from pg_constraint
     where conrelid = $1 and contype in ('p', 'u', 'c', 'x') order by array_position(array['p', 'u', 'c', 'x'], contype::text), conname`,
    [table],
  );
  return rows.map((row) => row.line);
}

async function indexes(client: pg.Client, table: number): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select pg_get_indexdef(indexrelid) || ';' as line from pg_index
     where indrelid = $1 and not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x')) order by 1`,
    [table],
  );
  return rows.map((row) => row.line);
}

async function policies(client: pg.Client, table: number): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select format('create policy %I on %s as %s for %s to %s', polname, polrelid::regclass, case when polpermissive then 'permissive' else 'restrictive' end,
       case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
       (select string_agg(case when r = 0 then 'public' else r::regrole::text end, ', ' order by r::regrole::text) from unnest(polroles) r))
       || coalesce(' using (' || pg_get_expr(polqual, polrelid) || ')', '') || coalesce(' with check (' || pg_get_expr(polwithcheck, polrelid) || ')', '') || ';' as line
     from pg_policy where polrelid = $1 order by polname`,
    [table],
  );
  return rows.map((row) => row.line);
}

/** What anybody but the owner may do. */
async function tableGrants(client: pg.Client, table: number, name: string): Promise<string[]> {
  const { rows } = await client.query<{ grantee: string; rights: string }>(
    `select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee, string_agg(lower(a.privilege_type), ', ' order by a.privilege_type) as rights
     from pg_class c, aclexplode(c.relacl) a where c.oid = $1 and a.grantee <> c.relowner group by 1
     union all
     select grantee, string_agg(privilege || ' (' || columns || ')', ', ' order by privilege) from (
       select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee, lower(a.privilege_type) as privilege, string_agg(quote_ident(t.attname), ', ' order by t.attnum) as columns
       from pg_attribute t, aclexplode(t.attacl) a where t.attrelid = $1 group by 1, 2) c group by 1
     order by 1, 2`,
    [table],
  );
  return rows.map((row) => `grant ${row.rights} on public.${name} to ${row.grantee};`);
}

async function foreignKeys(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select format('alter table %s add constraint %I %s;', conrelid::regclass, conname, pg_get_constraintdef(oid)) as line from pg_constraint
     where contype = 'f' and connamespace = 'public'::regnamespace order by conrelid::regclass::text, conname`,
  );
  return rows.length === 0 ? [] : [rows.map((row) => row.line).join('\n')];
}

async function functions(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ definition: string; signature: string; grantees: string[]; closed: boolean }>(
    `select pg_get_functiondef(p.oid) as definition, p.oid::regprocedure::text as signature,
       p.proacl is not null and not exists (select from aclexplode(p.proacl) a where a.grantee = 0) as closed,
       array(select a.grantee::regrole::text from aclexplode(p.proacl) a where a.grantee not in (0, p.proowner) order by 1) as grantees
     from pg_proc p where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and not ${OF_EXTENSION('p.oid')} order by p.oid::regprocedure::text`,
  );
  return rows.map(({ definition, signature, grantees, closed }) =>
    [
      `${definition.trimEnd()};`,
      ...(closed ? [`revoke all on function ${signature} from public;`] : []),
      ...grantees.map((grantee) => `grant execute on function ${signature} to ${grantee};`),
    ].join('\n'),
  );
}

async function triggers(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select pg_get_triggerdef(t.oid) || ';' as line from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = 'public'::regnamespace and not t.tgisinternal order by 1`,
  );
  return rows.length === 0 ? [] : [rows.map((row) => row.line).join('\n')];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { migration: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help === true) {
    console.log(HELP);
    return;
  }
  const server = await sharedTestPostgres();
  if (values.migration !== undefined) await makeMigration(server, values.migration);
  await withDatabase(server, MIGRATIONS, async (url) => writeFile(SCHEMA_FILE, await dumpSchema(url)));
}

/** Writes what supabase/schemas has and the other migrations do not make. */
async function makeMigration(server: string, name: string): Promise<void> {
  const file = await migrationFile(name, new Date());
  await using others = await copyOfMigrations(file);
  const difference = await withDatabase(server, others.folder, schemaDifference);
  for (const line of difference.rights) console.log(`rights: ${line}`);
  const text = migrationOf(file, difference);
  if (text === null) {
    console.log('supabase/schemas has nothing that the migrations do not make; nothing was written');
    return;
  }
  await writeFile(new URL(file, MIGRATIONS), text);
  console.log(`supabase/migrations/${file}: ${difference.changed.length} written, ${difference.dropped.length} dropped`);
}

async function copyOfMigrations(without: string): Promise<{ folder: URL } & AsyncDisposable> {
  const folder = await mkdtemp(path.join(tmpdir(), 'migrations-'));
  for (const file of await migrationNames()) if (file !== without) await copyFile(new URL(file, MIGRATIONS), path.join(folder, file));
  return { folder: pathToFileURL(`${folder}/`), [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** A fresh database with the migrations of a folder, for as long as `use` needs it. */
async function withDatabase<T>(server: string, folder: URL, use: (url: string) => Promise<T>): Promise<T> {
  const name = `test_schema_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  await admin.query(`create database ${name} template template0`);
  try {
    const url = new URL(server);
    url.pathname = `/${name}`;
    await migrate(url.href, { queue: false, folder });
    return await use(url.href);
  } finally {
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  }
}

if (import.meta.main) await main();
