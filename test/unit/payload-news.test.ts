/** News about a message, in whichever event and form it comes (F1), and addresses whose server is gone (F9). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEALED_EDIT } from '../../src/whatsapp/message-content.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';
import { inWords } from '../support/inbound.ts';

const RECEIVED = new Date('2026-11-29T05:00:00.000Z');
const OWN = '5511900000002@s.whatsapp.net';
const MARIA = '5511988887777@s.whatsapp.net';

function read(event: string, data: unknown): string {
  return parseWebhook({ event, instance: 'wa1', sender: OWN, data }, null, RECEIVED).map(inWords).join('; ');
}

const ID = '3EB0A0A0A0A0A0A0A0A0';
const theirs = { keyId: ID, remoteJid: MARIA, fromMe: false, messageId: 'cmx14zfzj007zrm7ddmwrc7ys', instanceId: 'u' };
const ours = { ...theirs, fromMe: true };
const carried = { key: { remoteJid: MARIA, fromMe: false, id: '3EB0CARRIER' }, messageTimestamp: 1_795_914_266 };
const target = { remoteJid: OWN, fromMe: true, id: ID };
const words = { conversation: 'quero 1 caixa' };
const edit = { key: target, type: 14, editedMessage: words };
const EDIT = `edit of ${ID} in 5511988887777/-: quero 1 caixa`;
const NAMELESS = `anybody's edit of ${ID} in -: quero 1 caixa`;
const SEALED = `unsure edit of ${ID} in 5511988887777/-: ${SEALED_EDIT}`;
const DELETE = `delete of ${ID} in 5511988887777/-`;
const NOWHERE = 'ignored unknown_chat, kept';

const news: [why: string, event: string, data: unknown, says: string][] = [
  ['an edit of 2.3.7', 'messages.update', { ...theirs, status: 'SERVER_ACK', message: { editedMessage: { message: words } } }, EDIT],
  ['without a status', 'messages.update', { ...theirs, message: { editedMessage: { message: words } } }, EDIT],
  ['with another status', 'messages.update', { ...theirs, status: 'READ', message: { editedMessage: { message: words } } }, EDIT],
  ['in a list', 'messages.update', [{ ...theirs, message: { editedMessage: { message: words } } }], EDIT],
  [
    'an extended text',
    'messages.update',
    { ...theirs, message: { editedMessage: { message: { extendedTextMessage: { text: 'quero 1 caixa' } } } } },
    EDIT,
  ],
  [
    'a caption',
    'messages.update',
    { ...theirs, message: { editedMessage: { message: { imageMessage: { caption: 'esta' } } } } },
    `edit of ${ID} in 5511988887777/-: [imagem]\nesta`,
  ],
  [
    'in the wrapper of a text that disappears',
    'messages.update',
    { ...theirs, message: { editedMessage: { message: { ephemeralMessage: { message: words } } } } },
    EDIT,
  ],
  ['without the inner message', 'messages.update', { ...theirs, message: { editedMessage: words } }, EDIT],
  [
    'with a protocolMessage inside',
    'messages.update',
    { ...theirs, message: { editedMessage: { message: { protocolMessage: edit } } } },
    EDIT,
  ],
  ['a protocolMessage', 'messages.update', { ...theirs, message: { protocolMessage: edit } }, EDIT],
  ['a protocolMessage without a key', 'messages.update', { ...theirs, message: { protocolMessage: { ...edit, key: undefined } } }, EDIT],
  [
    'Baileys’ own shape',
    'messages.update',
    { key: { remoteJid: MARIA, fromMe: false, id: ID }, update: { message: { editedMessage: { message: words } } } },
    EDIT,
  ],
  [
    'Baileys’ own shape in a list',
    'messages.update',
    [{ key: { remoteJid: MARIA, fromMe: false, id: ID }, update: { message: { editedMessage: { message: words } } } }],
    EDIT,
  ],
  [
    'a forwarder that names WhatsApp’s id messageId',
    'messages.update',
    { messageId: ID, remoteJid: MARIA, fromMe: false, message: { editedMessage: { message: words } } },
    EDIT,
  ],
  ['messages.edited', 'messages.edited', { ...edit, type: 'MESSAGE_EDIT' }, NAMELESS],
  ['messages.edited around the whole message', 'messages.edited', { ...carried, message: { protocolMessage: edit } }, EDIT],
  ['a protocolMessage in an upsert', 'messages.upsert', { ...carried, message: { protocolMessage: edit } }, EDIT],
  ['our own edit by the API', 'send.message.update', { ...edit, key: { remoteJid: MARIA, fromMe: true, id: ID } }, `our ${EDIT}`],
  [
    'an edit of ours on the phone',
    'messages.update',
    { ...ours, status: 'SERVER_ACK', message: { editedMessage: { message: words } } },
    `our ${EDIT}`,
  ],
  ['of a group', 'messages.update', { ...theirs, remoteJid: '1203@g.us', message: { editedMessage: { message: words } } }, 'ignored group'],
  [
    'of nothing',
    'messages.update',
    { remoteJid: MARIA, fromMe: false, message: { editedMessage: { message: words } } },
    'ignored no_id, kept',
  ],

  [
    'a sealed edit',
    'messages.upsert',
    { ...carried, message: { secretEncryptedMessage: { targetMessageKey: target, secretEncType: 2, encPayload: { '0': 1 } } } },
    SEALED,
  ],
  [
    'a sealed edit by name',
    'messages.upsert',
    { ...carried, message: { secretEncryptedMessage: { targetMessageKey: target, secretEncType: 'MESSAGE_EDIT' } } },
    SEALED,
  ],
  [
    'a sealed edit whose key is written in capitals',
    'messages.upsert',
    { ...carried, message: { secretEncryptedMessage: { targetMessageKey: { ID } } } },
    SEALED,
  ],
  [
    'a sealed edit in a wrapper',
    'messages.upsert',
    { ...carried, message: { ephemeralMessage: { message: { secretEncryptedMessage: { targetMessageKey: target } } } } },
    SEALED,
  ],
  ['a sealed edit by update', 'messages.update', { ...theirs, message: { secretEncryptedMessage: { targetMessageKey: target } } }, SEALED],
  [
    'an edit whose words are missing',
    'messages.update',
    { ...theirs, status: 'SERVER_ACK', message: { editedMessage: { message: {} } } },
    SEALED,
  ],
  ['an edit whose words are null', 'messages.update', { ...theirs, message: { editedMessage: { message: null } } }, SEALED],
  ['an edit that is empty', 'messages.update', { ...theirs, message: { editedMessage: {} } }, SEALED],
  [
    'an edit that only has machinery',
    'messages.update',
    { ...theirs, message: { editedMessage: { message: { messageContextInfo: { messageSecret: { '0': 1 } } } } } },
    SEALED,
  ],
  ['an edit of Evolution 2.2: neither words nor status', 'messages.update', { ...theirs, participant: MARIA }, SEALED],
  [
    'a protocolMessage without words',
    'messages.edited',
    { ...edit, editedMessage: {} },
    `unsure anybody's edit of ${ID} in -: ${SEALED_EDIT}`,
  ],
  ['the same of ours says nothing', 'messages.update', ours, 'ignored unknown_status, kept'],
  ['a poll that was voted in', 'messages.update', { ...theirs, pollUpdates: [{ name: 'seg', voters: [MARIA] }] }, 'ignored read_on_phone'],
  [
    'a star of Baileys',
    'messages.update',
    { key: { remoteJid: MARIA, fromMe: false, id: ID }, update: { starred: true } },
    'ignored read_on_phone',
  ],

  ['a deletion: no message any more', 'messages.update', { ...theirs, message: null }, DELETE],
  [
    'a deletion in Baileys’ own shape',
    'messages.update',
    { key: { remoteJid: MARIA, fromMe: false, id: ID }, update: { message: null, messageStubType: 1 } },
    DELETE,
  ],
  [
    'a deletion by its stub',
    'messages.update',
    { key: { remoteJid: MARIA, fromMe: false, id: ID }, update: { messageStubType: 'REVOKE' } },
    DELETE,
  ],
  [
    'a deletion by protocolMessage',
    'messages.update',
    { ...theirs, message: { protocolMessage: { key: target, type: 'REVOKE' } } },
    DELETE,
  ],
  ['a deletion by number', 'messages.update', { ...theirs, message: { protocolMessage: { type: 0 } } }, DELETE],
  [
    'a deletion by status, which older versions write for an edit too',
    'messages.update',
    { ...theirs, status: 'DELETED' },
    `unsure ${DELETE}`,
  ],
  ['the same of ours says nothing', 'messages.update', { ...ours, status: 'DELETED' }, 'ignored unknown_status, kept'],
  ['a tick beside a null', 'messages.update', { ...ours, status: 'READ', message: null }, `read ${ID} in 5511988887777/-`],
  ['a deletion in an upsert', 'messages.upsert', { ...carried, message: { protocolMessage: { key: target, type: 0 } } }, DELETE],
  ['messages.delete', 'messages.delete', { remoteJid: MARIA, fromMe: false, id: ID, status: 'DELETED' }, DELETE],
  [
    'messages.delete of many',
    'messages.delete',
    [
      { remoteJid: MARIA, fromMe: false, id: ID },
      { id: 'row', key: { remoteJid: MARIA, id: 'B' } },
    ],
    `${DELETE}; anybody's delete of B in 5511988887777/-`,
  ],
  ['messages.delete, named by keyId', 'messages.delete', { keyId: ID, remoteJid: MARIA, fromMe: false }, DELETE],

  ['words that come later', 'messages.update', { ...theirs, message: words }, `contact 5511988887777/- at ${MARIA}: quero 1 caixa`],
  [
    'words that come later with a status',
    'messages.update',
    { ...theirs, status: 'SERVER_ACK', message: words },
    `contact 5511988887777/- at ${MARIA}: quero 1 caixa`,
  ],
  [
    'words that come later in Baileys’ shape',
    'messages.update',
    { key: { remoteJid: MARIA, fromMe: false, id: ID }, update: { message: words, status: 2 } },
    `contact 5511988887777/- at ${MARIA}: quero 1 caixa`,
  ],
  ['words for nobody', 'messages.update', { keyId: ID, fromMe: false, message: words }, 'ignored unknown_chat, kept'],
  ['no words yet', 'messages.update', { ...ours, status: 'DELIVERY_ACK', message: {} }, `delivered ${ID} in 5511988887777/-`],
];

for (const [why, event, data, says] of news) test(`W5 F1 news: ${why} (${event})`, () => assert.equal(read(event, data), says));

for (const remoteJid of ['867@interop', '999@msgr', 'x', '', '1@foo', undefined])
  test(`Z3 whoever writes from a chat that nobody can read changes nobody's words: ${remoteJid}`, () => {
    const from = { ...theirs, remoteJid };
    assert.equal(read('messages.update', { ...from, message: { editedMessage: { message: words } } }), NOWHERE);
    assert.equal(read('messages.update', { ...from, status: 'DELETED' }), NOWHERE);
    assert.equal(read('messages.delete', { id: ID, remoteJid, fromMe: false }), NOWHERE);
    assert.equal(read('messages.delete', { id: 'row', key: { id: ID, remoteJid, fromMe: true } }), NOWHERE);
  });

test('W5 F1 news: an edited form in an upsert is marked as newer', () => {
  const [event] = parseWebhook(
    { event: 'messages.upsert', instance: 'wa1', data: { ...carried, message: { editedMessage: { message: words } } } },
    null,
    RECEIVED,
  );
  assert.ok(event?.kind === 'message' && event.revised === true && event.providerId === '3EB0CARRIER');
});

test('W5 F1 news: an unsure one says when it happened: the order of arrival proves nothing', () => {
  const [event] = parseWebhook(
    { event: 'messages.upsert', instance: 'wa1', data: { ...carried, message: { secretEncryptedMessage: { targetMessageKey: target } } } },
    null,
    RECEIVED,
  );
  assert.ok(event?.kind === 'edit' && event.changedAt === new Date(1_795_914_266_000).toISOString());
});

const LID = '119195342064441';
const addresses: [key: object, says: string, why: string][] = [
  [
    { remoteJid: LID, remoteJidAlt: '5511919534207@s.whatsapp.net', addressingMode: 'lid' },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'the field’s',
  ],
  [
    { remoteJid: LID, remoteJidAlt: '5511919534207', addressingMode: 'lid' },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'both cut',
  ],
  [
    { remoteJid: `${LID}:12`, remoteJidAlt: '5511919534207:3@s.whatsapp.net', addressingMode: 'lid' },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'devices',
  ],
  [{ remoteJid: LID, addressingMode: 'lid' }, `contact -/${LID} at ${LID}@lid`, 'a lid alone'],
  [{ remoteJid: LID, addressingMode: 'LID' }, `contact -/${LID} at ${LID}@lid`, 'in capitals'],
  [
    { remoteJid: LID, remoteJidAlt: '5511919534207@s.whatsapp.net' },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'the other is a phone, so this is none',
  ],
  [
    { remoteJid: LID, remoteJidAlt: '551188887777@s.whatsapp.net', addressingMode: 'lid' },
    `contact 5511988887777/${LID} at 551188887777@s.whatsapp.net`,
    'the ninth digit as WhatsApp has it',
  ],
  [
    { remoteJid: '5511919534207', remoteJidAlt: `${LID}@lid`, addressingMode: 'pn' },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'a phone',
  ],
  [
    { remoteJid: '5511919534207', remoteJidAlt: LID, addressingMode: 'pn' },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'a phone, both cut',
  ],
  [
    { remoteJid: '5511919534207', remoteJidAlt: `${LID}@lid` },
    `contact 5511919534207/${LID} at 5511919534207@s.whatsapp.net`,
    'the other is a lid, so this is a phone',
  ],
  [{ remoteJid: '5511919534207', addressingMode: 'pn' }, 'contact 5511919534207/- at 5511919534207@s.whatsapp.net', 'a phone alone'],
  [
    { remoteJid: '5511919534207', remoteJidAlt: '5511919534207@s.whatsapp.net', addressingMode: 'lid' },
    'contact 5511919534207/- at 5511919534207@s.whatsapp.net',
    '2.3.7 overwrites the lid, cut',
  ],
  [
    { remoteJid: '5511919534207@s.whatsapp.net', remoteJidAlt: '5511919534207@s.whatsapp.net', addressingMode: 'lid' },
    'contact 5511919534207/- at 5511919534207@s.whatsapp.net',
    '2.3.7 overwrites the lid',
  ],
  [{ remoteJid: '5511919534207' }, 'contact 5511919534207/- at 5511919534207', 'the EVOLUTION channel: as given'],
  [{ remoteJid: '120363043111111111', addressingMode: 'lid' }, 'ignored group, kept', 'a group'],
  [{ remoteJid: 'abc', addressingMode: 'lid' }, 'ignored unknown_chat, kept', 'no digits'],
  [
    { remoteJid: '', remoteJidAlt: '5511919534207@s.whatsapp.net', addressingMode: 'lid' },
    'contact 5511919534207/- at 5511919534207@s.whatsapp.net',
    'only the other one',
  ],
  [
    { remoteJid: '', remoteJidAlt: '5511919534207@s.whatsapp.net', fromMe: true },
    'ignored unknown_chat, kept',
    'of ours, the other one may be our own',
  ],
  [{ addressingMode: 'lid' }, 'ignored unknown_chat, kept', 'no address at all'],
];

for (const [key, says, why] of addresses)
  test(`W3 F9 cut addresses: ${why}: ${JSON.stringify(key)}`, () => {
    const said = read('messages.upsert', {
      key: { fromMe: false, id: 'ID1', ...key },
      message: { conversation: 'oi' },
      messageTimestamp: 1_795_914_266,
    });
    assert.equal(said, says.startsWith('ignored') ? says : `${says}: oi`);
  });
