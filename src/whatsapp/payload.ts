/**
 * Bodies of Evolution's webhook -> InboundEvent[]. Total: any JSON value gives at least one event, at worst `ignored`, and a malformed part
 * never takes the rest with it. The source of every rule is contract 1.3, 2 and 3.
 */

import { createHash } from 'node:crypto';
import type { ChatAddress, InboundEvent } from '../core/inbound.ts';
import { at, countAt, idAt, isTrue, listAt, numberAt, objectAt, stringAt } from '../core/json.ts';
import { readMessage, readProtocol } from '../core/message-content.ts';
import { bareJid, canonicalPhone, isMachineNumber, parseJid } from '../core/phone.ts';

/** Why an event was put aside. A closed list, so that it can be a metric's label. */
type IgnoredReason =
  | 'group'
  | 'status'
  | 'broadcast'
  | 'newsletter'
  | 'own_number'
  | 'machine'
  | 'unknown_chat'
  | 'history'
  | 'protocol'
  | 'album'
  | 'forged_protocol'
  | 'forged_resend'
  | 'no_id'
  | 'no_text'
  | 'read_on_phone'
  | 'unknown_status'
  | 'unknown_state'
  | 'pending'
  | 'empty'
  | 'contacts'
  | 'chats'
  | 'groups'
  | 'call'
  | 'labels'
  | 'typebot'
  | 'qrcode'
  | 'instance'
  | 'error'
  | 'unknown_event';

type Source = { instance: string; instanceId: string | null };
type Envelope = { source: Source; ownPn: string | null; receivedAt: Date; body: unknown };
type Distributed<T> = T extends unknown ? Omit<T, keyof Source> : never;

/**
 * `suffix` is the last part of the address when Evolution posts by event (`messages-upsert`); the name in the body wins.
 * `receivedAt` stands in for a missing or absurd `messageTimestamp`.
 */
export function parseWebhook(body: unknown, suffix: string | null, receivedAt: Date): InboundEvent[] {
  const bodies = Array.isArray(body) ? body : [body];
  const events = bodies.flatMap((one) => parseEnvelope(one, suffix, receivedAt));
  return events.length > 0 ? events : [{ instance: '', instanceId: null, kind: 'ignored', reason: 'empty' }];
}

/** Rows of `/chat/findMessages`, read like the webhooks they replace. */
export function parseFoundMessages(instance: string, records: readonly unknown[], receivedAt: Date): InboundEvent[] {
  return records.map((record) => {
    const source = { instance, instanceId: idAt(record, 'instanceId') };
    return { ...source, ...parseMessage(record, { source, ownPn: null, receivedAt, body: null }, false) };
  });
}

function parseEnvelope(body: unknown, suffix: string | null, receivedAt: Date): InboundEvent[] {
  const data = at(body, 'data');
  const source: Source = {
    instance: idAt(body, 'instance') ?? idAt(data, 'instance') ?? idAt(data, 'instanceName') ?? '',
    instanceId: idAt(data, 'instanceId'),
  };
  const sender = parseJid(idAt(body, 'sender') ?? '');
  const ownPn = sender.kind === 'pn' ? canonicalPhone(`+${sender.user}`) : null;
  const events = parseData(eventName(idAt(body, 'event') ?? suffix ?? ''), data, { source, ownPn, receivedAt, body });
  const found = events.length > 0 ? events : [ignored('empty')];
  return found.map((event) => ({ ...source, ...event }));
}

/** `MESSAGES_UPSERT`, `messages-upsert` and `messages.upsert` are one name. */
function eventName(raw: string): string {
  return raw
    .trim()
    .toLowerCase()
    .replaceAll(/[._-]+/g, '.')
    .replace(/^\/+/, '');
}

function parseData(event: string, data: unknown, envelope: Envelope): Distributed<InboundEvent>[] {
  switch (event) {
    case 'messages.upsert':
      return messagesOf(data).map((message) =>
        isResend(envelope.body, data, message) ? ignored('forged_resend') : parseMessage(message, envelope, false),
      );
    case 'send.message':
      return messagesOf(data).map((message) => parseMessage(message, envelope, true));
    case 'messages.update':
      return listOf(data).map(parseAck);
    case 'messages.edited':
    case 'send.message.update':
      return listOf(data).map(parseEdited);
    case 'messages.delete':
      return listOf(data).map(parseDeleted);
    case 'presence.update':
      return listOf(data).map(parsePresence);
    case 'connection.update':
      return listOf(data).map(parseConnection);
    case 'status.instance':
      return listOf(data).map(parseStatus);
    case 'logout.instance':
    case 'remove.instance':
      return [{ kind: 'connection', state: 'close', reason: null, ownerPn: null }];
    default:
      return [ignored(IGNORED_EVENTS.get(event) ?? 'unknown_event')];
  }
}

