// The WhatsApp side: what contacts and the owner of the handset do, and what Evolution tells the webhook about it.

import type { Core } from './core.ts';
import { isConnected, rememberNumber } from './evolution-number.ts';
import { afterAwaited, inFullLane, inLane } from './lane.ts';
import {
  contactKey,
  defaultMimetype,
  deviceInfo,
  locationContent,
  long,
  mediaContent,
  messageTypeOf,
  ownJid,
  pageMedia,
  publicRow,
  quoteContext,
  TINY_PNG,
  type MediaInput,
} from './shapes.ts';
import type { Contact, Instance, Json, MediaKind, Message, MessageStatus, Row } from './types.ts';
import { emitWebhook } from './webhooks.ts';
import { contactJid } from './world.ts';

export type InboundInput = {
  instance?: string | undefined;
  contactId: string;
  text?: string | undefined;
  media?:
    | {
        kind: MediaKind;
        base64?: string | undefined;
        mimetype?: string | undefined;
        fileName?: string | undefined;
        seconds?: number | undefined;
        cover?: string | undefined;
        caption?: string | undefined;
      }
    | undefined;
  location?: { latitude: number; longitude: number; name?: string; address?: string } | undefined;
  vcard?: { name: string; phone: string } | string | undefined;
  quotedId?: string | undefined;
  /** The message is this old: an `append` after a reconnect looks like this. */
  ageMs?: number | undefined;
  id?: string | undefined;
};

/** A contact writes. While the instance is down WhatsApp keeps the message and hands it over at the next open. */
export function inbound(core: Core, input: InboundInput): Message {
  const instance = pickInstance(core, input.instance);
  const contact = pickContact(core, input.contactId);
  const id = input.id ?? `3A${core.random.hex(18)}`;
  const built = buildContent(core, instance, contact, input, id);
  const message = {
    ...newMessage(core, instance, contact, id, input.ageMs ?? 0),
    ...built.view,
    ...(input.quotedId === undefined ? {} : { quotedId: input.quotedId }),
  };
  const row = buildRow(core, instance, contact, message, built);
  core.world.addMessage(message);
  core.bus.emit({ type: 'message', message });
  arrives(instance, () => announceInbound(core, instance, contact, row));
  return message;
}

/** WhatsApp keeps what comes while the socket is down; what a deaf number is given is gone. */
function arrives(instance: Instance, work: () => void | Promise<void>): void {
  if (instance.trouble === 'deaf') return;
  const deliver = (): void => inLane(instance, work);
  if (isConnected(instance)) deliver();
  else instance.held.push(deliver);
}

/** A person types on the paired handset: an upsert with fromMe, the sign of a takeover. */
export function ownerMessage(
  core: Core,
  input: { instance?: string | undefined; contactId: string; text: string; id?: string | undefined },
): Message {
  const instance = pickInstance(core, input.instance);
  const contact = pickContact(core, input.contactId);
  const id = input.id ?? `3A${core.random.hex(18)}`;
  const message: Message = {
    ...newMessage(core, instance, contact, id, 0),
    fromMe: true,
    author: 'owner',
    status: 'SERVER_ACK',
    text: input.text,
  };
  const content = { conversation: input.text, ...deviceInfo() };
  const row: Row = {
    ...buildRow(core, instance, contact, message, { content, contextInfo: undefined, base64: undefined }),
    key: contactKey(core.rules, contact, id, true),
    pushName: 'Você',
    status: 'SERVER_ACK',
  };
  core.world.addMessage(message);
  core.bus.emit({ type: 'message', message });
  arrives(instance, () => announceRow(core, instance, row));
  return message;
}

function announceRow(core: Core, instance: Instance, row: Row): void {
  core.world.addRow(instance.name, row);
  emitWebhook(core, instance, 'messages.upsert', publicRow(core.rules, row), row.key.id);
}

