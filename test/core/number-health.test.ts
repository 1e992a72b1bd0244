/** N3, X5: what an answer says of the number that asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { troubleOf } from '../../src/core/number-health.ts';
import { classifySend, settleByConnectionState } from '../../src/core/send-outcome.ts';
import type { SendAnswer } from '../../src/core/send-outcome.ts';

const evolution = (status: number, message: unknown): SendAnswer => ({ status, body: { status, error: 'Error', response: { message } } });

const CASES: [string, SendAnswer, [reason: string, minutes: number, trust: number] | null][] = [
  ['429', evolution(429, ['Too many requests']), ['number_rate_limited', 5, 10]],
  ['rate-overlimit of WhatsApp', evolution(500, 'rate-overlimit'), ['number_rate_limited', 5, 10]],
  ['400 after the number check', evolution(400, ['TypeError: x is not a function']), ['number_refused', 15, 10]],
  ['400 Connection Closed of a number that says open', evolution(400, ['Error: Connection Closed']), ['number_refused', 15, 10]],
  ['403', evolution(403, ['Forbidden']), ['number_restricted', 60, 30]],
  ['401', evolution(401, 'Unauthorized'), ['number_unauthorized', 5, 0]],
  ['503', { status: 503, body: 'no upstream' }, ['number_unavailable', 5, 5]],
  ['503 without a licence', { status: 503, body: { code: 'LICENSE_REQUIRED', message: 'license required' } }, ['number_unlicensed', 5, 0]],
  ['463 in the words of a 400', evolution(400, ['Error: 463 reach-out time lock']), ['number_restricted', 60, 30]],
  ['463 in the words of a 500', evolution(500, ['Error: account restricted']), ['number_restricted', 60, 30]],
  ['a ban in words', evolution(400, ['Error: number banned']), ['number_restricted', 60, 30]],
  ['a restriction by Meta', { status: 201, body: { code: 131048, message: 'Spam rate limit hit' } }, ['number_restricted', 60, 30]],
  // what is the message's own fault, or Evolution's absence
  ['an unknown recipient', evolution(400, [{ exists: false, number: '5511912345678' }]), null],
  ['an invalid request', evolution(400, [['instance requires property "text"']]), null],
  ['an unknown instance', evolution(404, ['The "x" instance does not exist']), null],
  ['a closed socket, held by its state', evolution(500, 'Connection Closed'), null],
  ['Evolution is not there', { networkError: 'refused', requestWritten: false }, null],
  ['our own patience', { networkError: 'timeout', requestWritten: true }, null],
  ['a proxy', { status: 502, body: '<html>' }, null],
  ['a 500 of Evolution', evolution(500, ['Error: connect ECONNREFUSED']), null],
  ['sent', { status: 201, body: { key: { id: 'A' } } }, null],
];

for (const [title, answer, expected] of CASES) {
  test(`N3 X5 trouble: ${title}`, () => {
    const trouble = troubleOf(classifySend(answer));
    assert.deepEqual(trouble === null ? null : [trouble.reason, trouble.minutes, trouble.trust], expected);
  });
}

test('N3 a connection that was closed, and says so, is no trouble of the number: its state holds it', () => {
  const closed = settleByConnectionState(classifySend(evolution(400, ['Error: Connection Closed'])), 'close');
  assert.equal(troubleOf(closed), null);
});
