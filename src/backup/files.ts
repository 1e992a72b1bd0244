/** The files of the backup directory: NAME.dump (or NAME.dump.sealed) and, written last, NAME.json. Without the latter it is no backup. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

const manifest = z.object({
  /** When what is in it was true. */
  backup_at: z.coerce.date(),
  file: z.string(),
  sealed: z.boolean(),
  bytes: z.number(),
  server_version: z.string(),
  /** The newest migration in it. */
  schema_version: z.string(),
  /** It was restored into a scratch database, and that had the same rows. */
  verified: z.boolean(),
  tables: z.record(z.string(), z.object({ rows: z.number(), sum: z.string() })),
});
export type Manifest = z.infer<typeof manifest>;

const NAME = /^whats-agents-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.json$/;

/** For example whats-agents-2026-11-27T05-00-00Z. */
export function nameOf(backupAt: Date): string {
  return `whats-agents-${backupAt.toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
}

/** The complete backups of a directory, the newest first. */
export async function listBackups(dir: string): Promise<Manifest[]> {
  const names = (await readdir(dir).catch(() => [])).filter((name) => NAME.test(name));
  const found = await Promise.all(names.map((name) => readManifest(path.join(dir, name))));
  return found.toSorted((a, b) => b.backup_at.getTime() - a.backup_at.getTime());
}

export async function readManifest(file: string): Promise<Manifest> {
  return manifest.parse(JSON.parse(await readFile(file, 'utf8')));
}

/** Which of these are older than they are kept for. The newest verified one stays, however old: a backup that fails for a month must not leave nothing. */
export function expired(backups: readonly Manifest[], keepDays: number, now: Date): Manifest[] {
  const newest = backups.find((each) => each.verified);
  const oldest = now.getTime() - keepDays * 86_400_000;
  return backups.filter((each) => each !== newest && each.backup_at.getTime() < oldest);
}

/** Deletes a backup, its manifest first: half a backup must not look like one. */
export async function deleteBackup(dir: string, backup: Manifest): Promise<void> {
  await rm(path.join(dir, `${nameOf(backup.backup_at)}.json`), { force: true });
  await rm(path.join(dir, backup.file), { force: true });
}

const DAY_MS = 86_400_000;

/** What a backup that was killed has left, a day later. */
export async function deleteLeftovers(dir: string, now: Date): Promise<void> {
  for (const name of (await readdir(dir)).filter((each) => each.endsWith('.partial'))) {
    const file = path.join(dir, name);
    if ((await stat(file)).mtimeMs < now.getTime() - DAY_MS) await rm(file, { force: true });
  }
}
