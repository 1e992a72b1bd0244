// What exists: instances, contacts, the messages that people see and the rows that Evolution's database holds.
// Nothing here talks to the network.

import { createHash } from 'node:crypto';
import type { Random } from './clock.ts';
import { digitsOf, sameNumber } from './jid.ts';
import type { Addressing, Contact, Instance, Message, Row, WebhookTarget } from './types.ts';

/** Source: EventController.events in Evolution; GROUP_UPDATE is its own misspelling. */
export const WEBHOOK_EVENTS = [
  'APPLICATION_STARTUP',
  'QRCODE_UPDATED',
  'MESSAGES_SET',
  'MESSAGES_UPSERT',
  'MESSAGES_EDITED',
  'MESSAGES_UPDATE',
  'MESSAGES_DELETE',
  'SEND_MESSAGE',
  'SEND_MESSAGE_UPDATE',
  'CONTACTS_SET',
  'CONTACTS_UPSERT',
  'CONTACTS_UPDATE',
  'PRESENCE_UPDATE',
  'CHATS_SET',
  'CHATS_UPSERT',
  'CHATS_UPDATE',
  'CHATS_DELETE',
  'GROUPS_UPSERT',
  'GROUP_UPDATE',
  'GROUP_PARTICIPANTS_UPDATE',
  'CONNECTION_UPDATE',
  'LABELS_EDIT',
  'LABELS_ASSOCIATION',
  'CALL',
  'TYPEBOT_START',
  'TYPEBOT_CHANGE_STATUS',
  'REMOVE_INSTANCE',
  'LOGOUT_INSTANCE',
  'INSTANCE_CREATE',
  'INSTANCE_DELETE',
  'STATUS_INSTANCE',
];

/** Known to 2.4 only; an older one refuses a webhook that names it. */
export const WEBHOOK_EVENTS_24 = ['MESSAGING_HISTORY_SET'];

/** The one group that every instance knows. Others are answered as unknown. */
export const KNOWN_GROUP = '120363043111111111@g.us';

type InstanceRows = { ordered: Row[]; byId: Map<string, Row>; byChat: Map<string, Row[]> };

