// The Evolution look-alike of simulator against what a real Evolution 2.3.6 was recorded to answer and to send.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { jwtVerify } from 'jose';
import {
  API_KEY,
  fields,
  labels,
  MARIA,
  MARIA_JID,
  recordedAnswer,
  recordedOf,
  SECRET,
  shape,
  shapesOf,
  useSimulator,
  type Json,
} from '../support/simulator-setting.ts';

const setting = useSimulator();

describe('answers equal the recorded ones', () => {
  const open = [
    ...labels('baileys sendText number'),
    ...['garbage number', 'short number', 'empty number', 'empty text', 'spaces text', 'ok', 'delay 3000'].map(
      (name) => `baileys sendText ${name}`,
    ),
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
    'sendReaction two emoji',
    ...['wrong apikey', 'no apikey', 'unknown instance', 'unknown instance + wrong key', 'missing text', 'missing both'].map(
      (name) => `sendText ${name}`,
    ),
    ...['number as JSON number', 'v1 style textMessage', 'delay as string', 'delay float', 'empty mentioned', 'invalid JSON'].map(
      (name) => `sendText ${name}`,
    ),
    'unknown route',
    'GET sendText',
    'sendMedia base64 doc without fileName',
    'sendMedia data-uri',
    'sendMedia bad mediatype',
    'sendMedia loopback url',
    'webhook/set (no events)',
    'webhook/set (flat body, v1 style)',
    'webhook/set (bad event)',
    'settings/set bad',
    'settings/set ok',
    'settings/find',
    'instance/create without key',
    'instance/create with instance key',
    'instance/create no integration',
    'instance/create bad integration',
    'fetchInstances by name unknown',
  ];
  for (const label of open) {
    test(label, async () => {
      setting.simulator.inbound({ contactId: setting.maria, text: 'Oi', id: '3EB0BAILEYS0001' });
      setting.simulator.inbound({ contactId: setting.maria, text: 'respondendo', id: '3EB0BAILEYS0002' });
      setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'image', caption: 'olha a foto' }, id: '3A6FE23EBBFFB6300000' });
      await expectRecorded(label);
    });
  }

  for (const label of ['sendText 12 digit BR', 'sendText to a group that does not exist']) {
    test(label, () => expectRecorded(label, { path: '/message/sendText/wa1' }));
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
      setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
      setting.simulator.connection('connecting');
      await expectRecorded(label);
    });
  }

  for (const label of ['baileys connectionState after logout', 'baileys sendText after logout, number cached', 'instance/logout again']) {
    test(label, async () => {
      setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
      setting.simulator.connection('close');
      await expectRecorded(label);
    });
  }

  test('an instance that never connected, then connects, and is deleted', async () => {
    await expectRecorded('create wa2 without qrcode');
    const clash = await setting.post('/instance/create', { instanceName: 'wa2', integration: 'WHATSAPP-BAILEYS' });
    const recorded = recordedAnswer('instance/create duplicate name').response;
    assert.deepEqual(clash, JSON.parse(JSON.stringify(recorded).replaceAll('evo1', 'wa2')));
    await expectRecorded('sendText before any connect');
    await expectRecorded('connectionState before connect');
    await expectRecorded('connect', { recordedPath: '/instance/connect/wa2' });
    await expectRecorded('connectionState after connect');
    await expectRecorded('instance/delete', { path: '/instance/delete/wa2' });
    await expectRecorded('connectionState after delete', { path: '/instance/connectionState/wa2' });
    await expectRecorded('create with webhook without events');
  });

  test('baileys errors in the middle of a send', async () => {
    const cases = {
      'throws Connection Closed before': 'refuse-before',
      'throws Timed Out': 'timed-out',
      'throws AFTER the stanza left': 'refuse-after',
    };
    for (const [name, kind] of Object.entries(cases)) {
      setting.simulator.fault({ target: 'send', kind, sent: false });
      await expectRecorded(`baileys sendText baileys ${name}`);
    }
    assert.deepEqual(
      setting.simulator.sends().map((send) => [send.text, send.outcome, send.id === null]),
      [
        ['fail-before', 'refused', true],
        ['fail-timeout', 'refused', true],
        ['fail-after', 'unconfirmed', false],
      ],
    );
  });

  test('baileys findMessages and findStatusMessage', async () => {
    await setting.post('/message/sendText/wa1', { number: MARIA, text: 'Olá Maria! https://example.com' });
    await acked(1);
    const id = setting.simulator.sends()[0]?.id;
    await expectRecorded('baileys findMessages by id', { body: { where: { key: { id } } } });
    await expectRecorded('baileys findStatusMessage', { body: { where: { remoteJid: MARIA_JID, id } } });
    await setting.post('/message/sendWhatsAppAudio/wa1', { number: MARIA, audio: 'T2dnUy1mYWtl' });
    await acked(2);
    const page = await setting.post('/chat/findMessages/wa1', {
      where: { key: { remoteJid: MARIA_JID, fromMe: true } },
      page: 1,
      offset: 1,
    });
    const recorded = recordedAnswer('baileys findMessages by remoteJid page').response.body as { messages: { records: unknown[] } };
    const { messages } = page.body as { messages: { total: number; pages: number; records: unknown[] } };
    assert.deepEqual([messages.total, messages.pages, messages.records.length], [2, 2, 1]);
    assert.deepEqual(shape(messages.records[0]), shape(recorded.messages.records[0]));
  });
});