const IGNORED_EVENTS: ReadonlyMap<string, IgnoredReason> = new Map<string, IgnoredReason>([
  ['messages.set', 'history'],
  ['contacts.set', 'contacts'],
  ['contacts.upsert', 'contacts'],
  ['contacts.update', 'contacts'],
  ['chats.set', 'chats'],
  ['chats.upsert', 'chats'],
  ['chats.update', 'chats'],
  ['chats.delete', 'chats'],
  ['groups.upsert', 'groups'],
  ['groups.update', 'groups'],
  ['group.update', 'groups'],
  ['group.participants.update', 'groups'],
  ['call', 'call'],
  ['labels.edit', 'labels'],
  ['labels.association', 'labels'],
  ['typebot.start', 'typebot'],
  ['typebot.change.status', 'typebot'],
  ['qrcode.updated', 'qrcode'],
  ['application.startup', 'instance'],
  ['instance.create', 'instance'],
  ['instance.delete', 'instance'],
  ['error', 'error'],
]);

function listOf(data: unknown): readonly unknown[] {
  return listAt({ data }, 'data');
}

/** One message, a list of them, or Baileys' own `{messages, type}` as forwarders replay it. */
function messagesOf(data: unknown): readonly unknown[] {
  const nested = objectAt(data, 'key') === null ? listAt(data, 'messages') : [];
  return nested.length > 0 ? nested : listOf(data);
}

/**
 * Baileys marks a message that a phone gave out again on request with a `requestId`. Before 7.0.0-rc12 anybody could send such an answer, with any
 * author in it (GHSA-qvv5-jq5g-4cgg), so a marked message proves nothing. Evolution itself takes the mark away: then the two look the same.
 */
function isResend(...places: readonly unknown[]): boolean {
  // The mark of one message in a list is not that of the next.
  return places.some((place) => !Array.isArray(place) && idAt(place, 'requestId') !== null);
}

function parseMessage(data: unknown, envelope: Envelope, viaApi: boolean): Distributed<InboundEvent> {
  const fromMe = viaApi || isTrue(at(data, 'key', 'fromMe'));
  const chat = readChat(data, fromMe, envelope.ownPn);
  if (typeof chat === 'string') return ignored(chat);
  const isMachine = isMachineNumber(chat.address.pn ?? chat.alt?.pn ?? '');
  if (isMachine && fromMe) return ignored('machine');
  const read = readMessage(data);
  const from = {
    chat: chat.address,
    jid: chat.jid,
    fromMe,
    viaApi,
    ...(chat.alt === null ? {} : { alt: chat.alt }),
    ...(fromMe && LIBRARY_ID.test(idAt(data, 'key', 'id') ?? '') ? { program: true as const } : {}),
    ...(isMachine ? { machine: true as const } : {}),
    // "Você" on our own messages is no name of the contact.
    pushName: fromMe ? null : (stringAt(data, 'pushName')?.trim() ?? null),
    sentAt: sentAt(data, envelope.receivedAt),
  };
  const providerId = idAt(data, 'key', 'id');
  switch (read.kind) {
    case 'content':
      return {
        kind: 'message',
        // The EVOLUTION channel passes on messages without an id (contract 3.2). A repeat of the same body must get the same one.
        providerId: providerId ?? `noid-${digest([chat.jid, at(data, 'messageTimestamp'), read.content.text])}`,
        content: read.content,
        quoted: read.quoted,
        ...from,
      };
    case 'reaction':
      if (read.targetId === null) return ignored('no_id');
      return {
        kind: 'reaction',
        providerId: providerId ?? `noid-${digest([chat.jid, at(data, 'messageTimestamp'), read.targetId, read.emoji])}`,
        targetId: read.targetId,
        emoji: read.emoji,
        ...from,
      };
    case 'edit':
    case 'delete':
    case 'silent':
      return protocolEvent(read);
  }
}

type Chat = {
  address: ChatAddress;
  jid: string;
  /** Of a message of ours: see InboundEvent. */
  alt: ChatAddress | null;
};

