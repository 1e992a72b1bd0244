/**
 * Bodies of Evolution's webhook -> InboundEvent[]. Total: any JSON value gives at least one event, at worst `ignored`, and a malformed part
 * never takes the rest with it. The source of every rule is contract 1.3, 2 and 3.
 */

import { cut, LONGEST_WORDS } from '../words/cut.ts';
import { shownName } from '../words/foreign-text.ts';
import { createHash } from 'node:crypto';
import type { ChatAddress, InboundEvent } from './inbound-event.ts';
import { at, countAt, idAt, isTrue, listAt, numberAt, objectAt, stringAt } from '../words/json.ts';
import { readMessage, readProtocol, readUpdate, SEALED_EDIT } from './message-content.ts';
import type { ReadMessage, ReadNews } from './message-content.ts';
import { bareJid, canonicalPhone, isMachineNumber, parseJid } from '../words/phone.ts';
import type { PUT_ASIDE } from '../words/reasons.ts';
import { eventName, MAX_EVENTS } from './envelope.ts';

/** What comes all day and is about no message of anybody: it is counted and leaves no entry. */
const NOISE = ['contacts', 'chats', 'groups', 'call', 'labels', 'typebot', 'qrcode', 'instance', 'error'] as const;
/** Of `messages.update`, what comes with each message and says nothing; also of chats that are nobody's. */
const TICKS = ['pending', 'read_on_phone', 'group', 'status', 'broadcast', 'newsletter'] as const;

/** Why an event was put aside. A closed list, so that it can be a metric's label. */
type IgnoredReason = keyof typeof PUT_ASIDE | 'forged_resend' | (typeof NOISE)[number] | (typeof TICKS)[number];

type Source = { instance: string; instanceId: string | null };
type Envelope = { source: Source; ownPn: string | null; receivedAt: Date; body: unknown; most: number };
type Distributed<T> = T extends unknown ? Omit<T, keyof Source> : never;
/** What an event means, before its number is known. */
type Meant = Exclude<Distributed<InboundEvent>, { kind: 'ignored' }> | PutAside;
type PutAside = Omit<Extract<Distributed<InboundEvent>, { kind: 'ignored' }>, 'reason' | 'kept'> & { reason: IgnoredReason };

/**
 * `suffix` is the last part of the address when Evolution posts by event (`messages-upsert`); the name in the body wins.
 * `receivedAt` stands in for a missing or absurd `messageTimestamp`. `most`: so many of a list are read; what is more is one event that says so.
 */
export function parseWebhook(body: unknown, suffix: string | null, receivedAt: Date, most: number = MAX_EVENTS): InboundEvent[] {
  const data = at(body, 'data');
  const source = sourceOf(body);
  const sender = parseJid(idAt(body, 'sender') ?? '');
  const ownPn = sender.kind === 'pn' ? canonicalPhone(`+${sender.user}`) : null;
  const event = nameOf(body, suffix);
  const events = parseData(event, data, { source, ownPn, receivedAt, body, most });
  const found = events.length > 0 ? events : [ignored('empty')];
  return found.map((each) => ({
    ...source,
    ...(each.kind === 'ignored' && leavesTrace(event, each.reason) ? { ...each, kept: true } : each),
  }));
}

/** So many events of one list are recorded at once: between two parts others have their turn. */
export const PART_EVENTS = 50;

/** Events of which each item of a list is about something of its own, and whether Baileys' `{messages}` is such a list too (see messagesOf). */
const IN_PARTS: ReadonlyMap<string, boolean> = new Map([
  ['messages.upsert', true],
  ['send.message', true],
  ['messages.edited', true],
  ['send.message.update', true],
  ['messages.update', false],
  ['messages.delete', false],
  ['connection.update', false],
  ['status.instance', false],
]);

