import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { objectAt, stringAt } from '../../src/words/json.ts';
import type { NetworkError } from '../../src/process/http-out.ts';
import { createEvolution } from '../../src/whatsapp/client.ts';
import { NAMES_OF_NONE } from '../support/number-names.ts';

type Received = { method: string; url: string; headers: IncomingHttpHeaders; body: unknown };

/** What the server does with the next request; the request has been read whole by then. */
let respond: (response: ServerResponse, request: Received) => void;
let received: Received[] = [];
let url = '';

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString();
    const body: unknown = text === '' ? null : JSON.parse(text);
    const seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
    received.push(seen);
    server.emit('received');
    respond(response, seen);
  });
});

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${portOf(server.address())}`;
});

after(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

beforeEach(() => {
  received = [];
  respond = (response) => json(response, 404, {});
});

function portOf(address: ReturnType<typeof server.address>): number {
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const MESSAGE = { instance: 'julia, número 1', number: '123456789012345@lid', text: 'Olá' };
const SENT = { key: { remoteJid: '5511988887777@s.whatsapp.net', fromMe: true, id: '3EB0X' }, status: 'PENDING' };

test('O1 client: sendText posts what the contract asks for, and 201 is sent', async () => {
  respond = (response) => json(response, 201, SENT);
  const evolution = createEvolution({ url: `${url}/base/`, apiKey: 'k1' });
  assert.deepEqual(await evolution.sendText(MESSAGE), { kind: 'sent', providerId: '3EB0X', jid: '5511988887777@s.whatsapp.net' });
  await evolution.sendText({ ...MESSAGE, quoted: { id: 'Q', remoteJid: '123456789012345@lid', fromMe: false, text: 'oi' } });
  assert.equal(received[0]?.method, 'POST');
  assert.equal(received[0]?.url, '/base/message/sendText/julia%2C%20n%C3%BAmero%201');
  assert.equal(received[0]?.headers['apikey'], 'k1');
  assert.equal(received[0]?.headers['content-type'], 'application/json');
  assert.deepEqual(
    received.map(({ body }) => body),
    [
      { number: '123456789012345@lid', text: 'Olá', linkPreview: false },
      {
        number: '123456789012345@lid',
        text: 'Olá',
        linkPreview: false,
        quoted: { key: { id: 'Q', remoteJid: '123456789012345@lid', fromMe: false }, message: { conversation: 'oi' } },
      },
    ],
  );
});

test('O3 client: a refused connection is surely not sent', async () => {
  const gone = createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const address = `http://127.0.0.1:${portOf(gone.address())}`;
  gone.close();
  await once(gone, 'close');
  const outcome = await createEvolution({ url: address, apiKey: 'k1' }).sendText(MESSAGE);
  assert.deepEqual(outcome, { kind: 'not_sent', retryable: true, class: 'unavailable', detail: 'refused before the request was written' });
});

test('O2 client: a reset after the write is ambiguous', async () => {
  respond = (response) => response.socket?.destroy();
  const outcome = await createEvolution({ url, apiKey: 'k1' }).sendText(MESSAGE);
  assert.deepEqual([outcome.kind, outcome.kind === 'ambiguous' && outcome.class], ['ambiguous', 'reset']);
  assert.equal(received.length, 1, 'and is not retried inside');
});

test('O2 client: an answer that breaks off is ambiguous, whatever its status', async () => {
  respond = (response) => {
    response.writeHead(201, { 'content-length': '1000' });
    response.write('{"key":', () => response.socket?.destroy());
  };
  const outcome = await createEvolution({ url, apiKey: 'k1' }).sendText(MESSAGE);
  assert.deepEqual([outcome.kind, outcome.kind === 'ambiguous' && outcome.class], ['ambiguous', 'reset']);
});

test('O2 client: a timeout is ambiguous', async () => {
  respond = () => {};
  const outcome = await createEvolution({ url, apiKey: 'k1', timeouts: { sendMs: 60, otherMs: 60 } }).sendText(MESSAGE);
  assert.deepEqual([outcome.kind, outcome.kind === 'ambiguous' && outcome.class], ['ambiguous', 'timeout']);
  const state = await createEvolution({ url, apiKey: 'k1', timeouts: { sendMs: 60, otherMs: 60 } }).connectionState('wa1');
  assert.deepEqual(state, { kind: 'failed', retryable: true, class: 'unavailable', detail: 'timeout after the request was written' });
});

test('O2 client: an abort before the call is not sent, one after the write is ambiguous', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  assert.equal((await evolution.sendText(MESSAGE, { signal: AbortSignal.abort() })).kind, 'not_sent');
  assert.equal(received.length, 0);

  respond = () => {};
  const controller = new AbortController();
  const arrived = once(server, 'received');
  const sending = evolution.sendText(MESSAGE, { signal: controller.signal });
  await arrived;
  controller.abort();
  const outcome = await sending;
  assert.deepEqual([outcome.kind, outcome.kind === 'ambiguous' && outcome.class], ['ambiguous', 'aborted']);
});

