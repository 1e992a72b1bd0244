/**
 * What is no text is read before it is answered: fetched from the gateway by its id (never from an address that a contact gives), read once for each file, a voice
 * note by the speech service and a picture or a PDF by the model, and kept as the note and the words of its message. The answer sees the file itself too (filesOf).
 *
 * What cannot be read in time is answered as what it is, honestly. The reading goes on, since it is paid, or is tried again (crons/retry-media.ts): then the history
 * is mended, and when nobody has said anything since, the agent answers it after all.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { fileKind, modelFile, MOST_PAGES, pictureFault } from '../../claude/files.ts';
import type { ModelFile } from '../../claude/files.ts';
import { MODEL_FAILURES } from '../../claude/model-failure.ts';
import type { ModelFailureKind } from '../../claude/model-failure.ts';
import type { Context as Parts } from '../../context.ts';
import { coverOf } from '../../whatsapp/message-content.ts';
import type { Evolution } from '../../whatsapp/client.ts';
import { at, stringAt } from '../../words/json.ts';
import { audioKind } from '../../speech/client.ts';
import type { AudioKind } from '../../speech/client.ts';
import { intentOf } from '../meaning.ts';
import { claimMedia, failMedia, readMedia, recordMedia } from './calls.ts';
import type { MediaFile, MediaItem } from './calls.ts';
import { bareNote, coverNote, describedNote, MOST_BYTES, retryMs, unreadNote } from './decide.ts';
import type { MediaFailure } from './decide.ts';
import { describe, moneyOf } from './describe.ts';
import { pagesOf } from '../../files/documents.ts';

/** A burst is read a few at a time. */
const AT_ONCE = 4;
/** One file may take so long: a hundred pages do. Milliseconds. */
const READ_MS = 100_000;
/** Longer than that: who reads a file and dies leaves it to others then. Milliseconds. */
const LEASE_MS = 110_000;
/** How often it is asked whether somebody else has read a file. Milliseconds. */
const BUSY_LOOK_MS = 500;

export type MediaContext = Pick<
  Parts,
  'db' | 'events' | 'speech' | 'llm' | 'breakers' | 'whatsapp' | 'config' | 'queues' | 'background' | 'reading'
>;

/** Files that a model may look at, by their hash. */
export type Files = Map<string, ModelFile>;

type ClaimedFile = MediaFile & { lease: string };
type Read = { kind: 'read'; sha256: string; words: string; file: ModelFile | null } | Failed | { kind: 'left' };
type Failed = { kind: 'failed'; why: MediaFailure; detail: string; again: boolean; counts: boolean };

/**
 * Reads all of these and writes down what they say, or that it could not be read. Resolves within `inTimeMs` with the files that were read; what takes longer goes on
 * (nothing is begun any more), and wakes its conversation up when it changes what is to be answered.
 * Any number at once; may be repeated. Throws DatabaseAway: nothing is lost then.
 */
export async function readAll(
  ctx: MediaContext,
  items: readonly MediaItem[],
  { signal, inTimeMs }: { signal: AbortSignal; inTimeMs: number },
): Promise<Files> {
  const files: Files = new Map();
  const waiting = [...items];
  const open = new Set(items);
  let late = inTimeMs <= 0;
  const work = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      // A process that ends leaves the rest to the next one.
      if (signal.aborted) return;
      const read = await ctx.reading.run(async () =>
        late && !item.many ? null : readOne(ctx, item, AbortSignal.any([signal, AbortSignal.timeout(READ_MS)])),
      );
      if (signal.aborted) return;
      if (read === null) continue;
      open.delete(item);
      if (read.kind === 'read' && read.file !== null && item.type !== 'video') files.set(read.sha256, read.file);
      const woken = await keep(ctx, item, read);
      if (late && woken !== null) await ctx.queues.wakeTurn(woken, 0);
    }
  };
  const all = Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, items.length) }, work));
  const timer = new AbortController();
  const isLate = delay(inTimeMs, true, { signal: timer.signal }).catch(() => false);
  const tooLong = await Promise.race([all.then(() => false), isLate]);
  timer.abort();
  if (!tooLong || signal.aborted) {
    for (const result of await all) if (result.status === 'rejected') throw result.reason;
    if (open.size === 0 || signal.aborted) return files;
  }
  late = true;
  ctx.background.run('read media', async () => {
    for (const result of await all) if (result.status === 'rejected') throw result.reason;
  });
  const rest = [...open].filter((item) => !item.many);
  const slow = { kind: 'failed', why: 'media_slow', detail: `not read within ${inTimeMs} ms`, again: true, counts: true } as const;
  for (const item of rest) await keep(ctx, item, slow);
  return files;
}

