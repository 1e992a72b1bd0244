import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { classifySend, settleByConnectionState } from '../../src/whatsapp/send-outcome.ts';
import type { SendAnswer, SendOutcome } from '../../src/whatsapp/send-outcome.ts';

type Recorded = { label: string; request: { path: string }; response: { status: number; body: unknown } };

const recorded: Recorded[] = readFileSync(new URL('../fixtures/evolution-rest.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded); // the fixture is ours

const DIRECT = '5511988887777@s.whatsapp.net';
const GROUP = '120363043111111111@g.us';
const SHEENA = '5511977776666@s.whatsapp.net';
const NO_RETRY = false;
const RETRY = true;

type Expected = ['sent', id: string, jid: string] | ['not_sent', kind: string, retryable: boolean] | ['ambiguous', kind: string];

/** Every recorded answer of a route that sends, by its line in evolution-rest.jsonl; written beside contract 4.1 and 4.2. */
const expectations: ReadonlyMap<number, Expected> = new Map<number, Expected>([
  // EVOLUTION channel: the jid is the number as given
  [26, ['sent', 'f52575c0-30ed-4667-9501-3e8727c5aae7', '5511988887777']],
  [27, ['sent', '329c45a0-2907-41ba-b929-5db84bb7237a', DIRECT]],
  [28, ['not_sent', 'unauthorized', NO_RETRY]],
  [29, ['not_sent', 'unauthorized', NO_RETRY]],
  [30, ['not_sent', 'unknown_instance', NO_RETRY]],
  [31, ['not_sent', 'unknown_instance', NO_RETRY]],
  [32, ['not_sent', 'bad_request', NO_RETRY]],
  [33, ['not_sent', 'bad_request', NO_RETRY]],
  [34, ['not_sent', 'bad_request', NO_RETRY]],
  [35, ['not_sent', 'bad_request', NO_RETRY]],
  [36, ['not_sent', 'bad_request', NO_RETRY]],
  [37, ['not_sent', 'bad_request', NO_RETRY]],
  [38, ['not_sent', 'bad_request', NO_RETRY]],
  [39, ['not_sent', 'bad_request', NO_RETRY]],
  [40, ['sent', 'cba906de-77b5-494f-88df-a506f2602dbf', '5511988887777']],
  [41, ['not_sent', 'bad_request', NO_RETRY]],
  // unknown routes: 404 like an unknown instance, told apart by the text
  [42, ['not_sent', 'bad_request', NO_RETRY]],
  [43, ['not_sent', 'bad_request', NO_RETRY]],
  [44, ['sent', 'c2402c96-8c08-4887-8242-e2bcd9daf894', '5511988887777']],
  [45, ['not_sent', 'bad_request', NO_RETRY]],
  [46, ['not_sent', 'bad_request', NO_RETRY]],
  [47, ['not_sent', 'bad_request', NO_RETRY]],
  [48, ['not_sent', 'bad_request', NO_RETRY]],
  [49, ['not_sent', 'bad_request', NO_RETRY]],
  [50, ['not_sent', 'bad_request', NO_RETRY]],
  // WHATSAPP-BUSINESS channel: 201 with Meta's error object, 400 for a broken connection to Meta
  [62, ['sent', 'wamid.N33oKdDmhmTyP+uMZ+i2qje9b6Y=', SHEENA]],
  [63, ['not_sent', 'bad_request', NO_RETRY]],
  [64, ['ambiguous', 'provider_error']],
  [65, ['ambiguous', 'provider_error']],
  [66, ['sent', 'wamid.3KzJMynKbsb8GMap1Me6d7PeOS4=', SHEENA]],
  [67, ['sent', 'wamid.W39ND9mYgwOfYcHRJeQx/8T6qTc=', SHEENA]],
  // WHATSAPP-BAILEYS channel
  [76, ['sent', '3EB00255B48B8EEA960135', DIRECT]],
  [77, ['sent', '3EB03F677261FD90901062', DIRECT]],
  [78, ['sent', '3EB083361DAE1C504F3414', DIRECT]],
  [79, ['sent', '3EB07F40EA0A3D3AE4DF64', '123456789012345@lid']],
  [80, ['sent', '3EB000BF712BB787448D4C', GROUP]],
  [81, ['sent', '3EB044B570D33012357AF5', GROUP]],
  [82, ['sent', '3EB0AE81E61C91DF51DBD1', GROUP]],
  [83, ['not_sent', 'not_on_whatsapp', NO_RETRY]],
  [84, ['not_sent', 'not_on_whatsapp', NO_RETRY]],
  [85, ['not_sent', 'not_on_whatsapp', NO_RETRY]],
  [86, ['not_sent', 'not_on_whatsapp', NO_RETRY]],
  [87, ['not_sent', 'bad_request', NO_RETRY]],
  [88, ['not_sent', 'bad_request', NO_RETRY]],
  [89, ['sent', '3EB04BE0F16DA4B45F12EF', DIRECT]],
  [90, ['sent', '3EB0BD51D243495EEAF465', DIRECT]],
  [91, ['sent', '3EB08EB4CAE490AFF5CB49', DIRECT]],
  [92, ['sent', '3EB023E3EA7E0D8E175B45', DIRECT]],
  [93, ['sent', '3EB09E87A44229E5C525A0', DIRECT]],
  [94, ['sent', '3EB028FC7862956CCC38F3', DIRECT]],
  [95, ['sent', '3EB0925E86D7A2762DAA48', DIRECT]],
  [96, ['not_sent', 'connection_closed', RETRY]],
  [97, ['ambiguous', 'timeout']],
  // the same answer as line 96, by a socket that was made to throw after the write: Baileys throws it before
  [98, ['not_sent', 'connection_closed', RETRY]],
  [99, ['not_sent', 'connection_closed', RETRY]],
  [100, ['not_sent', 'connection_closed', RETRY]],
  [101, ['sent', '3EB0B4A964AAF07C9B2BAD', DIRECT]],
  [102, ['sent', '3EB0313E8C7B0FABD103F7', DIRECT]],
  [103, ['sent', '3EB071A6E8A846A9EC7636', DIRECT]],
  [104, ['sent', '3EB000EE09CC5393B77E46', DIRECT]],
  // media preparation fails before any send
  [105, ['not_sent', 'provider_error', RETRY]],
  [106, ['not_sent', 'bad_request', NO_RETRY]],
  [107, ['not_sent', 'provider_error', RETRY]],
  [108, ['sent', '3EB09BAAA969B451275AE1', DIRECT]],
  [109, ['sent', '3EB0A8BF98BB076E89CCFC', DIRECT]],
  [110, ['sent', '3EB0A6987D8AF58451D8EC', DIRECT]],
  [111, ['sent', '3EB0EAA94E9945FAAF66AD', DIRECT]],
  [122, ['sent', '3EB0D81B32F84FDD1E6F57', DIRECT]],
  [123, ['sent', '3EB0F828C9D5758FD1E830', DIRECT]],
  [124, ['sent', '3EB0095C5076EC7D018FBF', DIRECT]],
  [125, ['sent', '3EB09C88BB3C1906C7ECE4', DIRECT]],
  [126, ['sent', '3EB0568D536DAA7F680C0C', DIRECT]],
  [128, ['not_sent', 'connection_closed', RETRY]],
  [132, ['not_sent', 'connection_closed', RETRY]],
  [133, ['not_sent', 'connection_closed', RETRY]],
  [134, ['not_sent', 'connection_closed', RETRY]],
  [135, ['not_sent', 'connection_closed', RETRY]],
  [142, ['not_sent', 'connection_closed', RETRY]],
  [153, ['not_sent', 'connection_closed', RETRY]],
  // "[object Object]": some exception inside the part that also covers the time after the send
  [157, ['ambiguous', 'provider_error']],
  [158, ['sent', '3EB09FDB330776D84BE3A7', '553188887777@s.whatsapp.net']],
]);

test('O3 outcome: every recorded answer of a sending route is in the table', () => {
  const sends = recorded.flatMap(({ request }, index) => (request.path.startsWith('/message/') ? [index + 1] : []));
  assert.deepEqual([...expectations.keys()], sends);
});

for (const [line, expected] of expectations) {
  const { label, response } = recorded[line - 1]!; // the test above compares the lines
  test(`O3 outcome: line ${line} ${label} -> ${expected.join(' ')}`, () => {
    assert.deepEqual(short(classifySend(response)), expected);
  });
}

function short(outcome: SendOutcome): unknown[] {
  switch (outcome.kind) {
    case 'sent':
      return ['sent', outcome.providerId, outcome.jid];
    case 'not_sent':
      return ['not_sent', outcome.class, outcome.retryable];
    case 'ambiguous':
      return ['ambiguous', outcome.class];
  }
}

function evolution(status: number, message: unknown, error = 'Bad Request'): SendAnswer {
  return { status, body: { status, error, response: { message } } };
}

const others: [name: string, answer: SendAnswer, expected: Expected][] = [
  ['refused', { networkError: 'refused', requestWritten: false }, ['not_sent', 'unavailable', RETRY]],
  ['DNS', { networkError: 'dns', requestWritten: false }, ['not_sent', 'unavailable', RETRY]],
  ['TLS', { networkError: 'tls', requestWritten: false }, ['not_sent', 'unavailable', RETRY]],
  ['connect timeout', { networkError: 'timeout', requestWritten: false }, ['not_sent', 'unavailable', RETRY]],
  ['timeout after the write', { networkError: 'timeout', requestWritten: true }, ['ambiguous', 'timeout']],
  ['reset after the write', { networkError: 'reset', requestWritten: true }, ['ambiguous', 'reset']],
  ['aborted after the write', { networkError: 'aborted', requestWritten: true }, ['ambiguous', 'aborted']],
  ['a refusal after a write is not believed', { networkError: 'refused', requestWritten: true }, ['ambiguous', 'reset']],
  ['429', evolution(429, ['Too many requests']), ['not_sent', 'rate_limited', RETRY]],
  ['503 of a licence', { status: 503, body: { code: 'LICENSE_REQUIRED', message: 'license required' } }, ['not_sent', 'unlicensed', RETRY]],
  ['502 of a proxy', { status: 502, body: '<html>Bad Gateway</html>' }, ['ambiguous', 'proxy']],
  ['504 of a proxy', { status: 504, body: '' }, ['ambiguous', 'proxy']],
  ['500 that is not Evolution speaking', { status: 500, body: '<html>' }, ['ambiguous', 'proxy']],
  ['403', evolution(403, ['Forbidden'], 'Forbidden'), ['not_sent', 'restricted', NO_RETRY]],
  ['413', { status: 413, body: 'request entity too large' }, ['not_sent', 'bad_request', NO_RETRY]],
  ['redirect', { status: 308, body: '' }, ['not_sent', 'bad_request', NO_RETRY]],
  ['408', { status: 408, body: '' }, ['ambiguous', 'proxy']],
  ['400 of a TypeError', evolution(400, ['TypeError: this.isZero is not a function']), ['ambiguous', 'provider_error']],
  ['400 of the database', evolution(400, ['PrismaClientKnownRequestError: x']), ['ambiguous', 'provider_error']],
  ['400 without a body', { status: 400, body: '' }, ['ambiguous', 'provider_error']],
  ['400 of a socket that dropped', evolution(400, ['1006']), ['not_sent', 'connection_closed', RETRY]],
  ['400 of a socket that dropped, as an error', evolution(400, ['Error: 1006']), ['not_sent', 'connection_closed', RETRY]],
  ['400 of another code', evolution(400, ['1007']), ['ambiguous', 'provider_error']],
  ['400 of a query that WhatsApp limits', evolution(400, ['Error: rate-overlimit']), ['not_sent', 'rate_limited', RETRY]],
  ...['onWhatsApp', 'sendMessage', 'presenceSubscribe', 'sendPresenceUpdate', 'textMessage'].map((name): [string, SendAnswer, Expected] => [
    `400 without a socket: ${name}`,
    evolution(400, [`TypeError: Cannot read properties of undefined (reading '${name}')`]),
    ['not_sent', 'connection_closed', RETRY],
  ]),
  [
    '400 of a TypeError of its own',
    evolution(400, ["TypeError: Cannot read properties of undefined (reading 'message')"]),
    ['ambiguous', 'provider_error'],
  ],
  ['403 of a proxy', { status: 403, body: '<html>Forbidden</html>' }, ['not_sent', 'unauthorized', NO_RETRY]],
  ['429 of a proxy', { status: 429, body: '<html>Too Many Requests</html>' }, ['not_sent', 'service_unavailable', RETRY]],
  ['503 of a proxy', { status: 503, body: '<html>No upstream</html>' }, ['not_sent', 'service_unavailable', RETRY]],
  ['400 that only begins like a closed connection', evolution(400, ['Error: Connection Closed by peer']), ['ambiguous', 'provider_error']],
  ['201 without an id', { status: 201, body: {} }, ['ambiguous', 'provider_error']],
  ['200 of a captive page', { status: 200, body: '<html>' }, ['ambiguous', 'provider_error']],
  ['Meta: not on WhatsApp', { status: 201, body: { message: 'x', code: 131026 } }, ['not_sent', 'not_on_whatsapp', NO_RETRY]],
  ['Meta: token', { status: 201, body: { message: 'x', code: 190 } }, ['not_sent', 'unauthorized', NO_RETRY]],
  ['Meta: pair rate', { status: 201, body: { message: 'x', code: 131056 } }, ['not_sent', 'rate_limited', RETRY]],
  ['Meta: spam restriction', { status: 201, body: { message: 'x', code: 131048 } }, ['not_sent', 'restricted', NO_RETRY]],
  ['Meta: a code of tomorrow', { status: 201, body: { message: 'x', code: 199_999 } }, ['ambiguous', 'provider_error']],
];

for (const [name, answer, expected] of others) {
  test(`O3 outcome: ${name} -> ${expected.join(' ')}`, () => {
    assert.deepEqual(short(classifySend(answer)), expected);
  });
}

test('W14 Connection Closed of a number that says that it is not connected is no riddle', () => {
  const closed = classifySend(evolution(400, ['Error: Connection Closed']));
  assert.equal(settleByConnectionState(closed, 'open'), closed);
  for (const state of ['connecting', 'close', 'refused', 'not_loaded'] as const) {
    assert.deepEqual(short(settleByConnectionState(closed, state)), ['not_sent', 'disconnected', RETRY]);
  }
  const timedOut = classifySend(evolution(400, ['Error: Timed Out']));
  assert.equal(settleByConnectionState(timedOut, 'close'), timedOut, 'a timeout stays ambiguous in any state');
});

test('O3 outcome: details are short and hold no phone number', () => {
  const outcome = classifySend({ status: 201, body: { code: 131026, message: `undeliverable to 5511988887777 ${'x'.repeat(1000)}` } });
  assert.equal(outcome.kind, 'not_sent');
  assert.match(outcome.detail, /^Meta 131026: undeliverable to \*\*\*7777 x+$/);
  assert.equal(outcome.detail.length, 200);
});

test('O3 outcome: any answer has an outcome, and only a message id makes it sent', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 599 }), fc.jsonValue(), (status, body) => {
      assert.notEqual(classifySend({ status, body }).kind, 'sent');
      assert.notEqual(classifySend({ status, body: { status, response: { message: body } } }).kind, 'sent');
    }),
    { numRuns: 500, seed: 3 },
  );
});