test('O3 client: 201 with an error of Meta is not sent', async () => {
  respond = (response) =>
    json(response, 201, { message: '(#131030) Recipient phone number not in allowed list', type: 'OAuthException', code: 131030 });
  const outcome = await createEvolution({ url, apiKey: 'k1' }).sendText(MESSAGE);
  assert.deepEqual([outcome.kind, outcome.kind === 'not_sent' && outcome.class], ['not_sent', 'bad_request']);
});

test('O3 client: redirects are not followed', async () => {
  respond = (response) => response.writeHead(307, { location: `${url}/elsewhere` }).end();
  const outcome = await createEvolution({ url, apiKey: 'k1' }).sendText(MESSAGE);
  assert.deepEqual([outcome.kind, outcome.kind === 'not_sent' && outcome.retryable], ['not_sent', false]);
  assert.equal(received.length, 1);
});

test('O2 O3 client: what failed before the write is surely not sent, and nothing else is', async () => {
  const outcomeOf = async (networkError: NetworkError, requestWritten: boolean) => {
    const call = () => Promise.resolve({ networkError, requestWritten, code: 'X' });
    const outcome = await createEvolution({ url, apiKey: 'k1', call }).sendText(MESSAGE);
    return outcome.kind === 'sent' ? 'sent' : `${outcome.kind}: ${outcome.detail}`;
  };
  for (const error of ['refused', 'dns', 'tls', 'reset', 'timeout', 'aborted'] as const) {
    assert.equal(await outcomeOf(error, false), `not_sent: ${error} before the request was written`);
    assert.equal(await outcomeOf(error, true), `ambiguous: ${error} after the request was written`);
  }
});

test('O1 client: reactions, presence and read marks', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  const key = { id: 'ID1', remoteJid: '5511988887777@s.whatsapp.net', fromMe: false };
  respond = (response) => json(response, 201, SENT);
  assert.equal((await evolution.sendReaction({ instance: 'wa1', key, emoji: '👍' })).kind, 'sent');
  assert.deepEqual(await evolution.sendPresence({ instance: 'wa1', number: '5511988887777', presence: 'composing', delayMs: 700.4 }), {
    kind: 'ok',
  });
  assert.deepEqual(await evolution.markRead({ instance: 'wa1', messages: [key] }), { kind: 'ok' });
  assert.deepEqual(
    received.map(({ url: path, body }) => [path, body]),
    [
      ['/message/sendReaction/wa1', { key, reaction: '👍' }],
      ['/chat/sendPresence/wa1', { number: '5511988887777', presence: 'composing', delay: 700 }],
      ['/chat/markMessageAsRead/wa1', { readMessages: [key] }],
    ],
  );
  respond = (response) => json(response, 400, { status: 400, error: 'Bad Request', response: { message: ['Error: Connection Closed'] } });
  const failed = await evolution.sendPresence({ instance: 'wa1', number: '5511988887777', presence: 'paused', delayMs: 0 });
  assert.deepEqual(failed, { kind: 'failed', retryable: true, class: 'connection_closed', detail: 'Error: Connection Closed' });
});

test('I17 client: the state of an instance, not loaded and unknown ones too', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  respond = (response) => json(response, 200, { instance: { instanceName: 'wa1', state: 'connecting' } });
  assert.deepEqual(await evolution.connectionState('wa1'), { kind: 'ok', state: 'connecting' });
  respond = (response) => json(response, 200, { instance: { instanceName: 'wa1' } });
  assert.deepEqual(await evolution.connectionState('wa1'), { kind: 'ok', state: 'not_loaded' });
  respond = (response) =>
    json(response, 404, { status: 404, error: 'Not Found', response: { message: ['The "wa1" instance does not exist'] } });
  assert.deepEqual(await evolution.connectionState('wa1'), {
    kind: 'failed',
    retryable: false,
    class: 'unknown_instance',
    detail: 'The "wa1" instance does not exist',
  });
  respond = (response) => json(response, 200, '<html>');
  assert.deepEqual(await evolution.connectionState('wa1'), {
    kind: 'failed',
    retryable: true,
    class: 'provider_error',
    detail: 'HTTP 200 with an unexpected body',
  });
  assert.deepEqual([received[0]?.method, received[0]?.url], ['GET', '/instance/connectionState/wa1']);
});

test('Z4 client: the phone of a number is that of its own row, whatever else the answer holds', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  const other = { name: 'wa2', ownerJid: '5511900000003@s.whatsapp.net' };
  respond = (response) => json(response, 200, [other, { name: 'wa 1', ownerJid: '5511900000002:7@s.whatsapp.net', token: 'secret' }]);
  assert.deepEqual(await evolution.ownPhone('wa 1'), { kind: 'ok', phone: '5511900000002' });
  assert.deepEqual([received[0]?.method, received[0]?.url], ['GET', '/instance/fetchInstances?instanceName=wa%201']);
  respond = (response) => json(response, 200, [other, { name: 'wa 1', ownerJid: null }]);
  assert.deepEqual(await evolution.ownPhone('wa 1'), { kind: 'ok', phone: null });
  respond = (response) => json(response, 200, [other]);
  assert.deepEqual(await evolution.ownPhone('wa 1'), { kind: 'ok', phone: null });
});

