/** Media: what is to be read, who reads it, and what it says. SQL in the room `inbox`. */
import { z } from 'zod';
import type { ModelCallRecord } from '../../claude/call-record.ts';
import type { Door } from '../../db/door.ts';
import type { Ceilings } from '../../spend/ceilings.ts';
import type { Intent } from '../meaning.ts';

export const mediaItem = z.object({
  message_id: z.number(),
  tenant_id: z.string(),
  instance: z.string(),
  provider_id: z.string(),
  type: z.enum(['audio', 'image', 'document', 'video']),
  text: z.string(),
  mimetype: z.string().nullable(),
  file_name: z.string().nullable(),
  seconds: z.number().nullable(),
  /** As the sender says. */
  bytes: z.number().nullable(),
  /** How often it has failed. */
  attempts: z.number(),
  /** Its contact has had as many files read as one may in a day. */
  many: z.boolean(),
});
/** A message whose media nobody has read yet. */
export type MediaItem = z.infer<typeof mediaItem>;

const claim = z.discriminatedUnion('state', [
  z.object({ state: z.literal('read'), words: z.string() }),
  z.object({ state: z.literal('busy') }),
  z.object({ state: z.literal('mine'), lease: z.string() }),
  z.object({ state: z.literal('over') }),
  z.object({ state: z.literal('many') }),
  z.object({ state: z.literal('spent'), ceiling: z.string() }),
]);

/** Reserved before it is read, where there is a ceiling of money. `usd` null: the model has no price. */
export type MediaMoney = { usd: number | null; model: string; spend: Ceilings };

export type MediaFile = {
  message: number;
  tenant: string;
  sha256: string;
  kind: 'audio' | 'image' | 'document';
  bytes: number;
  pages: number;
};

/** SQL claim_media: whether a file is read already (empty words: nothing is said in it), being read, or the caller's to read; `over`: nobody waits for it any more; `spent`: a ceiling of money has no room; `many`: the contact has had too many read. */
export async function claimMedia(db: Door, file: MediaFile, leaseMs: number, money: MediaMoney | null): Promise<z.infer<typeof claim>> {
  const { message, tenant, sha256, kind, bytes, pages } = file;
  return claim.parse(
    await db.call('claim_media', {
      p_message: message,
      p_tenant: tenant,
      p_hash: sha256,
      p_kind: kind,
      p_bytes: bytes,
      p_lease_ms: leaseMs,
      p_money: money,
      p_pages: pages,
    }),
  );
}

/**
 * SQL record_media: keeps what a file says, and what was paid for it: seconds of audio, calls of a model. Null words: it was not read, and is anybody's again.
 * `lease`: that claimMedia gave. Not to be repeated.
 */
export async function recordMedia(
  db: Door,
  { tenant, sha256, lease }: MediaFile & { lease: string },
  read: { words: string | null; reader: string; seconds?: number | null; calls?: ModelCallRecord[] },
): Promise<void> {
  await db.call('record_media', {
    p_tenant: tenant,
    p_hash: sha256,
    p_lease: lease,
    p_words: read.words,
    p_reader: read.reader,
    p_seconds: read.seconds ?? 0,
    p_calls: read.calls ?? [],
  });
}

const mended = z.object({ conversation_id: z.number(), wake: z.boolean() }).nullable();

/** SQL read_media: the words of a message's media are the message's. Null: there was nothing to mend. May be repeated. */
export async function readMedia(
  db: Door,
  message: number,
  read: { sha256: string; note: string; said: string | null; intent: Intent | null },
): Promise<z.infer<typeof mended>> {
  const meaning = read.intent === null ? null : { intent: read.intent, command: null, handset: null };
  return mended.parse(
    await db.call('read_media', { p_message: message, p_hash: read.sha256, p_note: read.note, p_said: read.said, p_meaning: meaning }),
  );
}

/** SQL fail_media: it could not be read, and is answered as it is; tried again in `retryMs`, or never (null). `counts`: it uses an attempt. */
export async function failMedia(
  db: Door,
  message: number,
  failed: { note: string; reason: string; retryMs: number | null; counts: boolean },
): Promise<void> {
  await db.call('fail_media', {
    p_message: message,
    p_note: failed.note,
    p_reason: failed.reason,
    p_retry_ms: failed.retryMs,
    p_counts: failed.counts,
  });
}

/** SQL due_media: conversations with media that is to be tried again now. */
export async function dueMedia(db: Door, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('due_media', { p_limit: limit }));
}