/** The contact changes a message. False when there is none of that id. `sealed`: newer phones encrypt an edit, which Evolution passes on unread. */
export function editMessage(core: Core, id: string, text: string, options: { sealed?: boolean | undefined } = {}): boolean {
  const found = findOwn(core, id);
  if (!found) return false;
  const { message, instance, contact } = found;
  message.text = text;
  message.edited = true;
  core.bus.emit({ type: 'message-update', id, text, edited: true });
  if (options.sealed === true) {
    const target = { remoteJid: ownJid(instance), fromMe: true, id };
    const secretEncryptedMessage = {
      targetMessageKey: target,
      encPayload: { 0: 1, 1: 2 },
      encIv: { 0: 3, 1: 4 },
      secretEncType: MESSAGE_EDIT,
    };
    sendContent(core, instance, contact, { ...deviceInfo(), secretEncryptedMessage });
    return true;
  }
  const editedMessage = { conversation: text };
  const news = {
    // The key comes from the author's side: only its id means anything to the receiver.
    key: { remoteJid: ownJid(instance), fromMe: true, id },
    type: 'MESSAGE_EDIT',
    editedMessage,
    timestampMs: String(core.clock.now()),
  };
  arrives(instance, () =>
    afterAwaited(core, instance, 'messages.edited', news, id, () => {
      const row = core.world.row(instance.name, id);
      // Evolution drops news of messages that its database does not hold.
      if (!row) return;
      const { remoteJid, fromMe } = row.key;
      const ids = { instanceId: instance.id, messageId: row.id };
      row.message = editedMessage;
      row.messageTimestamp = Math.floor(core.clock.now() / 1000);
      row.updates.push({ id: core.random.cuid(), keyId: id, remoteJid, fromMe, status: 'EDITED', ...ids });
      if (!core.rules.editsAsUpdates) return;
      const update = { keyId: id, remoteJid, fromMe, participant: '', status: 'SERVER_ACK', instanceId: instance.id };
      emitWebhook(
        core,
        instance,
        'messages.update',
        { ...update, message: { editedMessage: { message: editedMessage } }, messageId: row.id },
        id,
      );
    }),
  );
  return true;
}

/** SecretEncType of WhatsApp's SecretEncryptedMessage. */
const MESSAGE_EDIT = 2;

/** The contact deletes a message for everyone: a REVOKE edit, then a delete with the bare key. */
export function removeMessage(core: Core, id: string): boolean {
  const found = findOwn(core, id);
  if (!found) return false;
  const { message, instance, contact } = found;
  message.deleted = true;
  core.bus.emit({ type: 'message-update', id, deleted: true });
  const revoke = { key: { remoteJid: ownJid(instance), fromMe: true, id }, type: 'REVOKE' };
  const key = contactKey(core.rules, contact, id, message.fromMe);
  arrives(instance, () =>
    afterAwaited(core, instance, 'messages.edited', revoke, id, () => {
      emitWebhook(core, instance, 'messages.delete', { ...key, ...(core.rules.deleteTellsStatus ? { status: 'DELETED' } : {}) }, id);
    }),
  );
  return true;
}

/** The contact votes in a poll of ours; null: this Evolution does not tell of votes. */
export function vote(
  core: Core,
  input: { instance?: string | undefined; contactId: string; pollId?: string | undefined; options: string[]; chosen: string[] },
): string | null {
  if (!core.rules.pollVotes) return null;
  const instance = pickInstance(core, input.instance);
  const contact = pickContact(core, input.contactId);
  const pollCreationMessageKey = { remoteJid: contactJid(contact), fromMe: true, id: input.pollId ?? '3EB0POLL', participant: '' };
  const selected = { encPayload: { 0: 1 }, encIv: { 0: 2 }, selectedOptions: input.chosen };
  const pollUpdateMessage = { pollCreationMessageKey, vote: selected, senderTimestampMs: long(core.clock.now(), false) };
  const pollUpdates = input.options.map((name) => ({ name, voters: input.chosen.includes(name) ? [contactJid(contact)] : [] }));
  return sendContent(core, instance, contact, { pollUpdateMessage }, { pollUpdates });
}

/** The contact reacts to a message of either side; an empty emoji takes the reaction back. */
export function reactTo(core: Core, id: string, emoji: string): boolean {
  const found = findOwn(core, id);
  if (!found) return false;
  const { message, instance, contact } = found;
  message.reactions = message.reactions.filter((reaction) => reaction.from !== 'contact');
  if (emoji !== '') message.reactions.push({ from: 'contact', emoji });
  core.bus.emit({ type: 'message-update', id, reaction: { from: 'contact', emoji } });
  const key = { remoteJid: contactJid(contact), fromMe: message.fromMe, id };
  const reactionMessage = { key, text: emoji, senderTimestampMs: long(core.clock.now(), false) };
  sendContent(core, instance, contact, { ...deviceInfo(), reactionMessage });
  return true;
}

/** Something of the contact that is no message of its own in a chat. Returns its id. */
function sendContent(core: Core, instance: Instance, contact: Contact, content: Json, extras: Json = {}): string {
  const id = `3A${core.random.hex(18)}`;
  const built = { content, contextInfo: undefined, base64: undefined };
  const row = { ...buildRow(core, instance, contact, newMessage(core, instance, contact, id, 0), built), ...extras };
  arrives(instance, () => announceRow(core, instance, row));
  return id;
}

