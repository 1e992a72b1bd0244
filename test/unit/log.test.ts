import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

import fc from 'fast-check';

import { failure, toError } from '../../src/process/errors.ts';
import { createPrivacy } from '../../src/process/log-privacy.ts';
import { createLogger } from '../../src/process/log.ts';
import type { LogFields, Logger, LoggerOptions } from '../../src/process/log.ts';

type Line = { timestamp: string; level: string; service: string; message: string; context: Record<string, unknown> };

const SECRETS = ['s3cr3t/with "quotes" & \\slashes', '7c9e6679f3a94b0c', 'ção-ção-ção', '5511987654321000'];

/** Every line that `act` logs, as written. */
function written(act: (log: Logger) => void, options: Partial<LoggerOptions> = {}): string[] {
  const lines: string[] = [];
  act(
    createLogger({
      level: 'DEBUG',
      service: 'agente-julia-api',
      pretty: false,
      secrets: SECRETS,
      destination: { write: (line) => lines.push(line) },
      ...options,
    }),
  );
  return lines;
}

/** The one line that `act` logs, parsed. */
function line(act: (log: Logger) => void, options: Partial<LoggerOptions> = {}): Line {
  const lines = written(act, options);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /^[^\n]+\n$/);
  return JSON.parse(lines[0] ?? ''); // the tests assert its shape
}

const masked = (text: string) => createPrivacy(SECRETS).text(text);

test('E4 JSON log: a line has exactly the five keys, fields inside context', () => {
  const before = Date.now();
  const logged = line((log) => log.info({ turnId: 7, level: 'mine', message: 'mine too' }, 'Turn committed'));
  assert.deepEqual(Object.keys(logged).toSorted(), ['context', 'level', 'message', 'service', 'timestamp']);
  assert.deepEqual(logged.context, { turnId: 7, level: 'mine', message: 'mine too' });
  assert.deepEqual([logged.level, logged.service, logged.message], ['INFO', 'agente-julia-api', 'Turn committed']);
  assert.equal(new Date(logged.timestamp).toISOString(), logged.timestamp);
  assert.ok(Date.parse(logged.timestamp) >= before);
});

