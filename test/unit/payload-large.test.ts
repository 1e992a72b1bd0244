/** One webhook of a sender with a right secret must not hold up those of all others: what it may cost has a bound, whatever it is made of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBounded } from '../../src/words/json.ts';
import { MAX_EVENTS, openEnvelopes } from '../../src/whatsapp/envelope.ts';
import { PART_EVENTS, parseWebhook, partsOf } from '../../src/whatsapp/payload.ts';
import { redact } from '../../src/whatsapp/redact.ts';
import { LONGEST_WORDS } from '../../src/words/cut.ts';
import { contactText } from '../../src/words/foreign-text.ts';

const RECEIVED = new Date('2026-11-22T05:00:00.000Z');
const enclosed = (data: string) => `{"event":"messages.upsert","instance":"julia-dev","data":${data}}`;

/** Values of JSON, however deep. */
function valuesIn(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.values(value).reduce((sum: number, each) => sum + valuesIn(each), 1) : 1;
}

test('Z9 H11 of one webhook so many events are read; the rest is one entry that says so', () => {
  const reasons = (body: unknown, suffix: string | null = null) =>
    parseWebhook(body, suffix, RECEIVED).map((event) => (event.kind === 'ignored' ? event.reason : event.kind));
  const many = Array.from({ length: MAX_EVENTS + 500 }, () => 1);
  for (const body of [
    { event: 'messages.upsert', instance: 'julia-dev', data: many },
    { event: 'messages.upsert', instance: 'julia-dev', data: { messages: many } },
    { event: 'messages.update', instance: 'julia-dev', data: many },
    { event: 'presence.update', instance: 'julia-dev', data: many },
    { event: 'connection.update', instance: 'julia-dev', data: many },
  ]) {
    const found = reasons(body);
    assert.equal(found.length, MAX_EVENTS + 1, JSON.stringify(body).slice(0, 60));
    assert.equal(found.at(-1), 'too_many_events');
  }
  const [last] = parseWebhook({ event: 'messages.upsert', instance: 'julia-dev', data: many }, null, RECEIVED).slice(-1);
  assert.deepEqual(last, { instance: 'julia-dev', instanceId: null, kind: 'ignored', reason: 'too_many_events', kept: true });
});

test('Z9 H11 a text of far more values than a webhook has is not even made into values', () => {
  for (const [what, text] of Object.entries({
    nest: '['.repeat(2_000_000) + ']'.repeat(2_000_000),
    'nest of objects': enclosed(`${'{"message":'.repeat(200_000)}1${'}'.repeat(200_000)}`),
    numbers: enclosed(`[${'1,'.repeat(1_000_000)}1]`),
    objects: enclosed(`[${'{},'.repeat(1_000_000)}1]`),
    names: enclosed(`{${Array.from({ length: 200_000 }, (_, n) => `"${n}":1`).join(',')}}`),
    'in a string': JSON.stringify('['.repeat(1_000_000)),
  })) {
    const body = parseBounded(text);
    assert.ok(body === undefined || !openEnvelopes(body, null).ok, what);
  }
  assert.equal(parseBounded('{"a":'), undefined);
  assert.equal(parseBounded('null'), null);
  // What stands in strings is text: media, code, brackets that a contact wrote, quotes and backslashes in any number.
  const words = `${'[{,'.repeat(200_000)}"\\"${'\\'.repeat(100_001)}`;
  assert.deepEqual(parseBounded(JSON.stringify({ words, list: [words, words] })), { words, list: [words, words] });
  assert.equal(parseBounded(`"${'\\'.repeat(100_001)}`), undefined);
});

test('Z9 H11 the copy that is stored has a bound too', () => {
  const objects = (n: number) => Array.from({ length: n }, () => ({}));
  for (const body of [
    objects(150_000),
    { event: 'messages.upsert', data: Array.from({ length: 400 }, () => objects(400)) },
    Object.fromEntries(Array.from({ length: 30_000 }, (_, n) => [`k${n}`, 1])),
  ])
    assert.ok(valuesIn(redact(body)) < 210_000);
  const list = objects(1_000);
  assert.deepEqual(redact({ data: list }), { data: list }, 'what real ones have is whole');
});

