// The Evolution look-alike of scripts/simulator against what a real Evolution 2.3.6 was recorded to answer and to send.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import { jwtVerify } from 'jose';
import { startSimulator, type Simulator } from '../../scripts/simulator/index.ts';
import { retryDelay } from '../../scripts/simulator/webhooks.ts';
import { startReceiver, type Receiver, type Webhook } from '../support/webhook-receiver.ts';

const MARIA = '5511988887777';
const MARIA_JID = `${MARIA}@s.whatsapp.net`;
const SECRET = 'a-webhook-secret';

type Json = Record<string, unknown>;
type Recorded = { label: string; request: { method: string; path: string; body?: unknown }; response: { status: number; body: Json } };

const recordedAnswers = lines('evolution-rest.jsonl') as Recorded[];
const recordedHooks = lines('evolution-payloads.jsonl') as { scenario: string; body: Webhook }[];

let receiver: Receiver;
let simulator: Simulator;
let maria: string;

before(async () => {
  receiver = await startReceiver();
  // Retries of 5 s become 5 ms; a blocking delay of 3 s becomes 3 ms.
  simulator = await startSimulator({
    instances: ['wa1'],
    webhook: { url: receiver.url, secret: SECRET, base64: true },
    apiKey: 'global-key',
    timeScale: 1000,
    ackMs: 0,
  });
});
after(async () => {
  await simulator.close();
  await receiver.close();
});
beforeEach(async () => {
  simulator.reset();
  await simulator.webhooksIdle();
  receiver.received.length = 0;
  receiver.answer = () => 200;
  maria = simulator.addContact({ name: 'Maria', phone: MARIA, lid: '123456789012345' }).id;
});