test('E4 JSON log: the five levels and the threshold', () => {
  const all = (log: Logger) => {
    for (const level of ['debug', 'info', 'warning', 'error', 'critical'] as const) log[level]({}, level);
  };
  const levels = (lines: string[]) => lines.map((text) => JSON.parse(text).level);
  assert.deepEqual(levels(written(all)), ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL']);
  assert.deepEqual(levels(written(all, { level: 'WARNING' })), ['WARNING', 'ERROR', 'CRITICAL']);
  assert.deepEqual(levels(written(all, { level: 'CRITICAL' })), ['CRITICAL']);
});

test('S2 LOG_LEVEL: start lines pass LOG_LEVEL=WARNING as INFO lines, other INFO lines do not', () => {
  const lines = written(
    (log) => {
      log.info({}, 'Processing message...');
      log.child({ subsystem: 'worker' }).always({ port: 9001 }, 'Worker started');
    },
    { level: 'WARNING' },
  );
  const logged = lines.map((text): Line => JSON.parse(text));
  assert.deepEqual(
    logged.map(({ level, message, context }) => [level, message, context]),
    [['INFO', 'Worker started', { subsystem: 'worker', port: 9001 }]],
  );
});

test('E5 correlation: a child carries its fields, the line wins, and children do not leak into each other', () => {
  const [child, sibling] = written((log) => {
    const request = log.child({ requestId: 'r1', step: 'a' });
    request.child({ turnId: 't1' }).info({ step: 'b' }, 'x');
    request.info({}, 'y');
  }).map((text): Line => JSON.parse(text));
  assert.deepEqual(child?.context, { requestId: 'r1', step: 'b', turnId: 't1' });
  assert.deepEqual(sibling?.context, { requestId: 'r1', step: 'a' });
});

test('E4 JSON log: an error is type and message, with its stack at DEBUG, ERROR and CRITICAL only', () => {
  const error = Object.assign(new TypeError('no such thing', { cause: new Error('below') }), { request: { body: 'private' } });
  for (const level of ['debug', 'info', 'warning', 'error', 'critical'] as const) {
    const { context } = line((log) => log[level]({ error }, 'x'));
    const { stack, cause, ...told } = context['error'] as Record<string, unknown>; // asserted below
    assert.deepEqual(told, { type: 'TypeError', message: 'no such thing' });
    assert.equal(typeof stack, level === 'info' || level === 'warning' ? 'undefined' : 'string');
    assert.equal(Object(cause).message, 'below');
  }
  assert.equal(Object(line((log) => log.error(error, 'x')).context['error']).message, 'no such thing');
});

test('E6 privacy: phones and addresses keep their last 4 digits', () => {
  for (const [text, expected] of [
    ['5511999991234', '***1234'],
    ['to +55 (11) 99999-1234!', 'to ***1234!'],
    ['55 11 9 9999 1234', '***1234'],
    ['(11) 99999-1234', '***1234'],
    ['11.99999.1234', '***1234'],
    ['+1 (415) 555-1234', '***1234'],
    ['1199991234', '***1234'],
    ['55\u00a011\u00a099999\u20111234', '***1234'],
    ['conv_5511999991234', 'conv_***1234'],
    ['tel5511999991234x', 'tel***1234x'],
    ['abc5511999991234abcdef', 'abc***1234abcdef'],
    ['3 tries for 5511999991234 in 120 ms', '3 tries for ***1234 in 120 ms'],
    ['5511999991234,5511999994321', '***1234,***4321'],
    ['5511999991234@s.whatsapp.net', '***1234@s.whatsapp.net'],
    ['5511999991234:12@s.whatsapp.net', '***1234@s.whatsapp.net'],
    ['123456789012345@lid', '***2345@lid'],
    ['98765@lid', '***8765@lid'],
    ['5511999991234-1612345678@g.us', '***1234@g.us'],
    ['120363012345678901@g.us', '***8901@g.us'],
    ['https://w.example.com/5511999991234?x=1', 'https://w.example.com/***1234?x=1'],
  ] as const) {
    assert.equal(masked(text), expected, text);
  }
  assert.deepEqual(
    line((log) => log.info({ phone: 5511999991234, 5511999991234: 'x', big: 5511999991234n, sent_at: 5511999991234 }, 'x')).context,
    {
      phone: '***1234',
      '***1234': 'x',
      big: '***1234',
      sent_at: '***1234',
    },
  );
});

test('E6 privacy: ids, times, durations and versions stay whole', () => {
  const whole = [
    '550e8400-e29b-41d4-a716-446655440000',
    '11111111-1111-4111-8111-111111111111',
    '3EB0C767D26A8B4A5F60',
    '3A1234567890123B4C5D',
    '0afd429f40c774373f35160112555b2b00cd89d2',
    '2026-11-23T07:58:00.123Z',
    '2026-11-23 07:58:00.123456+00',
    '2026-11-23T07:58:00-03:00',
    '2026-11-23 08:00',
    '20261123080000_init.sql',
    '1763884680123',
    'repeat-1763884680123-0',
    '24.21.0',
    '127.0.0.1:54321',
    'took 12.345678901234 s',
    '184467440737095516',
    'PT30S 45-180 08:00-20:00',
  ];
  for (const text of whole) assert.equal(masked(text), text);
  const context = {
    at: 1763884680123,
    durationMs: 12_345.678,
    rssBytes: 12_345_678_901,
    id: 123_456_789,
    ok: true,
    none: null,
    input_tokens: 1234,
  };
  assert.deepEqual(line((log) => log.info(context, 'x')).context, context);
});

test('E6 privacy: secrets go, known ones in any writing and unknown ones by their look or their field', () => {
  for (const secret of SECRETS) {
    for (const form of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]) {
      assert.equal(masked(`a ${form} b`), 'a [secret] b', form);
    }
  }
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl';
  assert.equal(masked(`key sk-ant-api03-AbC_1-2, token ${jwt}.`), 'key [secret], token [secret]');
  assert.equal(masked('authorization: Bearer abc.def-123'), 'authorization: Bearer [secret]');
  assert.equal(masked('postgres://app:hunter2@db.example.com/app'), 'postgres://[secret]@db.example.com/app');
  const fields = { headers: { apikey: 'abc', Authorization: 'xyz' }, access_token: 'abc', jwtSecret: 'abc', serviceKey: 'abc', tokens: 12 };
  assert.deepEqual(line((log) => log.info(fields, 'x')).context, {
    headers: { apikey: '[secret]', Authorization: '[secret]' },
    access_token: '[secret]',
    jwtSecret: '[secret]',
    serviceKey: '[secret]',
    tokens: 12,
  });
});

test('E6 privacy: message text is dropped at INFO and above, kept (masked) at DEBUG', () => {
  const fields = { id: 1, text: 'oi, 5511999991234', inner: [{ body: { a: 1 }, Prompt: 'p', content: ['c'], kind: 'text' }] };
  for (const level of ['info', 'warning', 'error', 'critical', 'always'] as const) {
    assert.deepEqual(line((log) => log[level](fields, 'x')).context, { id: 1, inner: [{ kind: 'text' }] });
  }
  assert.deepEqual(line((log) => log.debug(fields, 'x')).context, { ...fields, text: 'oi, ***1234' });
});

