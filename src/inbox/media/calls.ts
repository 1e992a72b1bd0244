/** Media: what is to be read, who reads it, and what it says. SQL in the room `inbox`. */
import { z } from 'zod';
import type { Door } from '../../db/door.ts';
import type { Intent } from '../meaning.ts';

export const mediaItem = z.object({
  message_id: z.number(),
  tenant_id: z.string(),
  instance: z.string(),
  provider_id: z.string(),
  text: z.string(),
  mimetype: z.string().nullable(),
  seconds: z.number().nullable(),
  /** As the sender says. */
  bytes: z.number().nullable(),
  /** How often it has failed. */
  attempts: z.number(),
});
/** A message whose media nobody has read yet. */
export type MediaItem = z.infer<typeof mediaItem>;

const claim = z.discriminatedUnion('state', [
  z.object({ state: z.literal('read'), words: z.string() }),
  z.object({ state: z.literal('busy') }),
  z.object({ state: z.literal('mine') }),
]);

/** SQL claim_media: whether a file is read already (empty words: nothing is said in it), being read, or the caller's to read. */
export async function claimMedia(
  db: Door,
  file: { tenant: string; sha256: string; bytes: number },
  leaseMs: number,
): Promise<z.infer<typeof claim>> {
  const { tenant, sha256, bytes } = file;
  return claim.parse(
    await db.call('claim_media', { p_tenant: tenant, p_hash: sha256, p_kind: 'audio', p_bytes: bytes, p_lease_ms: leaseMs }),
  );
}

/** SQL record_media: keeps what a file says; null: it was not read, and is anybody's again. May be repeated. */
export async function recordMedia(db: Door, tenant: string, sha256: string, words: string | null, reader: string): Promise<void> {
  await db.call('record_media', { p_tenant: tenant, p_hash: sha256, p_words: words, p_reader: reader });
}

const mended = z.object({ conversation_id: z.number(), wake: z.boolean() }).nullable();

/** SQL read_media: the words of a message's media are the message's. Null: there was nothing to mend. May be repeated. */
export async function readMedia(
  db: Door,
  message: number,
  read: { sha256: string; text: string; typed: string | null; intent: Intent | null },
): Promise<z.infer<typeof mended>> {
  const meaning = read.intent === null ? null : { intent: read.intent, command: null, handset: null };
  return mended.parse(
    await db.call('read_media', { p_message: message, p_hash: read.sha256, p_text: read.text, p_typed: read.typed, p_meaning: meaning }),
  );
}

/** SQL fail_media: it could not be read, and is answered as it is; tried again in `retryMs`, or never (null). */
export async function failMedia(
  db: Door,
  message: number,
  failed: { text: string; reason: string; retryMs: number | null },
): Promise<void> {
  await db.call('fail_media', { p_message: message, p_text: failed.text, p_reason: failed.reason, p_retry_ms: failed.retryMs });
}

/** SQL due_media: what is to be tried again, the caller's for `holdMs`. */
export async function dueMedia(db: Door, limit: number, holdMs: number): Promise<MediaItem[]> {
  return z.array(mediaItem).parse(await db.call('due_media', { p_limit: limit, p_hold_ms: holdMs }));
}