/** The contact types. Evolution hears of it only for chats it has subscribed to, unless `force`. */
export function typing(
  core: Core,
  input: { instance?: string | undefined; contactId: string; presence: string; force?: boolean | undefined },
): boolean {
  const instance = pickInstance(core, input.instance);
  const jid = contactJid(pickContact(core, input.contactId));
  if (input.force !== true && !instance.subscribed.has(jid)) return false;
  const payload = { id: jid, presences: { [jid]: { lastKnownPresence: input.presence } } };
  inFullLane(core, instance, () => void emitWebhook(core, instance, 'presence.update', payload));
  return true;
}

/** The contact opens the chat: READ for everything of ours. Returns how many messages changed. */
export function readChat(core: Core, input: { instance?: string | undefined; contactId: string }): number {
  const ours = core.world
    .messagesOf(input.contactId)
    .filter(
      (message) =>
        message.fromMe &&
        message.status !== 'READ' &&
        message.status !== 'ERROR' &&
        (input.instance === undefined || message.instance === input.instance),
    );
  for (const message of ours) acknowledge(core, message, 'READ');
  return ours.length;
}

/** An ack of a message of ours, as MessageUpdate row and `messages.update`. */
export function acknowledge(core: Core, message: Message, status: MessageStatus): void {
  const instance = core.world.instances.get(message.instance);
  if (!instance || !isConnected(instance) || core.world.silent.has(message.id)) return;
  // Nothing that comes over its socket reaches a deaf number, receipts neither.
  if (instance.trouble === 'deaf') return;
  if (RANK[status] > RANK[message.status]) message.status = status;
  core.bus.emit({ type: 'message-update', id: message.id, status });
  const row = core.world.row(instance.name, message.id);
  // Evolution drops acks of messages that its database does not hold.
  if (!row) return;
  const update = { keyId: message.id, remoteJid: row.key.remoteJid, fromMe: true, status };
  const ids = { instanceId: instance.id, messageId: row.id };
  row.updates.push({ id: core.random.cuid(), ...update, participant: null, pollUpdates: null, ...ids });
  inFullLane(core, instance, () => void emitWebhook(core, instance, 'messages.update', { ...update, ...ids }, message.id));
}

const RANK: Record<MessageStatus, number> = { PENDING: 0, SERVER_ACK: 1, DELIVERY_ACK: 2, READ: 3, ERROR: 4 };

export function pickInstance(core: Core, name: string | undefined): Instance {
  const instance = name === undefined ? core.world.instances.values().next().value : core.world.instances.get(name);
  if (!instance) throw new Error(`no instance ${name ?? ''}`);
  return instance;
}

function pickContact(core: Core, id: string): Contact {
  const contact = core.world.contacts.get(id);
  if (!contact) throw new Error(`no contact ${id}`);
  return contact;
}

type Built = { content: Json; contextInfo: Json | null | undefined; base64: string | undefined };

function buildContent(
  core: Core,
  instance: Instance,
  contact: Contact,
  input: InboundInput,
  id: string,
): Built & { view: Partial<Message> } {
  const quote = input.quotedId === undefined ? null : findQuote(core, instance, contact, input.quotedId);
  if (input.media) {
    const media: MediaInput = {
      ...input.media,
      base64: input.media.base64 ?? TINY_PNG,
      mimetype: input.media.mimetype ?? defaultMimetype(input.media.kind),
      caption: input.media.caption ?? input.text,
    };
    const content = { ...mediaContent(core.random, media, `/fake/in${id}`, core.clock.now()), ...deviceInfo() };
    const caption = media.caption === undefined ? {} : { caption: media.caption };
    const view = { kind: media.kind, media: pageMedia(media, `/sim/media/${id}`), ...caption };
    return { content, contextInfo: quote, base64: media.base64, view };
  }
  if (input.location) {
    const { latitude, longitude, name } = input.location;
    const content = { ...locationContent(core.random, input.location), ...deviceInfo() };
    const view = { kind: 'location', text: name ?? `${latitude}, ${longitude}` };
    return { content, contextInfo: quote, base64: undefined, view };
  }
  if (input.vcard !== undefined) {
    const { name, card } = vcard(input.vcard);
    const content = { contactMessage: { displayName: name, vcard: card }, ...deviceInfo() };
    return { content, contextInfo: quote, base64: undefined, view: { kind: 'contact', text: name } };
  }
  const text = input.text ?? '';
  // An extended text (a quote) is rewritten to `conversation`; only then the field contextInfo is there.
  const content = quote ? { ...deviceInfo(), conversation: text } : { conversation: text, ...deviceInfo() };
  return { content, contextInfo: quote ?? undefined, base64: undefined, view: { text } };
}

