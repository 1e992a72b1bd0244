import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareJid, jidVariants } from '../../src/words/phone.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';

/** What no recording has: older versions of Evolution, forwarders, rare kinds of addresses and messages. */

const RECEIVED = new Date('2026-11-22T05:00:00.000Z');
const OWN = '5511900000002@s.whatsapp.net';
const MARIA = '5511988887777@s.whatsapp.net';

type Read = { kind: string } & Record<string, unknown>;

function read(event: string, data: unknown): Read {
  const events = parseWebhook({ event, instance: 'wa1', sender: OWN, data }, null, RECEIVED);
  assert.equal(events.length, 1);
  const { instance: _, instanceId: __, ...rest } = events[0]!; // counted above
  return rest;
}

function from(key: object, message: unknown = { conversation: 'oi' }): string {
  const event = read('messages.upsert', { key: { id: 'ID1', ...key }, message, messageTimestamp: 1795319404 });
  if (event.kind !== 'message') return event.kind === 'ignored' ? `ignored ${String(event['reason'])}` : event.kind;
  const chat = event['chat'] as { pn: string | null; lid: string | null };
  return `${event['fromMe'] === true ? 'to' : 'from'} pn=${chat.pn ?? '-'} lid=${chat.lid ?? '-'} answer to ${String(event['jid'])}`;
}

function text(message: unknown, key: object = {}): string {
  const event = read('messages.upsert', { key: { remoteJid: MARIA, id: 'ID1', ...key }, message, messageTimestamp: 1795319404 });
  return event.kind === 'message' ? (event['content'] as { text: string }).text : `${event.kind} ${String(event['reason'])}`;
}

const addresses: [key: object, read: string, why: string][] = [
  [{ remoteJid: '5511988887777:12@s.whatsapp.net' }, `from pn=5511988887777 lid=- answer to ${MARIA}`, 'one of a person’s devices'],
  [{ remoteJid: '5511988887777_1:2@s.whatsapp.net' }, `from pn=5511988887777 lid=- answer to ${MARIA}`, 'agent and device'],
  [{ remoteJid: '5511988887777@c.us' }, `from pn=5511988887777 lid=- answer to ${MARIA}`, 'the server’s older name'],
  // Evolution would send to the phone number 1234.
  [{ remoteJid: '1234:3@hosted.lid' }, 'from pn=- lid=1234 answer to 1234@lid', 'a hosted lid'],
  [
    { remoteJid: '1234:5@lid', remoteJidAlt: '5511988887777:5@s.whatsapp.net' },
    'from pn=5511988887777 lid=1234 answer to 1234@lid',
    'both',
  ],
  [{ remoteJid: '5511988887777' }, 'from pn=5511988887777 lid=- answer to 5511988887777', 'the EVOLUTION channel: as given'],
  [{ remoteJid: '1234@lid', senderPn: MARIA }, 'from pn=5511988887777 lid=1234 answer to 1234@lid', 'Evolution before 2.3.6'],
  [
    { remoteJid: MARIA, previousRemoteJid: '1234@lid' },
    `from pn=5511988887777 lid=1234 answer to ${MARIA}`,
    'Evolution before 2.3.6, swapped',
  ],
  [{ remoteJid: '1234@lid', remoteJidAlt: OWN }, 'from pn=- lid=1234 answer to 1234@lid', 'our own number is nobody’s alias'],
  [{ remoteJid: '1234@lid', remoteJidAlt: MARIA, fromMe: true }, 'to pn=- lid=1234 answer to 1234@lid', 'ours teach no alias'],
  [{ remoteJid: MARIA, fromMe: 'true' }, `to pn=5511988887777 lid=- answer to ${MARIA}`, 'fromMe as a string'],
  [
    { remoteJid: MARIA, fromMe: 1 },
    `to pn=5511988887777 lid=- answer to ${MARIA}`,
    'fromMe as a number: answering ourselves would never end',
  ],
  [
    { remoteJid: '5215512345678@s.whatsapp.net' },
    'from pn=525512345678 lid=- answer to 5215512345678@s.whatsapp.net',
    'Mexico, with its 1',
  ],
  [
    { remoteJid: '525512345678@s.whatsapp.net' },
    'from pn=525512345678 lid=- answer to 525512345678@s.whatsapp.net',
    'the same person without',
  ],
  [
    { remoteJid: '5491122334455@s.whatsapp.net' },
    'from pn=541122334455 lid=- answer to 5491122334455@s.whatsapp.net',
    'Argentina, with its 9',
  ],
  [{ remoteJid: '867051314767696@bot' }, 'ignored machine', 'a bot of WhatsApp'],
  [{ remoteJid: '123@broadcast', participant: MARIA }, 'ignored broadcast', 'a broadcast list'],
  [{ remoteJid: '1234@lid@lid' }, 'ignored unknown_chat', 'two servers'],
];

