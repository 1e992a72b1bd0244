// The Evolution look-alike as 2.3.6, 2.3.7 and 2.4: what was recorded of the newer ones, and the rules that differ. docs/evolution.md lists each with its source.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import { startSimulator, type Simulator } from '../../simulator/index.ts';
import { EVOLUTION_VERSIONS, type EvolutionVersion } from '../../simulator/version.ts';
import { shape, type Json } from '../support/simulator-setting.ts';
import { startReceiver, type Receiver, type Webhook } from '../support/webhook-receiver.ts';

type Recorded = {
  version: EvolutionVersion;
  setting: string;
  request: { method: string; path: string; body?: Json };
  response: { status: number; body: Json };
};

const answers = lines('evolution-rest-newer.jsonl') as Recorded[];
const hooks = lines('evolution-payloads-newer.jsonl') as { version: EvolutionVersion; body: Webhook }[];

const API_KEY = 'a-key';
const SUBSCRIBED = ['MESSAGES_UPSERT', 'MESSAGES_UPDATE', 'MESSAGES_DELETE', 'SEND_MESSAGE', 'CONNECTION_UPDATE', 'STATUS_INSTANCE'];
/** Registered without the ninth digit, as is usual from area code 31 on, and with it. */
const BELO = '553188887772';
const PAULO = '5511988887777';

let receiver: Receiver;
let simulator: Simulator;

before(async () => {
  receiver = await startReceiver();
});
after(() => receiver.close());

async function start(version: EvolutionVersion, instance = 'julia'): Promise<void> {
  simulator = await startSimulator({
    version,
    instances: [instance],
    webhook: { url: receiver.url, secret: 'SECRET' },
    apiKey: API_KEY,
    timeScale: 1000,
    ackMs: null,
    noise: false,
    echo: 'first',
  });
  receiver.received.length = 0;
  receiver.answer = () => 200;
}

