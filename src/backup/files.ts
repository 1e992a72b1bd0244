/**
 * The files of the backup directory: NAME.dump (NAME.dump.age when it is sealed) and, written last, NAME.json. Without the latter it is no backup.
 *
 * Who can write into that directory must not be able to choose what is restored or deleted. So with a key every manifest is authenticated, and one that is not is
 * refused. The archive beside it must have the manifest's own name, and its checksum.
 */
import { createHash, createHmac, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { toError } from '../process/errors.ts';
import { SEALED_SUFFIX } from './seal.ts';

const manifest = z.object({
  /** When what is in it was true. */
  backup_at: z.coerce.date(),
  /** Its name in the directory of the manifest. */
  file: z.string(),
  sealed: z.boolean(),
  bytes: z.number(),
  /** Of the file as it lies there. */
  sha256: z.string(),
  server_version: z.string(),
  /** The newest migration in it. */
  schema_version: z.string(),
  /** It was restored into a scratch database, and that had the same rows. */
  verified: z.boolean(),
  tables: z.record(z.string(), z.object({ rows: z.number(), sum: z.string() })),
});
export type Manifest = z.infer<typeof manifest>;

const NAME = /^(whats-agents-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)\.json$/;
/** A manifest has some 100 bytes for each table. */
const MANIFEST_BYTES = 1_048_576;

/** For example whats-agents-2026-11-27T05-00-00Z. */
export function nameOf(backupAt: Date): string {
  return `whats-agents-${backupAt.toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
}

export function archiveName(name: string, sealed: boolean): string {
  return `${name}.dump${sealed ? SEALED_SUFFIX : ''}`;
}

/** `refused`: manifests that are not believed, with the reason in words. */
export type Backups = { backups: Manifest[]; refused: string[] };

/** The complete backups of a directory, the newest first. With a key only those that were made with it. */
export async function listBackups(dir: string, key: string | null): Promise<Backups> {
  const names = (await readdir(dir).catch(() => [])).filter((name) => NAME.test(name));
  const read = await Promise.allSettled(names.map((name) => readManifest(path.join(dir, name), key)));
  return {
    backups: read
      .flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      .toSorted((a, b) => b.backup_at.getTime() - a.backup_at.getTime()),
    refused: read.flatMap((result) => (result.status === 'rejected' ? [toError(result.reason).message] : [])),
  };
}

/** Throws in words when there is none, or when it is not to be believed. `key`: the one that must have made it; null: anybody may have. */
export async function readManifest(file: string, key: string | null): Promise<Manifest> {
  const name = NAME.exec(path.basename(file))?.[1];
  if (name === undefined) throw new Error(`${file} cannot be read: a backup is a dump and the whats-agents-....json beside it`);
  const body = await readBody(file);
  const parsed = manifest.safeParse(body);
  if (!parsed.success) throw new Error(`${file} is no manifest of this version: ${z.prettifyError(parsed.error)}`);
  if (key !== null) {
    if (!parsed.data.sealed)
      throw new Error(
        `${file} is not encrypted, so anybody may have made it, and BACKUP_ENCRYPTION_KEY is set: refused. Without that key in the environment it is taken as it is`,
      );
    const { mac, ...rest } = body;
    if (typeof mac !== 'string' || !sameMac(mac, macOf(rest, key)))
      throw new Error(`${file} is refused: it was changed, or BACKUP_ENCRYPTION_KEY is another one than it was made with`);
  }
  if (parsed.data.file !== archiveName(name, parsed.data.sealed))
    throw new Error(`${file} is refused: it names a file that is not its own`);
  return parsed.data;
}

async function readBody(file: string): Promise<Record<string, unknown>> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(await readRegular(file, MANIFEST_BYTES)));
  } catch (error) {
    throw new Error(`${file} cannot be read (${toError(error).message}); a backup is a dump and the .json beside it`, { cause: error });
  }
}

/** The text of a manifest's file. */
export function manifestText(made: Manifest, key: string | null): string {
  // As it is read back: dates as text.
  const body = JSON.parse(JSON.stringify(made)) as Record<string, unknown>;
  return `${JSON.stringify(key === null ? body : { ...body, mac: macOf(body, key) }, null, 2)}\n`;
}

/** What only the holder of the key can have written under a text of JSON. */
export function macOf(body: Record<string, unknown>, key: string): string {
  return createHmac('sha256', macKey(key)).update(JSON.stringify(body)).digest('base64url');
}

export function sameMac(a: string, b: string): boolean {
  const [given, expected] = [Buffer.from(a), Buffer.from(b)];
  return given.length === expected.length && timingSafeEqual(given, expected);
}

const macKeys = new Map<string, Buffer>();

/** As dear to guess as the sealed file beside it; made once, not for each manifest. */
function macKey(passphrase: string): Buffer {
  const known =
    macKeys.get(passphrase) ??
    scryptSync(passphrase, 'whats-agents backup manifest', 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 });
  macKeys.set(passphrase, known);
  return known;
}

/** The archive of a manifest, open and compared with it: what is read from here on is what was looked at. Throws in words. */
export async function openArchive(file: string, { bytes, sha256 }: Pick<Manifest, 'bytes' | 'sha256'>): Promise<FileHandle> {
  const handle = await openRegular(file).catch((error: unknown) => {
    throw new Error(`${file} cannot be read: ${toError(error).message}`, { cause: error });
  });
  try {
    const hash = createHash('sha256');
    for await (const chunk of chunksOf(handle)) hash.update(chunk);
    if ((await handle.stat()).size !== bytes || hash.digest('hex') !== sha256)
      throw new Error(`${file} is not the backup that its manifest tells of: it was changed, or is not complete`);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const CHUNK_BYTES = 262_144;

/** A file from its beginning; any number at once. A stream of the handle itself closes it when somebody reads no further, as pg_restore does that wants the list only. */
export async function* chunksOf(handle: FileHandle): AsyncGenerator<Buffer> {
  for (let position = 0; ;) {
    const { bytesRead, buffer } = await handle.read({ buffer: Buffer.alloc(CHUNK_BYTES), position });
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The text of a small file that others may have laid there. Throws what `open` throws, and in words what is no file or too large. */
export async function readRegular(file: string, mostBytes: number): Promise<string> {
  await using handle = await openRegular(file);
  if ((await handle.stat()).size > mostBytes) throw new Error('it is too large');
  return await handle.readFile('utf8'); // awaited, since the handle is closed when this returns
}

/**
 * Gives a file its text in one step: who is killed leaves the older one. What others laid under its name, or under one that they foresee, is neither followed
 * nor waited for.
 */
export async function replaceFile(file: string, text: string): Promise<void> {
  const partial = `${file}.${randomBytes(8).toString('hex')}.partial`;
  try {
    await writeFile(partial, text, { mode: 0o600, flag: 'wx' });
    await rename(partial, file).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EISDIR') throw error;
      // A directory that somebody laid there is not ours: it goes out of the way, as it is.
      await rename(file, `${file}.${randomBytes(8).toString('hex')}.aside`);
      await rename(partial, file);
    });
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/** A file of its own: no link that somebody laid there, no pipe. */
async function openRegular(file: string): Promise<FileHandle> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new Error('it is no file');
}

/** Which of these are older than they are kept for. The newest verified one stays, however old: a backup that fails for a month must not leave nothing. */
export function expired(backups: readonly Manifest[], keepDays: number, now: Date): Manifest[] {
  const newest = backups.find((each) => each.verified);
  const oldest = now.getTime() - keepDays * 86_400_000;
  return backups.filter((each) => each !== newest && each.backup_at.getTime() < oldest);
}

/** Deletes a backup, its manifest first: half a backup must not look like one. */
export async function deleteBackup(dir: string, { file }: Manifest): Promise<void> {
  for (const name of [`${path.basename(file).replace(/\.dump(?:\.age)?$/, '')}.json`, path.basename(file)])
    await removeFile(path.join(dir, name));
}

const DAY_MS = 86_400_000;

/** What a backup that was killed has left, a day later. */
export async function deleteLeftovers(dir: string, now: Date): Promise<void> {
  for (const name of (await readdir(dir)).filter((each) => each.endsWith('.partial')))
    await removeFile(path.join(dir, name), new Date(now.getTime() - DAY_MS));
}

/** A directory that somebody laid there is not ours, and no reason to fail. `before`: only what is older. */
async function removeFile(file: string, before?: Date): Promise<void> {
  // Another process may delete the same at this moment.
  const found = await lstat(file).catch(() => null);
  if (found?.isDirectory() === false && (before === undefined || found.mtime < before)) await rm(file, { force: true });
}