/**
 * The files of what is unanswered, for the answer: those that were read just now, the others fetched again. One that is not to be had is left out: its description stands
 * for it. Contract: never rejects.
 */
export async function filesOf(
  ctx: Pick<MediaContext, 'whatsapp'>,
  instance: string,
  messages: readonly { provider_id: string | null; file: string | null }[],
  known: Files,
  signal: AbortSignal,
): Promise<Files> {
  const files: Files = new Map(known);
  for (const { provider_id: id, file: sha256 } of messages) {
    if (sha256 === null || id === null || files.has(sha256) || ctx.whatsapp === null) continue;
    const fetched = await ctx.whatsapp.mediaOf({ instance, id, mostBytes: MOST_BYTES }, { signal });
    if (fetched.kind !== 'ok' || hashOf(fetched.bytes) !== sha256) continue;
    const opened = await openFile(fetched.bytes);
    if (opened.kind === 'file') files.set(sha256, opened.file);
  }
  return files;
}

async function readOne(ctx: MediaContext, item: MediaItem, signal: AbortSignal): Promise<Read> {
  const { whatsapp } = ctx;
  const hasReader = item.type === 'audio' ? ctx.speech !== null : ctx.llm !== null;
  // What nobody reads stays what it is; one that was to be tried again is over.
  if (whatsapp === null || !hasReader) return item.attempts === 0 ? { kind: 'left' } : failed('media_no_reader', 'not set up', 'never');
  if (item.many) return failed('media_many', 'before it was fetched', 'never');
  if (item.type === 'video') return lookAtCover(ctx, whatsapp, item, signal);
  if ((item.bytes ?? 0) > MOST_BYTES) return failed('media_too_large', `${item.bytes} bytes`, 'never');
  const fetched = await whatsapp.mediaOf({ instance: item.instance, id: item.provider_id, mostBytes: MOST_BYTES }, { signal });
  if (fetched.kind === 'too_large') return failed('media_too_large', `more than ${MOST_BYTES} bytes`, 'never');
  if (fetched.kind !== 'ok') return failed(fetched.retryable ? 'gateway_unreachable' : 'media_not_there', fetched.detail);
  const { bytes } = fetched;
  if (bytes.length > MOST_BYTES) return failed('media_too_large', `${bytes.length} bytes`, 'never');
  if (bytes.length === 0) return failed('media_not_there', 'the gateway gave an empty file');
  return item.type === 'audio' ? hear(ctx, item, bytes, signal) : look(ctx, item, bytes, signal);
}

/** Of a video the picture that the phone shows of it before it is played. It is little, so what goes wrong with it is not tried again. */
async function lookAtCover(ctx: MediaContext, whatsapp: Evolution, item: MediaItem, signal: AbortSignal): Promise<Read> {
  const found = await whatsapp.findMessages({ instance: item.instance, id: item.provider_id }, { signal });
  const record = found.kind === 'ok' ? found.records.find((each) => stringAt(each, 'key', 'id') === item.provider_id) : undefined;
  const cover = coverOf(at(record, 'message'));
  const bytes = typeof cover === 'string' ? Buffer.from(cover, 'base64') : cover === null ? null : Buffer.from(cover);
  const read = bytes === null ? null : await look(ctx, item, bytes, signal);
  return read?.kind === 'read' ? read : { kind: 'left' };
}

