/**
 * What supabase/schemas says and the migrations do not yet: the migration that makes it so, and whether there is a difference at all.
 *
 * A file of supabase/schemas holds the current text of the functions and triggers of one room, and their grants at its end. It is edited in place. What runs on
 * a database are the migrations, so `npm run schema -- --migration NAME` writes what changed into one.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'libpg-query';
import pg from 'pg';

import { migrationNames } from '../src/db/migrate.ts';
import { projectRoot } from './lib/tools.ts';

const SCHEMAS = path.join(projectRoot, 'supabase/schemas');
/** Each migration replaces it with its own number, so it stands in no schema. */
const VERSION = 'schema_version';
/** Who may call functions; nobody else may. */
const CALLERS = 'service_role, whats_agents_runtime';
/** Names of the schemas in the order in which a migration has them. */
const ORDER = ['db', 'people', 'inbox', 'turns', 'outbox', 'numbers'];

/** What an extension brought is nobody's here. */
export const OF_EXTENSION = (oid: string) => `exists (select from pg_depend d where d.objid = ${oid} and d.deptype = 'e')`;
const OUR_FUNCTIONS = `from pg_proc p where p.pronamespace = 'public'::regnamespace and not ${OF_EXTENSION('p.oid')}`;

type Chunk = {
  /** `function NAME` or `trigger NAME on TABLE`. */
  key: string;
  /** With the comment above it. */
  text: string;
};

export type Difference = {
  /** What is new or another, in the order of the files; `signatures` of a function as the database writes them. */
  changed: (Chunk & { signatures: string[] })[];
  /** Functions of the database that no schema has, with their argument types. */
  dropped: string[];
  /** Functions whose rights are others than the schema says: `NAME(types): is -> should be`. */
  rights: string[];
};

type Schema = { file: string; chunks: Chunk[]; grants: string[] };

/** Statements of a schema that make a function or a trigger, and its grants. Throws when it holds anything else. */
async function readSchema(folder: string, file: string): Promise<Schema> {
  const sql = Buffer.from(await readFile(path.join(folder, file), 'utf8'));
  const { stmts = [] } = await parse(sql.toString());
  const chunks: Chunk[] = [];
  const grants: string[] = [];
  let start = 0;
  for (const { stmt, stmt_location: from = 0, stmt_len: length } of stmts) {
    const end = length === undefined ? sql.length : from + length;
    // The parser leaves out what stands above a statement. What follows a semicolon on its line belongs to the statement before.
    const between = sql.subarray(start, from).toString();
    const above = start === 0 ? between : between.replace(/^;?[^\n]*\n/, '');
    start = end;
    const text = `${above}${sql.subarray(from, end).toString()}`.trim().replace(/;?$/, ';');
    const [kind = '', node] = Object.entries((stmt ?? {}) as Record<string, Record<string, unknown>>)[0] ?? [];
    if ((kind === 'CreateFunctionStmt' || kind === 'CreateTrigStmt') && !/^create or replace /m.test(text))
      throw new Error(`supabase/schemas/${file}: "create or replace", so that it may run again: ${text.slice(0, 60)}`);
    if (kind === 'CreateFunctionStmt') chunks.push({ key: `function ${nameOf(node?.['funcname'])}`, text: withoutHead(text) });
    else if (kind === 'CreateTrigStmt')
      chunks.push({
        key: `trigger ${String(node?.['trigname'])} on ${String((node?.['relation'] as { relname?: string })?.relname)}`,
        text: withoutHead(text),
      });
    else if (kind === 'GrantStmt') grants.push(text);
    else
      throw new Error(
        `supabase/schemas/${file}: ${kind} does not belong here: tables, indexes and data are written by hand in a migration`,
      );
  }
  return { file, chunks, grants };
}

/** Without what stands above an empty line: the head of the file, not the comment of the function. */
function withoutHead(text: string): string {
  const create = text.search(/^create /m);
  const head = text.slice(0, create);
  const gap = head.lastIndexOf('\n\n');
  return gap === -1 ? text : text.slice(gap + 2);
}

function nameOf(parts: unknown): string {
  const last = (parts as { String?: { sval?: string } }[] | undefined)?.at(-1);
  return last?.String?.sval ?? '';
}

