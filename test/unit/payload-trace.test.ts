/** W9: of everything that a webhook can say and that is put aside, whether it leaves an entry or is counted only. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWebhook } from '../../src/whatsapp/payload.ts';

const MARIA = '5511912345678@s.whatsapp.net';
const US = '5511900000002@s.whatsapp.net';
const GROUP = '120363043111111111@g.us';

function outcomes(event: unknown, data?: unknown): string[] {
  const body = { event, instance: 'julia-dev', sender: US, ...(data === undefined ? {} : { data }) };
  return parseWebhook(body, null, new Date('2026-11-29T12:00:00Z')).map((each) =>
    each.kind === 'ignored'
      ? `${each.kept ? 'entry' : 'counted'} ${each.reason}${each.providerId === undefined ? '' : ` of ${each.providerId}`}`
      : each.kind,
  );
}

const message = (remoteJid: string, content: object = { conversation: 'oi' }, fromMe = false): object => ({
  key: { remoteJid, fromMe, id: 'A1' },
  message: content,
});

const table: readonly (readonly [what: string, event: unknown, data: unknown, outcome: string])[] = [
  // messages that are nobody's to answer
  ['a group', 'messages.upsert', message(GROUP), 'entry group of A1'],
  ['our words in a group', 'messages.upsert', message(GROUP, undefined, true), 'entry group of A1'],
  ['our send into a group', 'send.message', message(GROUP, undefined, true), 'entry group of A1'],
  ['a status', 'messages.upsert', message('status@broadcast'), 'entry status of A1'],
  ['a list', 'messages.upsert', message('123@broadcast'), 'entry broadcast of A1'],
  ['a channel', 'messages.upsert', message('120363111111111111@newsletter'), 'entry newsletter of A1'],
  ['ourselves', 'messages.upsert', message(US), 'entry own_number of A1'],
  ['a bot of WhatsApp', 'messages.upsert', message('867051314767696@bot'), 'entry machine of A1'],
  ['our words to a machine', 'messages.upsert', message('13135550002@s.whatsapp.net', undefined, true), 'entry machine of A1'],
  // messages that cannot be placed
  ['no chat', 'messages.upsert', { key: { id: 'A1' }, message: { conversation: 'oi' } }, 'entry unknown_chat of A1'],
  ['no key', 'messages.upsert', { message: { conversation: 'oi' } }, 'entry unknown_chat'],
  ['a server that nobody knows', 'messages.upsert', message('123@example'), 'entry unknown_chat of A1'],
  ['no data', 'messages.upsert', null, 'entry empty'],
  ['an empty list', 'messages.upsert', [], 'entry empty'],
  ['a text', 'messages.upsert', 'oi', 'entry unknown_chat'],
  ['a list of junk', 'messages.upsert', [7], 'entry unknown_chat'],
  ['no data of a send', 'send.message', undefined, 'entry empty'],
  ['a reaction to nothing', 'messages.upsert', message(MARIA, { reactionMessage: { text: 'x' } }), 'entry no_id of A1'],
  ['an edit of nothing', 'messages.upsert', message(MARIA, { secretEncryptedMessage: {} }), 'entry no_id of A1'],
  // what says nothing, or is forged
  ['bookkeeping', 'messages.upsert', message(MARIA, { protocolMessage: { type: 'EPHEMERAL_SETTING' } }), 'entry protocol of A1'],
  ['keys alone', 'messages.upsert', message(MARIA, { senderKeyDistributionMessage: {}, messageContextInfo: {} }), 'entry protocol of A1'],
  ['an album', 'messages.upsert', message(MARIA, { albumMessage: { expectedImageCount: 2 } }), 'entry album of A1'],
  ['a forged answer', 'messages.upsert', { ...message(MARIA), requestId: 'x' }, 'entry forged_resend of A1'],
  ['a forged control', 'messages.upsert', message(MARIA, { protocolMessage: { type: 5 } }), 'entry forged_protocol of A1'],
  // news
  ['a status that nobody knows', 'messages.update', { keyId: 'A1', fromMe: true, status: 'DREAMING' }, 'entry unknown_status of A1'],
  ['news without an id', 'messages.update', { remoteJid: MARIA, fromMe: true, status: 'READ' }, 'entry no_id'],
  ['words for nobody', 'messages.update', { keyId: 'A1', fromMe: false, message: { conversation: 'oi' } }, 'entry unknown_chat of A1'],
  ['no news', 'messages.update', [], 'entry empty'],
  ['waiting', 'messages.update', { keyId: 'A1', fromMe: true, status: 'PENDING' }, 'counted pending of A1'],
  ['read on the phone', 'messages.update', { keyId: 'A1', remoteJid: MARIA, fromMe: false, status: 'READ' }, 'counted read_on_phone of A1'],
  ['ticks of a group', 'messages.update', { keyId: 'A1', remoteJid: GROUP, fromMe: true, status: 'READ' }, 'counted group of A1'],
  [
    'an edit in a group',
    'messages.edited',
    { key: { remoteJid: GROUP, id: 'A1' }, type: 14, editedMessage: { conversation: 'x' } },
    'entry group of A1',
  ],
  [
    'an edit that proves nobody',
    'messages.edited',
    { key: { remoteJid: MARIA, fromMe: false, id: 'A1' }, type: 14, editedMessage: { conversation: 'x' } },
    'entry unproven_author of A1',
  ],
  ['a timer', 'messages.edited', { key: { id: 'A1' }, type: 'EPHEMERAL_SETTING' }, 'entry protocol of A1'],
  ['a deletion in a group', 'messages.delete', { remoteJid: GROUP, id: 'A1' }, 'entry group of A1'],
  ['a deletion of nothing', 'messages.delete', { remoteJid: MARIA }, 'entry no_id'],
  ['an edit of ours of nothing', 'send.message.update', { type: 14, editedMessage: { conversation: 'x' } }, 'entry no_id'],
  // history
  ['history', 'messages.set', [message(MARIA)], 'entry history'],
  ['history of 2.4', 'messaging.history.set', {}, 'entry history'],
  // shapes and names that nobody knows
  ['a state', 'connection.update', { state: 'dreaming' }, 'entry unknown_state'],
  ['a state of 2.4', 'status.instance', { status: 'dreaming' }, 'entry unknown_state'],
  ['no state', 'connection.update', null, 'entry empty'],
  ['a name', 'no.such.event', message(MARIA), 'entry unknown_event'],
  ['a number for a name', 7, {}, 'entry unknown_event'],
  ['no name', undefined, message(MARIA), 'entry unreadable'],
  // noise
  ['contacts', 'contacts.update', [{ remoteJid: MARIA }], 'counted contacts'],
  ['chats', 'chats.upsert', [{ remoteJid: MARIA }], 'counted chats'],
  ['groups', 'group-participants.update', { id: GROUP }, 'counted groups'],
  ['a call', 'call', { from: MARIA, status: 'offer' }, 'counted call'],
  ['labels', 'labels.edit', {}, 'counted labels'],
  ['typebot', 'typebot.start', {}, 'counted typebot'],
  ['a code', 'qrcode.updated', {}, 'counted qrcode'],
  ['a start', 'application.startup', {}, 'counted instance'],
  ['an error', 'error', {}, 'counted error'],
  ['somebody types', 'presence.update', { id: MARIA, presences: { [MARIA]: { lastKnownPresence: 'dreaming' } } }, 'counted unknown_state'],
  ['somebody types in a group', 'presence.update', { id: GROUP, presences: {} }, 'counted group'],
];

for (const [what, event, data, outcome] of table)
  test(`W9 trace: ${what} -> ${outcome}`, () => assert.deepEqual(outcomes(event, data), [outcome]));

test('W9 trace: each of a list by itself', () => {
  assert.deepEqual(outcomes('messages.upsert', [message(GROUP), message(MARIA), 7, message('status@broadcast')]), [
    'entry group of A1',
    'message',
    'entry unknown_chat',
    'entry status of A1',
  ]);
});
