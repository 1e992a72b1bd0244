import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { meaningOf } from '../../src/inbox/meaning.ts';
import { parseFoundMessages, parseWebhook } from '../../src/whatsapp/payload.ts';
import { redact } from '../../src/whatsapp/redact.ts';
import { FUZZ, fuzzed, withSeed } from '../support/fuzz.ts';

type Recorded = { scenario: string; path: string; body: Record<string, unknown> };

const recorded: Recorded[] = readFileSync(new URL('../fixtures/evolution-payloads.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded); // the fixture is ours
const RECEIVED = new Date('2026-11-22T05:00:00.000Z');

test('H11 any body: the history, batches, unknown events and nothing', () => {
  const reasons = (body: unknown) =>
    parseWebhook(body, null, RECEIVED).map((event) => (event.kind === 'ignored' ? event.reason : event.kind));
  assert.deepEqual(reasons({ event: 'messages.set', instance: 'wa1', data: Array.from({ length: 5000 }, () => ({})) }), ['history']);
  assert.deepEqual(reasons({ event: 'messages.upsert', data: [] }), ['empty']);
  assert.deepEqual(reasons({ event: 'messages.upsert', data: null }), ['empty']);
  assert.deepEqual(reasons({ event: '__proto__', data: {} }), ['unknown_event']);
  assert.deepEqual(reasons([]), ['unreadable']);
  assert.deepEqual(reasons('text'), ['unreadable']);
});

test(`W5 H11 fuzz of the reader: ${FUZZ.runs} changed recordings from seed ${FUZZ.seed} never throw, and each event is of a known kind with a known reason`, () => {
  const seen = new Set<string>();
  for (let seed = FUZZ.seed; seed < FUZZ.seed + FUZZ.runs; seed++) {
    const body = fuzzed(seed);
    withSeed(seed, () => {
      for (const suffix of [null, 'messages-upsert']) {
        const events = parseWebhook(body, suffix, RECEIVED);
        assert.ok(events.length > 0);
        for (const event of events) {
          assertWellFormed(event);
          if (event.kind === 'message' || event.kind === 'edit') meaningOf(event);
          seen.add(event.kind === 'ignored' ? event.reason : event.kind);
        }
      }
      for (const event of parseFoundMessages('wa1', [body, body['data'], body['data']], RECEIVED)) assertWellFormed(event);
      const stored = JSON.stringify(redact(body));
      assert.doesNotMatch(stored, UNFIT, 'the copy is fit for Postgres');
      assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
    });
  }
  assert.ok(seen.size >= 25, `it reaches ${seen.size} kinds and reasons only`);
});

test('H11 mutated payloads: any JSON at all', () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 6 }),
      fc.constantFrom(null, 'messages-upsert', 'messages-update', 'presence-update'),
      (body, suffix) => {
        for (const event of parseWebhook(body, suffix, RECEIVED)) assertWellFormed(event);
        for (const event of parseWebhook({ data: body }, suffix, RECEIVED)) assertWellFormed(event);
        JSON.stringify(redact(body));
      },
    ),
    { numRuns: 500, seed: 20_261_122 },
  );
});

/** NUL and lone surrogates as JSON writes them; behind a backslash of its own it is a text about them. */
const UNFIT = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i;
const KINDS = new Set(['message', 'reaction', 'edit', 'delete', 'ack', 'connection', 'presence', 'ignored']);
// prettier-ignore
/** Why an event is put aside, as docs and metrics name it. */
const REASONS = new Set([
  'group', 'status', 'broadcast', 'newsletter', 'own_number', 'machine', 'unknown_chat', 'history', 'protocol', 'album', 'forged_protocol', 'forged_resend', 'unproven_author',
  'no_id', 'read_on_phone', 'unknown_status', 'unknown_state', 'pending', 'empty', 'contacts', 'chats', 'groups', 'call', 'labels', 'typebot', 'qrcode', 'instance', 'error', 'unknown_event', 'unreadable', 'too_many_events',
]);

/** What record_inbound and the agent rely on. */
function assertWellFormed(event: InboundEvent): void {
  assert.ok(KINDS.has(event.kind), event.kind);
  if (event.kind === 'ignored') assert.ok(REASONS.has(event.reason), event.reason);
  assert.doesNotMatch(JSON.stringify(event), UNFIT, 'fit for Postgres');
  assert.equal(typeof event.instance, 'string');
  if (event.kind === 'message') {
    assert.ok(event.content.text.trim() !== '', 'never an empty text');
    assert.ok(event.providerId.length > 0 && event.providerId.length <= 255);
  }
  if (event.kind === 'message' || event.kind === 'reaction') {
    assert.ok(event.chat.pn !== null || event.chat.lid !== null);
    assert.ok(event.chat.pn === null || /^[1-9]\d{7,14}$/.test(event.chat.pn));
    assert.equal(new Date(event.sentAt).toISOString(), event.sentAt);
  }
  if (event.kind === 'edit') assert.ok(event.text.trim() !== '');
}

test('H11 redact: no recorded secret, base64 or byte object is left, and texts stay', () => {
  let secrets = 0;
  for (const { body } of recorded) {
    const copy = redact(body);
    const stored = JSON.stringify(copy);
    for (const secret of secretsOf(body)) {
      secrets += 1;
      assert.ok(!stored.includes(secret), `left in the copy: ${secret.slice(0, 40)}`);
    }
    assert.doesNotMatch(stored, /"0":\d/);
    // The copy can be replayed: it means the same.
    assert.deepEqual(parseWebhook(copy, null, RECEIVED), parseWebhook(body, null, RECEIVED));
  }
  assert.ok(secrets > 166, 'every line has an apikey, some have base64 too');
});

function secretsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    typeof child === 'string' && (key === 'apikey' || key === 'base64' || (key === 'code' && child.startsWith('2@')))
      ? [child]
      : secretsOf(child),
  );
}

test('H11 redact: names of secrets in any spelling, bulk anywhere, long strings cut, texts whole', () => {
  const long = 'á'.repeat(100_000);
  const copy = redact({
    api_key: 'k1',
    accessToken: 'k2',
    Authorization: 'Bearer k3',
    headers: { jwt_key: 'k4', 'x-custom': 'stays' },
    jwt: ['k5'],
    destination: 'http://u:k6@host/hook?token=k7',
    data: {
      pairingCode: 'k8',
      qrcode: { code: 'k9', instance: 'wa1' },
      message: {
        conversation: long,
        note: long,
        blob: 'QUJD'.repeat(100),
        thumbnail: 'abc',
        mediaKey: { '0': 1, '1': 2 },
        uri: `data:image/png;base64,${'QUJD'.repeat(40)}`,
      },
    },
  });
  assert.deepEqual(copy, {
    api_key: '[removed]',
    accessToken: '[removed]',
    Authorization: '[removed]',
    headers: { jwt_key: '[removed]', 'x-custom': 'stays' },
    jwt: '[removed]',
    destination: 'http://host/hook',
    data: {
      pairingCode: '[removed]',
      qrcode: { code: '[removed]', instance: 'wa1' },
      message: {
        conversation: long,
        note: `${'á'.repeat(65_536)}[cut: 100000 characters]`,
        blob: '[removed: 300 bytes]',
        thumbnail: '[removed: 2 bytes]',
        mediaKey: '[removed: 2 bytes]',
        uri: '[removed: 120 bytes]',
      },
    },
  });
  const deep: unknown = JSON.parse(`${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`);
  assert.match(JSON.stringify(redact(deep)), /too deep/);
});