/** A long list of events as envelopes of some each, in their order; what is too much of it (MAX_EVENTS) is the last, whose `most` is 0. */
export function partsOf(body: unknown, suffix: string | null): { body: unknown; most: number }[] {
  const whole = [{ body, most: MAX_EVENTS }];
  const inMessages = IN_PARTS.get(nameOf(body, suffix));
  if (inMessages === undefined) return whole;
  const data = at(body, 'data');
  const nested = inMessages && !Array.isArray(data);
  const list = nested ? messagesOf(data) : listOf(data);
  if (list.length <= PART_EVENTS) return whole;
  const part = (from: number, to?: number): unknown => {
    const items = list.slice(from, to);
    return { ...objectAt(body), data: nested ? { ...objectAt(data), messages: items } : items };
  };
  const starts = Array.from({ length: Math.ceil(Math.min(list.length, MAX_EVENTS) / PART_EVENTS) }, (_, n) => n * PART_EVENTS);
  const read = starts.map((from) => ({ body: part(from, from + PART_EVENTS), most: PART_EVENTS }));
  return list.length > MAX_EVENTS ? [...read, { body: part(MAX_EVENTS), most: 0 }] : read;
}

function nameOf(body: unknown, suffix: string | null): string {
  return eventName(idAt(body, 'event') ?? suffix ?? '');
}

/** Rows of `/chat/findMessages`, read like the webhooks they replace. */
export function parseFoundMessages(instance: string, records: readonly unknown[], receivedAt: Date): InboundEvent[] {
  return records.map((record) => {
    const source = { instance, instanceId: idAt(record, 'instanceId') };
    return { ...source, ...parseMessage(record, { source, ownPn: null, receivedAt, body: null, most: 1 }, false) };
  });
}

function sourceOf(body: unknown): Source {
  const data = at(body, 'data');
  return {
    instance: idAt(body, 'instance') ?? idAt(data, 'instance') ?? idAt(data, 'instanceName') ?? '',
    instanceId: idAt(data, 'instanceId'),
  };
}

function parseData(event: string, data: unknown, envelope: Envelope): Meant[] {
  const isMarked = (item: unknown): boolean => isResend(envelope.body, data, item, at(item, 'update'));
  // Whatever may bring words or take them away is asked for the mark.
  const each = (items: readonly unknown[], parse: (item: unknown) => Meant): Meant[] =>
    readEach(items, envelope.most, (item) => (isMarked(item) ? forged(parse(item), item) : parse(item)));
  switch (event) {
    case 'messages.upsert':
      return each(messagesOf(data), (message) => parseMessage(message, envelope, false));
    case 'send.message':
      return each(messagesOf(data), (message) => parseMessage(message, envelope, true));
    case 'messages.update':
      return each(listOf(data), (update) => parseUpdate(update, envelope));
    case 'messages.edited':
      return each(messagesOf(data), (news) => parseEdited(news, envelope, false));
    case 'send.message.update':
      return each(messagesOf(data), (news) => parseEdited(news, envelope, true));
    case 'messages.delete':
      return each(listOf(data), parseDeleted);
    case 'messages.set':
    case 'messaging.history.set':
      // History itself is not stored, but the comparison with Evolution may find it.
      return [...each(messagesOf(data).filter(isMarked), (message) => parseMessage(message, envelope, false)), ignored('history')];
    case 'presence.update':
      return ofEach(listOf(data), envelope.most, parsePresence);
    case 'connection.update':
      return ofEach(listOf(data), envelope.most, parseConnection);
    case 'status.instance':
      return ofEach(listOf(data), envelope.most, parseStatus);
    case 'logout.instance':
    case 'remove.instance':
      return [{ kind: 'connection', state: 'close', reason: null, ownerPn: null }];
    default:
      return [ignored(IGNORED_EVENTS.get(event) ?? (event === '' ? 'unreadable' : 'unknown_event'))];
  }
}

/** What is put aside of a list keeps the id of its message, so that it is found by it. */
function readEach(items: readonly unknown[], most: number, parse: (item: unknown) => Meant): Meant[] {
  return ofEach(items, most, (item) => {
    const event = parse(item);
    const providerId = event.kind === 'ignored' ? idOf(objectAt(item, 'key') ?? item) : null;
    return event.kind === 'ignored' && providerId !== null ? { ...event, providerId } : event;
  });
}

