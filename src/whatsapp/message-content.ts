/**
 * What a WhatsApp message says, told in text for the model and the history. Pure and total: any JSON value is read, at worst as
 * `unsupported`. This file takes a message out of its wrappers (contract 2.2, 2.3); message-kinds.ts knows what is inside.
 */

import { cut } from '../words/cut.ts';
import type { MessageContent } from './inbound-event.ts';
import { at, idAt, isBlank, isTrue, listAt, objectAt, stringAt } from '../words/json.ts';
import { readableWords } from './message-fallback.ts';
import { readerOf, READERS } from './message-kinds.ts';
import { contentOf, inlineAt, joined, note, ours, plain, shown, told, typed, withLines } from './message-parts.ts';

export type Quoted = { providerId: string; text: string | null };

export type ReadMessage =
  | ReadNews
  /** `revised`: it came as the newer form of a message. */
  | { kind: 'content'; content: MessageContent; quoted: Quoted | null; revised: boolean }
  /** `emoji` null: removed. */
  | { kind: 'reaction'; targetId: string | null; emoji: string | null };

/** What stands for a text that has been changed, as long as nobody has told the new one. */
export const SEALED_EDIT = '[mensagem editada: o texto novo não pôde ser lido aqui, e o anterior não vale mais]';

/** What a message says of another one. */
export type ReadNews =
  /** `content` null: the text is no longer what it was, and the new one cannot be read. */
  | { kind: 'edit'; targetId: string | null; content: MessageContent | null }
  /** `unsure`: it may be an edit as well. */
  | { kind: 'delete'; targetId: string | null; unsure?: true }
  /** Bookkeeping of WhatsApp that says nothing to a reader. */
  | { kind: 'silent'; reason: 'protocol' | 'album' | 'forged_protocol' };

/**
 * Reads the `data` of `messages.upsert` and `send.message`, or a row of `/chat/findMessages`.
 * `messageType` decides only where the content does not: Meta's button replies and sends whose content Evolution left out.
 */
export function readMessage(data: unknown): ReadMessage {
  const outer = at(data, 'message');
  // Some forwarders flatten a text to a string.
  if (typeof outer === 'string' && !isBlank(outer)) return said(plain(outer), data, outer, false);
  const { inner, viewOnce: wrappedOnce, edited } = unwrap(outer);
  // A linked device gets a view-once message as a key that says so, and nothing beside it.
  const viewOnce = wrappedOnce || at(data, 'key', 'isViewOnce') === true;
  const reaction = objectAt(inner, 'reactionMessage');
  if (reaction !== null) return { kind: 'reaction', targetId: idAt(reaction, 'key', 'id'), emoji: emojiOf(reaction) };
  const protocol = objectAt(inner, 'protocolMessage');
  if (protocol !== null) {
    const forged = isSelfOnly(protocol) && !isTrue(at(data, 'key', 'fromMe'));
    return forged ? { kind: 'silent', reason: 'forged_protocol' } : readProtocol(protocol);
  }
  const sealed = objectAt(inner, 'secretEncryptedMessage');
  if (sealed !== null)
    return { kind: 'edit', targetId: idAt(sealed, 'targetMessageKey', 'id') ?? idAt(sealed, 'targetMessageKey', 'ID'), content: null };
  // The album's pictures follow as messages of their own.
  if (objectAt(inner, 'albumMessage') !== null) return { kind: 'silent', reason: 'album' };

  const content = readContent(inner, data) ?? unreadable(inner, viewOnce, data);
  return said(content, data, inner, edited);
}

function said(content: MessageContent | null, data: unknown, inner: unknown, revised: boolean): ReadMessage {
  if (content === null) return { kind: 'silent', reason: 'protocol' };
  const contexts = contextsOf(data, inner);
  const outer = at(data, 'message');
  const transcript = stringAt(outer, 'speechToText') ?? stringAt(inner, 'speechToText');
  const heard = content.type === 'audio' && transcript !== null ? withTranscript(content, transcript) : content;
  return { kind: 'content', content: withAdvertisement(heard, contexts), quoted: quotedOf(outer, contexts), revised };
}

/**
 * Reads a protocolMessage: the `data` of `messages.edited` and `send.message.update`. Its `type` is a name or protobuf's number.
 * Only the key's id means anything: the rest of the key is from the author's side.
 */
export function readProtocol(protocol: unknown): ReadNews {
  const type = at(protocol, 'type');
  const targetId = idAt(protocol, 'key', 'id');
  if (type === 'REVOKE' || type === 0) return { kind: 'delete', targetId };
  if (type !== 'MESSAGE_EDIT' && type !== 14) return { kind: 'silent', reason: 'protocol' };
  return { kind: 'edit', targetId, content: editedContent(at(protocol, 'editedMessage')) };
}

