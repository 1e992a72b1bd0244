// What the real Evolution was recorded to answer, given to the client: every answer is understood, and what the client asks is what was recorded
// to be accepted. Sends are in test/unit/send-outcome.test.ts; the same recordings are replayed against the look-alike in
// simulator.test.ts and evolution-versions.test.ts.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { createEvolution, type Evolution, type Failure } from '../../src/whatsapp/client.ts';

type Recorded = {
  label?: string;
  version?: string;
  setting?: string;
  request: { method: string; path: string; body?: Record<string, unknown> };
  response: { status: number; body: unknown };
};

const newer = lines('evolution-rest-newer.jsonl');
const older = lines('evolution-rest.jsonl').filter(({ response }) => typeof response.status === 'number');

/** One word or two per answer, in the order of the file. */
const EXPECTED_NEWER = [
  'unknown_instance',
  'unknown_instance',
  'created 736e2840',
  'ok',
  'webhook of 9 events',
  'connecting, with a code',
  'connecting',
  '0 found',
  'open',
  'ok',
  'ok',
  'sent 3EB0417616D90ECD430129',
  'connection_closed',
  'provider_error',
  'version 2.3.7',
  'ok',
  'provider_error',
  'disconnected',
  'connecting, with a code',
  'open',
  'unlicensed',
  'unlicensed',
  'unlicensed',
  'unlicensed',
  'unlicensed',
  'unlicensed',
  'version 2.4.0',
  '3 found',
  'ok',
  'sent 3EB05D5CFDFFE181B80CC5',
  'ok',
  'webhook of 9 events',
  'ok',
  'open',
  'connecting, with a code',
  'connection_closed',
];

/** Of the older file every call that the client makes too, but sends; in the order of the file. */
const EXPECTED_OLDER: readonly (readonly [label: string, expected: string])[] = [
  ['instance/create EVOLUTION', 'created 83d9ad48'],
  ['instance/create duplicate name', 'restricted'],
  ['instance/create bad integration', 'provider_error'],
  ['instance/create no integration', 'provider_error'],
  ['instance/create without key', 'unauthorized'],
  ['instance/create with instance key', 'unauthorized'],
  ['connectionState', 'open'],
  ['connect', 'open'],
  ['webhook/find', 'webhook of 31 events'],
  // A mistake in the request, and none of the number's socket.
  ['webhook/set (no events)', 'provider_error'],
  ['webhook/set (flat body, v1 style)', 'bad_request'],
  ['webhook/set (bad event)', 'bad_request'],
  ['webhook/set (non-http url)', 'ok'],
  ['webhook/set ok', 'ok'],
  ['webhook/find after set', 'webhook of 31 events'],
  // The EVOLUTION channel and Meta's have neither typing nor read marks.
  ['sendPresence', 'bad_request'],
  ['markMessageAsRead', 'bad_request'],
  ['findMessages', '3 found'],
  ['instance/create WHATSAPP-BUSINESS', 'created 25483b80'],
  ['meta sendPresence', 'bad_request'],
  ['meta markMessageAsRead', 'bad_request'],
  ['instance/create WHATSAPP-BAILEYS (qrcode true)', 'created 8cbfb8f5'],
  ['baileys markMessageAsRead', 'ok'],
  ['baileys markMessageAsRead LID (silently skipped)', 'ok'],
  ['baileys sendPresence 700', 'ok'],
  ['baileys sendPresence no delay', 'bad_request'],
  ['baileys findMessages by id', '1 found'],
  ['baileys findMessages by remoteJid page', '2 found'],
  ['baileys connectionState while open', 'open'],
  ['connectionState of an instance only in the DB', 'not_loaded'],
  ['webhook/set base64:false at run time', 'ok'],
  ['baileys connectionState after drop (connecting)', 'connecting'],
  ['baileys connect while connecting', 'connecting, with a code'],
  ['baileys markMessageAsRead while connecting', 'provider_error'],
  ['baileys sendPresence while connecting', 'connection_closed'],
  ['instance/restart', 'ok'],
  ['baileys connectionState after logout', 'close'],
  ['instance/connect after logout', 'connecting, with a code'],
  ['instance/connect with qr', 'connecting, with a code'],
  ['instance/logout', 'ok'],
  ['instance/logout again', 'provider_error'],
  ['connectionState after delete', 'unknown_instance'],
  ['create with webhook without events', 'provider_error'],
  ['instance after failed create', 'not_loaded'],
  ['create wa2 without qrcode', 'created c9425b85'],
  ['connectionState before connect', 'close'],
  // Of a channel without a code, and none was made yet.
  ['connect', 'connecting'],
  ['connectionState after connect', 'open'],
  ['findMessages by time window', '2 found'],
  ['findMessages fromMe:false filter', '2 found'],
  ['findMessages finds the lost one', '1 found'],
];

/** What src/whatsapp/client.ts calls beside sends. */
const CALLS =
  /^(?:GET \/|GET \/instance\/(?:connectionState|connect)\/.*|POST \/instance\/(?:create|restart\/.*)|DELETE \/instance\/logout\/.*|POST \/webhook\/set\/.*|GET \/webhook\/find\/.*|POST \/chat\/(?:findMessages|markMessageAsRead|sendPresence)\/.*)$/;