function findQuote(core: Core, instance: Instance, contact: Contact, id: string): Json {
  const row = core.world.row(instance.name, id);
  const { messageContextInfo: _device, ...content } = row?.message ?? { conversation: '' };
  const participant = row?.key.fromMe === true ? ownJid(instance) : contactJid(contact);
  return quoteContext({ id, participant, content });
}

function vcard(input: { name: string; phone: string } | string): { name: string; card: string } {
  if (typeof input === 'string') return { name: /FN:(.*)/.exec(input)?.[1]?.trim() ?? 'Contato', card: input };
  const digits = input.phone.replace(/\D/g, '');
  const lines = ['BEGIN:VCARD', 'VERSION:3.0', `FN:${input.name}`];
  lines.push(`TEL;type=CELL;waid=${digits}:+${digits}`, 'END:VCARD');
  return { name: input.name, card: lines.join('\n') };
}

function newMessage(core: Core, instance: Instance, contact: Contact, id: string, ageMs: number): Message {
  return {
    id,
    instance: instance.name,
    contactId: contact.id,
    fromMe: false,
    author: 'contact',
    kind: 'text',
    text: '',
    at: core.clock.now() - ageMs,
    status: 'DELIVERY_ACK',
    reactions: [],
  };
}

function buildRow(core: Core, instance: Instance, contact: Contact, message: Message, built: Built): Row {
  return {
    id: core.random.cuid(),
    key: contactKey(core.rules, contact, message.id, false),
    pushName: contact.name,
    status: 'DELIVERY_ACK',
    message: built.content,
    ...(built.contextInfo === undefined ? {} : { contextInfo: built.contextInfo }),
    messageType: messageTypeOf(built.content),
    messageTimestamp: Math.floor(message.at / 1000),
    instanceId: instance.id,
    source: message.id.startsWith('3A') && message.id.length === 20 ? 'ios' : 'unknown',
    updates: [],
    ...(built.base64 === undefined ? {} : { base64: built.base64 }),
  };
}

/** How long 2.3.6 remembers an id. */
const REPEAT_SECONDS = 300;

/** Stores the row, then tells the webhook, with the chats.* and contacts.* events that come along. */
function announceInbound(core: Core, instance: Instance, contact: Contact, row: Row): void {
  const jid = row.key.remoteJid;
  const known = core.world.row(instance.name, row.key.id);
  if (known !== null && core.rules.dropsRepeats && core.clock.now() / 1000 - known.messageTimestamp < REPEAT_SECONDS) return;
  const noise = core.options.noise !== false;
  const isNew = !core.world.hasChat(instance.name, jid);
  core.world.addRow(instance.name, row);
  const place = { remoteJid: jid, instanceId: instance.id };
  if (noise && isNew) {
    emitWebhook(core, instance, 'chats.upsert', [{ ...place, name: contact.name, unreadMessages: 1 }]);
  }
  if (noise) {
    emitWebhook(core, instance, 'chats.update', [place]);
    emitWebhook(core, instance, 'contacts.update', [place]);
  }
  const shown = publicRow(core.rules, row);
  const { remoteJid, remoteJidAlt } = shown['key'] as Row['key'];
  const alternative = typeof remoteJidAlt === 'string' ? remoteJidAlt : null;
  if (contact.addressing !== 'lid-hidden')
    rememberNumber(instance, remoteJid.endsWith('@lid') ? (alternative ?? remoteJid) : remoteJid, alternative);
  const wantsBase64 = row.base64 !== undefined && instance.base64;
  const payload = wantsBase64 ? { ...shown, message: { ...row.message, base64: row.base64 } } : shown;
  emitWebhook(core, instance, 'messages.upsert', payload, row.key.id);
  // Evolution throws after the upsert of a chat whose number is hidden, so nothing follows there.
  if (noise && contact.addressing !== 'lid-hidden') {
    emitWebhook(core, instance, 'contacts.update', { remoteJid: jid, pushName: contact.name, instanceId: instance.id });
  }
}

function findOwn(core: Core, id: string): { message: Message; instance: Instance; contact: Contact } | null {
  const message = core.world.message(id);
  if (!message) return null;
  const instance = core.world.instances.get(message.instance);
  const contact = core.world.contacts.get(message.contactId);
  return instance && contact ? { message, instance, contact } : null;
}
