/** Restores a backup into a database and makes it safe to start on: nothing that may have left since is sent again by itself. */
import path from 'node:path';
import type pg from 'pg';
import { applyErasures, erasures } from '../people/care-calls.ts';
import { mustHaveSessions } from '../db/pooler.ts';
import { BACKUP_NEEDS_SESSION } from '../db/pooler-words.ts';
import { markRestored } from './calls.ts';
import type { Erasures } from '../people/care-calls.ts';
import type { Restored } from './calls.ts';
import { openPostgres } from '../db/door.ts';
import type { Door } from '../db/door.ts';
import { migrate } from '../db/migrate.ts';
import { toError } from '../process/errors.ts';
import { compare, fingerprintsOf } from './dump.ts';
import type { BackupSettings, Say } from './dump.ts';
import { readErasures } from './erasures.ts';
import { listBackups, openArchive, readManifest } from './files.ts';
import type { Manifest } from './files.ts';
import { loadArchive } from './load.ts';
import { findTools, withClient } from './postgres-tools.ts';

export type RestoreOptions = {
  /** Path of a backup's file or manifest; null: the newest in the directory. */
  file: string | null;
  /** Tables that are there are moved aside, into a schema of their own; otherwise they are an error. */
  replace: boolean;
  /** The queue lives in this database too. */
  queue: boolean;
  actor: string;
  say: Say;
};

/** Throws in words; what was in the database before is there as it was then. */
export async function restoreBackup(
  url: string,
  settings: BackupSettings,
  options: RestoreOptions,
): Promise<Restored & Erased & { backup: Manifest; aside: string | null }> {
  const { say } = options;
  await mustHaveSessions(url, BACKUP_NEEDS_SESSION);
  const { dir, backup } = await find(settings.dir, options.file, settings.encryptionKey, say);
  say(
    `${backup.file} of ${backup.backup_at.toISOString()}, ${backup.verified ? 'was restored and compared when it was made' : 'was never compared'}`,
  );
  await using archive = await openArchive(path.join(dir, backup.file), backup);
  const { tools, aside } = await withClient(url, async (client) => {
    await refusePower(client);
    return { tools: await findTools(client, settings.toolsDir), aside: await makeRoom(client, options.replace) };
  });
  if (aside !== null) say(`what was there is in the schema ${aside} now`);
  try {
    const seen = new Set<string>();
    await loadArchive(url, {
      archive,
      sealed: backup.sealed,
      key: settings.encryptionKey,
      restore: tools.restore,
      progress: (line) => {
        const table = /processing data for table "public\.(\w+)"/.exec(line)?.[1];
        if (table === undefined || seen.has(table)) return;
        seen.add(table);
        say(`reading ${table}`);
      },
    });
    compare(backup.tables, await fingerprintsOf(url, (table) => say(`comparing ${table}`)));
  } catch (error) {
    if (aside !== null)
      await withClient(url, (client) => client.query(`drop schema public cascade; alter schema ${aside} rename to public`));
    throw error;
  }
  for (const name of await migrate(url, { queue: options.queue })) say(`migrated: ${name}`);
  const door = openPostgres(url);
  try {
    const restored = await markRestored(door, backup.backup_at, options.actor);
    return {
      ...restored,
      ...(await eraseAgain(url, door, { dir, key: settings.encryptionKey, aside, actor: options.actor, say })),
      backup,
      aside,
    };
  } finally {
    await door.close();
  }
}

/** Contacts that were erased after the backup was made and are in it no more; who was erased after `erasuresUntil` is not known (null: nobody is known). */
type Erased = { erased: number; erasuresUntil: Date | null };

/** A backup has whom it had: who was erased since is known from the list beside the backups, and from the tables that were moved aside. */
async function eraseAgain(
  url: string,
  door: Door,
  { dir, key, aside, actor, say }: { dir: string; key: string | null; aside: string | null; actor: string; say: Say },
): Promise<Erased> {
  const listed = await readErasures(dir, key).catch((error: unknown) => {
    say(toError(error).message);
    return null;
  });
  const there = aside === null ? null : await withClient(url, (client) => readAside(client, aside));
  const erased = await applyErasures(door, [...(listed?.all ?? []), ...(there ?? [])], actor);
  return { erased, erasuresUntil: there === null ? (listed?.madeAt ?? null) : new Date() };
}

/** Null: those tables know of no erasures. */
async function readAside(client: pg.Client, aside: string): Promise<Erasures | null> {
  const { rows: there } = await client.query('select from pg_class where oid = to_regclass($1)', [`${aside}.erasures`]);
  if (there.length === 0) return null;
  const { rows } = await client.query<{ all: unknown }>(
    `select coalesce(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'kind', kind, 'hash', hash, 'erased_at', erased_at, 'own_until', own_until)), '[]') as all from ${aside}.erasures`,
  );
  return erasures.parse(rows[0]?.all);
}

async function find(dir: string, file: string | null, key: string | null, say: Say): Promise<{ dir: string; backup: Manifest }> {
  if (file !== null) {
    const manifest = file.replace(/\.dump(\.\w+)?$|\.json$/, '.json');
    return { dir: path.dirname(manifest), backup: await readManifest(manifest, key) };
  }
  const { backups, refused } = await listBackups(dir, key);
  for (const why of refused) say(`left out: ${why}`);
  const [newest] = backups;
  if (newest === undefined) throw new Error(`there is no complete backup in ${dir}`);
  return { dir, backup: newest };
}

/**
 * An archive is SQL that is carried out: who made it, or could change it, does with it what the restoring role may. A superuser may run programs on the
 * server's machine, and what an archive defines then runs as a superuser for as long as the product does.
 */
async function refusePower(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ role: string; power: string | null }>(
    `select rolname as role, case when rolsuper then 'a superuser'
       when exists (select from unnest(array['pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files']) as p where pg_has_role(oid, p, 'member')) then 'a role that may reach files and programs of the server'
       when rolcreaterole and current_setting('server_version_num')::int < 160000 then 'a role that may make roles, and with that itself as good as a superuser,' end as power
     from pg_roles where rolname = current_user`,
  );
  const [row] = rows;
  if (row === undefined || row.power === null) return;
  throw new Error(
    `the database is restored as the owner of the product's tables, and ${row.role} is ${row.power} there: refused. As that role: ` +
      `create role whats_agents_owner login createdb password '...'; alter database ... owner to whats_agents_owner; and set MIGRATE_DATABASE_URL to its address (docs/security.md, restore)`,
  );
}

/** Refuses a database that is in use or has tables; with `replace` moves them aside in a moment, and says where to. */
async function makeRoom(client: pg.Client, replace: boolean): Promise<string | null> {
  const { rows: users } = await client.query<{ count: string }>(
    `select count(*) as count from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and application_name = 'whats-agents'`,
  );
  if (Number(users[0]?.count) > 0)
    throw new Error('processes of whats-agents are connected to this database: stop api, worker and scheduler first');
  const { rows: there } = await client.query(`select from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' limit 1`);
  if (there.length === 0) return null;
  if (!replace) throw new Error('the database has tables: restore into an empty one, or let --replace move them aside');
  const aside = `before_restore_${new Date().toISOString().slice(0, 19).replaceAll(/\D/g, '')}`;
  await client.query(`begin; alter schema public rename to ${aside}; create schema public; grant usage on schema public to public; commit`);
  return aside;
}