async function hear(ctx: MediaContext, item: MediaItem, bytes: Buffer, signal: AbortSignal): Promise<Read> {
  const kind = audioKind(bytes);
  if (kind === null) return failed('media_no_audio', `${item.mimetype ?? 'no type'}, ${bytes.length} bytes`, 'never');
  return once(ctx, item, { bytes, file: null }, signal, (file) => transcribed(ctx, file, item, { bytes, kind }, signal));
}

async function transcribed(
  { db, events, speech }: MediaContext,
  file: ClaimedFile,
  { seconds }: MediaItem,
  audio: { bytes: Buffer; kind: AudioKind },
  signal: AbortSignal,
): Promise<string | Failed> {
  if (speech === null) return failed('media_no_reader', 'not set up', 'never');
  const started = performance.now();
  const transcript = await speech.transcribe(audio, signal);
  const end = transcript.kind === 'failed' ? transcript.reason : transcript.kind;
  events.speechHeard(end, (performance.now() - started) / 1000, seconds);
  const words = transcript.kind === 'words' ? transcript.text : transcript.kind === 'silent' ? '' : null;
  // Kept before anything else happens: it is paid.
  await recordMedia(db, file, { words, reader: speech.model, seconds });
  if (transcript.kind === 'failed') return failed(transcript.reason, transcript.detail, transcript.retryable ? 'counted' : 'never');
  return words ?? '';
}

async function look(ctx: MediaContext, item: MediaItem, bytes: Buffer, signal: AbortSignal): Promise<Read> {
  const opened = await openFile(bytes);
  if (opened.kind === 'fault') return failed(opened.why, `${item.mimetype ?? 'no type'}, ${bytes.length} bytes: ${opened.detail}`, 'never');
  return once(ctx, item, { bytes, file: opened.file }, signal, (file) => described(ctx, file, item, opened.file, signal));
}

async function described(
  ctx: MediaContext,
  file: ClaimedFile,
  { tenant_id, message_id, attempts }: MediaItem,
  opened: ModelFile,
  signal: AbortSignal,
): Promise<string | Failed> {
  if (ctx.llm === null) return failed('media_no_reader', 'not set up', 'never');
  const description = await describe(ctx, ctx.llm, opened, { signal, timeoutMs: READ_MS });
  for (const call of description.calls) ctx.events.mediaDescribed({ tenant_id, message_id }, call);
  const words = description.kind === 'words' ? description.text : null;
  // Kept before anything else happens: it is paid.
  await recordMedia(ctx.db, file, { words, reader: description.model, calls: description.calls });
  if (description.kind === 'words') return description.text;
  return failed(`model_${description.failure}`, description.detail, tryAgain(description.failure, attempts));
}

/** What takes too long is paid each time. A model that is unavailable is nobody's fault. */
function tryAgain(failure: ModelFailureKind, attempts: number): 'counted' | 'free' | 'never' {
  if (failure === 'timeout') return attempts === 0 ? 'counted' : 'never';
  const { fault } = MODEL_FAILURES[failure];
  return fault === 'request' ? 'never' : fault === 'answer' ? 'counted' : 'free';
}