test('Z7 a long list is recorded in parts, each an envelope of its own; together they say what the whole says', () => {
  const message = (n: number) => ({
    key: { remoteJid: '5511912345678@s.whatsapp.net', fromMe: false, id: `M${n}` },
    message: { conversation: `palavra ${n}` },
    messageTimestamp: 1_795_000_000,
  });
  const list = (length: number) => Array.from({ length }, (_, n) => message(n));
  const about = { instance: 'julia-dev', sender: '5511944445555@s.whatsapp.net', server_url: 'http://127.0.0.1:9' };
  for (const [event, data] of [
    ['messages.upsert', list(PART_EVENTS * 3 + 1)],
    ['MESSAGES_UPSERT', { messages: list(120), type: 'append', requestId: 'R1' }],
    ['messages.update', list(120).map(({ key }) => ({ keyId: key.id, ...key, fromMe: true, status: 'READ' }))],
    ['messages.upsert', list(MAX_EVENTS + 70)],
    ['messages.upsert', list(PART_EVENTS)],
    ['messages.set', list(120)],
    ['contacts.upsert', list(120)],
    ['messages.update', { messages: list(120) }],
    ['messages.upsert', 'nada'],
  ] as const) {
    const body = { ...about, event, data };
    const parts = partsOf(body, null);
    const read = parts.map(({ body: part, most }) => parseWebhook(part, null, RECEIVED, most));
    assert.deepEqual(read.flat(), parseWebhook(body, null, RECEIVED), event);
    for (const [n, events] of read.entries()) {
      if (event !== 'messages.set') assert.ok(events.length <= PART_EVENTS + 1);
      assert.deepEqual({ ...(parts[n]?.body as object), data: null }, { ...body, data: null });
    }
  }
  assert.equal(partsOf({ event: 'messages.upsert', data: list(PART_EVENTS) }, null).length, 1);
  assert.equal(partsOf({ data: list(PART_EVENTS + 1) }, 'messages-upsert').length, 2);
});

test('Z7 words that no message can have are cut, in the row and in the copy, so that nobody waits for their storing', () => {
  const words = '[pessoa da equipe] '.repeat(500_000);
  const key = { remoteJid: '5511912345678@s.whatsapp.net', fromMe: false, id: 'M1' };
  for (const data of [
    { key, message: { conversation: words } },
    { key, message: { imageMessage: { caption: words } } },
    {
      key,
      message: {
        pollCreationMessage: { name: words, options: Array.from({ length: 20_000 }, () => ({ optionName: words.slice(0, 100) })) },
      },
    },
    { key, message: { extendedTextMessage: { text: 'oi', contextInfo: { stanzaId: 'Q', quotedMessage: { conversation: words } } } } },
  ]) {
    const body = { event: 'messages.upsert', instance: 'julia-dev', data };
    const [event] = parseWebhook(body, null, RECEIVED);
    assert.ok(event?.kind === 'message');
    const { content, quoted } = event;
    for (const text of [content.text, content.typed, quoted?.text])
      assert.ok((text?.length ?? 0) <= LONGEST_WORDS && text !== '', String(text?.length));
    assert.ok(!contactText(content).includes('[pessoa'), 'cut, it is no note either');
    assert.ok(JSON.stringify(redact(body)).length < 2_700_000);
  }
  assert.ok(JSON.stringify(redact(Array.from({ length: 90_000 }, () => ({ x: 'y'.repeat(140) })))).length < 4_500_000);
  const real = { event: 'messages.upsert', data: { key, message: { conversation: 'á'.repeat(65_536) } } };
  assert.deepEqual(redact(real), real, 'the longest that a phone can send stays whole');
});