async function schemaFiles(folder: string): Promise<string[]> {
  const rank = (file: string): number => (ORDER.includes(file.slice(0, -4)) ? ORDER.indexOf(file.slice(0, -4)) : ORDER.length);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql'));
  return files.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

type Catalog = Map<string, { definition: string; rights: string; name: string }>;

async function catalog(client: pg.Client): Promise<Catalog> {
  const { rows } = await client.query<{ key: string; name: string; definition: string; rights: string }>(`
    select p.oid::regprocedure::text as key, 'function ' || p.proname as name, pg_get_functiondef(p.oid) as definition,
      coalesce((select string_agg(case when a.grantee = 0 then 'public' else a.grantee::regrole::text end, ', ' order by 1) from aclexplode(p.proacl) a
        where a.grantee <> p.proowner), 'public') as rights
    ${OUR_FUNCTIONS} and p.proname <> '${VERSION}'
    union all select format('trigger %s on %s', tgname, tgrelid::regclass), format('trigger %s on %s', tgname, tgrelid::regclass), pg_get_triggerdef(t.oid), ''
    from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = 'public'::regnamespace and not tgisinternal`);
  return new Map(rows.map(({ key, ...row }) => [key, row]));
}

/**
 * Compares a migrated database with supabase/schemas. Everything happens in a transaction that is rolled back; needs the owner of the database, and nobody
 * else in it. Rejects when a function of a schema is not valid SQL for this database.
 */
export async function schemaDifference(url: string, folder = SCHEMAS): Promise<Difference> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('begin');
    const before = await catalog(client);
    await client.query(`do $$ declare f record; begin
      for f in select p.oid::regprocedure as id ${OUR_FUNCTIONS} loop
        execute format('drop function if exists %s cascade', f.id);
      end loop; end $$`);
    const schemas = await Promise.all((await schemaFiles(folder)).map((file) => readSchema(folder, file)));
    // Twice: functions name each other, so their bodies are looked at when all are there.
    for (const check of ['off', 'on']) {
      await client.query(`set local check_function_bodies = ${check}`);
      for (const { file, chunks, grants } of schemas) {
        for (const { key, text } of chunks) await run(client, `supabase/schemas/${file}: ${key}`, text);
        if (check === 'on') for (const grant of grants) await run(client, `supabase/schemas/${file}: grants`, grant);
      }
    }
    const after = await catalog(client);
    const other = new Set(
      [...after].filter(([key, { definition }]) => before.get(key)?.definition !== definition).map(([, { name }]) => name),
    );
    const signaturesOf = (key: string): string[] =>
      key.startsWith('function ') ? [...after].filter(([, { name }]) => name === key).map(([signature]) => signature) : [];
    return {
      changed: schemas
        .flatMap(({ chunks }) => chunks)
        .filter(({ key }) => other.has(key))
        .map((chunk) => ({ ...chunk, signatures: signaturesOf(chunk.key) })),
      dropped: [...before.keys()].filter((key) => !after.has(key)).toSorted(),
      rights: [...after]
        .filter(([key, { rights }]) => before.has(key) && before.get(key)?.rights !== rights)
        .map(([key, { rights }]) => `${key}: ${before.get(key)?.rights} -> ${rights}`),
    };
  } finally {
    await client.query('rollback').catch(() => {});
    await client.end();
  }
}

async function run(client: pg.Client, what: string, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/**
 * The file that `npm run schema -- --migration NAME` writes: a new one, or the one of that name again while no release has it.
 * Throws when a release has it, or when the name is none.
 */
export async function migrationFile(name: string, now: Date): Promise<string> {
  if (!/^[a-z][a-z0-9_]*$/.test(name))
    throw new Error(`--migration ${name}: a name of lower case letters, digits and _, as in --migration tickets`);
  const existing = (await migrationNames()).find((file) => file.endsWith(`_${name}.sql`));
  if (existing === undefined) return `${now.toISOString().replaceAll(/\D/g, '').slice(0, 14)}_${name}.sql`;
  const release = await releaseWith(existing);
  if (release !== null) throw new Error(`--migration ${name}: ${release} has ${existing}, which never changes again: choose another name`);
  return existing;
}

async function releaseWith(file: string): Promise<string | null> {
  const git = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('git', args, { cwd: projectRoot }).catch(() => ({ stdout: '' }))).stdout.trim();
  const tag = (await git('tag', '--list', 'v*', '--sort=-version:refname')).split('\n')[0] ?? '';
  return tag !== '' && (await git('ls-tree', '--name-only', tag, `supabase/migrations/${file}`)) !== '' ? tag : null;
}

/** The text of the migration `file` that makes a difference; null: there is none. */
export function migrationOf(file: string, { changed, dropped }: Difference): string | null {
  if (changed.length + dropped.length === 0) return null;
  const version = file.split('_')[0] ?? '';
  const parts = [
    `-- Made by \`npm run schema -- --migration ${file.slice(version.length + 1, -4)}\` from supabase/schemas. Do not edit: edit there, and run it again.`,
    'set check_function_bodies = off; -- functions name each other',
    ...dropped.map((signature) => `drop function if exists ${signature};`),
    ...changed.map(({ text }) => text),
    `-- ${VERSION}: the newest migration that this database has. A program that needs a newer one is not ready.\ncreate or replace function ${VERSION}() returns jsonb language sql immutable set search_path = public, pg_temp as $$ select to_jsonb('${version}'::text) $$;`,
    rights([...changed.flatMap(({ signatures }) => signatures), `${VERSION}()`]),
    'reset check_function_bodies;',
  ];
  return `${parts.join('\n\n')}\n`;
}

/** Supabase grants every new function to the roles of its public API. */
function rights(signatures: string[]): string {
  const list = signatures.map((each) => `  ${each}`).join(',\n');
  return `revoke all on function\n${list}\n  from public, anon, authenticated;\ngrant execute on function\n${list}\n  to ${CALLERS};`;
}