test('findMessages filters as Evolution does', async () => {
  const old = setting.simulator.inbound({ contactId: setting.maria, text: 'antiga', ageMs: 3_600_000 });
  setting.simulator.updateContact(setting.maria, { addressing: 'lid' });
  const viaLid = setting.simulator.inbound({ contactId: setting.maria, text: 'por lid' });
  await setting.post('/message/sendText/wa1', { number: MARIA, text: 'resposta' });
  const find = async (where: Json, rest: Json = {}): Promise<string[]> => {
    const { body } = await setting.post('/chat/findMessages/wa1', { where, ...rest });
    return (body as { messages: { records: { message: { conversation: string } }[] } }).messages.records.map(
      (record) => record.message.conversation,
    );
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
    setting.simulator.inbound({ contactId: setting.maria, text: 'antes' });
    await setting.received('messages.upsert', 1);
    setting.receiver.received.length = 0;
    setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
    await deliveries(4);
    assert.deepEqual(shapesOf(setting.receiver.received.map(({ body }) => body)), shapesOf(recordedOf('baileys/text conversation')));
  });

  const inbound: [string, () => void][] = [
    [
      'baileys/extendedText with quote',
      () => setting.simulator.inbound({ contactId: setting.maria, text: 'respondendo', quotedId: ask() }),
    ],
    [
      'baileys/location',
      () =>
        setting.simulator.inbound({
          contactId: setting.maria,
          location: { latitude: -23.5, longitude: -46.6, name: 'MASP', address: 'Av. Paulista' },
        }),
    ],
    ['baileys/contact', () => setting.simulator.inbound({ contactId: setting.maria, vcard: { name: 'João', phone: '5511966665555' } })],
    ['baileys/reaction', () => setting.simulator.react(ask(), '👍')],
    ['baileys/reaction removed', () => setting.simulator.react(ask(), '')],
    [
      'baileys/fromMe (sent from the phone)',
      () => setting.simulator.owner({ contactId: setting.maria, text: 'atendente humano respondeu' }),
    ],
    [
      'baileys/media image',
      () => setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'image', caption: 'olha a foto' } }),
    ],
    ['baileys/media video', () => setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'video' } })],
    ['baileys/media audio ptt', () => setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'audio' } })],
    [
      'baileys/media audio file',
      () => setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'audio', mimetype: 'audio/mpeg' } }),
    ],
    [
      'baileys/media document',
      () => setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'document', fileName: 'boleto.pdf' } }),
    ],
    ['baileys/media sticker', () => setting.simulator.inbound({ contactId: setting.maria, media: { kind: 'sticker' } })],
    [
      'baileys/LID direct chat',
      () => {
        setting.simulator.updateContact(setting.maria, { addressing: 'lid' });
        setting.simulator.inbound({ contactId: setting.maria, text: 'oi por LID' });
      },
    ],
  ];
  for (const [scenario, act] of inbound) {
    test(scenario, async () => {
      act();
      const upserts = await setting.received('messages.upsert', scenario.match(/quote|reaction/) ? 2 : 1);
      const [expected] = recordedOf(scenario).filter(({ event }) => event === 'messages.upsert');
      // In the tests that need an earlier message, it is the first.
      const own = upserts.find(({ data }) => scenario.match(/quote|reaction/) === null || !isAsk(data));
      assert.deepEqual(shape(own), shape(expected));
    });
  }

  test('edits and deletions', async () => {
    const { id } = setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
    setting.simulator.edit(id, 'Oi (editado)');
    const [edited] = await setting.received('messages.edited', 1);
    assert.deepEqual(shape(edited), shape(recordedOf('baileys/edited message (protocolMessage)')[0]));
    setting.simulator.remove(id);
    await setting.received('messages.delete', 1);
    const recorded = recordedOf('baileys/deleted message (REVOKE)');
    const [, revoke] = await setting.received('messages.edited', 2);
    const [deletion] = await setting.received('messages.delete', 1);
    assert.deepEqual([shape(revoke), shape(deletion)], recorded.map(shape));
  });

  test('sends, their acks, and typing', async () => {
    await setting.post('/message/sendText/wa1', { number: MARIA, text: 'Olá' });
    await acked(1);
    setting.simulator.read({ contactId: setting.maria });
    const updates = await setting.received('messages.update', 2);
    const [echo] = await setting.received('send.message', 1);
    assert.deepEqual([echo, updates[0]].map(shape), recordedOf('baileys-send/sendText ok').map(shape));
    assert.deepEqual(shape(updates[1]), shape(recordedOf('baileys-send/READ ack')[0]));
    assert.deepEqual(new Set(updates.map((body) => fields(body)['status'])), new Set(['DELIVERY_ACK', 'READ']));

    setting.simulator.fault({ target: 'send', kind: 'error-ack' });
    await setting.post('/message/sendText/wa1', { number: MARIA, text: 'recusada depois' });
    const [, , error] = await setting.received('messages.update', 3);
    assert.equal(fields(error)['status'], 'ERROR');

    assert.equal(setting.simulator.typing({ contactId: setting.maria, presence: 'composing' }), false, 'nobody has subscribed yet');
    await setting.post('/chat/sendPresence/wa1', { number: MARIA, presence: 'composing', delay: 10 });
    assert.equal(setting.simulator.typing({ contactId: setting.maria, presence: 'composing' }), true);
    const [presence] = await setting.received('presence.update', 1);
    assert.deepEqual(shape(presence), shape(recordedOf('baileys/event presence')[0]));
  });

  test('reactions and files that the API sends', async () => {
    const id = ask();
    await setting.post('/message/sendReaction/wa1', { key: { id, remoteJid: MARIA_JID, fromMe: false }, reaction: '👍' });
    const [reaction] = await setting.received('send.message', 1);
    assert.deepEqual(shape(reaction), shape(recordedOf('baileys-send/reaction')[0]));
    assert.deepEqual(setting.simulator.messages(setting.maria)[0]?.reactions, [{ from: 'api', emoji: '👍' }]);
    const recorded = recordedOf('baileys-send/media').filter(({ event }) => event === 'send.message');
    const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
    await setting.post('/message/sendMedia/wa1', { number: MARIA, mediatype: 'image', media: png, caption: 'legenda', fileName: 'a.png' });
    await setting.received('send.message', 2);
    const boleto = { mediatype: 'document', media: 'JVBERi0xLjQgeA==', fileName: 'boleto.pdf', caption: 'boleto' };
    await setting.post('/message/sendMedia/wa1', { number: MARIA, ...boleto });
    await setting.received('send.message', 3);
    await setting.post('/message/sendWhatsAppAudio/wa1', { number: MARIA, audio: 'T2dnUy1mYWtl' });
    const [, image, document, audio] = await setting.received('send.message', 4);
    const [expectedImage, , expectedDocument] = recorded;
    assert.deepEqual([image, document, audio].map(shape), [expectedImage, expectedDocument, recorded[4]].map(shape));
  });

  test('a drop that reconnects has no close; a log-out has', async () => {
    setting.simulator.connection('close', { reason: 428 });
    const [drop] = await setting.received('connection.update', 1);
    assert.deepEqual(shape(drop), shape(recordedOf('baileys-conn/drop 428 (reconnects)')[0]));
    assert.equal(fields(drop)['state'], 'connecting');
    setting.simulator.connection('open');
    const [, opened] = await setting.received('connection.update', 2);
    assert.deepEqual(shape(opened), shape(recordedOf('baileys-conn/back open').find(({ event }) => event === 'connection.update')));
    setting.receiver.received.length = 0;
    await setting.api('DELETE', '/instance/logout/wa1');
    await deliveries(3);
    const recorded = recordedOf('baileys-conn/logout endpoint').filter(({ instance }) => instance === 'wa1');
    assert.deepEqual(shapesOf(setting.receiver.received.map(({ body }) => body)), shapesOf(recorded));
  });

  test('the token carries the recorded claims', async () => {
    setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
    await setting.received('messages.upsert', 1);
    const token = setting.receiver.received[0]?.authorization?.replace('Bearer ', '') ?? '';
    const { payload, protectedHeader } = await jwtVerify(token, new TextEncoder().encode(SECRET));
    assert.deepEqual(protectedHeader, { alg: 'HS256', typ: 'JWT' });
    assert.deepEqual(payload, { iat: payload.iat, exp: (payload.iat ?? 0) + 600, app: 'evolution', action: 'webhook' });
  });
});