/** The new content of an edit, which may be wrapped like any other, also in the protocolMessage that brought it. */
function editedContent(edited: unknown): MessageContent | null {
  const { inner } = unwrap(objectAt(edited, 'message') ?? objectAt(edited));
  const again = objectAt(inner, 'protocolMessage', 'editedMessage');
  const newest = again === null ? inner : unwrap(objectAt(again, 'message') ?? again).inner;
  const content = readContent(newest, null) ?? unreadable(newest, false, null);
  return content?.wordless === true ? null : content;
}

/**
 * Reads what a `messages.update` says of the message that it names, but for its ticks; null: nothing. Content that comes this way is an edit, or the words
 * that the message came without. `theirs`: the contact wrote the message. Source: contract 5.1; Evolution before 2.3.6 tells of an edit with neither status
 * nor words, or with DELETED.
 */
export function readUpdate(data: unknown, theirs: boolean): ReadMessage | null {
  const holder = holderOf(data);
  const stub = at(holder, 'messageStubType');
  if (stub === 1 || stub === 'REVOKE') return { kind: 'delete', targetId: null };
  const message = at(holder, 'message');
  const status = at(holder, 'status');
  if (message === null && (status === undefined || status === null)) return { kind: 'delete', targetId: null };
  if (status === 'DELETED' && theirs) return { kind: 'delete', targetId: null, unsure: true };
  const edited = objectAt(message, 'editedMessage');
  if (edited !== null) return { kind: 'edit', targetId: null, content: editedContent(edited) };
  if (typeof message === 'object' && message !== null && Object.keys(message).length > 0) {
    const read = readMessage({ message, key: at(data, 'key') });
    if (read.kind !== 'content' || read.content.wordless !== true) return read;
  }
  // Neither ticks nor votes nor words: it changed, and how is not told.
  const silent = theirs && status === undefined && holder === data && listAt(data, 'pollUpdates').length === 0;
  return silent ? { kind: 'edit', targetId: null, content: null } : null;
}

/** Evolution's own shape, or Baileys' `{key, update}` as forwarders replay it. */
function holderOf(data: unknown): unknown {
  return objectAt(data, 'update') ?? data;
}

/**
 * Only our own phone sends these. From anybody else they are an attack on the gateway: Baileys before 7.0.0-rc12 obeyed them, and so took messages of any
 * author for true (GHSA-qvv5-jq5g-4cgg). Kind, protobuf's number of it, and the field that holds it. Source: the guard of rc13, process-message.
 */
const SELF_ONLY = [
  ['HISTORY_SYNC_NOTIFICATION', 5, 'historySyncNotification'],
  ['APP_STATE_SYNC_KEY_SHARE', 6, 'appStateSyncKeyShare'],
  ['PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE', 17, 'peerDataOperationRequestResponseMessage'],
  ['LID_MIGRATION_MAPPING_SYNC', 22, 'lidMigrationMappingSyncMessage'],
] as const;

function isSelfOnly(protocol: object): boolean {
  const type = at(protocol, 'type');
  return SELF_ONLY.some(
    ([name, number, field]) => type === name || idAt(protocol, 'type') === String(number) || objectAt(protocol, field) !== null,
  );
}

const WRAPPERS = [
  'ephemeralMessage',
  'viewOnceMessage',
  'viewOnceMessageV2',
  'viewOnceMessageV2Extension',
  'documentWithCaptionMessage',
  'editedMessage',
  'deviceSentMessage',
  'lottieStickerMessage',
  'associatedChildMessage',
  'groupMentionedMessage',
  'botInvokeMessage',
  'pollCreationMessageV4',
  'statusMentionMessage',
  'groupStatusMentionMessage',
];

/** Real messages nest two or three wrappers; the bound is against hostile ones. */
const MAX_WRAPPERS = 10;
/** What holds a `message` and is not around this one. */
const NO_WRAPPERS = new Set(['quoted', 'contextInfo', 'messageContextInfo', 'key', 'protocolMessage', 'reactionMessage']);

/** The wrapper around what is inside. A newer one is known by its form: WhatsApp's are all `{message}`. */
function wrapperOf(inner: unknown): string | undefined {
  const known = WRAPPERS.find((name) => objectAt(inner, name) !== null);
  const one = objectAt({ inner }, 'inner');
  if (known !== undefined || one === null) return known;
  const keys = Object.keys(one).slice(0, MAX_KEYS);
  if (keys.some((key) => readerOf(key) !== undefined && objectAt(one, key) !== null && objectAt(one, key, 'message') === null))
    return undefined;
  return keys.find((key) => !NO_WRAPPERS.has(key) && objectAt(one, key, 'message') !== null);
}