/** What is too much of a list is put aside in one piece. */
function ofEach(items: readonly unknown[], most: number, parse: (item: unknown) => Meant): Meant[] {
  const read = items.slice(0, most).map(parse);
  return items.length > most ? [...read, ignored('too_many_events')] : read;
}

const IGNORED_EVENTS: ReadonlyMap<string, IgnoredReason> = new Map<string, IgnoredReason>([
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

/** What is put aside leaves an entry, so that nobody has to guess what became of it, unless it is noise. */
function leavesTrace(event: string, reason: IgnoredReason): boolean {
  const isOf = (list: readonly IgnoredReason[]): boolean => list.includes(reason);
  return event !== 'presence.update' && !isOf(NOISE) && !(event === 'messages.update' && isOf(TICKS));
}

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

/** What was marked. Of a message it is said which one, since Evolution shows it without its mark when it is asked. */
function forged(read: Meant, item: unknown): PutAside {
  if (read.kind !== 'message' && read.kind !== 'reaction') return ignored('forged_resend');
  const { providerId, chat, alt } = read;
  return { ...ignored('forged_resend'), providerId, forged: { chats: alt === undefined ? [chat] : [chat, alt], stamp: stampOf(item) } };
}

/** When a message says that it was sent, however absurd: by this time Evolution finds it. Null: it says nothing. */
function stampOf(data: unknown): string | null {
  const stamp = numberAt(data, 'messageTimestamp') ?? 0;
  const ms = stamp > 1e11 ? stamp : stamp * 1000;
  return ms > 0 ? new Date(Math.min(ms, Date.UTC(2200, 0, 1))).toISOString() : null;
}

function parseMessage(data: unknown, envelope: Envelope, viaApi: boolean): Meant {
  return messageEvent(data, at(data, 'key'), readMessage(data), envelope, viaApi);
}

/** `key` names the message and its chat; `data` is what else is told of it. */
function messageEvent(data: unknown, key: unknown, read: ReadMessage, envelope: Envelope, viaApi: boolean): Meant {
  const fromMe = viaApi || isTrue(at(key, 'fromMe'));
  const chat = readChat(key, fromMe, envelope.ownPn);
  if (typeof chat === 'string') return ignored(chat);
  const isMachine = isMachineNumber(chat.address.pn ?? chat.alt?.pn ?? '');
  if (isMachine && fromMe) return ignored('machine');
  const from = {
    chat: chat.address,
    jid: chat.jid,
    fromMe,
    viaApi,
    ...(chat.alt === null ? {} : { alt: chat.alt }),
    ...(fromMe && LIBRARY_ID.test(idAt(key, 'id') ?? '') ? { program: true as const } : {}),
    ...(isMachine ? { machine: true as const } : {}),
    // "Você" on our own messages is no name of the contact.
    pushName: fromMe ? null : shownName(stringAt(data, 'pushName')),
    sentAt: sentAt(data, envelope.receivedAt),
  };
  const providerId = idOf(key);
  switch (read.kind) {
    case 'content':
      return {
        kind: 'message',
        // The EVOLUTION channel passes on messages without an id (contract 3.2). A repeat of the same body must get the same one.
        providerId: providerId ?? `noid-${digest([chat.jid, at(data, 'messageTimestamp'), read.content.text])}`,
        content: bounded(read.content),
        quoted: read.quoted === null ? null : bounded(read.quoted),
        ...(read.revised ? { revised: true as const } : {}),
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
      return newsOf(read, null, { chat: chat.address, fromMe, changedAt: from.sentAt });
  }
}

/** Words of no more than a message can have (LONGEST_WORDS). */
function bounded<T extends { text: string | null; typed?: string | null }>(words: T): T {
  const { text, typed } = words;
  if ((text?.length ?? 0) <= LONGEST_WORDS && (typed?.length ?? 0) <= LONGEST_WORDS) return words;
  return {
    ...words,
    ...(typeof text === 'string' ? { text: cut(text, LONGEST_WORDS) } : {}),
    ...(typeof typed === 'string' ? { typed: cut(typed, LONGEST_WORDS) } : {}),
  };
}

/** The id of a message at WhatsApp; `messageId` is Evolution's own row, unless a forwarder has named WhatsApp's so. */
function idOf(key: unknown): string | null {
  const row = idAt(key, 'messageId');
  return idAt(key, 'keyId') ?? idAt(key, 'id') ?? (row !== null && /^(?:wamid\..+|[\dA-F]{16,40})$/.test(row) ? row : null);
}

type Chat = {
  address: ChatAddress;
  jid: string;
  /** Of a message of ours: see InboundEvent. */
  alt: ChatAddress | null;
};

/** The person of a direct chat, or why there is none to talk to. */
function readChat(key: unknown, fromMe: boolean, ownPn: string | null): Chat | IgnoredReason {
  // Of a contact, the other address will do where the first one is missing.
  const jid = withServer(key) || (fromMe ? '' : (idAt(key, 'remoteJidAlt') ?? ''));
  const elsewhere = notDirect(jid);
  if (elsewhere !== null) return elsewhere;
  const address = addressOf(jid);
  if (address.pn !== null && address.pn === ownPn) return 'own_number';
  const alts = ALTS.map((name) => altOf(key, name)).filter(({ pn, lid }) => (pn !== null && pn !== ownPn) || lid !== null);
  // In a message of ours the Alt may be our own address (contract 2.2).
  if (fromMe) {
    if (address.pn === null && address.lid === null) return 'unknown_chat';
    const alt = alts.find(({ pn, lid }) => (pn !== null && pn !== address.pn) || (lid !== null && lid !== address.lid)) ?? null;
    return { address, jid: bareJid(jid), alt };
  }
  const pn = address.pn ?? alts.find((alt) => alt.pn !== null)?.pn ?? null;
  const lid = address.lid ?? alts.find((alt) => alt.lid !== null)?.lid ?? null;
  if (pn === null && lid === null) return 'unknown_chat';
  // A lid that lost its server is surely right only as far as it is somebody's name: the answer goes to the phone, where that is known.
  const cut = address.lid !== null && !(idAt(key, 'remoteJid') ?? '@').includes('@');
  return { address: { pn, lid }, jid: cut && pn !== null ? phoneJid(key) : bareJid(jid), alt: null };
}

/**
 * Ids of Baileys before 6.6. Its later ones look like those of WhatsApp Web, behind which people type, so they say nothing; the phone's own are
 * `3A` and 18 digits (iOS) or 32 digits (Android).
 */
const LIBRARY_ID = /^BAE5[0-9A-F]{12}$/;

/** Where a key names the person's other address; the last two are of Evolution before 2.3.6. */
const ALTS = ['remoteJidAlt', 'senderPn', 'previousRemoteJid'];

/**
 * The jid of a key's chat. Evolution 2.4 may cut the server off (contract 5.1): then `addressingMode` says what the digits are, or the other address, which is
 * of the other kind. Where neither says it they stay as they are, a number as the EVOLUTION channel's caller typed it.
 */
function withServer(key: unknown): string {
  const jid = idAt(key, 'remoteJid') ?? '';
  const { kind, user } = parseJid(jid);
  if (jid.includes('@') || !/^\d{1,17}$/.test(user) || kind === 'group') return jid;
  const alt = parseJid(idAt(key, 'remoteJidAlt') ?? '');
  if (alt.kind === 'pn' && alt.user === user) return `${user}@s.whatsapp.net`;
  const mode = modeOf(key) ?? (alt.kind === 'lid' ? 'pn' : alt.kind === 'pn' ? 'lid' : null);
  return mode === null ? jid : `${user}@${mode === 'lid' ? 'lid' : 's.whatsapp.net'}`;
}

function modeOf(key: unknown): 'pn' | 'lid' | null {
  const mode = idAt(key, 'addressingMode')?.toLowerCase();
  return mode === 'pn' || mode === 'lid' ? mode : null;
}

/** The other address of a key. Without a server it is what `addressingMode` says that the first one is not. */
function altOf(key: unknown, name: string): ChatAddress {
  const jid = idAt(key, name) ?? '';
  if (jid.includes('@') || modeOf(key) !== 'pn') return addressOf(jid);
  return { pn: null, lid: /^\d{1,20}$/.test(jid) ? jid : null };
}

/** The phone of a key whose lid was cut off: its user as the provider wrote it, since a ninth digit that WhatsApp does not know is not found. */
function phoneJid(key: unknown): string {
  const found = ALTS.map((name) => parseJid(idAt(key, name) ?? '')).find((alt) => alt.kind === 'pn');
  return `${found?.user ?? ''}@s.whatsapp.net`;
}

function notDirect(jid: string): IgnoredReason | null {
  const { kind } = parseJid(jid);
  if (kind === 'pn' || kind === 'lid') return null;
  return kind === 'unknown' ? 'unknown_chat' : kind;
}

/** A jid's user has its country code, which the `+` says; bare digits are a number as some caller of the API typed it. */
export function addressOf(jid: string): ChatAddress {
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

/**
 * The protocolMessage itself, or a message that holds one. The sender writes its key: a contact names us there, we name the contact, an attacker anything. So
 * what claims to be ours proves nothing, unless the API made the edit (`viaApi`). Evolution tells of the same change in `messages.update`, and writes that key.
 */
function parseEdited(data: unknown, envelope: Envelope, viaApi: boolean): Meant {
  const { kind } = parseJid(idAt(data, 'key', 'remoteJid') ?? '');
  if (kind === 'group' || kind === 'status' || kind === 'newsletter') return ignored(kind);
  if (objectAt(data, 'message') !== null) return parseMessage(data, envelope, viaApi);
  const read = readProtocol(data);
  const changedAt = sentAt({ messageTimestamp: at(data, 'timestampMs') }, envelope.receivedAt);
  // Our lid is not known.
  const named = envelope.ownPn === null || kind !== 'pn' ? null : readChat(at(data, 'key'), true, envelope.ownPn);
  const chat = named === null || typeof named === 'string' ? null : named.address;
  if (!viaApi && chat !== null && read.kind !== 'silent') return ignored('unproven_author');
  return newsOf(read, null, { chat, fromMe: viaApi ? true : null, changedAt });
}

type ToldBy = { chat: ChatAddress | null; /** null: not proven. */ fromMe: boolean | null; changedAt: string };

/** News about a message that is known by its id. `ownId` when the news does not name it itself. */
function newsOf(read: ReadNews, ownId: string | null, { chat, fromMe, changedAt }: ToldBy): Meant {
  if (read.kind === 'silent') return ignored(read.reason);
  const providerId = read.targetId ?? ownId;
  if (providerId === null) return ignored('no_id');
  const change = { providerId, chat, ...(fromMe === null ? {} : { fromMe }) };
  if (read.kind === 'delete') return { kind: 'delete', ...change, ...(read.unsure === true ? { unsure: true, changedAt } : {}) };
  const content = read.content === null ? null : bounded(read.content);
  return content === null
    ? { kind: 'edit', ...change, text: SEALED_EDIT, typed: null, changedAt, unsure: true }
    : { kind: 'edit', ...change, text: content.text, typed: content.typed, changedAt };
}

/** Three shapes: the key itself (Baileys, Meta), or a row whose `id` is Evolution's own and whose `key` counts. */
function parseDeleted(data: unknown): Meant {
  const key = objectAt(data, 'key') ?? data;
  const elsewhere = groupish(idAt(key, 'remoteJid'));
  if (elsewhere !== null) return ignored(elsewhere);
  const providerId = idAt(key, 'id') ?? idAt(data, 'keyId');
  return newsIn(key, { kind: 'delete', targetId: providerId }, null, { fromMe: saidFromMe(at(key, 'fromMe')), changedAt: '' });
}

/** Whether our number did it, as a key tells; null: it does not. */
function saidFromMe(value: unknown): boolean | null {
  if (value === false || value === 'false' || value === 0) return false;
  return isTrue(value) ? true : null;
}

/** The chat that a key names, when it is a direct one. */
function chatOf(key: unknown): ChatAddress | null {
  const chat = readChat(key, isTrue(at(key, 'fromMe')), null);
  return typeof chat === 'string' ? null : chat.address;
}

/** News that takes words away or changes them, in the chat that its key names. Of a chat that nobody can read nobody knows whose it is. */
function newsIn(key: unknown, read: ReadNews, ownId: string | null, told: Omit<ToldBy, 'chat'>): Meant {
  const chat = chatOf(key);
  const news = newsOf(read, ownId, { chat, ...told });
  return chat === null && news.kind !== 'ignored' ? ignored('unknown_chat') : news;
}

type AckStatus = Extract<InboundEvent, { kind: 'ack' }>['status'];

/** Baileys' words and its numbers, and Meta's words. */
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

/**
 * What a `messages.update` says: new words (an edit, or what a message came without), a deletion, or how far a message of ours got. The words win over the ticks
 * that come with them: Evolution 2.3.7 writes SERVER_ACK where there is no status.
 */
function parseUpdate(data: unknown, envelope: Envelope): Meant {
  // Forwarders replay Baileys' own `{key, update}`.
  const key = objectAt(data, 'key') ?? data;
  const elsewhere = groupish(idAt(key, 'remoteJid'));
  if (elsewhere !== null) return ignored(elsewhere);
  const providerId = idOf(key) ?? idOf(data);
  // On Baileys `fromMe: false` tells what was done to the contact's message on another device; Meta says it of every ack.
  const fromMe = saidFromMe(at(data, 'fromMe') ?? at(key, 'fromMe'));
  const theirs = fromMe === false;
  const read = readUpdate(data, theirs);
  if (
    read !== null &&
    providerId === null &&
    (read.kind === 'content' || read.kind === 'reaction' || (read.kind !== 'silent' && read.targetId === null))
  )
    return ignored('no_id');
  if (read?.kind === 'content' || read?.kind === 'reaction')
    return messageEvent(
      data,
      { ...objectAt(key), id: providerId },
      read.kind === 'content' ? { ...read, revised: true } : read,
      envelope,
      false,
    );
  // The key is the gateway's own. A protocolMessage inside may name another message, but not another author.
  if (read !== null) return newsIn(key, read, providerId, { fromMe, changedAt: sentAt(data, envelope.receivedAt) });
  if (providerId === null) return ignored('no_id');
  if (theirs && !providerId.startsWith('wamid.')) return ignored('read_on_phone');
  const status = ACKS.get((idAt(data, 'status') ?? idAt(data, 'update', 'status') ?? '').toUpperCase());
  if (status === undefined) return ignored('unknown_status');
  return status === 'pending' ? ignored('pending') : { kind: 'ack', providerId, chat: chatOf(key), status };
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

function parseConnection(data: unknown): Meant {
  const state = STATES.get((idAt(data, 'state') ?? '').toLowerCase());
  if (state === undefined) return ignored('unknown_state');
  return { kind: 'connection', state, reason: countAt(data, 'statusReason'), ownerPn: addressOf(idAt(data, 'wuid') ?? '').pn };
}

function parseStatus(data: unknown): Meant {
  const state = STATES.get((idAt(data, 'status') ?? '').toLowerCase());
  if (state === undefined) return ignored('unknown_state');
  return { kind: 'connection', state, reason: countAt(data, 'disconnectionReasonCode'), ownerPn: null };
}

type Presence = Extract<InboundEvent, { kind: 'presence' }>['presence'];

const PRESENCES: readonly Presence[] = ['composing', 'recording', 'paused', 'available', 'unavailable'];

function parsePresence(data: unknown): Meant {
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

function ignored(reason: IgnoredReason): PutAside {
  return { kind: 'ignored', reason };
}