/** What a file says, from who has read it, or by reading it: nobody does so twice at once or once more. */
async function once(
  ctx: MediaContext,
  item: MediaItem,
  { bytes, file: opened }: { bytes: Buffer; file: ModelFile | null },
  signal: AbortSignal,
  read: (file: ClaimedFile) => Promise<string | Failed>,
): Promise<Read> {
  const sha256 = hashOf(bytes);
  const kind = opened === null ? 'audio' : opened.pages > 0 ? 'document' : 'image';
  const file = {
    message: item.message_id,
    tenant: item.tenant_id,
    sha256,
    kind,
    bytes: bytes.length,
    pages: Math.max(1, opened?.pages ?? 1),
  } as const;
  const money = opened === null ? null : moneyOf(ctx.config, opened, new Date());
  let lease: string;
  for (;;) {
    const claim = await claimMedia(ctx.db, file, LEASE_MS, money);
    if (claim.state === 'read') return { kind: 'read', sha256, words: claim.words, file: opened };
    if (claim.state === 'over') return { kind: 'left' };
    if (claim.state === 'spent') return failed('model_spend_ceiling', claim.ceiling);
    if (claim.state === 'many') return failed('media_many', `${file.pages} pages`, 'never');
    if (claim.state === 'mine') {
      ({ lease } = claim);
      break;
    }
    if (signal.aborted) return failed('being_read', 'another worker has not ended in time');
    await delay(BUSY_LOOK_MS, undefined, { signal }).catch(() => {});
  }
  const words = await read({ ...file, lease });
  return typeof words === 'string' ? { kind: 'read', sha256, words, file: opened } : words;
}

type Opened = { kind: 'file'; file: ModelFile } | { kind: 'fault'; why: MediaFailure; detail: string };

/** By its bytes: what it is called says nothing. All limits stand here, before anybody is paid. */
async function openFile(bytes: Buffer): Promise<Opened> {
  const kind = fileKind(bytes);
  if (kind === null) return { kind: 'fault', why: 'media_unknown_kind', detail: 'no picture and no PDF' };
  if (kind !== 'pdf') {
    const fault = pictureFault(bytes);
    if (fault === null) return { kind: 'file', file: modelFile(bytes, kind, 0) };
    return { kind: 'fault', why: fault === 'broken' ? 'media_broken' : 'media_too_large', detail: kind };
  }
  const pages = await pagesOf(bytes);
  if (pages.kind === 'locked') return { kind: 'fault', why: 'media_locked', detail: 'it has a password' };
  if (pages.kind === 'broken') return { kind: 'fault', why: 'media_broken', detail: pages.detail };
  if (pages.count > MOST_PAGES) return { kind: 'fault', why: 'media_too_long', detail: `${pages.count} pages` };
  return { kind: 'file', file: modelFile(bytes, kind, pages.count) };
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** `free`: it uses no attempt. */
function failed(why: MediaFailure, detail: string, again: 'counted' | 'free' | 'never' = 'counted'): Failed {
  return { kind: 'failed', why, detail, again: again !== 'never', counts: again !== 'free' };
}

/** Resolves with the conversation when it has something to answer again. */
async function keep(ctx: MediaContext, item: MediaItem, read: Read): Promise<number | null> {
  if (read.kind === 'left') return null;
  if (read.kind === 'failed') {
    const { why, detail, counts } = read;
    const next = read.again ? retryMs(item.attempts, counts) : null;
    ctx.events.mediaUnread(item.message_id, { why, detail, retryMs: next });
    await failMedia(ctx.db, item.message_id, {
      note: item.type === 'video' ? bareNote(item.text) : unreadNote(item.type, item.text, why),
      reason: why,
      retryMs: next,
      counts,
    });
    return null;
  }
  const { sha256, words, file } = read;
  const said = item.type === 'audio' && words !== '' ? words : null;
  const mended = await readMedia(ctx.db, item.message_id, {
    sha256,
    note:
      item.type === 'video'
        ? coverNote(item.text, words)
        : file !== null
          ? describedNote({ name: item.file_name, pages: file.pages, words })
          : said === null
            ? '[áudio sem fala]'
            : bareNote(item.text).replace(/\]$/, ', transcrição]'),
    said,
    intent: said === null ? null : intentOf(said),
  });
  return mended?.wake === true ? mended.conversation_id : null;
}