describe('answers equal the recorded ones', () => {
  const open = [
    ...labels('baileys sendText number'),
    ...['garbage number', 'short number', 'empty number', 'empty text', 'spaces text', 'ok', 'delay 3000'].map((name) => `baileys sendText ${name}`),
    ...labels('baileys sendText quoted'),
    ...labels('baileys sendReaction'),
    ...labels('baileys sendPresence').filter((label) => !label.includes('connecting')),
    ...labels('baileys markMessageAsRead').filter((label) => !label.includes('connecting')),
    ...labels('baileys getBase64').filter((label) => !label.includes('viewOnce')),
    ...labels('baileys sendMedia').filter((label) => !label.includes('url')),
    'baileys sendMedia image unreachable url',
    ...labels('baileys sendWhatsAppAudio'),
    'baileys whatsappNumbers',
    'baileys connectionState while open',
    'sendText 12 digit BR',
    'sendText to a group that does not exist',
    'sendReaction two emoji',
    ...['wrong apikey', 'no apikey', 'unknown instance', 'unknown instance + wrong key', 'missing text', 'missing both'].map((name) => `sendText ${name}`),
    ...['number as JSON number', 'v1 style textMessage', 'delay as string', 'delay float', 'empty mentioned', 'invalid JSON'].map((name) => `sendText ${name}`),
    ...['unknown route', 'GET sendText', 'sendMedia base64 doc without fileName', 'sendMedia data-uri', 'sendMedia bad mediatype'],
    'sendMedia loopback url',
    ...['webhook/set (no events)', 'webhook/set (flat body, v1 style)', 'webhook/set (bad event)', 'settings/set bad', 'settings/set ok', 'settings/find'],
    ...['instance/create without key', 'instance/create with instance key', 'instance/create no integration', 'instance/create bad integration'],
    'fetchInstances by name unknown',
  ];
  for (const label of open) {
    test(label, async () => {
      simulator.inbound({ contactId: maria, text: 'Oi', id: '3EB0BAILEYS0001' });
      simulator.inbound({ contactId: maria, text: 'respondendo', id: '3EB0BAILEYS0002' });
      simulator.inbound({ contactId: maria, media: { kind: 'image', caption: 'olha a foto' }, id: '3A6FE23EBBFFB6300000' });
      await expectRecorded(label);
    });
  }

  const connecting = [
    ...labels('baileys sendText while connecting'),
    'baileys connectionState after drop (connecting)',
    'baileys whatsappNumbers while connecting',
    'baileys markMessageAsRead while connecting',
    'baileys sendPresence while connecting',
  ];
  for (const label of connecting) {
    test(label, async () => {
      simulator.inbound({ contactId: maria, text: 'Oi' });
      simulator.connection('connecting');
      await expectRecorded(label);
    });
  }

  for (const label of ['baileys connectionState after logout', 'baileys sendText after logout, number cached', 'instance/logout again']) {
    test(label, async () => {
      simulator.inbound({ contactId: maria, text: 'Oi' });
      simulator.connection('close');
      await expectRecorded(label);
    });
  }

  test('an instance that never connected, then connects, and is deleted', async () => {
    await expectRecorded('create wa2 without qrcode');
    await expectRecorded('instance/create duplicate name', { instanceName: 'evo1' }, '/instance/create', { instanceName: 'wa2' });
    await expectRecorded('sendText before any connect');
    await expectRecorded('connectionState before connect');
    await expectRecorded('connect', {}, '/instance/connect/wa2', {}, 154);
    await expectRecorded('connectionState after connect');
    await expectRecorded('instance/delete', {}, '/instance/delete/wa2');
    await expectRecorded('connectionState after delete', {}, '/instance/connectionState/wa2', {});
    await expectRecorded('create with webhook without events');
  });

  test('baileys errors in the middle of a send', async () => {
    const cases = { 'throws Connection Closed before': 'refuse-before', 'throws Timed Out': 'timed-out', 'throws AFTER the stanza left': 'refuse-after' };
    for (const [name, kind] of Object.entries(cases)) {
      simulator.fault({ target: 'send', kind, sent: false });
      await expectRecorded(`baileys sendText baileys ${name}`);
    }
    assert.deepEqual(
      simulator.sends().map((send) => [send.text, send.outcome, send.id === null]),
      [
        ['fail-before', 'refused', true],
        ['fail-timeout', 'refused', true],
        ['fail-after', 'unconfirmed', false],
      ],
    );
  });

  test('baileys findMessages and findStatusMessage', async () => {
    await post('/message/sendText/wa1', { number: MARIA, text: 'Olá Maria! https://example.com' });
    await acked(1);
    const id = simulator.sends()[0]?.id;
    await expectRecorded('baileys findMessages by id', {}, undefined, { where: { key: { id } } });
    await expectRecorded('baileys findStatusMessage', {}, undefined, { where: { remoteJid: MARIA_JID, id } });
    await post('/message/sendWhatsAppAudio/wa1', { number: MARIA, audio: 'T2dnUy1mYWtl' });
    await acked(2);
    const page = await post('/chat/findMessages/wa1', { where: { key: { remoteJid: MARIA_JID, fromMe: true } }, page: 1, offset: 1 });
    const recorded = recordedAnswer('baileys findMessages by remoteJid page').response.body as { messages: { records: unknown[] } };
    const { messages } = page.body as { messages: { total: number; pages: number; records: unknown[] } };
    assert.deepEqual([messages.total, messages.pages, messages.records.length], [2, 2, 1]);
    assert.deepEqual(shape(messages.records[0]), shape(recorded.messages.records[0]));
  });
});

test('findMessages filters as Evolution does', async () => {
  const old = simulator.inbound({ contactId: maria, text: 'antiga', ageMs: 3_600_000 });
  simulator.updateContact(maria, { addressing: 'lid' });
  const viaLid = simulator.inbound({ contactId: maria, text: 'por lid' });
  await post('/message/sendText/wa1', { number: MARIA, text: 'resposta' });
  const find = async (where: Json, rest: Json = {}): Promise<string[]> => {
    const { body } = await post('/chat/findMessages/wa1', { where, ...rest });
    return (body as { messages: { records: { message: { conversation: string } }[] } }).messages.records.map((record) => record.message.conversation);
  };
  const all = ['resposta', 'por lid', 'antiga'];
  assert.deepEqual(await find({}), all);
  assert.deepEqual(await find({ key: { fromMe: true } }), ['resposta']);
  assert.deepEqual(await find({ key: { fromMe: false } }), all, 'false is no filter');
  assert.deepEqual(await find({ key: { remoteJidAlt: MARIA_JID } }), ['por lid']);
  assert.deepEqual(await find({ key: { id: viaLid.id } }), ['por lid']);
  assert.deepEqual(await find({ key: { remoteJid: MARIA_JID } }), ['resposta', 'antiga']);
  const gte = new Date(old.at - 1_000).toISOString();
  const lte = new Date(old.at + 1_000).toISOString();
  assert.deepEqual(await find({ messageTimestamp: { gte, lte } }), ['antiga']);
  assert.deepEqual(await find({ messageTimestamp: { gte: lte } }), all, 'half a window is ignored');
  assert.deepEqual(await find({}, { page: 2, offset: 2 }), ['antiga'], 'offset is the page size');
});

