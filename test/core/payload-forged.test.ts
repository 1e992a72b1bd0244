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
