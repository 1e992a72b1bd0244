// One send, from the number check to the ack: the waits, the errors, the faults and the race with `send.message`.
//
// The order is Evolution's: schema, number check, `delay` with the presence, socket, stanza, row, answer. Nothing is
// serialised per chat, and nothing stops when the client goes away: the message leaves at the end of its delay.

import { remember, type Core } from './core.ts';
import { closedError, dropSocket, EvolutionError, hang, json, plainFault, type Http, type Rule } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { acknowledge } from './handset.ts';
import { checkNumber, isConnected } from './evolution-number.ts';
import { messageTypeOf, publicRow, sendContext } from './shapes.ts';
import type { Fault, Instance, Json, Message, Row, WireSend } from './types.ts';
import { emitWebhook, type Delivery } from './webhooks.ts';

const DEFAULT_ACK_MS = 300;
/** Keeps `echo-first` from waiting for a receiver that never answers. */
const ECHO_FIRST_LIMIT_MS = 2_000;

export const SEND_RULES: Record<string, Rule> = {
  number: { type: 'string', text: 'Invalid format' },
  delay: { type: 'integer', text: 'Enter a value in milliseconds' },
  linkPreview: { type: 'boolean' },
  mentionsEveryOne: { type: 'boolean' },
  mentioned: { type: 'array' },
};

export type SendInput = {
  number: string;
  kind: WireSend['kind'];
  /** For the records: the text, the caption or the emoji. */
  text: string;
  delay: number;
  presence: 'composing' | 'recording';
  /** The content, made when the stanza leaves. `contextInfo` null: none is shown. */
  build(jid: string, id: string): { content: Json; contextInfo: Json | null; base64?: string };
  /** What a person sees; null for a reaction, which is no message of its own. */
  view(row: Row): Partial<Message> | null;
  targetId?: string | undefined;
  /** The id at WhatsApp that the caller wishes for. */
  messageId?: string | undefined;
};

export async function send(core: Core, c: Http, instance: Instance, input: SendInput): Promise<Response> {
  const entry: WireSend = {
    at: core.clock.now(),
    sentAt: null,
    answeredAt: null,
    instance: instance.name,
    number: input.number,
    jid: null,
    kind: input.kind,
    text: input.text,
    id: null,
    outcome: 'pending',
    status: null,
    ...(input.targetId === undefined ? {} : { targetId: input.targetId }),
    ...(input.messageId === undefined ? {} : { messageId: input.messageId }),
  };
  remember(core.wire.sends, entry);
  try {
    const response = await run(core, c, instance, input, entry);
    finish(core, entry, response.status === 200 && entry.id === null ? null : response.status);
    return response;
  } catch (error) {
    finish(core, entry, error instanceof EvolutionError ? error.status : 500);
    throw error;
  }
}

function finish(core: Core, entry: WireSend, status: number | null): void {
  entry.answeredAt = core.clock.now();
  entry.status = status;
  if (entry.id === null) entry.outcome = entry.outcome === 'pending' ? 'rejected' : entry.outcome;
  else entry.outcome = status === 201 ? 'sent' : 'unconfirmed';
  core.bus.emit({ type: 'send', send: entry });
}

async function run(core: Core, c: Http, instance: Instance, input: SendInput, entry: WireSend): Promise<Response> {
  const jid = checkNumber(core, instance, input.number);
  entry.jid = jid;
  const fault = core.faults.take('send', { instance: instance.name, text: input.text });
  await fault?.until;
  const sendsFirst = fault?.kind === 'hang' || fault?.kind === 'drop' || fault?.kind === 'timed-out';
  const leaves = !sendsFirst || fault['sent'] !== false;
  if (!sendsFirst) {
    const answer = await plainFault(core, c, fault);
    if (answer) return refused(entry, answer);
  }
  const before = refusalOf(fault, jid, input.number);
  if (before !== null) return refused(entry, json(before.status, before.body));
  await showPresence(core, instance, jid, input.presence, input.delay);
  if (fault?.kind === 'refuse-before') return refused(entry, closedResponse());
  if (!isConnected(instance)) throw closedError();
  if (!leaves) {
    entry.outcome = 'refused';
    core.bus.emit({ type: 'send', send: entry });
    return await ambiguous(core, c, fault);
  }
  const row = transmit(core, instance, jid, input, entry, fault?.['visible'] !== false);
  planAck(core, instance, row, fault);
  if (sendsFirst || fault?.kind === 'refuse-after') {
    if (fault['visible'] !== false) emitWebhook(core, instance, 'send.message', publicRow(core.rules, row), row.key.id);
    entry.outcome = 'unconfirmed';
    core.bus.emit({ type: 'send', send: entry });
    return await ambiguous(core, c, fault);
  }
  await echo(core, instance, row, fault);
  return json(201, publicRow(core.rules, row));
}