describe('webhooks have the recorded shapes', () => {
  test('a text, with the noise beside it', async () => {
    // The first message of a chat has one event more.
    simulator.inbound({ contactId: maria, text: 'antes' });
    await received('messages.upsert', 1);
    receiver.received.length = 0;
    simulator.inbound({ contactId: maria, text: 'Oi' });
    await deliveries(4);
    assert.deepEqual(shapesOf(receiver.received.map(({ body }) => body)), shapesOf(recordedOf('baileys/text conversation')));
  });

  const inbound: [string, () => void][] = [
    ['baileys/extendedText with quote', () => simulator.inbound({ contactId: maria, text: 'respondendo', quotedId: ask() })],
    ['baileys/location', () => simulator.inbound({ contactId: maria, location: { latitude: -23.5, longitude: -46.6, name: 'MASP', address: 'Av. Paulista' } })],
    ['baileys/contact', () => simulator.inbound({ contactId: maria, vcard: { name: 'João', phone: '5511966665555' } })],
    ['baileys/reaction', () => simulator.react(ask(), '👍')],
    ['baileys/reaction removed', () => simulator.react(ask(), '')],
    ['baileys/fromMe (sent from the phone)', () => simulator.owner({ contactId: maria, text: 'atendente humano respondeu' })],
    ['baileys/media image', () => simulator.inbound({ contactId: maria, media: { kind: 'image', caption: 'olha a foto' } })],
    ['baileys/media video', () => simulator.inbound({ contactId: maria, media: { kind: 'video' } })],
    ['baileys/media audio ptt', () => simulator.inbound({ contactId: maria, media: { kind: 'audio' } })],
    ['baileys/media audio file', () => simulator.inbound({ contactId: maria, media: { kind: 'audio', mimetype: 'audio/mpeg' } })],
    ['baileys/media document', () => simulator.inbound({ contactId: maria, media: { kind: 'document', fileName: 'boleto.pdf' } })],
    ['baileys/media sticker', () => simulator.inbound({ contactId: maria, media: { kind: 'sticker' } })],
    ['baileys/LID direct chat', () => {
      simulator.updateContact(maria, { addressing: 'lid' });
      simulator.inbound({ contactId: maria, text: 'oi por LID' });
    }],
  ];
  for (const [scenario, act] of inbound) {
    test(scenario, async () => {
      act();
      const upserts = await received('messages.upsert', scenario.match(/quote|reaction/) ? 2 : 1);
      const [expected] = recordedOf(scenario).filter(({ event }) => event === 'messages.upsert');
      // In the tests that need an earlier message, it is the first.
      const own = upserts.find(({ data }) => scenario.match(/quote|reaction/) === null || !isAsk(data));
      assert.deepEqual(shape(own), shape(expected));
    });
  }

  test('edits and deletions', async () => {
    const { id } = simulator.inbound({ contactId: maria, text: 'Oi' });
    simulator.edit(id, 'Oi (editado)');
    const [edited] = await received('messages.edited', 1);
    assert.deepEqual(shape(edited), shape(recordedOf('baileys/edited message (protocolMessage)')[0]));
    simulator.remove(id);
    await received('messages.delete', 1);
    const recorded = recordedOf('baileys/deleted message (REVOKE)');
    const [, revoke] = await received('messages.edited', 2);
    const [deletion] = await received('messages.delete', 1);
    assert.deepEqual([shape(revoke), shape(deletion)], recorded.map(shape));
  });

  test('sends, their acks, and typing', async () => {
    await post('/message/sendText/wa1', { number: MARIA, text: 'Olá' });
    await acked(1);
    simulator.read({ contactId: maria });
    const updates = await received('messages.update', 2);
    const [echo] = await received('send.message', 1);
    assert.deepEqual([echo, updates[0]].map(shape), recordedOf('baileys-send/sendText ok').map(shape));
    assert.deepEqual(shape(updates[1]), shape(recordedOf('baileys-send/READ ack')[0]));
    assert.deepEqual(updates.map(({ data }) => (data as Json)['status']).toSorted(), ['DELIVERY_ACK', 'READ']);

    simulator.fault({ target: 'send', kind: 'error-ack' });
    await post('/message/sendText/wa1', { number: MARIA, text: 'recusada depois' });
    const [, , error] = await received('messages.update', 3);
    assert.equal((error?.data as unknown as Json)['status'], 'ERROR');

    assert.equal(simulator.typing({ contactId: maria, presence: 'composing' }), false, 'nobody has subscribed yet');
    await post('/chat/sendPresence/wa1', { number: MARIA, presence: 'composing', delay: 10 });
    assert.equal(simulator.typing({ contactId: maria, presence: 'composing' }), true);
    const [presence] = await received('presence.update', 1);
    assert.deepEqual(shape(presence), shape(recordedOf('baileys/event presence')[0]));
  });

  test('reactions and files that the API sends', async () => {
    const id = ask();
    await post('/message/sendReaction/wa1', { key: { id, remoteJid: MARIA_JID, fromMe: false }, reaction: '👍' });
    const [reaction] = await received('send.message', 1);
    assert.deepEqual(shape(reaction), shape(recordedOf('baileys-send/reaction')[0]));
    assert.deepEqual(simulator.messages(maria)[0]?.reactions, [{ from: 'api', emoji: '👍' }]);
  });

  test('a drop that reconnects has no close; a log-out has', async () => {
    simulator.connection('close', { reason: 428 });
    const [drop] = await received('connection.update', 1);
    assert.deepEqual(shape(drop), shape(recordedOf('baileys-conn/drop 428 (reconnects)')[0]));
    assert.equal((drop?.data as unknown as Json)['state'], 'connecting');
    simulator.connection('open');
    const [, opened] = await received('connection.update', 2);
    assert.deepEqual(shape(opened), shape(recordedOf('baileys-conn/back open').find(({ event }) => event === 'connection.update')));
    receiver.received.length = 0;
    await api('DELETE', '/instance/logout/wa1');
    await deliveries(3);
    const recorded = recordedOf('baileys-conn/logout endpoint').filter(({ instance }) => instance === 'wa1');
    assert.deepEqual(shapesOf(receiver.received.map(({ body }) => body)), shapesOf(recorded));
  });

  test('the token carries the recorded claims', async () => {
    simulator.inbound({ contactId: maria, text: 'Oi' });
    await received('messages.upsert', 1);
    const token = receiver.received[0]?.authorization?.replace('Bearer ', '') ?? '';
    const { payload, protectedHeader } = await jwtVerify(token, new TextEncoder().encode(SECRET));
    assert.deepEqual(protectedHeader, { alg: 'HS256', typ: 'JWT' });
    assert.deepEqual(payload, { iat: payload.iat, exp: (payload.iat ?? 0) + 600, app: 'evolution', action: 'webhook' });
  });
});

