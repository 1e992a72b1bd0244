/** Loads an archive of pg_dump into a database that has none of its tables, all or nothing. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import type pg from 'pg';
import { chunksOf } from './files.ts';
import { runTool, withClient } from './postgres-tools.ts';
import { unsealing } from './seal.ts';

/** `archive` as openArchive gives it. */
export type Archive = { archive: FileHandle; sealed: boolean; key: string | null; restore: string; progress?: (line: string) => void };

/**
 * Throws when the key is missing or wrong, when the archive is damaged, or when anything in it cannot be made. It is one transaction, so nothing stays of it then.
 * A sealed archive is decrypted on its way, never onto a disk.
 */
export async function loadArchive(url: string, { archive, sealed, key, restore, progress }: Archive): Promise<void> {
  if (sealed && key === null) throw new Error('BACKUP_ENCRYPTION_KEY: must be set, the backup is encrypted');
  await withClient(url, ensureRoles);
  const read = (): Readable => {
    const bytes = Readable.from(chunksOf(archive), { objectMode: false });
    return key !== null && sealed ? bytes.compose(unsealing(key)) : bytes;
  };
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-restore-'));
  try {
    const list: string[] = [];
    await runTool(restore, ['--list'], null, { input: read(), output: (line) => list.push(line) });
    const wanted = path.join(folder, 'list');
    // The schema itself is there in every database.
    await writeFile(wanted, list.filter((line) => !/ SCHEMA - public /.test(line)).join('\n'));
    await runTool(restore, ['--no-owner', '--single-transaction', '--verbose', `--use-list=${wanted}`], url, {
      input: read(),
      progress: (line) => progress?.(line),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Rights in the archive name roles, which belong to the server. As the first migration makes them. */
async function ensureRoles(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select r as name from unnest(array['anon', 'authenticated', 'service_role', 'whats_agents_runtime']) as r where not exists (select from pg_roles where rolname = r)`,
  );
  for (const { name } of rows)
    await client.query(`create role ${name} nologin noinherit`).catch((error: unknown) => {
      const all = rows.map((row) => `create role ${row.name} nologin noinherit;`).join(' ');
      throw new Error(`roles are missing on this server that this role may not make; as one who may: ${all}`, { cause: error });
    });
}
