/** Takes a backup: one snapshot, written by pg_dump, proven by restoring it into a scratch database, and only then given its name. */
import { createHash, randomBytes } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import {
  archiveName,
  deleteBackup,
  deleteLeftovers,
  expired,
  listBackups,
  manifestText,
  nameOf,
  openArchive,
  replaceFile,
} from './files.ts';
import { mustHaveSessions } from '../db/pooler.ts';
import { BACKUP_NEEDS_SESSION } from '../db/pooler-words.ts';
import type { Manifest } from './files.ts';
import { differences, takeFingerprints } from './fingerprint.ts';
import type { Fingerprints } from './fingerprint.ts';
import { findTools, runTool, withClient } from './postgres-tools.ts';
import type { PostgresTools } from './postgres-tools.ts';
import { loadArchive } from './load.ts';
import { sealing } from './seal.ts';

export type Say = (line: string) => void;

export type BackupSettings = {
  readonly dir: string;
  readonly keepDays: number;
  /** null: written as it is. */
  readonly encryptionKey: string | null;
  /** null: where the system keeps them. */
  readonly toolsDir: string | null;
  /** A server on which scratch databases may be made; null: the one that is backed up. */
  readonly verifyUrl: string | null;
};

/**
 * Writes a backup of the product's tables (schema `public`; jobs of a queue in Postgres are left out: they only wake work up) and deletes those that are older
 * than they are kept for. Any number of times, also beside running processes. Throws in words when it could not be made or proven: no file has its final name then.
 */
export async function takeBackup(
  url: string,
  settings: BackupSettings,
  options: { verify: boolean; say: Say; signal?: AbortSignal },
): Promise<Manifest> {
  const { dir, encryptionKey: key } = settings;
  const { say } = options;
  await mustHaveSessions(url, BACKUP_NEEDS_SESSION);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await deleteLeftovers(dir, new Date());
  const { manifest, partial, tools } = await withClient(url, (client) => write(client, url, settings, options));
  try {
    const made: Manifest = { ...manifest, verified: options.verify };
    if (options.verify) await verify(settings.verifyUrl ?? url, partial, made, settings, tools, say);
    options.signal?.throwIfAborted();
    await rename(partial, path.join(dir, made.file));
    const file = path.join(dir, `${nameOf(made.backup_at)}.json`);
    await replaceFile(file, manifestText(made, key));
    const { backups, refused } = await listBackups(dir, key);
    for (const why of refused) say(`left alone: ${why}`);
    for (const old of expired(backups, settings.keepDays, new Date())) {
      await deleteBackup(dir, old);
      say(`deleted ${old.file}: older than ${settings.keepDays} days`);
    }
    say(
      `${made.file}: ${(made.bytes / 1e6).toFixed(1)} MB${made.verified ? ', restored and compared' : ', not compared'}${made.sealed ? ', encrypted' : ''}`,
    );
    return made;
  } finally {
    await rm(partial, { force: true });
  }
}

type Written = { manifest: Omit<Manifest, 'verified'>; partial: string; tools: PostgresTools };

