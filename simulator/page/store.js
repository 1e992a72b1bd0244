// What the page knows: the simulator's state plus what only this reader has (open chat, seen messages, drafts).
// Every change goes through here and is told to the views as {type, ...}; applying the same event twice changes nothing.

export const state = {
  instances: [],
  contacts: new Map(),
  messages: new Map(),
  /** Per chat (number + contact): message ids by time, ids not yet seen, and whether the number is typing. */
  chats: new Map(),
  faults: [],
  claudeMode: 'persona',
  /**
   * The product, where the simulator was told of it.
   * @type {{ agent: string, company: string | null } | null}
   */
  product: null,
  /** The number the contacts talk to at present. */
  instance: null,
  /** The contact whose chat is on the screen, or null. */
  open: null,
  link: { kind: 'connecting' },
  /** Ids of the contacts' messages that the runtime's webhook took with a 2xx, and the last attempt for each. */
  accepted: new Set(),
  attempts: new Map(),
  log: { webhooks: [], claude: [] },
};

/** Calls `listener` after each change; views pick the types they care about. */
export function subscribe(listener) {
  listeners.add(listener);
}

export function chatOf(instance, contactId) {
  const key = `${instance}\n${contactId}`;
  let chat = state.chats.get(key);
  if (chat === undefined) {
    chat = { instance, contactId, ids: [], unread: new Set(), typing: null };
    state.chats.set(key, chat);
  }
  return chat;
}

export function openChat() {
  return state.open === null || state.instance === null ? null : chatOf(state.instance, state.open);
}

export function lastMessage(chat) {
  return state.messages.get(chat.ids.at(-1)) ?? null;
}

/** Replaces everything the simulator owns; local messages that are still on their way, or failed, stay. */
export function applySnapshot({ state: snapshot, wire }) {
  const local = [...state.messages.values()].filter((message) => message.local !== undefined);
  state.instances = snapshot.instances ?? [];
  state.contacts = new Map((snapshot.contacts ?? []).map((contact) => [contact.id, contact]));
  state.faults = snapshot.faults ?? [];
  state.product = snapshot.product ?? null;
  state.claudeMode = snapshot.claude?.mode ?? 'persona';
  state.messages.clear();
  state.chats.clear();
  if (!state.instances.some((instance) => instance.name === state.instance)) state.instance = state.instances[0]?.name ?? null;
  if (state.open !== null && !state.contacts.has(state.open)) state.open = null;
  for (const message of [...(snapshot.messages ?? []), ...local]) insert(message);
  if (wire !== null) applyWire(wire);
  emit({ type: 'snapshot' });
}

/** One event of the stream. */
export function applyEvent(event) {
  switch (event.type) {
    case 'message':
      return upsertMessage(event.message);
    case 'message-update':
      return updateMessage(event);
    case 'typing':
      chatOf(event.instance, event.contactId).typing = event.on ? { recording: event.recording === true } : null;
      return emit({ type: 'typing', instance: event.instance, contactId: event.contactId });
    case 'connection':
      return setConnection(event.instance, event.state);
    case 'contact':
      state.contacts.set(event.contact.id, event.contact);
      return emit({ type: 'contact', contact: event.contact });
    case 'webhook':
      return logWebhook({ at: Date.now(), ...event });
    case 'claude':
      return logClaude({ at: Date.now(), ...event });
    case 'faults':
      state.faults = event.faults;
      return emit({ type: 'faults' });
  }
}

/** A new message or a newer version of a known one. */
export function upsertMessage(message) {
  const known = state.messages.get(message.id);
  if (known !== undefined) {
    const { local: _local, ...before } = known;
    state.messages.set(message.id, { ...before, ...message });
    return emit({ type: 'message-changed', id: message.id });
  }
  insert(message);
  if (message.fromMe) chatOf(message.instance, message.contactId).typing = null;
  emit({ type: 'message-new', message });
}

/** Marks a message of this page that the simulator has not taken yet: 'sending' or 'failed'. */
export function setLocal(id, local) {
  const message = state.messages.get(id);
  if (message === undefined || message.local === undefined) return;
  message.local = local;
  emit({ type: 'message-changed', id });
}

export function setConnection(name, connection) {
  const instance = state.instances.find((item) => item.name === name);
  if (instance === undefined) state.instances.push({ name, number: '', state: connection });
  else instance.state = connection;
  emit({ type: 'connection' });
}

