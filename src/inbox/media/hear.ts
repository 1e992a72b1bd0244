/**
 * Voice notes are heard before they are answered: fetched from the gateway by their id (never from an address that a contact gives), read by the speech service
 * once for each file, and kept as the words of their message.
 *
 * What cannot be heard in time is answered as what it is, honestly, and tried again (crons/retry-media.ts): then the history is mended, and when nobody has said
 * anything since, the agent answers it after all.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Context as Parts } from '../../context.ts';
import { audioKind } from '../../speech/client.ts';
import type { Speech } from '../../speech/client.ts';
import { withTranscript } from '../../whatsapp/message-content.ts';
import type { Evolution } from '../../whatsapp/client.ts';
import { intentOf } from '../meaning.ts';
import { claimMedia, failMedia, readMedia, recordMedia } from './calls.ts';
import type { MediaItem } from './calls.ts';
import { bareText, MOST_BYTES, retryMs, unheardText } from './decide.ts';
import type { MediaFailure } from './decide.ts';

/** The contact hears something within half a minute, whatever happens. Milliseconds; for all media of a conversation together. */
const IN_TIME_MS = 20_000;
/** A burst of voice notes is heard a few at a time. */
const AT_ONCE = 4;
/** Longer than a call may take: who reads a file and dies leaves it to others then. Milliseconds. */
const LEASE_MS = 30_000;
/** How often it is asked whether somebody else has read a file. Milliseconds. */
const BUSY_LOOK_MS = 500;

type Context = Pick<Parts, 'db' | 'events' | 'speech' | 'whatsapp'>;

type Heard =
  | { kind: 'words'; sha256: string; text: string }
  | { kind: 'silent'; sha256: string }
  | { kind: 'failed'; why: MediaFailure; detail: string; again: boolean };

/**
 * Hears all of these and writes down what they say, or that it could not be heard. Resolves with the conversations that have something to answer again.
 * Any number at once; may be repeated. Throws DatabaseAway: nothing is lost then.
 */
export async function hearAll(ctx: Context, items: readonly MediaItem[], signal: AbortSignal): Promise<number[]> {
  const { speech, whatsapp } = ctx;
  if (speech === null || whatsapp === null) return [];
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(IN_TIME_MS)]);
  const waiting = [...items];
  const again: number[] = [];
  const work = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      // A process that ends leaves the rest to the next one.
      if (signal.aborted) return;
      const mended = await keep(ctx, item, await hear(ctx, { speech, whatsapp }, item, inTime));
      if (mended !== null) again.push(mended);
    }
  };
  const done = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, items.length) }, work));
  for (const result of done) if (result.status === 'rejected') throw result.reason;
  return again;
}

async function hear(
  ctx: Context,
  { speech, whatsapp }: { speech: Speech; whatsapp: Evolution },
  item: MediaItem,
  signal: AbortSignal,
): Promise<Heard> {
  if ((item.bytes ?? 0) > MOST_BYTES) return failed('media_too_large', `${item.bytes} bytes`, false);
  const fetched = await whatsapp.mediaOf({ instance: item.instance, id: item.provider_id }, { signal });
  if (fetched.kind !== 'ok') return failed(fetched.retryable ? 'gateway_unreachable' : 'media_not_there', fetched.detail, true);
  const { bytes } = fetched;
  if (bytes.length > MOST_BYTES) return failed('media_too_large', `${bytes.length} bytes`, false);
  if (bytes.length === 0) return failed('media_not_there', 'the gateway gave an empty file', true);
  const kind = audioKind(bytes);
  if (kind === null) return failed('media_no_audio', `${item.mimetype ?? 'no type'}, ${bytes.length} bytes`, false);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = { tenant: item.tenant_id, sha256, bytes: bytes.length };
  for (;;) {
    const claim = await claimMedia(ctx.db, file, LEASE_MS);
    if (claim.state === 'read') return claim.words === '' ? { kind: 'silent', sha256 } : { kind: 'words', sha256, text: claim.words };
    if (claim.state === 'mine') break;
    if (signal.aborted) return failed('being_read', 'another worker has not ended in time', true);
    await delay(BUSY_LOOK_MS, undefined, { signal }).catch(() => {});
  }
  const started = performance.now();
  const transcript = await speech.transcribe({ bytes, kind }, signal);
  ctx.events.speechHeard(
    transcript.kind === 'failed' ? transcript.reason : transcript.kind,
    (performance.now() - started) / 1000,
    item.seconds,
  );
  const words = transcript.kind === 'words' ? transcript.text : transcript.kind === 'silent' ? '' : null;
  // Kept before anything else happens: it is paid.
  await recordMedia(ctx.db, file.tenant, sha256, words, speech.model);
  if (transcript.kind === 'failed') return failed(transcript.reason, transcript.detail, transcript.retryable);
  return transcript.kind === 'silent' ? { kind: 'silent', sha256 } : { kind: 'words', sha256, text: transcript.text };
}

function failed(why: MediaFailure, detail: string, again: boolean): Heard {
  return { kind: 'failed', why, detail, again };
}

/** Resolves with the conversation when it has something to answer again. */
async function keep(ctx: Context, item: MediaItem, heard: Heard): Promise<number | null> {
  if (heard.kind === 'failed') {
    const next = heard.again ? retryMs(item.attempts) : null;
    ctx.events.mediaUnread(item.message_id, { why: heard.why, detail: heard.detail, retryMs: next });
    await failMedia(ctx.db, item.message_id, { text: unheardText(item.text, heard.why), reason: heard.why, retryMs: next });
    return null;
  }
  const { sha256 } = heard;
  const content =
    heard.kind === 'words' ? withTranscript({ type: 'audio', text: bareText(item.text), typed: null, media: null }, heard.text) : null;
  const mended = await readMedia(ctx.db, item.message_id, {
    sha256,
    text: content?.text ?? '[áudio sem fala]',
    typed: content?.typed ?? null,
    intent: content?.typed == null ? null : intentOf(content.typed),
  });
  return mended?.wake === true ? mended.conversation_id : null;
}