/** Blocks for `delay` (scaled) while the contact sees typing; ends with `paused`. */
export async function showPresence(core: Core, instance: Instance, jid: string, presence: string, delay: number): Promise<void> {
  if (delay <= 0) return;
  instance.subscribed.add(jid);
  const { contact, added } = core.world.contactFor(jid);
  if (added) core.bus.emit({ type: 'contact', contact });
  const shown = { type: 'typing', instance: instance.name, contactId: contact.id } as const;
  const recording = presence === 'recording';
  core.bus.emit({ ...shown, on: recording || presence === 'composing', recording });
  await core.clock.sleep(core.clock.scaled(delay));
  core.bus.emit({ ...shown, on: false, recording: false });
}

/** Answers after which nothing has left, for a single call. */
function refusalOf(fault: Fault | null, jid: string, number: string): EvolutionError | null {
  switch (fault?.kind) {
    case 'not-on-whatsapp':
      return new EvolutionError(400, [{ exists: false, jid, number }]);
    case 'closed':
      return new EvolutionError(500, 'Connection Closed');
    case 'socket-lost':
      return new EvolutionError(400, ['1006']);
    default:
      return null;
  }
}

function refused(entry: WireSend, response: Response): Response {
  entry.outcome = 'refused';
  return response;
}

function closedResponse(): Response {
  return json(400, closedError().body);
}

async function ambiguous(core: Core, c: Http, fault: Fault | null): Promise<Response> {
  switch (fault?.kind) {
    case 'hang':
      return await hang(core, c);
    case 'drop':
      return dropSocket(c);
    case 'timed-out':
      return json(400, new EvolutionError(400, ['Error: Timed Out']).body);
    default:
      return typeof fault?.['says'] === 'string' ? json(400, new EvolutionError(400, [fault['says']]).body) : closedResponse();
  }
}

/** The stanza leaves. `stored` false is the crash between the stanza and the database. */
function transmit(core: Core, instance: Instance, jid: string, input: SendInput, entry: WireSend, stored: boolean): Row {
  const now = core.clock.now();
  const wished = core.rules.takesMessageId ? input.messageId : undefined;
  const id = wished ?? `3EB0${core.random.hex(18)}`;
  const built = input.build(jid, id);
  const row: Row = {
    id: core.random.cuid(),
    key: { remoteJid: jid, fromMe: true, id },
    pushName: 'Você',
    status: 'PENDING',
    message: built.content,
    ...(built.contextInfo === null ? {} : { contextInfo: built.contextInfo }),
    messageType: messageTypeOf(built.content),
    messageTimestamp: Math.floor(now / 1000),
    instanceId: instance.id,
    source: 'web',
    updates: [],
    ...(built.base64 === undefined ? {} : { base64: built.base64 }),
  };
  if (stored) core.world.addRow(instance.name, row);
  entry.sentAt = now;
  entry.id = id;
  showToContact(core, instance, row, input);
  return row;
}

function showToContact(core: Core, instance: Instance, row: Row, input: SendInput): void {
  const view = input.view(row);
  // A phone that has a message of this id drops the second one.
  if (view === null || core.world.message(row.key.id, instance.name) !== null) return;
  const { contact, added } = core.world.contactFor(row.key.remoteJid);
  if (added) core.bus.emit({ type: 'contact', contact });
  const message: Message = {
    id: row.key.id,
    instance: instance.name,
    contactId: contact.id,
    fromMe: true,
    author: 'api',
    kind: 'text',
    text: '',
    at: core.clock.now(),
    status: 'PENDING',
    reactions: [],
    ...view,
  };
  core.world.addMessage(message);
  core.bus.emit({ type: 'message', message });
}

function planAck(core: Core, instance: Instance, row: Row, fault: Fault | null): void {
  const ackMs = core.options.ackMs === undefined ? DEFAULT_ACK_MS : core.options.ackMs;
  const message = core.world.message(row.key.id, instance.name);
  if (!message) return;
  if (fault?.kind === 'no-ack') core.world.silent.add(message.id);
  const status = fault?.kind === 'error-ack' ? 'ERROR' : 'DELIVERY_ACK';
  if (ackMs === null && status !== 'ERROR') return;
  core.clock.after(ackMs ?? DEFAULT_ACK_MS, () => acknowledge(core, message, status));
}

/** `send.message` and the answer race; a fault or the option decides it. */
async function echo(core: Core, instance: Instance, row: Row, fault: Fault | null): Promise<void> {
  const go = (): Delivery | null => emitWebhook(core, instance, 'send.message', publicRow(core.rules, row), row.key.id);
  if (fault?.kind === 'no-echo') return;
  if (fault?.kind === 'echo-late') {
    core.clock.after(faultNumber(fault, 'ms', 500), go);
    return;
  }
  const wish = fault?.kind === 'echo-first' ? 'first' : (core.options.echo ?? 'race');
  if (wish === 'first') {
    const delivery = go();
    if (delivery) await Promise.race([delivery.first, core.clock.sleep(ECHO_FIRST_LIMIT_MS)]);
  } else if (wish === 'race' && core.chance.next() < 0.5) {
    go();
  } else {
    core.clock.after(1, go);
  }
}

/** The `contextInfo` of a send into `jid`: none in groups. */
export function contextFor(core: Core, jid: string): Json | null {
  return jid.endsWith('@g.us') ? null : sendContext(core.clock.now());
}