let reply: Recorded['response'] = { status: 500, body: null };
let asked: { method: string; path: string; body: unknown } | null = null;
let evolution: Evolution;

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString();
    asked = { method: request.method ?? '', path: request.url ?? '', body: text === '' ? undefined : JSON.parse(text) };
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(JSON.stringify(reply.body));
  });
});

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  evolution = createEvolution({ url: `http://127.0.0.1:${address.port}`, apiKey: 'key' });
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

assert.equal(EXPECTED_NEWER.length, newer.length);
for (const [index, record] of newer.entries()) {
  const { version, setting, request, response } = record;
  test(`W1 client: ${version} ${setting}: ${request.method} ${request.path} -> ${response.status} (${index + 1})`, async () => {
    assert.equal(await read(record), EXPECTED_NEWER[index]);
    // What was recorded was accepted by the real one: the client asks for the same thing in the same form.
    assert.ok(asked);
    assert.deepEqual([asked.method, asked.path], [request.method, request.path]);
    if (request.method === 'POST') assert.deepEqual(formOf(asked.body), formOf(request.body));
  });
}

const calls = older.filter(({ request }) => CALLS.test(`${request.method} ${request.path}`));
test('W1 client: every recorded answer of 2.3.6 that the client can get is in the table', () => {
  assert.deepEqual(
    calls.map(({ label }) => label),
    EXPECTED_OLDER.map(([label]) => label),
  );
});
for (const [index, [label, expected]] of EXPECTED_OLDER.entries()) {
  test(`W1 client: 2.3.6 ${label}`, async () => {
    const record = calls[index];
    assert.ok(record, `not recorded: ${label}`);
    assert.equal(await read(record), expected);
  });
}

/** Lets the client make the call of a record, answers with the record, and says in a word what the client made of it. */
async function read({ request, response }: Recorded): Promise<string> {
  reply = response;
  const [, room = '', verb = '', instance = ''] = request.path.split('/');
  const body = request.body ?? {};
  const webhook = {
    instance,
    url: 'http://127.0.0.1:8080/webhook/evolution',
    events: ['MESSAGES_UPSERT'],
    headers: { jwt_key: 'SECRET' },
  };
  switch (`${room}/${verb}`) {
    case '/':
      return said(await evolution.version(), (ok) => `version ${ok.version}`);
    case 'instance/connectionState':
      return said(await evolution.connectionState(instance), (ok) => ok.state);
    case 'instance/connect':
      return said(await evolution.connect(instance), (ok) => (ok.code === null ? ok.state : `${ok.state}, with a code`));
    case 'instance/create':
      return said(
        await evolution.createInstance({ ...webhook, instance: String(body['instanceName']) }),
        (ok) => `created ${ok.id?.slice(0, 8)}`,
      );
    case 'instance/restart':
      return said(await evolution.restart(instance), () => 'ok');
    case 'instance/logout':
      return said(await evolution.logout(instance), () => 'ok');
    case 'webhook/set':
      return said(await evolution.setWebhook(webhook), () => 'ok');
    case 'webhook/find':
      return said(await evolution.findWebhook(instance), (ok) => `webhook of ${ok.webhook?.events.length} events`);
    case 'chat/findMessages': {
      const where = (body['where'] ?? {}) as { key?: { remoteJid?: string; fromMe?: true }; messageTimestamp?: unknown };
      const window = where.messageTimestamp === undefined ? {} : { from: new Date(0), to: new Date(1_000) };
      const query = { instance, ...where.key, ...window, page: 1, pageSize: Number(body['offset'] ?? 50) };
      return said(await evolution.findMessages(query), (ok) => `${ok.records.length} found`);
    }
    case 'chat/markMessageAsRead': {
      const messages = body['readMessages'] as { id: string; remoteJid: string; fromMe: boolean }[];
      return said(await evolution.markRead({ instance, messages }), () => 'ok');
    }
    case 'chat/sendPresence':
      return said(
        await evolution.sendPresence({ instance, number: String(body['number']), presence: 'composing', delayMs: 1 }),
        () => 'ok',
      );
    case 'message/sendText': {
      const outcome = await evolution.sendText({ instance, number: String(body['number']), text: String(body['text']) });
      if (outcome.kind === 'sent') return `sent ${outcome.providerId}`;
      return outcome.kind === 'ambiguous' ? `ambiguous ${outcome.class}` : outcome.class;
    }
    default:
      throw new Error(`the client does not call ${request.path}`);
  }
}

function said<T extends { kind: string }>(result: T | Failure, ok: (value: Exclude<T, Failure>) => string): string {
  return isFailure(result) ? result.class : ok(result as Exclude<T, Failure>);
}

function isFailure(result: { kind: string }): result is Failure {
  return result.kind === 'failed';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Names and types of what a body holds; lists by their first entry. */
function formOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(formOf);
  if (!isRecord(value)) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, formOf(inner)]));
}

function lines(file: string): Recorded[] {
  const text = readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded);
}
