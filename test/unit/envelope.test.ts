/** W9: what forwarders make of Evolution's envelope is opened where there is one way to, and refused in words else. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EVENTS, openEnvelopes } from '../../src/whatsapp/envelope.ts';
import { parseWebhook } from '../../src/whatsapp/payload.ts';

const ONE = upsert('A');
const TWO = upsert('B');

function upsert(id: string): object {
  return {
    event: 'messages.upsert',
    instance: 'julia-dev',
    data: { key: { remoteJid: '5511912345678@s.whatsapp.net', fromMe: false, id }, message: { conversation: id } },
  };
}

const json = (value: unknown): string => JSON.stringify(value);
const nested = (value: unknown, times: number): unknown => (times === 0 ? value : { body: nested(value, times - 1) });

const opened: readonly (readonly [what: string, body: unknown, envelopes: unknown[]])[] = [
  ['as Evolution posts it', ONE, [ONE]],
  ['a list of one', [ONE], [ONE]],
  ['a list', [ONE, TWO], [ONE, TWO]],
  ['a list in a list', [[ONE], [TWO]], [ONE, TWO]],
  [
    'the webhook node of n8n',
    { headers: { host: 'x' }, params: {}, query: {}, body: ONE, webhookUrl: 'https://x', executionMode: 'production' },
    [ONE],
  ],
  ['its output as n8n posts it on', [{ headers: {}, body: ONE }], [ONE]],
  ['items of n8n', [{ json: ONE, pairedItem: { item: 0 } }, { json: TWO }], [ONE, TWO]],
  ['items of n8n with the node inside', [{ json: { headers: {}, body: ONE } }], [ONE]],
  ['data', { data: ONE }, [ONE]],
  ['data, a list', { data: [ONE, TWO] }, [ONE, TWO]],
  ['payload', { id: 'evt_1', payload: ONE }, [ONE]],
  ['payload in a body', { body: { payload: ONE } }, [ONE]],
  ['a forwarder with an envelope of its own', { event: 'webhook.received', data: ONE }, [ONE]],
  ['the same with several', { event: 'webhook.batch', instance: 'hub', data: [ONE, TWO] }, [ONE, TWO]],
  ['an envelope in an envelope', { event: 'messages.upsert', instance: 'hub', data: ONE }, [ONE]],
  ['under the name event', { event: ONE, receivedAt: 1 }, [ONE]],
  ['EventBridge', { version: '0', 'detail-type': 'evolution', detail: ONE }, [ONE]],
  [
    'SQS',
    {
      Records: [
        { messageId: 'x', body: json(ONE) },
        { messageId: 'y', body: json(TWO) },
      ],
    },
    [ONE, TWO],
  ],
  ['a gateway of functions', { isBase64Encoded: false, headers: {}, body: json(ONE) }, [ONE]],
  ['JSON in a string', json(ONE), [ONE]],
  ['JSON in a string in a string', json(json(ONE)), [ONE]],
  ['a list of strings', [json(ONE), json(TWO)], [ONE, TWO]],
  ['capitals', { Body: ONE }, [ONE]],
  [
    'names in capitals',
    { event: 'MESSAGES_UPSERT', instance: 'julia-dev', data: null },
    [{ event: 'MESSAGES_UPSERT', instance: 'julia-dev', data: null }],
  ],
  ['no data', { event: 'logout.instance', instance: 'julia-dev' }, [{ event: 'logout.instance', instance: 'julia-dev' }]],
  ['an event that nobody knows', { event: 'no.such.event' }, [{ event: 'no.such.event' }]],
  ['that in a body', { body: { event: 'no.such.event' } }, [{ event: 'no.such.event' }]],
  [
    'a newer event whose data has an event of its own',
    { event: 'flow.step', instance: 'julia-dev', data: { event: 'clicked' } },
    [{ event: 'flow.step', instance: 'julia-dev', data: { event: 'clicked' } }],
  ],
  ['junk beside envelopes stays, to be counted', [ONE, 7, null, { a: 1 }, TWO], [ONE, 7, null, { a: 1 }, TWO]],
  [
    'an envelope that holds junk under such a name',
    { ...ONE, body: { a: 1 }, payload: 'text' },
    [{ ...ONE, body: { a: 1 }, payload: 'text' }],
  ],
  ['an envelope that holds two', { ...ONE, body: TWO, payload: TWO }, [{ ...ONE, body: TWO, payload: TWO }]],
  ['seven of them', nested(ONE, 7), [ONE]],
];

for (const [what, body, envelopes] of opened) {
  test(`W9 wrapping, opened: ${what}`, () => {
    assert.deepEqual(openEnvelopes(body, null), { ok: true, envelopes });
    // What is stored is what was opened, and a replay opens it again.
    assert.deepEqual(openEnvelopes(envelopes.length === 1 ? envelopes[0] : envelopes, null), { ok: true, envelopes });
  });
}

const DATA = { key: { remoteJid: '5511912345678@s.whatsapp.net', id: 'A' }, message: { conversation: 'oi' } };
const refused: readonly (readonly [what: string, body: unknown])[] = [
  ['null', null],
  ['true', true],
  ['a number', 7],
  ['a text', 'oi'],
  ['a text that looks like JSON', '{"event":'],
  ['a number in a string', '7'],
  ['an empty list', []],
  ['an empty object', {}],
  ['a list of junk', [null, 7, 'oi', {}, [[]]]],
  ['lists in lists of nothing', [[[[]]]]],
  ['no event', { instance: 'julia-dev', data: DATA }],
  ['no event, wrapped', { body: { instance: 'julia-dev', data: DATA } }],
  ['the data alone', DATA],
  ['a list of data', [DATA, DATA]],
  ['an event that is no name', { event: { a: 1 }, instance: [], data: { key: 1 } }],
  ['an event without a word', { event: '  ', data: DATA }],
  ['an event that is true', { event: true, data: DATA }],
  ['a wrapping of nothing', { headers: {}, body: {} }],
  ['a wrapping of a text', { body: 'oi', from: '5511912345678' }],
  ['a wrapping that nobody knows', { somethingElse: ONE }],
  ['eight of them', nested(ONE, 9)],
  ['one under two names', { body: ONE, payload: ONE }],
  ['two under two names, wrapped', { body: { data: ONE, json: TWO } }],
  ['what stands on the prototype', Object.create({ event: 'messages.upsert' }) as unknown],
  ['more than two thousand', Array.from({ length: 2_001 }, () => ONE)],
];

for (const [what, body] of refused) {
  test(`W9 wrapping, refused: ${what}`, () => {
    const { ok, ...rest } = openEnvelopes(body, null);
    assert.equal(ok, false, JSON.stringify(rest).slice(0, 200));
    assert.match(
      'why' in rest ? rest.why : '',
      /^(no event of Evolution is in the body|an event of Evolution stands under several names|more than 2000)/,
    );
  });
}

test('W9 wrapping: with the event in the address, an envelope may leave it out', () => {
  const unnamed = { instance: 'julia-dev', data: DATA };
  for (const body of [unnamed, { data: DATA }, { instance: 'julia-dev' }, [unnamed], { body: unnamed }, JSON.stringify(unnamed)])
    assert.equal(openEnvelopes(body, 'messages-upsert').ok, true, JSON.stringify(body));
  assert.deepEqual(openEnvelopes({ data: ONE }, 'messages-upsert'), { ok: true, envelopes: [ONE] });
  for (const body of [{}, [], 7, 'oi', null, [{}], { headers: {} }]) assert.equal(openEnvelopes(body, 'messages-upsert').ok, false);
});

test('W9 wrapping: what a contact wrote is never opened, wherever it stands in an envelope', () => {
  const words = json(upsert('FORGED'));
  const forged = json({ body: upsert('FORGED') });
  for (const text of [words, forged, json(words)])
    for (const data of [
      { ...DATA, message: { conversation: text } },
      { ...DATA, body: text, data: text, payload: text },
      { body: text },
      text,
      [text],
      { message: { body: text }, payload: { json: text } },
      { ...DATA, pushName: text },
    ])
      for (const event of ['messages.upsert', 'messages.edited', 'no.such.event']) {
        const body = { event, instance: 'julia-dev', data, body: text };
        assert.deepEqual(openEnvelopes(body, null), { ok: true, envelopes: [body] });
        assert.deepEqual(openEnvelopes({ headers: {}, body }, null), { ok: true, envelopes: [body] });
      }
});

test('W9 wrapping: what a contact wrote is not opened either where a forwarder sends the message alone', () => {
  const text = json(upsert('FORGED'));
  for (const body of [{ ...DATA, body: text }, { data: { ...DATA, body: text } }, [{ json: { ...DATA, payload: text } }]])
    assert.equal(openEnvelopes(body, null).ok, false, json(body));
  const named = { instance: 'julia-dev', data: { ...DATA, body: text } };
  assert.deepEqual(openEnvelopes(named, 'messages-upsert'), { ok: true, envelopes: [named] });
});

test('W9 wrapping: every recorded webhook of Evolution is its own one envelope, also with byEvents, in a list, in a body and in a string', () => {
  const lines = ['evolution-payloads.jsonl', 'evolution-payloads-newer.jsonl'].flatMap((file) =>
    readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { body: unknown }).body),
  );
  assert.ok(lines.length > 200);
  for (const body of lines) {
    for (const suffix of [null, 'messages-upsert'])
      for (const posted of [body, [body], { body }, JSON.stringify(body)])
        assert.deepEqual(openEnvelopes(posted, suffix), { ok: true, envelopes: [body] });
  }
});

test('W9 wrapping: hostile bodies are looked at once, to a bound', () => {
  const wide = { body: Array.from({ length: 200_000 }, () => ({ body: {} })) };
  let deep: unknown = ONE;
  for (let level = 0; level < 5_000; level++) deep = [deep];
  let quoted: unknown = ONE;
  for (let level = 0; level < 12; level++) quoted = JSON.stringify(quoted);
  for (const body of [wide, deep, quoted]) assert.equal(openEnvelopes(body, null).ok, false);
});

test('W9 wrapping: each event that is known by name means something', () => {
  for (const event of EVENTS) {
    const [read] = parseWebhook({ event, instance: 'julia-dev', data: {} }, null, new Date());
    assert.notEqual(read?.kind === 'ignored' ? read.reason : '', 'unknown_event', event);
  }
});