async function call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Json }> {
  const response = await fetch(simulator.url + path, {
    method,
    headers: { apikey: API_KEY, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

const send = (number: string, extra: Json = {}) => call('POST', '/message/sendText/julia', { number, text: 'Olá', ...extra });

async function subscribe(...events: string[]): Promise<void> {
  await call('POST', '/webhook/set/julia', { webhook: { enabled: true, url: receiver.url, events } });
}

async function stored(where: Json): Promise<{ key: Json; message: Json }[]> {
  const { body } = await call('POST', '/chat/findMessages/julia', { where });
  return (body['messages'] as { records: { key: Json; message: Json }[] }).records;
}

async function posted(event: string, count = 1): Promise<Webhook[]> {
  return await simulator.waitFor(() => {
    const found = receiver.received.map(({ body }) => body).filter((body) => body.event === event);
    return found.length >= count && found;
  });
}

describe('W1 look-alike: the recorded answers of 2.3.7 and 2.4', () => {
  for (const [index, { version, setting, request, response }] of answers.entries()) {
    test(`${version} ${setting}: ${request.method} ${request.path} -> ${response.status} (${index + 1})`, async () => {
      await start(version, setting === 'unknown' || setting === 'new' ? 'another' : 'julia');
      try {
        await arrange(setting);
        const answer = await call(request.method, request.path, request.method === 'POST' ? request.body : undefined);
        assert.equal(answer.status, response.status, JSON.stringify(answer.body));
        const same = response.status < 400 ? shape : withoutHosts;
        assert.deepEqual(same(withoutRecords(answer.body)), same(withoutRecords(response.body)));
      } finally {
        await simulator.close();
      }
    });
  }
});

async function arrange(setting: string): Promise<void> {
  if (setting === 'new') await call('POST', '/instance/create', { instanceName: 'julia', integration: 'WHATSAPP-BAILEYS', qrcode: false });
  if (setting === 'new' || setting === 'unknown') return;
  await subscribe(...SUBSCRIBED);
  switch (setting) {
    case 'refused':
      return void simulator.addContact({ name: 'Ninguém', phone: '5511900009999', refuses: ['pn'] });
    case 'unlicensed':
      return simulator.setLicensed(false);
    case 'closed':
      return simulator.connection('close');
    case 'lost':
      return simulator.connection('close', { reason: 408 });
    case 'pairing':
      simulator.connection('close');
      return void (await call('GET', '/instance/connect/julia'));
    case 'closed_before':
    case 'zombie':
      // Evolution remembers the number, so its check passes and the send itself meets the closed socket.
      for (const phone of ['5511933330001', '5511878800001']) await send(phone);
      return simulator.trouble({ kind: 'zombie', heals: 'restart' });
  }
}

/** How many rows there are is the recording's own affair. */
function withoutRecords(body: Json): Json {
  const { messages } = body as { messages?: Json };
  return messages === undefined ? body : { messages: Object.keys(messages).toSorted() };
}

function withoutHosts(body: unknown): unknown {
  return JSON.parse(JSON.stringify(body).replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, 'http://HOST'));
}

describe('W5 look-alike: the recorded webhooks of 2.3.7 and 2.4', () => {
  /** Of each kind the first that was recorded, and what makes the look-alike post one. */
  const kinds: [name: string, fits: (body: Webhook) => boolean, act: () => unknown][] = [
    ['an upsert of a chat by phone', ({ data }) => keyOf(data)['addressingMode'] === 'pn' && textOf(data), () => writes('pn')],
    [
      'an upsert of a hidden lid',
      ({ data }) => keyOf(data)['addressingMode'] === 'lid' && keyOf(data)['fromMe'] === false,
      () => writes('lid-hidden'),
    ],
    ['an echo', ({ event, data }) => event === 'send.message' && textOf(data), () => send(PAULO)],
    ['an edit as an update', ({ event, data }) => event === 'messages.update' && 'message' in (data as Json), () => edits()],
    ['a deletion', ({ event }) => event === 'messages.delete', () => simulator.remove(writes('pn'))],
  ];
  for (const version of ['2.3.7', '2.4'] as const) {
    for (const [name, fits, act] of kinds) {
      test(`${version}: ${name}`, async () => {
        const recorded = hooks.find((hook) => hook.version === version && fits(hook.body))?.body;
        assert.ok(recorded, 'not recorded');
        await start(version);
        await act();
        const [, ...rest] = (await posted(recorded.event)).filter(fits).toReversed();
        const found = rest.at(-1) ?? (await posted(recorded.event)).find(fits);
        const { jpegThumbnail: _none, ...expected } = shape(recorded.data) as Json;
        assert.deepEqual(shapeWithoutDevice(found?.data), shapeWithoutDevice(recorded.data), JSON.stringify(expected));
        await simulator.close();
      });
    }
  }

  function edits(): void {
    simulator.edit(writes('pn'), 'Pode ser às 15h');
  }
});

function writes(addressing: 'pn' | 'lid' | 'lid-hidden'): string {
  const contact = simulator.addContact({ name: 'Bia', phone: PAULO, lid: '915511988887777', addressing });
  return simulator.inbound({ contactId: contact.id, text: 'Oi' }).id;
}

function keyOf(data: unknown): Json {
  return (data as { key?: Json } | null)?.key ?? {};
}

function textOf(data: unknown): boolean {
  return typeof (data as { message?: Json }).message?.['conversation'] === 'string';
}

/** What a handset adds of its devices is not the same for all of them; the wire was cut off from any when the recordings were made. */
function shapeWithoutDevice(data: unknown): unknown {
  const { message, contextInfo, ...rest } = data as { message?: Json; contextInfo?: unknown } & Json;
  const { messageContextInfo: _device, ...content } = message ?? {};
  const context = contextInfo === null || 'deviceListMetadata' in Object(contextInfo) ? 'none' : contextInfo;
  return shape({
    ...rest,
    ...(message === undefined ? {} : { message: content }),
    ...(contextInfo === undefined ? {} : { contextInfo: context }),
  });
}

for (const version of EVOLUTION_VERSIONS) {
  describe(`the rules of ${version}`, () => {
    before(() => start(version));
    after(() => simulator.close());
    beforeEach(async () => {
      simulator.reset();
      simulator.setLicensed(true);
      await simulator.webhooksIdle();
      receiver.received.length = 0;
      receiver.answer = () => 200;
      await subscribe(...SUBSCRIBED);
    });

    test('W13 look-alike: the root tells the version, with or without a licence', async () => {
      simulator.setLicensed(false);
      const { status, body } = await call('GET', '/');
      assert.deepEqual([status, body['version']], [200, version === '2.4' ? '2.4.0' : version]);
      assert.equal((await call('GET', '/instance/connectionState/julia')).status, version === '2.4' ? 503 : 200);
    });

    test('W1 look-alike: a bound behind 2038-01-19T03:14:07Z is refused by the database, half a window is ignored', async () => {
      const window = (lte: string) =>
        call('POST', '/chat/findMessages/julia', { where: { messageTimestamp: { gte: '2026-01-01T00:00:00Z', lte } } });
      assert.equal((await window('2038-01-19T03:14:07Z')).status, 200);
      const refused = await window('2038-01-19T03:14:08Z');
      assert.equal(refused.status, 500);
      assert.match(JSON.stringify(refused.body), /Value out of range for the type: value \\"2147483648\\"/);
      writes('pn');
      assert.equal((await stored({ messageTimestamp: { gte: '2030-01-01T00:00:00Z' } })).length, 1);
    });

    test('W1 look-alike: an address and its other one narrow in 2.3.6 and widen later', async () => {
      writes('lid');
      const lid = '915511988887777@lid';
      assert.equal((await stored({ key: { remoteJid: lid } })).length, 1);
      assert.equal((await stored({ key: { remoteJid: `${PAULO}@s.whatsapp.net` } })).length, 0, 'the row keeps the lid');
      const both = await stored({ key: { remoteJid: `${PAULO}@s.whatsapp.net`, remoteJidAlt: `${PAULO}@s.whatsapp.net` } });
      assert.equal(both.length, version === '2.3.6' ? 0 : 1);
    });

    describe('W3 look-alike: the ninth digit', () => {
      const cases: [known: string, asked: string, found: boolean][] = [
        [BELO, '5531988887772', true],
        [BELO, BELO, true],
        [BELO, `${BELO}@s.whatsapp.net`, true],
        [BELO, '5531988887772@s.whatsapp.net', false],
        [PAULO, PAULO, true],
        [PAULO, '551188887777', true],
        [PAULO, '551188887777@s.whatsapp.net', false],
        // Registered lately, with the ninth digit, where most are without.
        ['5531988887772', BELO, true],
        ['5531988887772', '5531988887772', true],
        ['5531988887772', `${BELO}@s.whatsapp.net`, false],
        ['5215512345678', '5215512345678', true],
        ['525512345678', '5215512345678@s.whatsapp.net', false],
        ['5491123456789', '541123456789', true],
        ['351912345678', '351912345678@s.whatsapp.net', true],
      ];
      for (const [known, asked, found] of cases) {
        test(`${known} asked for as ${asked}: ${found ? 'found' : 'refused'}`, async () => {
          simulator.addContact({ name: 'Ana', phone: known });
          const presence = await call('POST', '/chat/sendPresence/julia', { number: asked, presence: 'composing', delay: 1 });
          assert.equal(presence.status, found ? 201 : 400);
          if (!found) assert.deepEqual(presence.body['response'], { message: ['[object Object]'] });
          simulator.reset({ keep: ['contacts'] });
          const answer = await send(asked);
          assert.equal(answer.status, found ? 201 : 400, JSON.stringify(answer.body));
          if (found) assert.equal(keyOf(answer.body)['remoteJid'], `${known}@s.whatsapp.net`);
          else assert.deepEqual(answer.body['response'], { message: [{ jid: asked, exists: false, number: asked }] });
        });
      }
      test('a number that Evolution remembers is found in each writing', async () => {
        simulator.addContact({ name: 'Ana', phone: BELO });
        assert.equal((await send('5531988887772')).status, 201);
        assert.equal((await send('5531988887772@s.whatsapp.net')).status, 201);
      });
      test('a stranger is registered as most of his area are', async () => {
        assert.equal((await send('5531977776666@s.whatsapp.net')).status, 400);
        assert.equal(keyOf((await send('5531977776666')).body)['remoteJid'], '553177776666@s.whatsapp.net');
      });
      test('an address that WhatsApp refuses', async () => {
        const contact = simulator.addContact({ name: 'Ana', phone: PAULO, lid: '915511988887777', refuses: ['lid'] });
        assert.deepEqual((await send(contact.lid)).body['response'], {
          message: [{ jid: contact.lid, exists: false, number: contact.lid }],
        });
        assert.equal((await send(PAULO)).status, 201);
      });
    });

    test('W5 look-alike: the key of a lid chat, as it is told and as it is stored', async () => {
      writes('lid');
      const [upsert] = await posted('messages.upsert');
      const [row] = await stored({});
      const pn = `${PAULO}@s.whatsapp.net`;
      const lid = '915511988887777@lid';
      const told = {
        '2.3.6': [lid, pn, 'lid'],
        '2.3.7': [pn, pn, 'lid'],
        '2.4': [pn, lid, 'pn'],
      }[version];
      const key = keyOf(upsert?.data);
      assert.deepEqual([key['remoteJid'], key['remoteJidAlt'], key['addressingMode']], told);
      assert.deepEqual([row?.key['remoteJid'], row?.key['remoteJidAlt'], row?.key['addressingMode']], [lid, pn, 'lid']);
    });

    test('W5 look-alike: what a text quotes is lost in 2.4', async () => {
      const id = writes('pn');
      const [contact] = simulator.messages().map(({ contactId }) => contactId);
      simulator.inbound({ contactId: contact ?? '', text: 'isso', quotedId: id });
      const told = (await posted('messages.upsert', 2)).map(
        ({ data }) => (data as { contextInfo?: Json | null }).contextInfo?.['stanzaId'],
      );
      assert.deepEqual(told.includes(id as never), version !== '2.4');
    });

    test('W5 look-alike: an edit, plain and sealed', async () => {
      const id = writes('pn');
      assert.ok(simulator.edit(id, 'Pode ser às 15h'));
      assert.ok(simulator.edit(id, 'Às 16h', { sealed: true }));
      const upserts = await posted('messages.upsert', 2);
      assert.ok(upserts.some(({ data }) => 'secretEncryptedMessage' in (data as { message: Json }).message));
      const updates = receiver.received
        .filter(({ body }) => body.event === 'messages.update')
        .map(({ body }) => (body.data as Json)['message']);
      assert.deepEqual(updates, version === '2.3.6' ? [] : [{ editedMessage: { message: { conversation: 'Pode ser às 15h' } } }]);
      assert.deepEqual((await stored({ key: { id } }))[0]?.message, { conversation: 'Pode ser às 15h' });
    });

    test('W5 look-alike: a vote tells its options by name', async () => {
      const contact = simulator.addContact({ name: 'Bia', phone: PAULO });
      const id = simulator.vote({ contactId: contact.id, options: ['Manhã', 'Tarde'], chosen: ['Tarde'] });
      if (version === '2.3.6') return assert.equal(id, null);
      const [upsert] = await posted('messages.upsert');
      assert.ok(upsert);
      const { message, pollUpdates } = upsert.data as { message: { pollUpdateMessage: { vote: Json } }; pollUpdates: Json[] };
      assert.deepEqual(message.pollUpdateMessage.vote['selectedOptions'], ['Tarde']);
      assert.deepEqual(pollUpdates, [
        { name: 'Manhã', voters: [] },
        { name: 'Tarde', voters: [`${PAULO}@s.whatsapp.net`] },
      ]);
    });

    test('W13 look-alike: the id that a caller wishes for', async () => {
      const id = '3EB0AAAAAAAAAAAAAAAAAA';
      const first = keyOf((await send(PAULO, { messageId: id })).body)['id'];
      const second = keyOf((await send(PAULO, { messageId: id })).body)['id'];
      if (version !== '2.4') return assert.ok(first !== id && second !== id && first !== second);
      assert.deepEqual([first, second], [id, id]);
      assert.equal((await stored({ key: { id, fromMe: true } })).length, 1, 'asked by id, one row is found');
      assert.equal(simulator.messages().length, 1, 'a phone that has a message of this id drops the second');
      assert.equal(simulator.sends({ sent: true }).length, 2, 'and the wire has carried two');
    });

    test('W12 look-alike: an awaited event stops the lane until the receiver answers or the attempts end', async () => {
      await subscribe(...SUBSCRIBED, 'MESSAGES_EDITED');
      const contact = simulator.addContact({ name: 'Bia', phone: PAULO });
      const { id } = simulator.inbound({ contactId: contact.id, text: 'Oi' });
      await posted('messages.upsert');
      receiver.answer = ({ body }) => (body.event === 'messages.edited' ? 503 : 200);
      simulator.edit(id, 'Olá');
      const later = simulator.inbound({ contactId: contact.id, text: 'e agora?' });
      await simulator.waitFor((wire) => wire.webhooks.some((hook) => hook.event === 'messages.edited' && hook.attempt >= 2));
      assert.deepEqual(await stored({ key: { id: later.id } }), [], 'not saved');
      assert.equal(receiver.received.filter(({ body }) => body.event === 'messages.upsert').length, 1, 'not posted');
      receiver.answer = () => 200;
      await posted('messages.upsert', 2);
      assert.equal((await stored({ key: { id: later.id } })).length, 1);
    });

    test('W12 look-alike: an event that is not subscribed stops nothing', async () => {
      const contact = simulator.addContact({ name: 'Bia', phone: PAULO });
      const { id } = simulator.inbound({ contactId: contact.id, text: 'Oi' });
      receiver.answer = () => 503;
      simulator.edit(id, 'Olá');
      const later = simulator.inbound({ contactId: contact.id, text: 'e agora?' });
      assert.equal((await stored({ key: { id: later.id } })).length, 1);
    });

    test('W12 look-alike: no code is given while LOGOUT_INSTANCE is out', async () => {
      const subscriptions = [[...SUBSCRIBED, 'LOGOUT_INSTANCE'], SUBSCRIBED];
      for (const events of subscriptions) {
        simulator.reset();
        await subscribe(...events);
        receiver.answer = ({ body }) => (body.event === 'logout.instance' ? 503 : 200);
        simulator.connection('close');
        const { body } = await call('GET', '/instance/connect/julia');
        assert.equal(typeof body['code'], events.includes('LOGOUT_INSTANCE') ? 'undefined' : 'string');
      }
      receiver.answer = () => 200;
    });

    test('W1 look-alike: a restart of a closed number answers 200 with an error', async () => {
      simulator.connection('close');
      assert.deepEqual(await call('POST', '/instance/restart/julia', {}), {
        status: 200,
        body: { error: true, message: '[object Object]' },
      });
      const again = await call('DELETE', '/instance/logout/julia');
      assert.equal(again.status, version === '2.4' ? 200 : 400);
    });

    test('W4 look-alike: a zombie says open, and a restart heals it', async () => {
      const contact = simulator.addContact({ name: 'Bia', phone: PAULO });
      simulator.trouble({ kind: 'zombie', heals: 'restart' });
      simulator.inbound({ contactId: contact.id, text: 'Oi' });
      const state = await call('GET', '/instance/connectionState/julia');
      assert.deepEqual(state.body, { instance: { instanceName: 'julia', state: 'open' } });
      const unknown = await send('5511911112222');
      assert.deepEqual([unknown.status, unknown.body['response']], [500, { message: 'Connection Closed' }]);
      assert.deepEqual(await stored({}), []);
      await call('POST', '/instance/restart/julia', {});
      assert.equal((await send('5511911112222')).status, 201);
      await posted('messages.upsert');
    });

    test('W4 look-alike: stuck in connecting until a restart; connect does nothing', async () => {
      simulator.trouble({ kind: 'stuck', heals: 'restart' });
      assert.deepEqual((await call('GET', '/instance/connect/julia')).body, { count: 0 });
      const state = () => call('GET', '/instance/connectionState/julia').then(({ body }) => (body['instance'] as Json)['state']);
      assert.equal(await state(), 'connecting');
      await call('POST', '/instance/restart/julia', {});
      assert.equal(await state(), 'open');
    });

    test('W16 look-alike: deaf after a log-out and a new pairing, in 2.3.6 only', async () => {
      const contact = simulator.addContact({ name: 'Bia', phone: PAULO });
      simulator.connection('close');
      simulator.connection('open');
      const { id } = simulator.inbound({ contactId: contact.id, text: 'Oi' });
      assert.equal((await stored({ key: { id } })).length, version === '2.3.6' ? 0 : 1);
      assert.equal((await send(PAULO)).status, 201, 'it speaks');
    });

    test('W14 look-alike: failures from before the message is written', async () => {
      const cases = { 'socket-lost': [400, ['1006']], closed: [500, 'Connection Closed'], 'not-on-whatsapp': [400, undefined] } as const;
      for (const [kind, [status, message]] of Object.entries(cases)) {
        simulator.fault({ target: 'send', kind });
        const answer = await send(PAULO);
        assert.equal(answer.status, status);
        if (message !== undefined) assert.deepEqual(answer.body['response'], { message });
      }
      assert.deepEqual(simulator.sends({ sent: true }), []);
    });

    test('W5 look-alike: read marks of a lid chat', async () => {
      const id = writes('lid');
      await call('POST', '/chat/markMessageAsRead/julia', { readMessages: [{ id, remoteJid: '915511988887777@lid', fromMe: false }] });
      assert.equal(simulator.messages()[0]?.status, version === '2.4' ? 'READ' : 'DELIVERY_ACK');
    });
  });
}

function lines(file: string): unknown[] {
  const text = readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}