export class World {
  readonly instances = new Map<string, Instance>();
  readonly contacts = new Map<string, Contact>();
  /** By instance and WhatsApp id. */
  readonly messages = new Map<string, Message>();
  /** WhatsApp ids whose acks and reads never come. */
  readonly silent = new Set<string>();
  readonly #rows = new Map<string, InstanceRows>();
  readonly #contactByJid = new Map<string, Contact>();
  readonly #byContact = new Map<string, Message[]>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  addInstance(input: {
    name: string;
    token?: string;
    number?: string;
    integration?: string;
    connected: boolean;
    loggedOut?: boolean;
    settings?: Record<string, unknown>;
  }): Instance {
    const instance: Instance = {
      id: uuidOf(input.name),
      name: input.name,
      token: input.token ?? `${input.name}-token`,
      number: input.number ?? `551190000${String(this.instances.size + 1).padStart(4, '0')}`,
      profileName: 'Simulador',
      integration: input.integration ?? 'WHATSAPP-BAILEYS',
      state: input.connected ? 'open' : 'close',
      connectedOnce: input.connected,
      loggedOut: input.loggedOut ?? false,
      disconnection: null,
      webhook: null,
      base64: false,
      settings: { ...DEFAULT_SETTINGS, ...input.settings },
      createdAt: new Date().toISOString(),
      knownJids: new Map(),
      subscribed: new Set(),
      held: [],
      trouble: null,
      healsBy: 'restart',
      lane: { busy: false, waiting: [] },
      loggingOut: false,
    };
    this.instances.set(instance.name, instance);
    return instance;
  }

  removeInstance(name: string): void {
    this.instances.delete(name);
    this.#rows.delete(name);
  }

  newWebhook(input: Partial<WebhookTarget> & { url: string }, old: WebhookTarget | null): WebhookTarget {
    const now = new Date().toISOString();
    return {
      id: old?.id ?? this.#random.cuid(),
      enabled: input.enabled ?? true,
      url: input.url,
      headers: input.headers ?? old?.headers ?? null,
      events: input.events && input.events.length > 0 ? input.events : WEBHOOK_EVENTS,
      byEvents: input.byEvents ?? old?.byEvents ?? false,
      base64: input.base64 ?? old?.base64 ?? false,
      createdAt: old?.createdAt ?? now,
      updatedAt: now,
    };
  }

  addContact(input: { name: string; phone?: string; lid?: string; addressing?: Addressing; refuses?: Contact['refuses'] }): Contact {
    const phone = (input.phone ?? `55119${this.#random.digits(8)}`).replace(/\D/g, '');
    const lidDigits = (input.lid ?? this.#random.digits(15)).replace(/\D/g, '');
    const contact: Contact = {
      id: `contact-${this.contacts.size + 1}`,
      name: input.name,
      phone,
      lid: `${lidDigits}@lid`,
      addressing: input.addressing ?? 'pn',
      refuses: input.refuses ?? [],
    };
    this.contacts.set(contact.id, contact);
    this.#contactByJid.set(phoneJid(contact), contact);
    this.#contactByJid.set(contact.lid, contact);
    return contact;
  }

  /** The person behind an address, with or without the ninth digit; null for a stranger. */
  findContact(jid: string): Contact | null {
    const known = this.#contactByJid.get(jid);
    if (known) return known;
    if (jid.endsWith('@lid')) return null;
    const digits = digitsOf(jid);
    for (const contact of this.contacts.values()) {
      if (sameNumber(contact.phone, digits)) return contact;
    }
    return null;
  }

  /** A group or a number nobody has added becomes a contact when something is sent to it. */
  contactFor(jid: string): { contact: Contact; added: boolean } {
    const found = this.findContact(jid);
    if (found) return { contact: found, added: false };
    const digits = digitsOf(jid);
    const contact = jid.endsWith('@lid')
      ? this.addContact({ name: digits, lid: digits, addressing: 'lid-hidden' })
      : this.addContact({ name: digits, phone: digits });
    this.#contactByJid.set(jid, contact);
    return { contact, added: true };
  }

  addMessage(message: Message): void {
    this.messages.set(`${message.instance} ${message.id}`, message);
    const list = this.#byContact.get(message.contactId);
    if (list) list.push(message);
    else this.#byContact.set(message.contactId, [message]);
  }

  message(id: string, instance?: string): Message | null {
    const names = instance === undefined ? [...this.instances.keys()] : [instance];
    for (const name of names) {
      const found = this.messages.get(`${name} ${id}`);
      if (found) return found;
    }
    return null;
  }

  messagesOf(contactId: string): Message[] {
    return this.#byContact.get(contactId) ?? [];
  }

  addRow(instance: string, row: Row): void {
    const rows = this.#rowsOf(instance);
    rows.ordered.push(row);
    rows.byId.set(row.key.id, row);
    const chat = rows.byChat.get(row.key.remoteJid);
    if (chat) chat.push(row);
    else rows.byChat.set(row.key.remoteJid, [row]);
  }

  row(instance: string, id: string): Row | null {
    return this.#rowsOf(instance).byId.get(id) ?? null;
  }

  /** In the order of arrival; of one chat when `remoteJid` is given. */
  rows(instance: string, remoteJid?: string): Row[] {
    const rows = this.#rowsOf(instance);
    return remoteJid === undefined ? rows.ordered : (rows.byChat.get(remoteJid) ?? []);
  }

  hasChat(instance: string, remoteJid: string): boolean {
    return this.#rowsOf(instance).byChat.has(remoteJid);
  }

  /** Forgets messages and rows; contacts too unless they are kept. Instances stay. */
  clear(keepContacts: boolean): void {
    this.messages.clear();
    this.silent.clear();
    this.#byContact.clear();
    this.#rows.clear();
    if (keepContacts) return;
    this.contacts.clear();
    this.#contactByJid.clear();
  }

  #rowsOf(instance: string): InstanceRows {
    const known = this.#rows.get(instance);
    if (known) return known;
    const rows: InstanceRows = { ordered: [], byId: new Map(), byChat: new Map() };
    this.#rows.set(instance, rows);
    return rows;
  }
}

/** The same for a name in every run: a restarted simulator is the same Evolution to a kept database. */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export const DEFAULT_SETTINGS = {
  rejectCall: false,
  msgCall: '',
  groupsIgnore: false,
  alwaysOnline: false,
  readMessages: false,
  readStatus: false,
  syncFullHistory: false,
  wavoipToken: '',
};

/** The address under which WhatsApp shows a contact in a message key. */
export function contactJid(contact: Contact): string {
  return contact.addressing === 'pn' ? phoneJid(contact) : contact.lid;
}

/** WhatsApp's own writing: it is not Evolution that names the address of who writes. */
export function phoneJid(contact: Contact): string {
  return `${contact.phone}@s.whatsapp.net`;
}
