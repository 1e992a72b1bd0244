/**
 * What a WhatsApp message says, told in text for the model and the history. Pure and total: any JSON value is read, at worst as
 * `unsupported`. This file takes a message out of its wrappers (contract 2.2, 2.3); message-kinds.ts knows what is inside.
 */

import type { MessageContent } from './inbound.ts';
import { at, idAt, isBlank, isTrue, objectAt, stringAt } from './json.ts';
import { inlineAt, joined, note, READERS } from './message-kinds.ts';

export type Quoted = { providerId: string; text: string | null };

export type ReadMessage =
  | { kind: 'content'; content: MessageContent; quoted: Quoted | null }
  /** `emoji` null: removed. */
  | { kind: 'reaction'; targetId: string | null; emoji: string | null }
  /** `text` null: the new text could not be read. */
  | { kind: 'edit'; targetId: string | null; text: string | null }
  | { kind: 'delete'; targetId: string | null }
  /** Bookkeeping of WhatsApp that says nothing to a reader. */
  | { kind: 'silent'; reason: 'protocol' | 'album' | 'forged_protocol' };

/**
 * Reads the `data` of `messages.upsert` and `send.message`, or a row of `/chat/findMessages`.
 * `messageType` decides only where the content does not: Meta's button replies and sends whose content Evolution left out.
 */
export function readMessage(data: unknown): ReadMessage {
  const outer = at(data, 'message');
  const { inner, viewOnce: wrappedOnce } = unwrap(outer);
  // A linked device gets a view-once message as a key that says so, and nothing beside it.
  const viewOnce = wrappedOnce || at(data, 'key', 'isViewOnce') === true;
  const reaction = objectAt(inner, 'reactionMessage');
  if (reaction !== null) return { kind: 'reaction', targetId: idAt(reaction, 'key', 'id'), emoji: emojiOf(reaction) };
  const protocol = objectAt(inner, 'protocolMessage');
  if (protocol !== null) {
    const forged = isSelfOnly(protocol) && !isTrue(at(data, 'key', 'fromMe'));
    return forged ? { kind: 'silent', reason: 'forged_protocol' } : readProtocol(protocol);
  }
  // The album's pictures follow as messages of their own.
  if (objectAt(inner, 'albumMessage') !== null) return { kind: 'silent', reason: 'album' };

  const messageType = stringAt(data, 'messageType');
  const contexts = contextsOf(data, inner);
  let content = readContent(inner, messageType) ?? unreadable(inner, viewOnce);
  if (content === null) return { kind: 'silent', reason: 'protocol' };
  const transcript = stringAt(outer, 'speechToText') ?? stringAt(inner, 'speechToText');
  if (content.type === 'audio' && transcript !== null) content = withTranscript(content, transcript);
  return { kind: 'content', content: withAdvertisement(content, contexts), quoted: quotedOf(outer, contexts) };
}

/**
 * Reads a protocolMessage: the `data` of `messages.edited` and `send.message.update`. Its `type` is a name or protobuf's number.
 * Only the key's id means anything: the rest of the key is from the author's side.
 */
export function readProtocol(protocol: unknown): ReadMessage {
  const type = at(protocol, 'type');
  const targetId = idAt(protocol, 'key', 'id');
  if (type === 'REVOKE' || type === 0) return { kind: 'delete', targetId };
  if (type !== 'MESSAGE_EDIT' && type !== 14) return { kind: 'silent', reason: 'protocol' };
  const edited = objectAt(protocol, 'editedMessage');
  const { inner } = unwrap(objectAt(edited, 'message') ?? edited);
  return { kind: 'edit', targetId, text: readContent(inner, null)?.text ?? null };
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

function unwrap(message: unknown): { inner: unknown; viewOnce: boolean } {
  let inner = message;
  let viewOnce = false;
  for (let depth = 0; depth < MAX_WRAPPERS; depth++) {
    const wrapper = WRAPPERS.find((name) => objectAt(inner, name) !== null);
    if (wrapper === undefined) break;
    viewOnce ||= wrapper.startsWith('viewOnce');
    const next = objectAt(inner, wrapper, 'message');
    if (next === null) break;
    inner = next;
  }
  return { inner, viewOnce };
}

function readContent(inner: unknown, messageType: string | null): MessageContent | null {
  for (const [key, read] of READERS) {
    const part = at(inner, key);
    const content = part === undefined || part === null ? null : read(part);
    if (content === null) continue;
    const metaReply = content.type === 'text' && (messageType === 'interactiveMessage' || messageType === 'buttonMessage');
    return metaReply ? { ...content, type: 'button' } : content;
  }
  // `send.message` of the EVOLUTION channel names a medium and leaves its content out.
  const named = messageType === null ? undefined : READERS.get(messageType)?.({});
  return named?.media === null ? null : (named ?? null);
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
  'secretEncryptedMessage',
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

/** A message without readable content: a bracketed note, or null when it is bookkeeping only. */
function unreadable(inner: unknown, viewOnce: boolean): MessageContent | null {
  const one = Array.isArray(inner) ? inner[0] : inner;
  const keys = typeof one === 'object' && one !== null ? Object.keys(one) : [];
  const kind = keys.find((key) => !BESIDE_CONTENT.has(key) && at(one, key) !== null);
  if (kind !== undefined) return note('unsupported', `mensagem de tipo não suportado: ${kindName(kind)}`);
  if (viewOnce) return note('unsupported', 'mensagem de visualização única, aberta só no celular');
  if (keys.some((key) => SILENT.includes(key))) return null;
  return note('unsupported', 'mensagem vazia');
}

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
function withTranscript(content: MessageContent, transcript: string): MessageContent {
  const words = transcript.replace(/^\s*\[audio\]\s*/i, '').trim();
  if (isBlank(words)) return content;
  return { ...content, text: `${content.text.replace(/\]$/, '')}, transcrição]\n${words}`, typed: words };
}

function emojiOf(reaction: unknown): string | null {
  const emoji = stringAt(reaction, 'text');
  return emoji === null ? null : emoji.slice(0, 64).toWellFormed();
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
  return { providerId, text: readContent(inner, null)?.text ?? null };
}

/** Someone who came by a click-to-WhatsApp ad often writes only "oi": the ad says what it is about. */
function withAdvertisement(content: MessageContent, contexts: readonly object[]): MessageContent {
  const ad = contexts.map((context) => objectAt(context, 'externalAdReply')).find((found) => found !== null);
  const told = ad ? joined(' | ', inlineAt(ad, 'title'), inlineAt(ad, 'body'), inlineAt(ad, 'sourceUrl')) : null;
  return told === null ? content : { ...content, text: `${content.text}\n[veio do anúncio: ${told}]` };
}
