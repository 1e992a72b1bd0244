/**
 * The erasures beside the backups: a backup that was made before an erasure still has the person, and only this list tells a restore of it. Hashes with the
 * installation's secret, so nobody can be read out of it; with a key it is authenticated like a manifest.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { erasures, listErasures } from '../people/care-calls.ts';
import type { Erasures } from '../people/care-calls.ts';
import type { Door } from '../db/door.ts';
import { macOf, readRegular, replaceFile, sameMac } from './files.ts';

const NAME = 'whats-agents-erasures.json';
/** Some 200 bytes for every address and message of an erased contact: a million of them. */
const LIST_BYTES = 256 * 1_048_576;
const list = z.object({ made_at: z.coerce.date(), erasures, mac: z.string().optional() });

/** Writes the list as the database has it now; returns how long it is. */
export async function keepErasures(db: Door, { dir, encryptionKey: key }: { dir: string; encryptionKey: string | null }): Promise<number> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const madeAt = new Date();
  const all = await listErasures(db, null);
  await writeErasures(dir, key, madeAt, all);
  return all.length;
}

/** Replaces the list in one step: who is killed leaves the older one. */
export async function writeErasures(dir: string, key: string | null, madeAt: Date, all: Erasures): Promise<void> {
  const body = { made_at: madeAt.toISOString(), erasures: all };
  await replaceFile(path.join(dir, NAME), `${JSON.stringify(key === null ? body : { ...body, mac: macOf(body, key) })}\n`);
}

/** Null when there is none. Throws in words when it is not to be believed. */
export async function readErasures(dir: string, key: string | null): Promise<{ madeAt: Date; all: Erasures } | null> {
  const file = path.join(dir, NAME);
  const text = await readRegular(file, LIST_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new Error(`${file} cannot be read: ${error.message}`, { cause: error });
  });
  if (text === null) return null;
  const raw = JSON.parse(text) as Record<string, unknown>;
  const read = list.safeParse(raw);
  if (!read.success) throw new Error(`${file} is no list of erasures`);
  const { mac, ...body } = raw;
  if (key !== null && (typeof mac !== 'string' || !sameMac(mac, macOf(body, key))))
    throw new Error(`${file} is refused: it was changed, or BACKUP_ENCRYPTION_KEY is another one than it was made with`);
  return { madeAt: read.data.made_at, all: read.data.erasures };
}