/** Asks as recorded, under another path or with another body when given, and compares: errors exactly, the rest by shape. */
async function expectRecorded(label: string, change: { recordedPath?: string; path?: string; body?: unknown } = {}): Promise<void> {
  const { request, response } = recordedAnswer(label, change.recordedPath);
  const path = change.path ?? request.path.replace(/\/evo1$/, '/wa1');
  const body = request.method === 'GET' ? undefined : (change.body ?? request.body);
  const answer = await setting.api(request.method, path, { body, key: apiKeyFor(label) });
  assert.equal(answer.status, response.status);
  if (response.status < 400) {
    assert.deepEqual(shape(answer.body), shape(response.body));
    return;
  }
  const recordedName = request.path.split('/').at(-1) ?? '';
  const name = path.split('/').at(-1) ?? '';
  assert.deepEqual(answer.body, JSON.parse(JSON.stringify(response.body).replaceAll(recordedName, name)));
}

function apiKeyFor(label: string): string | null {
  if (/no apikey|without key/.test(label)) return null;
  if (/wrong (api)?key/.test(label)) return 'wrong';
  return label.includes('with instance key') ? 'wa1-token' : API_KEY;
}

function ask(): string {
  return setting.simulator.inbound({ contactId: setting.maria, text: 'pergunta' }).id;
}

function isAsk(data: unknown): boolean {
  return (data as { message: Json }).message['conversation'] === 'pergunta';
}

async function deliveries(count: number): Promise<void> {
  await setting.simulator.waitFor((wire) => wire.webhooks.length >= count && setting.receiver.received.length >= count);
}

async function acked(count: number): Promise<void> {
  await setting.received('messages.update', count);
}
