/** W14, N3, X5: whose fault an answer is, what the breaker of the number hears of it, and what it costs the number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultOf, isCuredByRestart } from '../../src/whatsapp/send-fault.ts';
import { classifySend, settleByConnectionState } from '../../src/whatsapp/send-outcome.ts';
import type { SendAnswer } from '../../src/whatsapp/send-outcome.ts';

const evolution = (status: number, message: unknown): SendAnswer => ({ status, body: { status, error: 'Error', response: { message } } });
const html = (status: number, text = ''): SendAnswer => ({ status, body: `<html>${text}</html>` });
const network = (networkError: 'refused' | 'dns' | 'tls' | 'reset' | 'timeout' | 'aborted', requestWritten: boolean): SendAnswer => ({
  networkError,
  requestWritten,
});

/** Whose, what the breaker hears, whether it uses an attempt, and the rest of the number: `reason minutes trust`. */
type Expected = [whose: string, breaker: 'failure' | 'success' | 'nothing', attempt: boolean, trouble: string | null];

const CASES: [string, SendAnswer, Expected][] = [
  // the gateway: holds sends by the breaker, and costs the number nothing
  ['Evolution is not there', network('refused', false), ['gateway', 'failure', false, null]],
  ['its name is not known', network('dns', false), ['gateway', 'failure', false, null]],
  ['its certificate is wrong', network('tls', false), ['gateway', 'failure', false, null]],
  ['a reset', network('reset', true), ['gateway', 'failure', true, null]],
  ['502 of a proxy', html(502), ['gateway', 'failure', true, null]],
  ['502 of a proxy that says "restricted"', html(502, 'access restricted'), ['gateway', 'failure', true, null]],
  ['504 of a proxy', html(504), ['gateway', 'failure', true, null]],
  ['503 of a proxy', html(503), ['gateway', 'failure', false, null]],
  ['429 of a proxy', html(429), ['gateway', 'failure', false, null]],
  ['500 of Evolution', evolution(500, ['Error: connect ECONNREFUSED']), ['gateway', 'failure', true, null]],
  ['400 of a TypeError', evolution(400, ['TypeError: x is not a function']), ['gateway', 'failure', true, null]],
  ['400 of its database', evolution(400, ['PrismaClientKnownRequestError: x']), ['gateway', 'failure', true, null]],
  [
    '400 of its database that speaks of a restriction',
    evolution(400, ['PrismaClientKnownRequestError: update is restricted by RESTRICT']),
    ['gateway', 'failure', true, null],
  ],
  // the socket of the number: the same, and a restart may cure it
  ['500 Connection Closed', evolution(500, 'Connection Closed'), ['number', 'failure', false, null]],
  ['400 Connection Closed', evolution(400, ['Error: Connection Closed']), ['number', 'failure', false, null]],
  ['400 1006', evolution(400, ['1006']), ['number', 'failure', false, null]],
  [
    'a number that was never connected',
    evolution(500, "Cannot read properties of undefined (reading 'onWhatsApp')"),
    ['number', 'failure', false, null],
  ],
  ['our own patience', network('timeout', true), ['number', 'failure', true, null]],
  ['400 Timed Out', evolution(400, ['Error: Timed Out']), ['number', 'failure', true, null]],
  // WhatsApp itself
  ['429 of Evolution', evolution(429, ['Too many requests']), ['whatsapp', 'failure', false, 'number_rate_limited 5 10']],
  ['rate-overlimit', evolution(500, 'rate-overlimit'), ['whatsapp', 'failure', false, 'number_rate_limited 5 10']],
  ['rate-overlimit in a 400', evolution(400, ['Error: rate-overlimit']), ['whatsapp', 'failure', false, 'number_rate_limited 5 10']],
  ['403 of Evolution', evolution(403, ['Forbidden']), ['whatsapp', 'failure', true, 'number_restricted 60 30']],
  [
    '463 in the words of a 400',
    evolution(400, ['Error: 463 reach-out time lock']),
    ['whatsapp', 'failure', true, 'number_restricted 60 30'],
  ],
  ['463 in the words of a 500', evolution(500, ['Error: account restricted']), ['whatsapp', 'failure', true, 'number_restricted 60 30']],
  ['a ban in words', evolution(400, ['Error: number banned']), ['whatsapp', 'failure', true, 'number_restricted 60 30']],
  [
    'a restriction by Meta',
    { status: 201, body: { code: 131048, message: 'Spam rate limit hit' } },
    ['whatsapp', 'failure', true, 'number_restricted 60 30'],
  ],
  // a setting
  ['401', evolution(401, 'Unauthorized'), ['installation', 'failure', true, 'number_unauthorized 5 0']],
  ['401 of a proxy', html(401), ['installation', 'failure', true, 'number_unauthorized 5 0']],
  ['403 of a proxy', html(403), ['installation', 'failure', true, 'number_unauthorized 5 0']],
  ['an unknown instance', evolution(404, ['The "x" instance does not exist']), ['installation', 'failure', true, null]],
  [
    '503 without a licence',
    { status: 503, body: { code: 'LICENSE_REQUIRED', message: 'license required' } },
    ['installation', 'failure', false, 'number_unlicensed 5 0'],
  ],
  // the one message
  ['an unknown recipient', evolution(400, [{ exists: false, number: '5511912345678' }]), ['message', 'success', true, null]],
  ['an invalid request', evolution(400, [['instance requires property "text"']]), ['message', 'nothing', true, null]],
  ['an invalid request that speaks of spam', evolution(400, ['Text is required: spam banned']), ['message', 'nothing', true, null]],
];

for (const [title, answer, expected] of CASES) {
  test(`W14 whose fault: ${title}`, () => {
    const fault = faultOf(classifySend(answer));
    assert.ok(fault);
    const { trouble } = fault;
    assert.deepEqual(
      [fault.whose, fault.breaker, fault.attempt, trouble === null ? null : `${trouble.reason} ${trouble.minutes} ${trouble.trust}`],
      expected,
    );
  });
}

test('W14 only what WhatsApp itself refuses costs trust', () => {
  const costly = CASES.filter(([, answer]) => (faultOf(classifySend(answer))?.trouble?.trust ?? 0) > 0);
  assert.deepEqual([...new Set(costly.map(([, , [whose]]) => whose))], ['whatsapp']);
});

test('W14 a number that says that it is not connected is held by its state: its breaker hears nothing', () => {
  const closed = settleByConnectionState(classifySend(evolution(400, ['Error: Connection Closed'])), 'close');
  assert.deepEqual(faultOf(closed), { whose: 'number', breaker: 'nothing', attempt: false, trouble: null });
  assert.equal(faultOf(classifySend({ status: 201, body: { key: { id: 'A' } } })), null);
});

test('W4 a restart may cure a dead socket, and nothing else', () => {
  const cured = CASES.filter(([, answer]) => {
    const outcome = classifySend(answer);
    return outcome.kind !== 'sent' && isCuredByRestart(outcome.class);
  });
  assert.deepEqual([...new Set(cured.map(([, , [whose]]) => whose))], ['number']);
  for (const reason of [null, '', 'toString', 'overloaded', 'the probe succeeded']) assert.equal(isCuredByRestart(reason), false);
});