describe('delivery', () => {
  test('the waits are those of the contract', () => {
    const seconds = (random: number): number[] => Array.from({ length: 9 }, (_, index) => retryDelay(index + 1, random) / 1000);
    assert.deepEqual(seconds(0.5), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert.deepEqual(seconds(0), [5, 8, 16, 32, 64, 128, 240, 240, 240], 'never below the first wait');
    assert.deepEqual(seconds(1), [6, 12, 24, 48, 96, 192, 360, 360, 360], 'jitter comes after the cap');
  });

  test('ten attempts of one body with one token', async () => {
    receiver.answer = ({ body }) => (body.event === 'messages.upsert' ? 500 : 200);
    const { id } = simulator.inbound({ contactId: maria, text: 'Oi' });
    await simulator.waitFor((wire) => wire.webhooks.some(({ messageId, attempt }) => messageId === id && attempt === 10));
    const attempts = receiver.received.filter(({ body }) => body.event === 'messages.upsert');
    assert.equal(attempts.length, 10);
    assert.equal(new Set(attempts.map(({ text, authorization }) => `${authorization} ${text}`)).size, 1);
  });

  for (const status of [400, 401, 403, 404, 422]) {
    test(`${status} ends an event for good`, async () => {
      receiver.answer = ({ body }) => (body.event === 'messages.upsert' ? status : 200);
      const { id } = simulator.inbound({ contactId: maria, text: 'perdida' });
      await attempts(id, 1);
      receiver.answer = () => 200;
      const second = simulator.inbound({ contactId: maria, text: 'outra' });
      await attempts(second.id, 1);
      assert.equal(simulator.wire().webhooks.filter(({ messageId }) => messageId === id).length, 1);
    });
  }

  test('an event that was refused once comes after a later one', async () => {
    let refused = false;
    receiver.answer = ({ text }) => {
      if (refused || !text.includes('primeira')) return 200;
      refused = true;
      return 503;
    };
    const first = simulator.inbound({ contactId: maria, text: 'primeira' });
    await attempts(first.id, 1);
    const second = simulator.inbound({ contactId: maria, text: 'segunda' });
    await attempts(second.id, 1);
    await attempts(first.id, 2);
    assert.equal(simulator.wire().webhooks.filter(({ messageId }) => messageId === first.id).at(-1)?.status, 200);
  });

  test('faults: drop, repeat, reorder', async () => {
    simulator.fault({ target: 'webhook', kind: 'drop' });
    const lost = simulator.inbound({ contactId: maria, text: 'perdida' });
    simulator.fault({ target: 'webhook', kind: 'repeat', n: 2 });
    const tripled = simulator.inbound({ contactId: maria, text: 'três vezes' });
    await simulator.waitFor((wire) => wire.webhooks.filter(({ messageId }) => messageId === tripled.id).length === 3);
    simulator.fault({ target: 'webhook', kind: 'reorder' });
    simulator.inbound({ contactId: maria, text: 'um' });
    simulator.inbound({ contactId: maria, text: 'dois' });
    await received('messages.upsert', 5);
    const texts = receiver.received.filter(({ body }) => body.event === 'messages.upsert').map(({ body }) => textOf(body));
    assert.deepEqual(texts, ['três vezes', 'três vezes', 'três vezes', 'dois', 'um']);
    const { body } = await post('/chat/findMessages/wa1', { where: { key: { id: lost.id } } });
    assert.equal((body as { messages: { total: number } }).messages.total, 1, 'the database has what the webhook lost');
  });

  test('repeat and raw', async () => {
    const { id } = simulator.inbound({ contactId: maria, text: 'Oi' });
    const [first] = await received('messages.upsert', 1);
    assert.deepEqual(await simulator.repeatWebhook({ messageId: id, times: 2 }), [200, 200]);
    assert.deepEqual((await received('messages.upsert', 3)).map((body) => JSON.stringify(body)), Array(3).fill(JSON.stringify(first)));
    receiver.answer = () => 503;
    const raw = await simulator.rawWebhook({ event: 'any' }, { suffix: 'messages-upsert' });
    assert.equal(raw.status, 503);
    assert.equal(receiver.received.at(-1)?.path, '/hook/messages-upsert');
    assert.match(receiver.received.at(-1)?.authorization ?? '', /^Bearer /);
  });

  test('messages that arrive while the socket is down come at the next open, with their own time', async () => {
    simulator.connection('connecting');
    const { id, at } = simulator.inbound({ contactId: maria, text: 'quando voltar', ageMs: 60_000 });
    assert.deepEqual((await post('/chat/findMessages/wa1', { where: { key: { id } } })).body, { messages: { total: 0, pages: 0, currentPage: 1, records: [] } });
    simulator.connection('open');
    const [held] = await received('messages.upsert', 1);
    assert.equal((held?.data as unknown as Json)['messageTimestamp'], Math.floor(at / 1000));
  });

  test('/webhook/set replaces address, headers and events', async () => {
    const webhook = { enabled: true, url: `${receiver.url}/b`, byEvents: true, headers: { authorization: 'Bearer fixed' }, events: ['MESSAGES_UPSERT'] };
    assert.equal((await post('/webhook/set/wa1', { webhook })).status, 201);
    simulator.inbound({ contactId: maria, text: 'Oi' });
    await received('messages.upsert', 1);
    assert.deepEqual(receiver.received.map(({ path, authorization }) => [path, authorization]), [['/hook/b/messages-upsert', 'Bearer fixed']]);
    simulator.setWebhook(receiver.url, SECRET);
  });
});

describe('sends', () => {
  test('a client that goes away does not stop a delayed send', async () => {
    const leaving = new AbortController();
    const typing = simulator.waitFor((_wire, event) => event?.type === 'typing' && event.on);
    const request = post('/message/sendText/wa1', { number: MARIA, text: 'mesmo assim', delay: 50_000 }, leaving.signal);
    await typing;
    leaving.abort();
    await assert.rejects(request);
    assert.equal(simulator.messages(maria).length, 0, 'it has not left yet');
    await simulator.waitFor(() => simulator.messages(maria).some(({ text }) => text === 'mesmo assim'));
  });

  test('parallel sends leave in the order of their delays', async () => {
    const delays = { longa: 60_000, curta: 1_000, média: 30_000 };
    await Promise.all(Object.entries(delays).map(([text, delay]) => post('/message/sendText/wa1', { number: MARIA, text, delay })));
    assert.deepEqual(simulator.messages(maria).map(({ text }) => text), ['curta', 'média', 'longa']);
  });

  test('send.message comes before the answer, after it, or never, as a fault says', async () => {
    const order: string[] = [];
    receiver.answer = ({ body }) => {
      if (body.event === 'send.message') order.push('echo');
      return 200;
    };
    for (const kind of ['echo-first', 'echo-late', 'no-echo']) {
      simulator.fault({ target: 'send', kind, ms: 1 });
      await post('/message/sendText/wa1', { number: MARIA, text: kind });
      order.push(kind);
      if (kind === 'echo-late') await received('send.message', 2);
    }
    assert.deepEqual(order, ['echo', 'echo-first', 'echo-late', 'echo', 'no-echo']);
  });

  test('by itself the echo goes both ways', async () => {
    const seen = new Set<string>();
    for (let index = 0; index < 12; index += 1) {
      const { body } = await post('/message/sendText/wa1', { number: MARIA, text: `${index}` });
      const { id } = (body as { key: { id: string } }).key;
      // In flight when the answer is here, or not even begun.
      seen.add(simulator.wire().webhooks.some(({ messageId }) => messageId === id) ? 'before' : 'after');
    }
    await received('send.message', 12);
    assert.ok(seen.size >= 1);
  });

  const faults: [string, Json, { status: number | null; left: boolean; body?: unknown }][] = [
    ['status', { status: 503, body: { a: 1 } }, { status: 503, left: false, body: { a: 1 } }],
    ['unauthorized', {}, { status: 401, left: false }],
    ['rate-limited', {}, { status: 429, left: false }],
    ['refuse-before', {}, { status: 400, left: false }],
    ['refuse-after', {}, { status: 400, left: true }],
    ['timed-out', { sent: false }, { status: 400, left: false }],
    ['timed-out', { sent: true }, { status: 400, left: true }],
    ['drop', { sent: false }, { status: null, left: false }],
    ['drop', { sent: true }, { status: null, left: true }],
    ['hang', { sent: false }, { status: null, left: false }],
    ['hang', { sent: true }, { status: null, left: true }],
    ['slow', { ms: 1 }, { status: 201, left: true }],
  ];
  for (const [kind, args, expected] of faults) {
    test(`fault ${kind} ${JSON.stringify(args)}`, async () => {
      simulator.fault({ target: 'send', kind, match: { text: 'alvo' }, ...args });
      assert.equal((await post('/message/sendText/wa1', { number: MARIA, text: 'outra' })).status, 201, 'only the match is hit');
      const leaving = new AbortController();
      const outcome = post('/message/sendText/wa1', { number: MARIA, text: 'alvo' }, leaving.signal).catch(() => null);
      await simulator.waitFor((_wire) => simulator.sends({ text: 'alvo' }).some((send) => send.outcome !== 'pending'));
      if (kind === 'hang') leaving.abort();
      const answer = await outcome;
      assert.equal(answer?.status ?? null, expected.status);
      if (expected.body) assert.deepEqual(answer?.body, expected.body);
      assert.equal(simulator.messages(maria).some(({ text }) => text === 'alvo'), expected.left);
      assert.equal(simulator.sends({ sent: true, text: 'alvo' }).length, expected.left ? 1 : 0);
      assert.equal((await post('/message/sendText/wa1', { number: MARIA, text: 'alvo' })).status, 201, 'it hit once');
    });
  }

  test('no-ack: nothing is ever confirmed', async () => {
    simulator.fault({ target: 'send', kind: 'no-ack' });
    await post('/message/sendText/wa1', { number: MARIA, text: 'sem sinal' });
    await post('/message/sendText/wa1', { number: MARIA, text: 'com sinal' });
    await acked(1);
    simulator.read({ contactId: maria });
    assert.deepEqual(simulator.messages(maria).map(({ status }) => status), ['PENDING', 'READ']);
  });
});

async function expectRecorded(label: string, _note: Json = {}, path?: string, body?: unknown, index?: number): Promise<void> {
  const recorded = index === undefined ? recordedAnswer(label) : recordedAnswers[index];
  assert.ok(recorded, label);
  const { request, response } = recorded;
  const key = apiKeyFor(label);
  const inWa1 = label.startsWith('sendText to a group') || label.startsWith('sendText 12');
  const sent = request.method === 'GET' ? undefined : (body ?? request.body);
  const answer = await api(request.method, path ?? request.path.replace(/\/(evo1|wa1)$/, '/wa1').replace(/(?<=message.*)\/wa2$/, inWa1 ? '/wa1' : '/wa2'), sent, undefined, key);
  assert.equal(answer.status, response.status);
  const text = JSON.stringify(response.body).replaceAll('evo1', label.includes('duplicate') ? 'wa2' : 'wa1');
  const expected = JSON.parse(text) as unknown;
  if (response.status >= 400) assert.deepEqual(answer.body, expected);
  else assert.deepEqual(shape(answer.body), shape(expected));
}

function apiKeyFor(label: string): string | null {
  if (/no apikey|without key/.test(label)) return null;
  if (/wrong (api)?key/.test(label)) return 'wrong';
  return label.includes('with instance key') ? 'wa1-token' : 'global-key';
}

function recordedAnswer(label: string): Recorded {
  const found = recordedAnswers.find((answer) => answer.label === label);
  assert.ok(found, `not recorded: ${label}`);
  return found;
}

function labels(prefix: string): string[] {
  return recordedAnswers.map(({ label }) => label).filter((label) => label.startsWith(prefix));
}

function recordedOf(scenario: string): Webhook[] {
  return recordedHooks.filter((hook) => hook.scenario === scenario).map(({ body }) => body);
}

/** Each value becomes its type, each array the shape of its first element; bytes as index objects or base64 are one word. */
function shape(value: unknown): unknown {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object') return typeof value;
  const entries = Object.entries(value);
  if (entries.length > 0 && entries.every(([key]) => /^\d+$/.test(key))) return 'bytes';
  return Object.fromEntries(entries.toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([key, inner]) => [key, shape(inner)]));
}

