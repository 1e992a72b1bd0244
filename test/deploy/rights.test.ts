/** The users that docker/postgres-roles.sql makes in the Postgres of the compose file, in a real Postgres: who may what, and that all of it works with them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { startPostgres } from '../../scripts/lib/embedded-postgres.ts';
import { ensureSystemPostgres } from '../../scripts/lib/system-postgres.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { migrate } from '../../src/db/migrate.ts';
import { readCompose } from '../support/compose.ts';

/** With what would break out of a quote. */
const PASSWORDS = { POSTGRES_OWNER_PASSWORD: `owner's "secret" \\ $1`, POSTGRES_RUNTIME_PASSWORD: `run'time` };

type Addresses = { superuser: string; owner: string; runtime: string };

async function emptyServer(t: TestContext) {
  const binaries = await ensureSystemPostgres();
  const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-roles-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const server = await startPostgres({ dataDir, binaries, durable: false });
  t.after(() => server.stop());
  return { binaries, server };
}

async function database(t: TestContext): Promise<Addresses> {
  const { binaries, server } = await emptyServer(t);
  const mounted = readCompose().services['postgres']?.volumes?.find((each) => each.includes('/docker-entrypoint-initdb.d/'));
  const script = path.join(projectRoot, mounted?.split(':')[0] ?? 'none');
  // as the entry point of the image runs it
  const psql = spawn(path.join(binaries, 'bin/psql'), ['-v', 'ON_ERROR_STOP=1', '--no-psqlrc', '-f', script, server.url], {
    env: { ...process.env, ...PASSWORDS },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  psql.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(psql, 'close')) as [number];
  assert.equal(code, 0, said);
  return {
    superuser: server.urlOf('whats_agents'),
    owner: as(server.urlOf('whats_agents'), 'whats_agents_owner', PASSWORDS.POSTGRES_OWNER_PASSWORD),
    runtime: as(server.urlOf('whats_agents'), 'whats_agents', PASSWORDS.POSTGRES_RUNTIME_PASSWORD),
  };
}

function as(address: string, user: string, password: string): string {
  const url = new URL(address);
  url.username = user;
  url.password = encodeURIComponent(password);
  return url.href;
}

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // the server stops under it
  await client.connect();
  t.after(() => client.end());
  return client;
}

test('Z14 the Postgres of compose: migrations run as the owner, the product owns nothing and works, and neither is a superuser', async (t) => {
  const { owner, runtime } = await database(t);
  await migrate(owner);
  const [own, product] = [await connect(t, owner), await connect(t, runtime)];
  const attributes = `select rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication from pg_roles where rolname like 'whats_agents%' order by 1`;
  const none = { rolsuper: false, rolcreaterole: false, rolbypassrls: false, rolreplication: false };
  assert.deepEqual((await own.query(attributes)).rows, [
    { rolname: 'whats_agents', ...none, rolcreatedb: false },
    { rolname: 'whats_agents_owner', ...none, rolcreatedb: true },
    { rolname: 'whats_agents_runtime', ...none, rolcreatedb: false },
  ]);
  assert.deepEqual((await product.query('select session_rights() as rights')).rows, [
    { rights: { role: 'whats_agents', superuser: false, owner: false, audit: false } },
  ]);
  // It works: set up, a message is taken, one is queued.
  await product.query(
    `select ensure_setup('{"instance": "julia-prod", "project_ref": null, "agent": {"name": "Julia", "tone": "x", "instructions": "x", "promises": "x", "tools": []}}')`,
  );
  const queued = `select enqueue_message('{"tenant": "default", "instance": "julia-prod", "phone": "5511912345678", "text": "Oi", "kind": "manual"}') as sent`;
  assert.equal(((await product.query(queued)).rows[0] as { sent: { status: string } }).sent.status, 'queued');

  await attack(product);
  const elsewhere = new URL(runtime);
  elsewhere.pathname = '/postgres';
  await assert.rejects(connect(t, elsewhere.href), /permission denied for database/);
});

test('Z14 a Postgres of your own, by the commands of docs/security.md: the runtime makes nothing there, and what every user of Postgres may is what the document says', async (t) => {
  const { server } = await emptyServer(t);
  const superuser = await connect(t, server.url);
  const commands = await commandsOf('docs/security.md');
  assert.deepEqual(await commandsOf('docs/security.pt-BR.md'), commands);
  for (const command of commands) await superuser.query(command.replaceAll("'...'", "'a-password'"));
  const url = server.urlOf('whats_agents');
  await migrate(as(url, 'whats_agents_owner', 'a-password'));
  const runtime = as(url, 'whats_agents', 'a-password');
  const product = await connect(t, runtime);
  await attack(product);
  await assert.rejects(connect(t, as(server.urlOf('postgres'), 'whats_agents', 'a-password')), /permission denied for database/);

  await product.query(`alter role current_user set work_mem = '99MB'`);
  await product.query(`alter role current_user password 'another'`);
  await product.query('select lo_create(0)');
  const above = await connect(t, url);
  const [made] = (await above.query('select count(*)::int as n from pg_largeobject_metadata')).rows as { n: number }[];
  assert.equal(made?.n, 1);
  const text = await readFile(path.join(projectRoot, 'docs/security.md'), 'utf8');
  for (const undo of [/alter role whats_agents reset all/, /select lo_unlink\(oid\)[^`]*/])
    await above.query(undo.exec(text)?.[0] ?? 'none');
  assert.deepEqual((await above.query(`select from pg_db_role_setting union all select from pg_largeobject_metadata`)).rowCount, 0);
});

/** Those that a document has in blocks, one a statement. */
async function commandsOf(document: string): Promise<string[]> {
  const text = await readFile(path.join(projectRoot, document), 'utf8');
  return [...text.matchAll(/```text\n(create role [^`]*)```/g)].flatMap(([, block]) => block?.match(/[^;]+;/g) ?? []);
}

async function attack(product: pg.Client): Promise<void> {
  for (const sql of [
    'create table mine (id int)',
    'create temp table mine (id int)',
    'create schema mine',
    'create function mine() returns int language sql as $$ select 1 $$',
    'create role mine',
    'create database mine',
    'alter role whats_agents superuser',
    'set role whats_agents_owner',
    'set role service_role',
    `copy messages to program 'id'`,
    `select pg_read_file('/etc/passwd')`,
    'select rolpassword from pg_authid',
    'drop table messages',
    'alter table messages disable row level security',
    'update schema_migrations set name = name',
    'delete from audit_log',
  ])
    await assert.rejects(product.query(sql), /permission denied|must be|only roles with|cannot/i, sql);
}