export function setLink(link) {
  state.link = link;
  if (link.kind === 'away') for (const chat of state.chats.values()) chat.typing = null;
  emit({ type: 'link' });
}

/** Shows another chat (null: none) of the current number. */
export function setOpen(contactId) {
  state.open = contactId;
  emit({ type: 'open' });
}

export function setInstance(name) {
  state.instance = name;
  emit({ type: 'snapshot' });
}

/** What the badge shows: nothing for the chat that the reader has before them, which is told as read in a moment. */
export function unreadOf(chat) {
  const seen = chat.contactId === state.open && chat.instance === state.instance && document.visibilityState === 'visible';
  return seen ? 0 : chat.unread.size;
}

/** The reader saw the chat; true when there was something that the number was not told about yet. */
export function markSeen(chat) {
  if (chat.unread.size === 0) return false;
  chat.unread.clear();
  emit({ type: 'unread' });
  return true;
}

/** pending and failed are this page's own; then one tick, two when the runtime's webhook took it, blue when read. */
export function ticksOf(message) {
  if (message.local !== undefined) return message.local === 'failed' ? 'failed' : 'pending';
  if (message.status === 'READ' || message.status === 'PLAYED') return 'read';
  return state.accepted.has(message.id) ? 'delivered' : 'sent';
}

const listeners = new Set();
const LOG_LENGTH = 200;

function emit(change) {
  for (const listener of listeners) listener(change);
}

function insert(message) {
  state.messages.set(message.id, message);
  const chat = chatOf(message.instance, message.contactId);
  let place = chat.ids.length;
  while (place > 0 && state.messages.get(chat.ids[place - 1]).at > message.at) place -= 1;
  chat.ids.splice(place, 0, message.id);
  const unseen = message.fromMe && !message.deleted && !['READ', 'PLAYED', 'ERROR'].includes(message.status);
  if (unseen) chat.unread.add(message.id);
}

function updateMessage({ id, status, text, edited, deleted, reaction, reactions }) {
  const message = state.messages.get(id);
  if (message === undefined) return;
  if (status !== undefined) message.status = status;
  if (text !== undefined) {
    if (message.media !== undefined && message.media !== null) message.caption = text;
    else message.text = text;
    message.edited = edited ?? true;
  }
  if (deleted !== undefined) message.deleted = deleted;
  if (reactions !== undefined) message.reactions = reactions;
  else if (Array.isArray(reaction)) message.reactions = reaction;
  else if (reaction !== undefined && reaction !== null) {
    message.reactions = (message.reactions ?? []).filter((item) => item.from !== reaction.from);
    if (reaction.emoji) message.reactions.push(reaction);
  }
  const unread = chatOf(message.instance, message.contactId).unread;
  const gone = message.status === 'READ' || message.status === 'PLAYED' || message.deleted;
  if (gone && unread.delete(id)) emit({ type: 'unread' });
  emit({ type: 'message-changed', id });
}

function applyWire(wire) {
  state.accepted.clear();
  state.attempts.clear();
  for (const webhook of wire.webhooks ?? []) rememberAttempt(webhook);
  state.log.webhooks = (wire.webhooks ?? []).slice(-LOG_LENGTH).reverse();
  state.log.claude = (wire.claude ?? [])
    .slice(-LOG_LENGTH)
    .map((item) => ({ at: item.at, model: item.model, status: item.status, ms: item.ms, usage: item.response?.usage }))
    .reverse();
}

function logWebhook(webhook) {
  rememberAttempt(webhook);
  state.log.webhooks.unshift(webhook);
  state.log.webhooks.length = Math.min(state.log.webhooks.length, LOG_LENGTH);
  emit({ type: 'log' });
  if (webhook.messageId && state.messages.has(webhook.messageId)) emit({ type: 'message-changed', id: webhook.messageId });
}

function rememberAttempt(webhook) {
  if (webhook.event !== 'messages.upsert' || !webhook.messageId) return;
  if (webhook.status >= 200 && webhook.status < 300) state.accepted.add(webhook.messageId);
  state.attempts.set(webhook.messageId, webhook);
}

function logClaude(claude) {
  state.log.claude.unshift(claude);
  state.log.claude.length = Math.min(state.log.claude.length, LOG_LENGTH);
  emit({ type: 'log' });
}
