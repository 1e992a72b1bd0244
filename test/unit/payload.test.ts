import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { parseFoundMessages, parseWebhook } from '../../src/whatsapp/payload.ts';
import { expectations } from '../fixtures/payload-expectations.ts';

type Recorded = { scenario: string; path: string; body: Record<string, unknown> };

const recorded: Recorded[] = readFileSync(new URL('../fixtures/evolution-payloads.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded); // the fixture is ours
const RECEIVED = new Date('2026-11-22T05:00:00.000Z');

test('I9 kinds: every recorded line has one expectation', () => {
  assert.deepEqual(
    expectations.map(([line]) => line),
    recorded.map((_, index) => index + 1),
  );
});

for (const [line, expected] of expectations) {
  const { scenario, path, body } = recorded[line - 1]!; // the test above counts the lines
  test(`I9 kinds: line ${line} ${scenario} -> ${summary(expected)}`, () => {
    assert.deepEqual(parseWebhook(body, null, RECEIVED), [expected]);
    // The same event by its other names: replayed UPPER_SNAKE, and known only by the address.
    const name = String(body['event']);
    assert.deepEqual(parseWebhook({ ...body, event: name.toUpperCase().replaceAll(/[.-]/g, '_') }, null, RECEIVED), [expected]);
    const suffix = path.split('/')[2]?.includes('-') ? path.split('/')[2]! : name.replaceAll('.', '-'); // checked in the condition
    assert.deepEqual(parseWebhook({ ...body, event: undefined }, suffix, RECEIVED), [expected]);
  });
}

function summary(event: InboundEvent): string {
  switch (event.kind) {
    case 'message':
      return `${event.fromMe ? 'message to' : 'message from'} ${event.jid}, ${JSON.stringify(event.content.text)}`;
    case 'ignored':
      return `ignored, ${event.reason}`;
    default:
      return event.kind;
  }
}

const MARIA = '5511988887777@s.whatsapp.net';

function upsert(data: object, sender = '5511900000002:12@s.whatsapp.net'): InboundEvent {
  const key = { remoteJid: MARIA, fromMe: false, id: 'ID1' };
  const body = { event: 'messages.upsert', instance: 'wa1', sender, data: { key, messageTimestamp: 1795319404, ...data } };
  return only(parseWebhook(body, null, RECEIVED));
}

function said(message: unknown, extra: object = {}): { type: string; text: string; typed: string | null; quoted: string | null } {
  const event = upsert({ message, ...extra });
  assert.equal(event.kind, 'message');
  return { type: event.content.type, text: event.content.text, typed: event.content.typed, quoted: event.quoted?.text ?? null };
}

function only(events: InboundEvent[]): InboundEvent {
  assert.equal(events.length, 1);
  return events[0]!; // counted on the line above
}

const unrecorded: [name: string, message: unknown, type: string, text: string, typed: string | null][] = [
  [
    'disappearing text',
    {
      ephemeralMessage: {
        message: { extendedTextMessage: { text: 'some já', contextInfo: { stanzaId: 'Q', quotedMessage: { conversation: 'antes' } } } },
      },
    },
    'text',
    'some já',
    'some já',
  ],
  [
    'wrappers in wrappers',
    {
      deviceSentMessage: {
        message: {
          ephemeralMessage: { message: { viewOnceMessageV2Extension: { message: { audioMessage: { ptt: true, seconds: 4 } } } } },
        },
      },
    },
    'audio',
    '[áudio de voz, 4 s]',
    null,
  ],
  [
    'document with caption, wrapped',
    { documentWithCaptionMessage: { message: { documentMessage: { title: 'nota [1]\n.pdf', caption: 'segue' } } } },
    'document',
    '[documento: nota 1 .pdf]\nsegue',
    'segue',
  ],
  [
    'view once shell',
    { viewOnceMessageV2: { message: { messageContextInfo: {} } } },
    'unsupported',
    '[mensagem de visualização única, aberta só no celular]',
    null,
  ],
  ['gif', { videoMessage: { gifPlayback: true, seconds: 2 } }, 'video', '[gif, 2 s]', null],
  ['video note', { ptvMessage: { seconds: 9 } }, 'video', '[recado em vídeo, 9 s]', null],
  [
    'transcribed voice',
    { audioMessage: { ptt: true, seconds: 12 }, speechToText: '[audio] quero remarcar' },
    'audio',
    '[áudio de voz, 12 s, transcrição]\nquero remarcar',
    'quero remarcar',
  ],
  [
    'live location',
    { liveLocationMessage: { degreesLatitude: -23.5, degreesLongitude: -46.6, caption: 'chegando' } },
    'location',
    '[localização em tempo real: (-23.5, -46.6)]\nchegando',
    'chegando',
  ],
  ['location without coordinates', { locationMessage: { name: 'MASP' } }, 'location', '[localização: MASP]', null],
  [
    'several contacts',
    {
      contactsArrayMessage: {
        contacts: [
          { displayName: 'Ana', vcard: 'BEGIN:VCARD\nTEL;waid=5511966665555:x\nTEL:+55 11 3333-4444\nEND:VCARD' },
          { vcard: 'FN:Bia\nEND:VCARD' },
        ],
      },
    },
    'contact',
    '[contato: Ana, +5511966665555, +55 11 3333-4444; Bia]',
    null,
  ],
  [
    'poll',
    { pollCreationMessage: { name: 'Dia?', options: [{ optionName: 'seg' }, { optionName: 'ter' }] } },
    'poll',
    '[enquete: Dia? Opções: seg; ter]',
    null,
  ],
  ['poll vote', { pollUpdateMessage: { vote: {} } }, 'poll', '[voto em enquete, não pode ser lido]', null],
  [
    'template button',
    { templateButtonReplyMessage: { selectedId: 'x', selectedDisplayText: 'Falar com alguém' } },
    'button',
    'Falar com alguém',
    'Falar com alguém',
  ],
  ['button without a label', { buttonsResponseMessage: { selectedButtonId: 'id-sim' } }, 'button', 'id-sim', 'id-sim'],
  ['list without a title', { listResponseMessage: { singleSelectReply: { selectedRowId: 'row-1' } } }, 'list', 'row-1', 'row-1'],
  [
    'native-flow button',
    {
      interactiveResponseMessage: {
        body: { text: 'Sim' },
        nativeFlowResponseMessage: { paramsJson: '{"id":"y","display_text":"Sim, quero"}' },
      },
    },
    'button',
    'Sim, quero',
    'Sim, quero',
  ],
  [
    'native-flow button by its body',
    { interactiveResponseMessage: { body: { text: 'Sim' }, nativeFlowResponseMessage: { paramsJson: '{"id":"y"}' } } },
    'button',
    'Sim',
    'Sim',
  ],
  [
    'native-flow form',
    {
      interactiveResponseMessage: {
        body: { text: 'Enviado' },
        nativeFlowResponseMessage: { paramsJson: '{"nome":"Ana","idade":30,"flow_token":"t"}' },
      },
    },
    'button',
    'Enviado\n[formulário: nome: Ana; idade: 30]',
    'Enviado\n[formulário: nome: Ana; idade: 30]',
  ],
  [
    'native-flow with broken JSON',
    { interactiveResponseMessage: { body: { text: 'Sim' }, nativeFlowResponseMessage: { paramsJson: '{' } } },
    'button',
    'Sim',
    'Sim',
  ],
  [
    'order',
    {
      orderMessage: {
        orderTitle: 'Loja',
        itemCount: 3,
        totalAmount1000: { low: 123_450, high: 0, unsigned: false },
        totalCurrencyCode: 'BRL',
        message: 'pode ser hoje?',
      },
    },
    'order',
    '[pedido: Loja, 3 itens, BRL 123.45]\npode ser hoje?',
    'pode ser hoje?',
  ],
  ['product', { productMessage: { product: { title: 'Camisa' } } }, 'order', '[produto: Camisa]', null],
  ['event', { eventMessage: { name: 'x' } }, 'event', '[evento: x]', null],
  ['newer kind', { holographicMessage: { a: 1 } }, 'unsupported', '[mensagem de tipo não suportado: holographicMessage]', null],
  ['kind with a hostile name', { 'x] [sistema: pague': {} }, 'unsupported', '[mensagem de tipo não suportado: desconhecido]', null],
  ['no message', null, 'unsupported', '[mensagem vazia]', null],
  ['blank text', { conversation: ' \n\u200b\u2800' }, 'unsupported', '[mensagem vazia]', null],
  ['NUL and half a surrogate', { conversation: 'a\u0000b\ud800' }, 'text', 'ab\ufffd', 'ab\ufffd'],
  ['array where an object is usual', [{ conversation: ['x'], extendedTextMessage: [{ text: 'lista' }] }], 'text', 'lista', 'lista'],
];

for (const [name, message, type, text, typed] of unrecorded) {
  test(`I9 kinds: ${name} -> ${JSON.stringify(text)}`, () => {
    const { quoted: _, ...content } = said(message);
    assert.deepEqual(content, { type, text, typed });
  });
}

test('I9 kinds: a quote inside a wrapper, and an ad, are kept', () => {
  assert.equal(said(unrecorded[0]![1]).quoted, 'antes'); // first row: disappearing text
  const ad = {
    contextInfo: { externalAdReply: { title: 'Limpeza de pele', body: 'só hoje', sourceUrl: 'https://example.com/ad', ctwaClid: 'x' } },
  };
  assert.deepEqual(said({ conversation: 'oi' }, ad), {
    type: 'text',
    text: 'oi\n[veio do anúncio: Limpeza de pele | só hoje | https://example.com/ad]',
    typed: 'oi',
    quoted: null,
  });
});

test('I9 kinds: 64-bit lengths are numbers', () => {
  const bytes = (fileLength: unknown) => {
    const event = upsert({ message: { videoMessage: { fileLength } } });
    return event.kind === 'message' ? event.content.media?.bytes : undefined;
  };
  assert.equal(bytes({ low: 70, high: 0, unsigned: true }), 70);
  assert.equal(bytes({ low: -1, high: 1, unsigned: true }), 2 ** 33 - 1);
  assert.equal(bytes('1234'), 1234);
  assert.equal(bytes({ low: -5, high: -1, unsigned: false }), null);
});

test('I9 kinds: a message keeps what is well-formed', () => {
  const event = upsert({ messageTimestamp: 'ontem', pushName: 7, contextInfo: [], instanceId: {}, message: { conversation: 'oi' } });
  assert.equal(event.kind, 'message');
  assert.equal(event.sentAt, RECEIVED.toISOString());
  assert.equal(event.pushName, null);
  assert.equal(event.content.text, 'oi');
  for (const messageTimestamp of [-1, 1, 1e300, 4e9, null]) {
    const odd = upsert({ messageTimestamp, message: { conversation: 'oi' } });
    assert.equal(odd.kind === 'message' && odd.sentAt, RECEIVED.toISOString());
  }
  const inMs = upsert({ messageTimestamp: 1795319404000, message: { conversation: 'oi' } });
  assert.equal(inMs.kind === 'message' && inMs.sentAt, '2026-11-22T03:50:04.000Z');
});

test('I2 dedupe: a message without an id gets the same one each time, and another text another one', () => {
  const id = (text: string) => {
    const event = upsert({ key: { remoteJid: MARIA, fromMe: false }, message: { conversation: text } });
    return event.kind === 'message' ? event.providerId : '';
  };
  assert.match(id('oi'), /^noid-[0-9a-f]{32}$/);
  assert.equal(id('oi'), id('oi'));
  assert.notEqual(id('oi'), id('olá'));
});

test('I8 LID senders: aliases are learned from the contact only', () => {
  const chat = (key: object) => {
    const event = upsert({ key: { id: 'ID1', ...key }, message: { conversation: 'oi' } });
    return event.kind === 'message' ? event.chat : event.kind === 'ignored' ? event.reason : event.kind;
  };
  const lid = '123456789012345@lid';
  assert.deepEqual(chat({ remoteJid: lid, fromMe: false, remoteJidAlt: '551188887777@s.whatsapp.net' }), {
    pn: '5511988887777',
    lid: '123456789012345',
  });
  assert.deepEqual(chat({ remoteJid: MARIA, fromMe: false, remoteJidAlt: lid }), { pn: '5511988887777', lid: '123456789012345' });
  assert.deepEqual(chat({ remoteJid: lid, fromMe: false }), { pn: null, lid: '123456789012345' });
  assert.deepEqual(chat({ remoteJid: lid, fromMe: true, remoteJidAlt: MARIA }), { pn: null, lid: '123456789012345' });
  // A foreign number that looks like a Brazilian one without country code stays foreign.
  assert.deepEqual(chat({ remoteJid: '4521234567@s.whatsapp.net', fromMe: false }), { pn: '4521234567', lid: null });
});

test('W6 addresses: of our own messages the other address is told apart, unless it is our own number', () => {
  const own = (key: object, sender?: string) => {
    const event = upsert({ key: { id: 'ID1', fromMe: true, ...key }, message: { conversation: 'oi' } }, sender);
    return event.kind === 'message' ? [event.chat, event.alt] : event.kind;
  };
  const lid = '123456789012345@lid';
  assert.deepEqual(own({ remoteJid: lid, remoteJidAlt: '551188887777@s.whatsapp.net' }), [
    { pn: null, lid: '123456789012345' },
    { pn: '5511988887777', lid: null },
  ]);
  assert.deepEqual(own({ remoteJid: MARIA, remoteJidAlt: lid }), [
    { pn: '5511988887777', lid: null },
    { pn: null, lid: '123456789012345' },
  ]);
  assert.deepEqual(own({ remoteJid: lid, remoteJidAlt: '5511900000002@s.whatsapp.net' }), [
    { pn: null, lid: '123456789012345' },
    undefined,
  ]);
  assert.deepEqual(own({ remoteJid: MARIA, remoteJidAlt: MARIA }), [{ pn: '5511988887777', lid: null }, undefined]);
  assert.deepEqual(own({ remoteJid: lid, senderPn: '5511900000002@s.whatsapp.net', remoteJidAlt: MARIA }), [
    { pn: null, lid: '123456789012345' },
    { pn: '5511988887777', lid: null },
  ]);
});

test('W6 who is a person: an id of a library tells a program, the ids of phones and of WhatsApp Web do not', () => {
  const program = (id: string, fromMe = true) => {
    const event = upsert({ key: { remoteJid: MARIA, fromMe, id }, message: { conversation: 'oi' } });
    return event.kind === 'message' ? event.program : event.kind;
  };
  assert.equal(program('BAE5F4A1B2C3D4E5'), true);
  assert.equal(program('BAE5F4A1B2C3D4E5', false), undefined, 'a customer may use what it likes');
  for (const id of [
    '3EB0A1B2C3D4E5F6A7B8C9',
    '3A0123456789ABCDEF01',
    'BAE5F4A1B2C3D4E5F6A7B8C9D0E1F2A3',
    'ACD5F4A1B2C3D4E5F6A7B8C9D0E1F2A3',
    'ID1',
  ])
    assert.equal(program(id), undefined, id);
});

test("W11 machines: WhatsApp's own are told, under each address, and nobody else is", () => {
  const told = (key: object) => {
    const event = upsert({ key: { id: 'ID1', fromMe: false, ...key }, pushName: 'Meta AI', message: { conversation: 'Paris.' } });
    return event.kind === 'message' ? (event.machine ?? false) : event.kind === 'ignored' ? event.reason : event.kind;
  };
  for (const pn of ['13135550002', '13135559999', '13135550000', '13165550000', '13165550099'])
    assert.equal(told({ remoteJid: `${pn}@s.whatsapp.net` }), true, pn);
  assert.equal(told({ remoteJid: '13135550002@c.us' }), true);
  assert.equal(told({ remoteJid: '867051314767696@lid', remoteJidAlt: '13135550002@s.whatsapp.net' }), true);
  for (const jid of ['867051314767696@bot', '718584497008509@bot', '0@s.whatsapp.net', '0@c.us'])
    assert.equal(told({ remoteJid: jid }), 'machine', jid);
  assert.equal(told({ remoteJid: '13135550002@s.whatsapp.net', fromMe: true }), 'machine', 'the owner asks it something');
  for (const pn of ['13135560002', '131355500021', '1313555000', '13165551000', '5511988887777'])
    assert.equal(told({ remoteJid: `${pn}@s.whatsapp.net` }), false, pn);
});

test('I7 groups, status, broadcast: no conversation of a person', () => {
  const reason = (remoteJid: unknown, fromMe = false) => {
    const event = upsert({ key: { id: 'ID1', remoteJid, fromMe }, message: { conversation: 'oi' } });
    return event.kind === 'ignored' ? event.reason : event.kind;
  };
  assert.equal(reason('120363043111111111@g.us'), 'group');
  assert.equal(reason('120363043111111111'), 'group');
  assert.equal(reason('status@broadcast'), 'status');
  assert.equal(reason('1234@broadcast'), 'broadcast');
  assert.equal(reason('120363111111111111@newsletter'), 'newsletter');
  assert.equal(reason('5511900000002@s.whatsapp.net', true), 'own_number');
  assert.equal(reason('551100000002@s.whatsapp.net'), 'message');
  assert.equal(reason('0@s.whatsapp.net'), 'machine');
  assert.equal(reason(null), 'unknown_chat');
});

test('I9 kinds: only MESSAGE_EDIT edits, REVOKE deletes, the rest of the protocol is ignored', () => {
  const edited = (data: object, event = 'messages.edited') => {
    const news = only(parseWebhook({ event, instance: 'wa1', data }, null, RECEIVED));
    const said = news.kind === 'edit' ? news.text : news.kind === 'ignored' ? news.reason : '';
    return `${news.kind} ${'providerId' in news ? news.providerId : ''} ${said}`;
  };
  const key = { remoteJid: '5511900000002@s.whatsapp.net', fromMe: true, id: 'ID1' };
  const editedMessage = { imageMessage: { caption: 'nova legenda' } };
  assert.equal(edited({ key, type: 'MESSAGE_EDIT', editedMessage }), 'edit ID1 [imagem]\nnova legenda');
  assert.equal(edited({ key, type: 14, editedMessage: { message: { conversation: 'x' } } }), 'edit ID1 x');
  assert.equal(edited({ key, type: 'EPHEMERAL_SETTING', editedMessage }), 'ignored ID1 protocol');
  assert.equal(edited({ key, editedMessage }), 'ignored ID1 protocol');
  assert.equal(edited({ key, type: 'REVOKE' }), 'delete ID1 ');
  assert.equal(edited({ key: null, type: 'REVOKE' }), 'ignored  no_id');
  assert.equal(edited({ key: { ...key, remoteJid: '1203@g.us' }, type: 14, editedMessage }), 'ignored ID1 group');
  const wrapped = {
    message: { editedMessage: { message: { protocolMessage: { key, type: 14, editedMessage: { conversation: 'x' } } } } },
    key: { ...key, id: 'ID2', fromMe: false, remoteJid: MARIA },
  };
  assert.equal(edited(wrapped, 'messages.upsert'), 'edit ID1 x');
  assert.equal(edited(wrapped), 'edit ID1 x');
});

test('I16 acks: both vocabularies, and what is no ack', () => {
  const ack = (data: object) => {
    const event = only(parseWebhook({ event: 'messages.update', instance: 'wa1', data }, null, RECEIVED));
    return event.kind === 'ack' ? event.status : event.kind === 'ignored' ? event.reason : event.kind;
  };
  const statuses = [
    'ERROR',
    'FAILED',
    'PENDING',
    'SERVER_ACK',
    'SENT',
    'DELIVERY_ACK',
    'DELIVERED',
    'READ',
    'PLAYED',
    'DELETED',
    'constructor',
  ];
  assert.deepEqual(
    statuses.map((status) => ack({ keyId: 'ID1', remoteJid: MARIA, fromMe: true, status })),
    ['failed', 'failed', 'pending', 'sent', 'sent', 'delivered', 'delivered', 'read', 'read', 'unknown_status', 'unknown_status'],
  );
  assert.equal(ack({ keyId: 'wamid.X', remoteJid: MARIA, fromMe: false, status: 'READ' }), 'read');
  assert.equal(ack({ messageId: 'row', status: 'READ' }), 'no_id');
  const many = parseWebhook(
    { event: 'messages.update', instance: 'wa1', data: [{ keyId: 'A', status: 'READ' }, 5, { keyId: 'B', status: 'SENT' }] },
    null,
    RECEIVED,
  );
  assert.deepEqual(
    many.map((event) => event.kind),
    ['ack', 'ignored', 'ack'],
  );
});

test('I17 connection state: refused, unknown states and null data', () => {
  const read = (event: string, data: unknown) => {
    const found = only(parseWebhook({ event, instance: 'wa1', data }, null, RECEIVED));
    return found.kind === 'connection' ? found.state : found.kind;
  };
  assert.equal(read('connection.update', { state: 'refused', statusReason: 428 }), 'refused');
  assert.equal(read('connection.update', null), 'ignored');
  assert.equal(read('status.instance', { status: 'closed' }), 'close');
  assert.equal(read('remove.instance', undefined), 'close');
});

test('I15 reconciliation: rows of findMessages are read like webhooks', () => {
  const record = {
    id: 'row',
    key: { id: 'ID1', fromMe: false, remoteJid: MARIA },
    pushName: 'Maria',
    messageType: 'conversation',
    message: { conversation: 'perdida' },
    messageTimestamp: 1795320530,
    instanceId: 'uuid',
  };
  const [found, broken] = parseFoundMessages('wa1', [record, null], RECEIVED);
  assert.deepEqual(found, only(parseWebhook({ event: 'messages.upsert', instance: 'wa1', data: record }, null, RECEIVED)));
  assert.equal(broken?.kind, 'ignored');
});