const phone = fc
  .tuple(fc.integer({ min: 11, max: 99 }), fc.integer({ min: 10_000_000, max: 99_999_999 }))
  .map(([area, number]) => ({ digits: `55${area}9${number}`, area: String(area), number: `9${number}` }));
const phoneText = phone.chain(({ digits, area, number }) =>
  fc.constantFrom(
    digits,
    `+${digits}`,
    `${digits}@s.whatsapp.net`,
    `${digits}:7@s.whatsapp.net`,
    `${digits.slice(0, 4)}${digits.slice(5)}@c.us`,
    `+55 (${area}) ${number.slice(0, 5)}-${number.slice(5)}`,
    `55 ${area} ${number}`,
    `(${area}) ${number.slice(0, 5)}-${number.slice(5)}`,
    `${area}${number}`,
  ),
);
const lidText = fc.integer({ min: 10_000_000_000_000, max: 999_999_999_999_999 }).map((lid) => `${lid}@lid`);
const secretText = fc.constantFrom(...SECRETS, 'sk-ant-api03-zzZ9_zz-zz', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abcdefghij');
/** What must not be found in the line, in any text around it. Surrounded by no digit, for `15511...` is another number. */
const around = fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.replaceAll(/[\d\-()\u2010-\u2015\u00a0]/gu, ' '));
const leak = fc.oneof(phoneText, lidText, secretText);
const leaky = fc.tuple(around, leak, around).map(([before, value, after]) => ({ value, text: `${before} ${value} ${after}` }));
const phoneNumber = phone.map(({ digits }) => Number(digits));

test('E6 privacy fuzz: whatever is logged at INFO, the line parses and holds no full number, secret or message text', () => {
  const keys = fc.string({ maxLength: 8 });
  const MESSAGE = 'zqx-message-text-zqx';
  const shape = fc.tuple(
    leaky,
    leaky,
    leaky,
    phoneNumber,
    keys,
    fc.object({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, maxDepth: 3 }),
  );
  fc.assert(
    fc.property(
      shape,
      fc.constantFrom('text', 'body', 'prompt', 'content', 'Text'),
      ([first, second, third, number, key, noise], textField) => {
        const fields = {
          ...noise,
          noise,
          [key]: [first.text, { deep: { [second.text]: second.text, number, [textField]: { said: MESSAGE } } }],
          error: new Error(third.text),
          [textField]: MESSAGE,
          map: new Map([[first.text, number]]),
        };
        const lines = written((log) => log.child({ [third.text]: third.text }).info(fields, `${first.text}|${second.text}`));
        assert.equal(lines.length, 1);
        const text = lines[0] ?? '';
        const { context, message }: Line = JSON.parse(text);
        assert.equal(typeof context, 'object');
        // Both the bytes of the line and what a reader gets after parsing.
        const shown = text + everyString(context).join('\n') + message;
        for (const { value } of [first, second, third]) {
          assert.ok(!shown.includes(value), `${value} in ${text}`);
          const digits = value.replaceAll(/@.*/g, '').replaceAll(/\D/g, '');
          if (/^[+(\d][\d ()\-+@:.a-z]*$/.test(value) && digits.length <= 13) assert.ok(!shown.includes(digits), `${digits} in ${text}`);
        }
        assert.ok(!shown.includes(String(number)), `${number} in ${text}`);
        assert.ok(!shown.includes(MESSAGE), text);
      },
    ),
    { numRuns: 500 },
  );
});

/** All keys and strings inside. */
function everyString(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...everyString(inner)]);
}

test('E6 privacy fuzz: uuids, hex ids, ISO times and epoch milliseconds come through unchanged', () => {
  const iso = fc.date({ min: new Date('2015-01-01'), max: new Date('2034-01-01'), noInvalidDate: true });
  const hexId = fc
    .string({
      unit: fc.constantFrom(...Array.from({ length: 16 }, (_, digit) => digit.toString(16).toUpperCase())),
      minLength: 20,
      maxLength: 32,
    })
    .filter((id) => /[A-F]/.test(id) && !/55[1-9]\d[2-9]\d{7}/.test(id));
  fc.assert(
    fc.property(fc.uuid(), hexId, iso, (uuid, id, date) => {
      const text = `turn ${uuid} message ${id} at ${date.toISOString()} (${date.getTime()})`;
      assert.equal(masked(text), text);
    }),
    { numRuns: 1000 },
  );
});

