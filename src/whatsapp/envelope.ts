/**
 * Evolution posts one envelope, `{event, instance, data}`. Forwarders put it into things of their own: `{"body": {...}}`, lists, items of a workflow, JSON in a
 * string. Here it is taken out of them, as long as there is one way to do so. Pure and total.
 */
import { at, idAt, parseBounded } from '../words/json.ts';

/** Every event that Evolution has (contract 1.2, 3, 5.2). A newer one is an envelope too, but is never looked for inside of something else. */
export const EVENTS: ReadonlySet<string> = new Set([
  'messages.upsert',
  'send.message',
  'messages.update',
  'messages.edited',
  'send.message.update',
  'messages.delete',
  'messages.set',
  'messaging.history.set',
  'presence.update',
  'connection.update',
  'status.instance',
  'logout.instance',
  'remove.instance',
  'contacts.set',
  'contacts.upsert',
  'contacts.update',
  'chats.set',
  'chats.upsert',
  'chats.update',
  'chats.delete',
  'groups.upsert',
  'groups.update',
  'group.update',
  'group.participants.update',
  'call',
  'labels.edit',
  'labels.association',
  'typebot.start',
  'typebot.change.status',
  'qrcode.updated',
  'application.startup',
  'instance.create',
  'instance.delete',
  'error',
]);

/** `MESSAGES_UPSERT`, `messages-upsert` and `messages.upsert` are one name. */
export function eventName(raw: string): string {
  return raw
    .trim()
    .toLowerCase()
    .replaceAll(/[._-]+/g, '.')
    .replace(/^\/+/, '');
}

export type Opened =
  | { ok: true; envelopes: readonly unknown[] }
  /** A sentence for the person who set the forwarder up. */
  | { ok: false; why: string };

/**
 * The envelopes of a body, in its order. In a list what is none stays in its place when others are, so that it is counted. Refused: what holds no envelope, what
 * holds one under several names, and more than MAX_EVENTS of them. `suffix`: the address names the event, so an envelope may leave it out.
 */
export function openEnvelopes(body: unknown, suffix: string | null): Opened {
  const { found, many } = look(body, { named: suffix !== null, strings: true, depth: 0 });
  if (many) return { ok: false, why: `an event of Evolution stands under several names in the body (${SHAPE})` };
  if (found.length === 0) return { ok: false, why: `no event of Evolution is in the body (${SHAPE})` };
  if (found.length > MAX_EVENTS) return { ok: false, why: `more than ${MAX_EVENTS} events are in one body; send fewer at once` };
  return { ok: true, envelopes: found };
}

/** Of one webhook. A batch of a forwarder has some tens, and who posts millions must not hold up the webhooks of all. */
export const MAX_EVENTS = 2_000;
/** A queue in front of a function in front of a workflow is five; the bound is against hostile bodies. */
const MAX_DEPTH = 8;
/** A forwarder's wrapping has some tens. */
const MAX_NAMES = 1_000;
const SHAPE =
  'expected: {"event": "messages.upsert", "instance": NAME, "data": {...}}, a list of these, or one of them as the body of a forwarder';
/** Under which names forwarders put a body: n8n and functions, most queues, items of n8n, EventBridge, SQS. */
const WRAPPERS = new Set(['body', 'data', 'payload', 'json', 'detail', 'event', 'records']);

type Look = {
  /** The address names the event. */
  named: boolean;
  /** JSON in a string is read. Never inside of an envelope: there a string is what a contact wrote. */
  strings: boolean;
  depth: number;
};
type Found = { found: readonly unknown[]; many: boolean };

const NOTHING: Found = { found: [], many: false };

function look(value: unknown, how: Look): Found {
  if (how.depth > MAX_DEPTH) return NOTHING;
  const deeper = { ...how, depth: how.depth + 1 };
  if (typeof value === 'string') return how.strings ? look(parsed(value), deeper) : NOTHING;
  if (typeof value !== 'object' || value === null) return NOTHING;
  if (Array.isArray(value)) return lookInList(value, deeper);
  // An envelope as Evolution makes it may stand in one of a forwarder that has the same form.
  if (idAt(value, 'event') !== null) {
    const { found, many } = lookUnderNames(value, { ...deeper, named: false, strings: false });
    const inner = found.every((each) => EVENTS.has(eventName(idAt(each, 'event') ?? '')));
    return inner && found.length > 0 && !many ? { found, many } : { found: [value], many: false };
  }
  const under = lookUnderNames(value, deeper);
  if (under.found.length > 0 || under.many) return under;
  return how.named && (Object.hasOwn(value, 'data') || Object.hasOwn(value, 'instance')) ? { found: [value], many: false } : NOTHING;
}

function lookInList(values: readonly unknown[], how: Look): Found {
  const each = values.slice(0, MAX_EVENTS + 1).map((value) => ({ value, ...look(value, how) }));
  if (each.every(({ found }) => found.length === 0)) return { found: [], many: each.some(({ many }) => many) };
  return { found: each.flatMap(({ value, found }) => (found.length === 0 ? [value] : found)), many: false };
}

function lookUnderNames(value: object, how: Look): Found {
  // What has a key is a message, and its parts are no wrapping.
  if (Object.hasOwn(value, 'key')) return NOTHING;
  const names = Object.keys(value);
  if (names.length > MAX_NAMES) return NOTHING;
  const under = names
    .filter((name) => WRAPPERS.has(name.toLowerCase()))
    .map((name) => look(at(value, name), how))
    .filter(({ found, many }) => found.length > 0 || many);
  return under.length > 1 ? { found: [], many: true } : (under[0] ?? NOTHING);
}

function parsed(text: string): unknown {
  // What is no object, list or string of JSON holds no envelope.
  if (!/^\s*["[{]/.test(text)) return null;
  return parseBounded(text) ?? null;
}