/** A message has a handful of keys. */
const MAX_KEYS = 50;

function unwrap(message: unknown): { inner: unknown; viewOnce: boolean; edited: boolean } {
  let inner = message;
  let edited = false;
  let viewOnce = false;
  for (let depth = 0; depth < MAX_WRAPPERS; depth++) {
    const wrapper = wrapperOf(inner);
    if (wrapper === undefined) break;
    viewOnce ||= wrapper.startsWith('viewOnce');
    edited ||= wrapper === 'editedMessage';
    const next = objectAt(inner, wrapper, 'message');
    if (next === null) break;
    inner = next;
  }
  return { inner, viewOnce, edited };
}

/** What the readers find; null when none of them knows the kind. `data` is what the message came in, when that may say more. */
function readContent(inner: unknown, data: unknown): MessageContent | null {
  const messageType = stringAt(data, 'messageType');
  const content = readKnown(inner);
  if (content !== null) {
    const metaReply = content.type === 'text' && (messageType === 'interactiveMessage' || messageType === 'buttonMessage');
    return metaReply ? { ...content, type: 'button' } : votesOf(content, data);
  }
  // `send.message` of the EVOLUTION channel names a medium and leaves its content out.
  const named = messageType === null ? undefined : READERS.get(messageType)?.({});
  return named?.media === null ? null : (named ?? null);
}

function readKnown(inner: unknown): MessageContent | null {
  for (const [key, read] of READERS) {
    const part = at(inner, key);
    const content = part === undefined || part === null ? null : read(part);
    if (content !== null) return content;
  }
  for (const key of Object.keys(objectAt({ inner }, 'inner') ?? {}).slice(0, MAX_KEYS)) {
    const part = at(inner, key);
    const content = READERS.has(key) || part === undefined || part === null ? null : (readerOf(key)?.(part) ?? null);
    if (content !== null) return content;
  }
  return null;
}

/** A vote whose names stand beside the message: Evolution adds them up there (contract 5.1). */
function votesOf(content: MessageContent, data: unknown): MessageContent {
  if (content.type !== 'poll' || objectAt(data, 'message', 'pollUpdateMessage') === null || content.typed !== null) return content;
  const chosen = told(listAt(data, 'pollUpdates'), (option) => (listAt(option, 'voters').length > 0 ? inlineAt(option, 'name') : null));
  return chosen.length === 0 ? content : { ...note('poll', `voto em enquete: ${chosen.join('; ')}`), typed: chosen.join('; ') };
}

const SILENT = [
  'senderKeyDistributionMessage',
  'pinInChatMessage',
  'keepInChatMessage',
  'encReactionMessage',
  'messageHistoryNotice',
  'messageHistoryBundle',
  'fastRatchetKeySenderKeyDistributionMessage',
  'stickerSyncRmrMessage',
  'encCommentMessage',
  'encEventResponseMessage',
];
const BESIDE_CONTENT = new Set([
  ...SILENT,
  ...WRAPPERS,
  'messageContextInfo',
  'base64',
  'mediaUrl',
  'speechToText',
  'contextInfo',
  'quoted',
  'conversation',
  'extendedTextMessage',
]);

/** A message that no reader knows: what it says all the same, that it says nothing, or null when it is bookkeeping only. */
function unreadable(inner: unknown, viewOnce: boolean, data: unknown): MessageContent | null {
  const one = objectAt({ inner }, 'inner');
  const keys = Object.keys(one ?? {}).slice(0, MAX_KEYS);
  const kinds = keys.filter((key) => !BESIDE_CONTENT.has(key) && at(one, key) !== null);
  const [kind] = kinds;
  if (kind !== undefined && kind !== 'placeholderMessage') {
    const heading = note('unsupported', `mensagem de tipo não suportado: ${kindName(kind)}`);
    return withLines(heading, ...readableWords(kinds.map((each) => at(one, each))).map(shown));
  }
  if (viewOnce) return wordless(note('unsupported', 'mensagem de visualização única, aberta só no celular'));
  if (kind !== undefined) return wordless(note('unsupported', `mensagem de tipo não suportado: ${kindName(kind)}`));
  if (keys.some((key) => SILENT.includes(key))) return null;
  const stub = stubOf(data);
  return stub === undefined ? wordless(note('unsupported', 'mensagem vazia')) : stub;
}

function wordless(content: MessageContent): MessageContent {
  return { ...content, wordless: true };
}

/**
 * What a message without content is about, by the number or name that WhatsApp gives to its own lines in a chat. null: bookkeeping (a new security code, a
 * timer). undefined: it is no such line, or the one that says that the words are still to come (CIPHERTEXT).
 */