/** pg_dump and the fingerprints read the same snapshot, so they agree however much is written meanwhile. */
async function write(
  client: pg.Client,
  url: string,
  settings: BackupSettings,
  { say, signal }: { say: Say; signal?: AbortSignal },
): Promise<Written> {
  const tools = await findTools(client, settings.toolsDir);
  await refusePolicies(client);
  await client.query('begin isolation level repeatable read read only');
  const { rows } = await client.query<{ snapshot: string; now: Date; version: string; schema: string }>(
    `select pg_export_snapshot() as snapshot, clock_timestamp() as now, current_setting('server_version') as version, public.schema_version() #>> '{}' as schema`,
  );
  const [at] = rows;
  if (at === undefined) throw new Error('the database did not answer');
  const { encryptionKey: key } = settings;
  const sealed = key !== null;
  const file = archiveName(nameOf(at.now), sealed);
  // A name that nobody foresees: what somebody laid under it would end each backup.
  const partial = path.join(settings.dir, `${file}.${randomBytes(8).toString('hex')}.partial`);
  const args = ['--format=custom', '--schema=public', '--no-owner', `--snapshot=${at.snapshot}`, '--verbose'];
  const hash = createHash('sha256');
  // Exclusively: a link that somebody laid there is not followed.
  const end = createWriteStream(partial, { mode: 0o600, flags: 'wx' });
  const dumping = runTool(tools.dump, args, url, {
    into: [...(key === null ? [] : [sealing(key)]), hashing(hash), end],
    ...(signal === undefined ? {} : { signal }),
    progress: (line) => {
      const table = /dumping contents of table "public\.(\w+)"/.exec(line)?.[1];
      if (table !== undefined) say(`writing ${table}`);
    },
  });
  try {
    const [tables] = await Promise.all([takeFingerprints(client), dumping]);
    await client.query('commit');
    await flush(partial);
    const { size } = await stat(partial);
    const sha256 = hash.digest('hex');
    return {
      manifest: { backup_at: at.now, file, sealed, bytes: size, sha256, server_version: at.version, schema_version: at.schema, tables },
      partial,
      tools,
    };
  } catch (error) {
    await dumping.catch(() => {});
    await rm(partial, { force: true });
    throw error;
  }
}

/** The same bytes, counted into `hash`. */
function hashing(hash: Hash): Duplex {
  return Duplex.from(async function* (bytes: AsyncIterable<Buffer>) {
    for await (const chunk of bytes) {
      hash.update(chunk);
      yield chunk;
    }
  });
}

/** A role that sees rows through policies would make a backup of what these let it see. */
async function refusePolicies(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and row_security_active(c.oid) limit 1`,
  );
  if (rows.length > 0)
    throw new Error('backups are made as the owner of the tables: set MIGRATE_DATABASE_URL to its address (docs/security.md, rights)');
}

/** A power cut after the rename must not find an empty file under the final name. */
async function flush(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.sync();
  await handle.close();
}

async function verify(
  url: string,
  file: string,
  manifest: Manifest,
  settings: BackupSettings,
  tools: PostgresTools,
  say: Say,
): Promise<void> {
  const name = `whats_agents_check_${randomBytes(6).toString('hex')}`;
  const scratch = new URL(url);
  scratch.pathname = `/${name}`;
  say('restoring it into a scratch database');
  await withClient(url, async (client) => {
    await client.query(`create database ${name} template template0`).catch((error: unknown) => {
      throw new Error(
        `no scratch database can be made there (${error instanceof Error ? error.message : String(error)}): give the role CREATEDB, or name another server of the same version in BACKUP_VERIFY_URL`,
        { cause: error },
      );
    });
    try {
      await using archive = await openArchive(file, manifest);
      await loadArchive(scratch.href, { archive, sealed: manifest.sealed, key: settings.encryptionKey, restore: tools.restore });
      compare(manifest.tables, await fingerprintsOf(scratch.href, (table) => say(`comparing ${table}`)));
    } finally {
      await dropScratch(client, name);
    }
  });
}

export async function fingerprintsOf(url: string, told: (table: string) => void): Promise<Fingerprints> {
  return withClient(url, async (client) => {
    await client.query('begin read only');
    return takeFingerprints(client, told);
  });
}

export function compare(expected: Fingerprints, found: Fingerprints): void {
  const wrong = differences(expected, found);
  if (wrong.length > 0) throw new Error(`what was restored is not what was backed up: ${wrong.join('; ')}`);
}

/** A tool that was just ended may still be letting go of the database. */
async function dropScratch(client: pg.Client, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query(`drop database if exists ${name} with (force)`);
      return;
    } catch (error) {
      if (attempt === 5) throw error;
      await delay(200 * attempt);
    }
  }
}