test('W1 client: no bound of a look-up is outside of what the column of 32 bits takes', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  await evolution.findMessages({ instance: 'wa1', from: new Date('1960-01-01'), to: new Date('2100-01-01') });
  assert.deepEqual(objectAt(received[0]?.body, 'where'), {
    messageTimestamp: { gte: '1970-01-01T00:00:00.000Z', lte: '2038-01-19T03:14:07.000Z' },
  });
});

test('I15 client: findMessages asks for a page of a whole window and hands on the rows', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  const records = [{ key: { id: 'ID1' } }, { odd: true }];
  respond = (response) => json(response, 200, { messages: { total: 3, pages: 2, currentPage: 1, records } });
  const found = await evolution.findMessages({
    instance: 'wa1',
    remoteJid: '1@lid',
    fromMe: true,
    from: new Date(0),
    to: new Date(1000),
    page: 1,
    pageSize: 2,
  });
  assert.deepEqual(found, { kind: 'ok', total: 3, pages: 2, page: 1, records });
  const asked = Date.now();
  await evolution.findMessages({ instance: 'wa1', from: new Date(0) });
  const lte = stringAt(received[1]?.body, 'where', 'messageTimestamp', 'lte') ?? '';
  const open = Date.parse(lte) - asked;
  assert.ok(open >= 86_400_000 && open < 86_700_000, 'until now, and a day for a clock that is ahead of ours');
  await evolution.findMessages({ instance: 'wa1', id: 'ID1' });
  assert.deepEqual(
    received.map(({ body }) => body),
    [
      {
        where: {
          key: { remoteJid: '1@lid', fromMe: true },
          messageTimestamp: { gte: '1970-01-01T00:00:00.000Z', lte: '1970-01-01T00:00:01.000Z' },
        },
        page: 1,
        offset: 2,
      },
      { where: { messageTimestamp: { gte: '1970-01-01T00:00:00.000Z', lte } }, page: 1, offset: 50 },
      { where: { key: { id: 'ID1' } }, page: 1, offset: 50 },
    ],
  );
});

test('X2 client: the webhook is set nested and read back', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  respond = (response) => json(response, 201, {});
  const webhook = {
    instance: 'wa1',
    url: 'http://127.0.0.1:8000/webhook/evolution',
    events: ['MESSAGES_UPSERT'],
    headers: { jwt_key: 's' },
  };
  assert.deepEqual(await evolution.setWebhook(webhook), { kind: 'ok' });
  assert.deepEqual(received[0]?.body, {
    webhook: { enabled: true, url: webhook.url, events: webhook.events, headers: webhook.headers, byEvents: false, base64: false },
  });
  respond = (response) =>
    json(response, 200, {
      id: 'x',
      url: webhook.url,
      headers: webhook.headers,
      enabled: true,
      events: webhook.events,
      webhookByEvents: false,
      webhookBase64: true,
    });
  assert.deepEqual(await evolution.findWebhook('wa1'), {
    kind: 'ok',
    webhook: { url: webhook.url, enabled: true, events: webhook.events, byEvents: false, base64: true, headers: webhook.headers },
  });
  respond = (response) => json(response, 200, null);
  assert.deepEqual(await evolution.findWebhook('wa1'), { kind: 'ok', webhook: null });
});

test('Z2 client: no call leaves in the name of what is no name of a number, and it is surely not sent', async () => {
  const evolution = createEvolution({ url, apiKey: 'k1' });
  const key = { id: 'X', remoteJid: '123@lid', fromMe: false };
  for (const instance of NAMES_OF_NONE) {
    const hook = { instance, url: 'http://127.0.0.1:9/', events: [], headers: {} };
    const answers = [
      await evolution.sendText({ ...MESSAGE, instance }),
      await evolution.sendReaction({ instance, key, emoji: '👍' }),
      await evolution.sendPresence({ instance, number: '123@lid', presence: 'paused', delayMs: 0 }),
      await evolution.findMessages({ instance }),
      await evolution.mediaOf({ instance, id: 'X', mostBytes: 1_000 }),
      await evolution.connectionState(instance),
      await evolution.ownPhone(instance),
      await evolution.markRead({ instance, messages: [key] }),
      await evolution.setWebhook(hook),
      await evolution.findWebhook(instance),
      await evolution.createInstance(hook),
      await evolution.connect(instance),
      await evolution.restart(instance),
      await evolution.logout(instance),
    ];
    assert.equal(answers.length, Object.keys(evolution).length - 1, 'all but version');
    for (const answer of answers) {
      assert.ok(answer.kind === 'failed' || answer.kind === 'not_sent', JSON.stringify({ instance, answer }));
      assert.deepEqual([answer.class, answer.retryable], ['unknown_instance', false]);
    }
  }
  assert.deepEqual(received, []);
});
