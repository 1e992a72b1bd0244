import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InboundEvent } from '../../src/core/inbound.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';
import { redact } from '../../src/whatsapp/redact.ts';
import { HOSTILE, mutate } from '../support/mutations.ts';

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
  assert.deepEqual(reasons([recorded[1]!.body, null]), ['message', 'unreadable']); // line 2 is a message
  assert.deepEqual(reasons('text'), ['unreadable']);
});

test('H11 mutated payloads: 500 never throw, give events, and are redacted', () => {
  const line = fc.nat(recorded.length - 1);
  const change = fc.record({
    at: fc.nat(),
    value: fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue()),
    how: fc.constantFrom('replace', 'wrap', 'delete', 'add'),
  });
  fc.assert(
    fc.property(line, fc.array(change, { minLength: 1, maxLength: 4 }), (index, changes) => {
      const body = structuredClone(recorded[index]!.body); // nat is bounded by the length
      for (const { at, value, how } of changes) mutate(body, at, value, how);
      const events = parseWebhook(body, 'messages-upsert', RECEIVED);
      assert.ok(events.length > 0);
      for (const event of events) assertWellFormed(event);
      JSON.stringify(redact(body));
      assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
    }),
    { numRuns: 500, seed: 20_261_122 },
  );
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

/** What record_inbound and the agent rely on. */
function assertWellFormed(event: InboundEvent): void {
  const seen = JSON.stringify(event);
  assert.ok(!seen.includes('\\u0000') && !/\\ud[89a-f]/i.test(seen), 'fit for Postgres');
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