/** The person of a direct chat, or why there is none to talk to. */
function readChat(data: unknown, fromMe: boolean, ownPn: string | null): Chat | IgnoredReason {
  const jid = idAt(data, 'key', 'remoteJid') ?? '';
  const elsewhere = notDirect(jid);
  if (elsewhere !== null) return elsewhere;
  const address = addressOf(jid);
  if (address.pn !== null && address.pn === ownPn) return 'own_number';
  const alts = ALTS.map((name) => addressOf(idAt(data, 'key', name) ?? '')).filter(
    ({ pn, lid }) => (pn !== null && pn !== ownPn) || lid !== null,
  );
  // In a message of ours the Alt may be our own address (contract 2.2).
  if (fromMe) {
    if (address.pn === null && address.lid === null) return 'unknown_chat';
    const alt = alts.find(({ pn, lid }) => (pn !== null && pn !== address.pn) || (lid !== null && lid !== address.lid)) ?? null;
    return { address, jid: bareJid(jid), alt };
  }
  const pn = address.pn ?? alts.find((alt) => alt.pn !== null)?.pn ?? null;
  const lid = address.lid ?? alts.find((alt) => alt.lid !== null)?.lid ?? null;
  return pn === null && lid === null ? 'unknown_chat' : { address: { pn, lid }, jid: bareJid(jid), alt: null };
}

/**
 * Ids of Baileys before 6.6. Its later ones look like those of WhatsApp Web, behind which people type, so they say nothing; the phone's own are
 * `3A` and 18 digits (iOS) or 32 digits (Android).
 */
const LIBRARY_ID = /^BAE5[0-9A-F]{12}$/;

/** Where a key names the person's other address; the last two are of Evolution before 2.3.6. */
const ALTS = ['remoteJidAlt', 'senderPn', 'previousRemoteJid'];

function notDirect(jid: string): IgnoredReason | null {
  const { kind } = parseJid(jid);
  if (kind === 'pn' || kind === 'lid') return null;
  return kind === 'unknown' ? 'unknown_chat' : kind;
}

/** A jid's user has its country code, which the `+` says; bare digits are a number as some caller of the API typed it. */
function addressOf(jid: string): ChatAddress {
  const { kind, user } = parseJid(jid);
  const pn = kind === 'pn' ? canonicalPhone(jid.includes('@') ? `+${user}` : user) : null;
  return { pn, lid: kind === 'lid' ? user : null };
}

/** `messageTimestamp` is in seconds; milliseconds are seen in replays. A time more than a day ahead would put the message after all others. */
function sentAt(data: unknown, receivedAt: Date): string {
  const stamp = numberAt(data, 'messageTimestamp') ?? 0;
  const ms = stamp > 1e11 ? stamp : stamp * 1000;
  const whatsappBegan = Date.UTC(2009, 0, 1);
  const sane = ms >= whatsappBegan && ms <= receivedAt.getTime() + 24 * 3_600_000;
  return (sane ? new Date(ms) : receivedAt).toISOString();
}