test('E4 JSON log: hostile values cost their field, never the line, and nothing throws', () => {
  const circular: Record<string, unknown> = { a: 1 };
  circular['self'] = circular;
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const hostile = {
    circular,
    big: 10n,
    revoked: revoked.proxy,
    badGetter: Object.defineProperty({ fine: 1 }, 'bad', { enumerable: true, get: () => assert.fail('read') }),
    badJson: { toJSON: () => assert.fail('toJSON') },
    fn: () => 1,
    symbol: Symbol('s'),
    nan: Number.NaN,
    date: new Date(Number.NaN),
    buffer: Buffer.from('5511999991234'),
    surrogate: '\ud800',
    hidden: Object.create(null),
  };
  const { context } = line((log) => log.info(hostile, 'x'));
  assert.deepEqual(context, {
    circular: { a: 1, self: '[circular]' },
    big: '10',
    revoked: '[unreadable]',
    badGetter: { fine: 1, bad: '[unreadable]' },
    badJson: '[unreadable]',
    fn: '[function]',
    symbol: '[symbol]',
    nan: 'NaN',
    date: 'Invalid Date',
    buffer: '[13 bytes]',
    surrogate: '\ud800',
    hidden: {},
  });
  assert.deepEqual(
    line((log) => log.info(Object.defineProperty({ a: 1 }, 'bad', { enumerable: true, get: () => assert.fail('read') }), 'x')).context,
    { a: 1, bad: '[unreadable]' },
  );
  // What an untyped caller may pass.
  for (const fields of [null, undefined, 'text', 7, revoked.proxy] as unknown as LogFields[])
    assert.equal(line((log) => log.info(fields, 'x')).message, 'x');
  assert.equal(line((log) => log.info(JSON.parse('{"__proto__":{"polluted":1}}'), 'x')).level, 'INFO');
  assert.doesNotThrow(() =>
    createLogger({ level: 'INFO', service: 's', pretty: false, destination: { write: () => assert.fail('gone') } }).error({}, 'x'),
  );
});

test('E4 JSON log: long texts and big values are cut', () => {
  const { context } = line((log) =>
    log.info({ long: 'a'.repeat(9000), huge: 'a'.repeat(60_000), list: Array.from({ length: 200 }, (_, index) => index) }, 'x'),
  );
  assert.equal(String(context['long']).length, 8000 + '… [9000 characters]'.length);
  assert.equal(context['huge'], '[60000 characters]');
  assert.equal(Array.isArray(context['list']) && context['list'].at(-1), '[200 entries]');
});

test('E4 JSON log: the last line before a crash is on standard output and parses', () => {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL('../../src/process/log.ts', import.meta.url).href)};
    const log = createLogger({ level: 'INFO', service: 'agente-julia-worker', pretty: false });
    for (let n = 0; n < 2000; n++) log.info({ n, filler: 'x'.repeat(100) }, 'before');
    log.critical(new Error('boom'), 'Crash');
    process.kill(process.pid, 'SIGKILL');`;
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    maxBuffer: 10_000_000,
  });
  assert.equal(signal, 'SIGKILL');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((text): Line => JSON.parse(text));
  assert.equal(lines.length, 2001);
  assert.deepEqual(
    [lines.at(-1)?.level, lines.at(-1)?.message, Object(lines.at(-1)?.context['error']).message],
    ['CRITICAL', 'Crash', 'boom'],
  );
});

test('S2 LOG_PRETTY: lines for people, masked all the same', () => {
  const [pretty] = written((log) => log.warning({ phone: '5511999991234' }, 'Held'), { pretty: true });
  assert.match(pretty ?? '', /WARNING.*Held/);
  assert.match(pretty ?? '', /\*\*\*1234/);
  assert.doesNotMatch(pretty ?? '', /5511999991234/);
});

test('errors: toError keeps errors, wraps the rest with its cause and never throws', () => {
  const error = new RangeError('x');
  assert.equal(toError(error), error);
  assert.deepEqual([toError('told').message, toError('told').cause], ['told', 'told']);
  assert.equal(toError({ message: 'from an object' }).message, 'from an object');
  assert.equal(toError(undefined).message, 'thrown: undefined');
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assert.equal(toError(proxy).message, 'thrown: a value that cannot be read');
  assert.equal(toError(Object.create(null)).message, 'thrown: a value that cannot be read');
});

test('errors: a failure is a value with kind and retryable', () => {
  assert.deepEqual(failure('timeout', { retryable: true, message: 'no answer' }), {
    ok: false,
    kind: 'timeout',
    retryable: true,
    message: 'no answer',
  });
  assert.equal(failure('timeout', { retryable: true, message: 'no answer', cause: 'late' }).cause?.message, 'late');
});