/** Webhooks come in any order. */
function shapesOf(bodies: Webhook[]): string[] {
  return bodies.map((body) => `${body.event} ${JSON.stringify(shape(body))}`).toSorted();
}

function textOf(body: Webhook): unknown {
  return (body.data as unknown as { message: Json }).message['conversation'];
}

function ask(): string {
  return simulator.inbound({ contactId: maria, text: 'pergunta' }).id;
}

function isAsk(data: unknown): boolean {
  return (data as { message: Json }).message['conversation'] === 'pergunta';
}

async function received(event: string, count: number): Promise<Webhook[]> {
  return await simulator.waitFor((wire) => {
    const answered = wire.webhooks.filter((hook) => hook.event === event && hook.status !== null).length;
    const bodies = receiver.received.filter(({ body }) => body.event === event).map(({ body }) => body);
    return answered >= count && bodies;
  });
}

async function deliveries(count: number): Promise<void> {
  await simulator.waitFor((wire) => wire.webhooks.length >= count && receiver.received.length >= count);
}

async function attempts(messageId: string, count: number): Promise<void> {
  await simulator.waitFor((wire) => wire.webhooks.filter((hook) => hook.messageId === messageId && hook.event === 'messages.upsert').length >= count);
}

async function acked(count: number): Promise<void> {
  await simulator.waitFor((wire) => wire.webhooks.filter(({ event }) => event === 'messages.update').length >= count);
}

async function post(path: string, body: unknown, signal?: AbortSignal): Promise<{ status: number; body: unknown }> {
  return await api('POST', path, body, signal);
}

async function api(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  key: string | null = 'global-key',
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(simulator.url + path, {
    method,
    headers: { 'content-type': 'application/json', ...(key === null ? {} : { apikey: key }) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
  return { status: response.status, body: await response.json() };
}

function lines(file: string): unknown[] {
  const text = readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8');
  return text.trim().split('\n').map((line): unknown => JSON.parse(line));
}