function stubOf(data: unknown): MessageContent | null | undefined {
  const stub = at(data, 'messageStubType');
  if (typeof stub !== 'number' && typeof stub !== 'string') return undefined;
  if (stub === 0 || stub === 'UNKNOWN' || stub === 2 || stub === 'CIPHERTEXT' || stub === '') return undefined;
  const missed = MISSED_CALLS.get(stub);
  return missed === undefined ? null : note('call', `${missed} não atendida`);
}

const MISSED_CALLS: ReadonlyMap<string | number, string> = new Map<string | number, string>([
  [40, 'chamada de voz'],
  ['CALL_MISSED_VOICE', 'chamada de voz'],
  [41, 'chamada de vídeo'],
  ['CALL_MISSED_VIDEO', 'chamada de vídeo'],
]);

const KIND_NAMES: ReadonlyMap<string, string> = new Map([
  ['callLogMesssage', 'registro de chamada'],
  ['eventMessage', 'evento'],
  ['groupInviteMessage', 'convite de grupo'],
  ['sendPaymentMessage', 'pagamento'],
  ['requestPaymentMessage', 'cobrança'],
  ['paymentInviteMessage', 'convite de pagamento'],
  ['stickerPackMessage', 'pacote de figurinhas'],
  ['placeholderMessage', 'mensagem que só abre no celular'],
  ['scheduledCallCreationMessage', 'chamada agendada'],
  ['pollResultSnapshotMessage', 'resultado de enquete'],
]);

function kindName(key: string): string {
  return KIND_NAMES.get(key) ?? (/^\w{1,40}$/.test(key) ? key : 'desconhecido');
}

/** The words of a voice message count as typed: "parar" said aloud is an opt-out like the one written. */
export function withTranscript(content: MessageContent, transcript: string): MessageContent {
  const words = transcript.replace(/^\s*\[audio\]\s*/i, '').trim();
  if (isBlank(words)) return content;
  const [heading = '', ...caption] = content.text.split('\n');
  return contentOf('audio', [ours(`${heading}, transcrição`), shown(caption.join('\n')), typed(words)], content.media);
}

/** The little picture that a phone shows of a video before it is played, in base64 or byte by byte, as Evolution gives it; null: there is none. */
export function coverOf(message: unknown): string | number[] | null {
  const { inner } = unwrap(message);
  const bytes = at(objectAt(inner, 'videoMessage') ?? objectAt(inner, 'ptvMessage'), 'jpegThumbnail');
  if (typeof bytes === 'string') return bytes === '' ? null : bytes;
  const each = typeof bytes === 'object' && bytes !== null ? Object.values(bytes).slice(0, MOST_COVER_BYTES) : [];
  return each.length > 0 && each.every((byte) => typeof byte === 'number') ? each : null;
}

/** They have some thousand. */
const MOST_COVER_BYTES = 200_000;

function emojiOf(reaction: unknown): string | null {
  const emoji = stringAt(reaction, 'text');
  return emoji === null ? null : cut(emoji, 64).toWellFormed();
}

/** `contextInfo` is lifted to `data` for most kinds, but stays inside wrapped ones (contract 2.2). */
function contextsOf(data: unknown, inner: unknown): readonly object[] {
  const parts = [data, inner, ...[...READERS.keys()].map((key) => at(inner, key))];
  return parts.map((part) => objectAt(part, 'contextInfo')).filter((context) => context !== null);
}

function quotedOf(message: unknown, contexts: readonly object[]): Quoted | null {
  const context = contexts.find((candidate) => idAt(candidate, 'stanzaId') !== null);
  // The EVOLUTION channel hands on `quoted` as its caller gave it.
  const providerId = idAt(context, 'stanzaId') ?? idAt(message, 'quoted', 'id') ?? idAt(message, 'quoted', 'key', 'id');
  if (providerId === null) return null;
  const { inner } = unwrap(at(context, 'quotedMessage') ?? at(message, 'quoted', 'message'));
  return { providerId, text: readContent(inner, null)?.text ?? (joined(' ', ...readableWords(inner)) || null) };
}

/** Someone who came by a click-to-WhatsApp ad often writes only "oi": the ad says what it is about. */
function withAdvertisement(content: MessageContent, contexts: readonly object[]): MessageContent {
  const ad = contexts.map((context) => objectAt(context, 'externalAdReply')).find((found) => found !== null);
  const told = ad ? joined(' | ', inlineAt(ad, 'title'), inlineAt(ad, 'body'), inlineAt(ad, 'sourceUrl')) : null;
  return told === null ? content : withLines(content, ours(`veio do anúncio: ${told}`));
}