for (const [key, expected, why] of addresses) {
  test(`I8 addresses: ${why}: ${JSON.stringify(key)}`, () => assert.equal(from(key), expected));
}

test('I12 both writings: where WhatsApp may keep a chat', () => {
  assert.deepEqual(jidVariants('5531988887777@s.whatsapp.net'), ['5531988887777@s.whatsapp.net', '553188887777@s.whatsapp.net']);
  assert.deepEqual(jidVariants('525512345678@s.whatsapp.net'), ['525512345678@s.whatsapp.net', '5215512345678@s.whatsapp.net']);
  assert.deepEqual(jidVariants('5491122334455@s.whatsapp.net'), ['5491122334455@s.whatsapp.net', '541122334455@s.whatsapp.net']);
  for (const jid of ['551133334444@s.whatsapp.net', '16505361212@s.whatsapp.net', '525512345678@lid', '525512345678'])
    assert.deepEqual(jidVariants(jid), [jid]);
  assert.equal(bareJid('120363043111111111@g.us'), '120363043111111111@g.us');
});

const messages: [name: string, message: unknown, text: string, key?: object][] = [
  ['a view-once key without a message', null, '[mensagem de visualização única, aberta só no celular]', { isViewOnce: true }],
  [
    'a view-once wrapper without a message',
    { viewOnceMessageV2: { message: null } },
    '[mensagem de visualização única, aberta só no celular]',
  ],
  ['a view-once picture that came whole', { viewOnceMessage: { message: { imageMessage: { caption: 'vê' } } } }, '[imagem]\nvê'],
  ['the fourth poll, wrapped', { pollCreationMessageV4: { message: { pollCreationMessageV3: { name: 'Dia?' } } } }, '[enquete: Dia?]'],
  ['the fifth poll', { pollCreationMessageV5: { name: 'Dia?', options: [{ optionName: 'seg' }] } }, '[enquete: Dia? Opções: seg]'],
  ['a picture of an album', { associatedChildMessage: { message: { imageMessage: { caption: '1' } } } }, '[imagem]\n1'],
  ['the announcement of an album', { albumMessage: { expectedImageCount: 2 } }, 'ignored album'],
  ['somebody named us in a status', { statusMentionMessage: { message: { protocolMessage: { type: 25 } } } }, 'ignored protocol'],
  ['keys beside a text', { senderKeyDistributionMessage: {}, messageContextInfo: {}, conversation: 'oi' }, 'oi'],
  ['keys alone', { fastRatchetKeySenderKeyDistributionMessage: {}, messageContextInfo: {} }, 'ignored protocol'],
  ['an encrypted edit of nothing', { secretEncryptedMessage: {} }, 'ignored no_id'],
  ['lengths of protobuf', { audioMessage: { ptt: true, seconds: { low: 12, high: 0, unsigned: true } } }, '[áudio de voz, 12 s]'],
  [
    'a form whose answers are no object',
    { interactiveResponseMessage: { nativeFlowResponseMessage: { paramsJson: '["a"]' } } },
    '[escolha sem texto]',
  ],
  ['a call', { callLogMesssage: {} }, '[mensagem de tipo não suportado: registro de chamada]'],
  ['only for the phone', { placeholderMessage: { type: 0 } }, '[mensagem de tipo não suportado: mensagem que só abre no celular]'],
];

for (const [name, message, expected, key] of messages) {
  test(`I9 kinds: ${name} -> ${JSON.stringify(expected)}`, () => assert.equal(text(message, key), expected));
}

test('I16 acks: Baileys’ numbers, its own shape through a forwarder, and what the person did on another device', () => {
  const ack = (data: object) => {
    const event = read('messages.update', data);
    return event.kind === 'ack' ? event['status'] : event['reason'];
  };
  const ours = { keyId: '3E', remoteJid: MARIA, fromMe: true };
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((status) => ack({ ...ours, status })),
    ['failed', 'pending', 'sent', 'delivered', 'read', 'read', 'unknown_status'],
  );
  assert.equal(ack({ key: { id: '3E', remoteJid: MARIA, fromMe: true }, update: { status: 4 } }), 'read');
  assert.equal(ack({ key: { id: '3E', remoteJid: MARIA, fromMe: false }, update: { status: 4 } }), 'read_on_phone');
  assert.equal(ack({ ...ours, fromMe: 'false', status: 'READ' }), 'read_on_phone');
});

test('I17 connection state: in any case', () => {
  assert.equal(read('connection.update', { instance: 'wa1', state: 'OPEN' })['state'], 'open');
  assert.equal(read('status.instance', { instance: 'wa1', status: 'CLOSED' })['state'], 'close');
});
