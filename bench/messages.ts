/** The webhooks that the load posts: a text message as Evolution 2.3 sends it, each with an id of its own, and what comes around it. Numbers are fakes. */
import { createHash, randomBytes } from 'node:crypto';
import { WEBHOOK_SECRET } from '../scripts/lib/installation.ts';

export const INSTANCE = 'julia-bench';
/** Installations that run side by side with a scheduler have a number each: a scheduler asks the simulator for all messages of its number. */
export const SIDE_INSTANCES = { redis: `${INSTANCE}-redis`, postgres: `${INSTANCE}-postgres`, before: `${INSTANCE}-before` } as const;
/** The numbers of an installation that has many. */
export const MANY_INSTANCES: readonly string[] = Array.from({ length: 100 }, (_, index) => `${INSTANCE}-n${index}`);
export const INSTANCES: readonly string[] = [INSTANCE, ...Object.values(SIDE_INSTANCES), ...MANY_INSTANCES];

/** The model takes half a second for a message with these words. */
export const SLOW_WORDS = 'pense com calma';
export const SLOW_MS = 500;

export const WEBHOOK_PATH = '/webhook/evolution';
export const WEBHOOK_HEADERS = { authorization: `Bearer ${WEBHOOK_SECRET}` };

/** Digits of a contact; each `group` (0..99) has 10,000 of its own. They end in 1: numbers that end in 0404 do not exist in the simulator. */
export function phoneOf(group: number, index: number): string {
  return `551198${String(group).padStart(2, '0')}${String(index).padStart(4, '0')}1`;
}

/** How Evolution writes it, so that what is sent can be traced back to who wrote. */
export function jidOf(phone: string): string {
  return `${phone}@s.whatsapp.net`;
}

const RUN = randomBytes(6).toString('hex').toUpperCase();
let counter = 0;

/** An id of a message, as phones with Android make them. */
function nextId(): string {
  counter += 1;
  return `3A${RUN}${counter.toString(16).toUpperCase().padStart(8, '0')}`;
}

const TEXT = 'Oi, tudo bem? Queria saber se voces abrem no sabado e quanto custa a consulta';

/** The body of a messages.upsert, as text; each has words of its own. */
export function webhookBody(phone: string, { instance = INSTANCE, text = TEXT }: { instance?: string; text?: string } = {}): string {
  const id = nextId();
  const seconds = Math.floor(Date.now() / 1000);
  return `{"event":"messages.upsert","instance":"${instance}","data":{"key":{"remoteJid":"${jidOf(phone)}","fromMe":false,"id":"${id}"},"pushName":"Contato ${phone.slice(-5)}","status":"DELIVERY_ACK","message":{"conversation":"${text} (${counter})","messageContextInfo":{"deviceListMetadata":{"senderKeyHash":"q1yQkzMhFmTw7w==","senderTimestamp":"1795300000","recipientKeyHash":"m2tqk0yqZ1lQzg==","recipientTimestamp":"1795310000"},"deviceListMetadataVersion":2,"messageSecret":"m8Yb0h3QdS6nU3mC1b7kW0x2Jv9Zr4Lk1N5tPqXyAbc="}},"contextInfo":{"mentionedJid":[]},"messageType":"conversation","messageTimestamp":${seconds},"instanceId":"${uuidOf(instance)}","source":"android"},"destination":"http://127.0.0.1:8000/webhook/evolution","date_time":"2026-11-22T12:00:00.000Z","sender":"5511988880001@s.whatsapp.net","server_url":"http://127.0.0.1:8080","apikey":"a-token-of-the-bench"}`;
}

/** What a person of the team wrote on the phone. */
export function personBody(jid: string, text: string): string {
  return body('messages.upsert', INSTANCE, {
    key: { remoteJid: jid, fromMe: true, id: nextId() },
    message: { conversation: text },
    messageType: 'conversation',
    messageTimestamp: Math.floor(Date.now() / 1000),
    instanceId: uuidOf(INSTANCE),
    source: 'android',
  });
}

/** The contact types. */
export function presenceBody(instance: string, jid: string): string {
  return body('presence.update', instance, { id: jid, presences: { [jid]: { lastKnownPresence: 'composing' } } });
}

/** What Evolution posts around a message of a contact, one body each. */
export function aroundBodies(instance: string, jid: string): string[] {
  const place = { remoteJid: jid, instanceId: uuidOf(instance) };
  return [body('chats.update', instance, [place]), body('contacts.update', instance, { ...place, pushName: 'Contato' })];
}

/** The echo of what we sent. */
export function echoBody(instance: string, jid: string, id: string): string {
  return body('send.message', instance, {
    key: { remoteJid: jid, fromMe: true, id },
    pushName: 'Você',
    status: 'PENDING',
    message: { conversation: 'Oi! Abrimos aos sábados, das 8h às 13h.' },
    messageType: 'conversation',
    messageTimestamp: Math.floor(Date.now() / 1000),
    instanceId: uuidOf(instance),
    source: 'web',
  });
}

export function ackBody(instance: string, jid: string, id: string, status: 'DELIVERY_ACK' | 'READ'): string {
  return body('messages.update', instance, { keyId: id, remoteJid: jid, fromMe: true, status, instanceId: uuidOf(instance) });
}

const uuids = new Map<string, string>();

/** What Evolution calls a number by itself: of two numbers with one, the second is refused. */
function uuidOf(instance: string): string {
  const known = uuids.get(instance);
  if (known !== undefined) return known;
  const hash = createHash('sha256').update(instance).digest('hex');
  const made = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-4${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
  uuids.set(instance, made);
  return made;
}

function body(event: string, instance: string, payload: unknown): string {
  return JSON.stringify({
    event,
    instance,
    data: payload,
    destination: `http://127.0.0.1:8000${WEBHOOK_PATH}`,
    date_time: new Date().toISOString(),
    sender: '5511988880001@s.whatsapp.net',
    server_url: 'http://127.0.0.1:8080',
    apikey: 'a-token-of-the-bench',
  });
}
