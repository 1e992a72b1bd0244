/** What a hole of the gateway lets strangers send (GHSA-qvv5-jq5g-4cgg), as far as it can be told from what is real. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWebhook } from '../../src/whatsapp/payload.ts';

const STRANGER = '5511912345678@s.whatsapp.net';
const AT = new Date('2026-11-22T12:00:00.000Z');

function outcomes(body: unknown, suffix: string | null = null): string[] {
  return parseWebhook(body, suffix, AT).map((event) => (event.kind === 'ignored' ? `ignored ${event.reason}` : event.kind));
}

function upsert(message: object, key: object = {}, beside: object = {}) {
  return {
    event: 'messages.upsert',
    instance: 'julia-dev',
    data: { key: { remoteJid: STRANGER, fromMe: false, id: 'A1', ...key }, message, messageTimestamp: 1_795_348_800, ...beside },
  };
}

for (const type of [
  'PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE',
  17,
  '17',
  'HISTORY_SYNC_NOTIFICATION',
  5,
  'APP_STATE_SYNC_KEY_SHARE',
  6,
  'LID_MIGRATION_MAPPING_SYNC',
  22,
])
  test(`Z1 gateway: a stranger's protocolMessage of type ${type} is put aside as forged, wrapped or beside a text; our own phone's is bookkeeping`, () => {
    assert.deepEqual(outcomes(upsert({ protocolMessage: { type } })), ['ignored forged_protocol']);
    assert.deepEqual(outcomes(upsert({ ephemeralMessage: { message: { protocolMessage: { type } } } })), ['ignored forged_protocol']);
    assert.deepEqual(outcomes(upsert({ conversation: 'oi', protocolMessage: { type } })), ['ignored forged_protocol']);
    assert.deepEqual(outcomes(upsert({ protocolMessage: { type } }, { fromMe: true })), ['ignored protocol']);
  });

test('Z1 gateway: what it holds gives a forged answer away, whatever type it claims', () => {
  for (const type of [undefined, null, 0, 14, 'REVOKE', {}]) {
    const protocolMessage = { type, peerDataOperationRequestResponseMessage: { peerDataOperationResult: [] } };
    assert.deepEqual(outcomes(upsert({ protocolMessage })), ['ignored forged_protocol']);
  }
});

test('Z1 gateway: what a contact may really send of the kind stays what it was: deletions, edits, timers', () => {
  assert.deepEqual(outcomes(upsert({ protocolMessage: { type: 0, key: { id: 'A0' } } })), ['delete']);
  assert.deepEqual(outcomes(upsert({ protocolMessage: { type: 14, key: { id: 'A0' }, editedMessage: { conversation: 'x' } } })), ['edit']);
  assert.deepEqual(outcomes(upsert({ protocolMessage: { type: 'EPHEMERAL_SETTING' } })), ['ignored protocol']);
});

test('Z1 gateway: a message that carries a requestId is put aside, wherever the mark stands; an empty mark is none', () => {
  const message = { key: { remoteJid: STRANGER, fromMe: false, id: 'A1' }, message: { conversation: 'retomar' } };
  const marked = { requestId: '3EB0AA' };
  assert.deepEqual(outcomes(upsert({ conversation: 'retomar' }, {}, marked)), ['ignored forged_resend']);
  assert.deepEqual(outcomes({ ...upsert({ conversation: 'retomar' }), ...marked }), ['ignored forged_resend']);
  const event = { event: 'messages.upsert', instance: 'julia-dev' };
  assert.deepEqual(outcomes({ ...event, data: { messages: [message], type: 'notify', ...marked } }), ['ignored forged_resend']);
  assert.deepEqual(outcomes({ ...event, data: [{ ...message, ...marked }, message] }), ['ignored forged_resend', 'message']);
  for (const requestId of ['', null, undefined, ' '])
    assert.deepEqual(outcomes(upsert({ conversation: 'oi' }, {}, { requestId })), ['message']);
  assert.deepEqual(outcomes({ instance: 'julia-dev', data: { ...message, ...marked } }, 'messages-upsert'), ['ignored forged_resend']);
});

test('Z4 gateway: the mark is looked at in every kind of event that can carry a message, and what is marked says which message it was', () => {
  const key = { remoteJid: STRANGER, fromMe: false, id: 'A1' };
  const told = { key, message: { conversation: 'retomar' }, messageTimestamp: 1_795_348_800 };
  const edited = { ...told, message: { protocolMessage: { type: 14, key: { id: 'A0' }, editedMessage: { conversation: 'x' } } } };
  const marked = { requestId: '3EB0AA' };
  const kinds: [event: string, data: object | object[]][] = [
    ['messages.upsert', told],
    ['messages.upsert', [told]],
    ['messages.upsert', { messages: [told], type: 'notify' }],
    ['messages.upsert', edited],
    ['send.message', { ...told, key: { ...key, fromMe: true } }],
    ['messages.update', { keyId: 'A1', remoteJid: STRANGER, fromMe: false, message: { conversation: 'retomar' } }],
    ['messages.update', [{ key, update: { message: { conversation: 'retomar' } } }]],
    ['messages.update', { keyId: 'A1', remoteJid: STRANGER, fromMe: true, status: 'READ' }],
    ['messages.edited', { key, type: 14, editedMessage: { conversation: 'x' } }],
    ['messages.edited', told],
    ['send.message.update', { key, type: 14, editedMessage: { conversation: 'x' } }],
    ['messages.delete', key],
    ['messages.set', [told]],
    ['messaging.history.set', { messages: [told], chats: [], isLatest: true }],
  ];
  for (const [event, data] of kinds) {
    const beside = {
      event,
      instance: 'julia-dev',
      data: Array.isArray(data) ? data.map((each) => ({ ...each, ...marked })) : { ...data, ...marked },
    };
    for (const body of [beside, { event, instance: 'julia-dev', data, ...marked }])
      assert.deepEqual(outcomes(body)[0], 'ignored forged_resend', JSON.stringify(body));
    assert.notEqual(outcomes({ event, instance: 'julia-dev', data })[0], 'ignored forged_resend', event);
  }
  assert.deepEqual(
    outcomes({ event: 'messages.update', instance: 'julia-dev', data: [{ key, update: { ...marked, message: { conversation: 'x' } } }] }),
    ['ignored forged_resend'],
  );
  assert.deepEqual(outcomes({ event: 'messages.set', instance: 'julia-dev', data: [told, { ...told, ...marked }] }), [
    'ignored forged_resend',
    'ignored history',
  ]);
  const [event] = parseWebhook(upsert({ conversation: 'retomar' }, { remoteJidAlt: '119000000000001@lid' }, marked), null, AT);
  assert.deepEqual(event, {
    instance: 'julia-dev',
    instanceId: null,
    kind: 'ignored',
    reason: 'forged_resend',
    kept: true,
    providerId: 'A1',
    forged: { chats: [{ pn: '5511912345678', lid: '119000000000001' }], stamp: '2026-11-22T12:00:00.000Z' },
  });
});
