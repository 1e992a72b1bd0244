import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldAlerts } from '../../src/watch/alert-conditions.ts';
import type { Snapshot } from '../../src/watch/alert-conditions.ts';
import { closedMend, closedReason } from '../../src/numbers/trouble-words.ts';

const number = (change: object) => ({ name: 'julia', status: 'open', seconds: 120, code: null, paired: true, ...change });

test('I17 why a number is not connected, and what to do: a ban is not paired again, a pairing that is gone is', () => {
  for (const code of [402, 403, 406]) {
    assert.match(closedReason(number({ status: 'close', code })) ?? '', /^40\d: WhatsApp has banned/);
    assert.match(closedMend(number({ status: 'close', code })), /^do not pair it again/);
  }
  for (const code of [401, 408]) assert.match(closedMend(number({ status: 'close', code })), /instance qr julia/);
  assert.match(closedMend(number({ status: 'refused' })), /instance qr julia/);
  assert.match(closedMend(number({ status: 'close', code: 500 })), /instance connect julia/);
  assert.equal(closedReason(number({ status: 'close', code: 500 })), '500');
  assert.equal(closedReason(number({ status: 'close' })), null);
  // A code of an earlier close says nothing of a number that is connected.
  assert.equal(closedReason(number({ code: 403 })), null);
});

test('I17 E1 alerts of a breaker say what mends it: none of them closes it by hand where that would harm', () => {
  const text = (reason: string, change: object = {}): string => {
    const snapshot = {
      processes: [],
      unanswered: { count: 0, oldest_seconds: null },
      deferred: { count: 0, oldest_seconds: null, reasons: [] },
      numbers: [number(change)],
      breakers: [{ breaker: 'evolution', instance: 'julia', reason }],
      gateway: 'http://evolution:8080',
    } as unknown as Snapshot; // what is looked at each few seconds reads nothing else
    return heldAlerts(snapshot, ['seconds']).holds.find(({ name }) => name === 'breaker_open')?.text ?? '';
  };
  for (const banned of [text('restricted'), text('provider_error', { status: 'close', code: 403 })]) {
    assert.match(banned, /Não pareie de novo, não reinicie e não feche o disjuntor/);
    assert.doesNotMatch(banned, /breaker reset|instance connect|instance restart/);
  }
  assert.match(text('connection_closed'), /instance restart julia/);
  assert.match(text('unauthorized'), /corrija EVOLUTION_API_KEY/);
  assert.match(text('unlicensed'), /http:\/\/evolution:8080\/manager\/login/);
  assert.match(text('unavailable'), /breaker reset/);
});