function digest(parts: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${typeof part === 'string' || typeof part === 'number' ? part : ''}\n`);
  return hash.digest('hex').slice(0, 32);
}

function parseEdited(data: unknown): Distributed<InboundEvent> {
  // The key is from the author's side, so only a group tells anything about the chat.
  const { kind } = parseJid(idAt(data, 'key', 'remoteJid') ?? '');
  return kind === 'group' || kind === 'status' || kind === 'newsletter' ? ignored(kind) : protocolEvent(readProtocol(data));
}

function protocolEvent(read: ReturnType<typeof readProtocol>): Distributed<InboundEvent> {
  switch (read.kind) {
    case 'edit':
      if (read.targetId === null) return ignored('no_id');
      return read.text === null ? ignored('no_text') : { kind: 'edit', providerId: read.targetId, text: read.text };
    case 'delete':
      return read.targetId === null ? ignored('no_id') : { kind: 'delete', providerId: read.targetId };
    case 'silent':
      return ignored(read.reason);
    default:
      return ignored('protocol');
  }
}

/** Three shapes: the key itself (Baileys, Meta), or a row whose `id` is Evolution's own and whose `key` counts. */
function parseDeleted(data: unknown): Distributed<InboundEvent> {
  const key = objectAt(data, 'key') ?? data;
  const elsewhere = groupish(idAt(key, 'remoteJid'));
  if (elsewhere !== null) return ignored(elsewhere);
  const providerId = idAt(key, 'id') ?? idAt(data, 'keyId');
  return providerId === null ? ignored('no_id') : { kind: 'delete', providerId };
}

type AckStatus = Extract<InboundEvent, { kind: 'ack' }>['status'];

/** Baileys' words and its numbers, and Meta's words. `DELETED` is also what Evolution writes for a status it does not know. */
const ACKS: ReadonlyMap<string, AckStatus | 'pending'> = new Map<string, AckStatus | 'pending'>([
  ['ERROR', 'failed'],
  ['PENDING', 'pending'],
  ['SERVER_ACK', 'sent'],
  ['DELIVERY_ACK', 'delivered'],
  ['READ', 'read'],
  ['PLAYED', 'read'],
  ['SENT', 'sent'],
  ['DELIVERED', 'delivered'],
  ['FAILED', 'failed'],
  ['0', 'failed'],
  ['1', 'pending'],
  ['2', 'sent'],
  ['3', 'delivered'],
  ['4', 'read'],
  ['5', 'read'],
]);

function parseAck(data: unknown): Distributed<InboundEvent> {
  const elsewhere = groupish(idAt(data, 'remoteJid') ?? idAt(data, 'key', 'remoteJid'));
  if (elsewhere !== null) return ignored(elsewhere);
  const providerId = idAt(data, 'keyId') ?? idAt(data, 'key', 'id');
  if (providerId === null) return ignored('no_id');
  // On Baileys `fromMe: false` tells what was done to the contact's message on another device; Meta says it of every ack.
  const fromMe = at(data, 'fromMe') ?? at(data, 'key', 'fromMe');
  if ((fromMe === false || fromMe === 'false' || fromMe === 0) && !providerId.startsWith('wamid.')) return ignored('read_on_phone');
  // Forwarders replay Baileys' own `{key, update: {status}}`.
  const status = ACKS.get((idAt(data, 'status') ?? idAt(data, 'update', 'status') ?? '').toUpperCase());
  if (status === undefined) return ignored('unknown_status');
  return status === 'pending' ? ignored('pending') : { kind: 'ack', providerId, status };
}

function groupish(jid: string | null): IgnoredReason | null {
  const elsewhere = jid === null ? null : notDirect(jid);
  return elsewhere === 'unknown_chat' ? null : elsewhere;
}

type Connection = Extract<InboundEvent, { kind: 'connection' }>;

const STATES: ReadonlyMap<string, Connection['state']> = new Map<string, Connection['state']>([
  ['open', 'open'],
  ['connecting', 'connecting'],
  ['close', 'close'],
  ['closed', 'close'],
  ['refused', 'refused'],
]);

function parseConnection(data: unknown): Distributed<InboundEvent> {
  const state = STATES.get((idAt(data, 'state') ?? '').toLowerCase());
  if (state === undefined) return ignored('unknown_state');
  return { kind: 'connection', state, reason: countAt(data, 'statusReason'), ownerPn: addressOf(idAt(data, 'wuid') ?? '').pn };
}

function parseStatus(data: unknown): Distributed<InboundEvent> {
  const state = STATES.get((idAt(data, 'status') ?? '').toLowerCase());
  if (state === undefined) return ignored('unknown_state');
  return { kind: 'connection', state, reason: countAt(data, 'disconnectionReasonCode'), ownerPn: null };
}

type Presence = Extract<InboundEvent, { kind: 'presence' }>['presence'];

const PRESENCES: readonly Presence[] = ['composing', 'recording', 'paused', 'available', 'unavailable'];

function parsePresence(data: unknown): Distributed<InboundEvent> {
  const jid = idAt(data, 'id') ?? '';
  const elsewhere = notDirect(jid);
  if (elsewhere !== null) return ignored(elsewhere);
  const chat = addressOf(jid);
  if (chat.pn === null && chat.lid === null) return ignored('unknown_chat');
  // A direct chat has one entry, and its key may be the person's other address.
  const entry: unknown = Object.values(objectAt(data, 'presences') ?? {})[0];
  const presence = PRESENCES.find((name) => name === at(entry, 'lastKnownPresence'));
  return presence === undefined ? ignored('unknown_state') : { kind: 'presence', chat, presence };
}

function ignored(reason: IgnoredReason): { kind: 'ignored'; reason: string } {
  return { kind: 'ignored', reason };
}
