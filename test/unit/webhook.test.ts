import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WEBHOOK_EVENTS as KNOWN_TO_EVOLUTION } from '../../simulator/world.ts';
import { AWAITED_EVENTS, WEBHOOK_EVENTS, webhookFaults } from '../../src/whatsapp/webhook-setting.ts';
import type { FoundWebhook } from '../../src/whatsapp/webhook-setting.ts';

const RIGHT: FoundWebhook = {
  url: 'http://api:8000/webhook/evolution',
  enabled: true,
  events: [...WEBHOOK_EVENTS, 'CALL'],
  headers: { jwt_key: 'the-secret' },
};

const CASES: [string, FoundWebhook | null, string[]][] = [
  ['right', RIGHT, []],
  ['right, with a slash at the end and a path before', { ...RIGHT, url: 'https://x.example.com/julia/webhook/evolution/' }, []],
  ['right, with the old secret', { ...RIGHT, headers: { jwt_key: 'the-old-secret' } }, []],
  ['right, with a fixed header', { ...RIGHT, headers: { Authorization: 'Bearer the-secret' } }, []],
  ['none', null, ['it has no webhook, so nothing that contacts write arrives']],
  ['off', { ...RIGHT, enabled: false }, ['its webhook is switched off']],
  [
    'no http',
    { ...RIGHT, url: 'ftp://x/webhook/evolution' },
    ['the address of its webhook begins with neither http:// nor https://, so Evolution never calls it'],
  ],
  ['another path', { ...RIGHT, url: 'https://x.example.com/hook' }, ['its webhook posts to another path than /webhook/evolution']],
  [
    'another secret',
    { ...RIGHT, headers: { jwt_key: 'else' } },
    ['its webhook carries another secret than EVOLUTION_WEBHOOK_SECRET, so everything that it posts is refused'],
  ],
  [
    'no secret',
    { ...RIGHT, headers: {} },
    ['its webhook carries another secret than EVOLUTION_WEBHOOK_SECRET, so everything that it posts is refused'],
  ],
  ['too few events', { ...RIGHT, events: WEBHOOK_EVENTS.slice(1) }, ['its webhook leaves out MESSAGES_UPSERT']],
  [
    'an event too many, of those that are waited for',
    { ...RIGHT, events: [...RIGHT.events, 'MESSAGES_EDITED', 'LOGOUT_INSTANCE'] },
    [
      'its webhook asks for MESSAGES_EDITED, for whose receiver Evolution waits: while this product is away, one edit, deletion or change of a timer in any chat stops everything that comes in on the number: neither posted nor saved',
      'its webhook asks for LOGOUT_INSTANCE, for whose receiver Evolution waits: while this product is away, a number that was logged out gets no code to pair it again',
    ],
  ],
];

test('W12 events: none that is asked for is one that Evolution waits for, and each of ours is one that it knows', () => {
  assert.deepEqual(
    WEBHOOK_EVENTS.filter((event) => event in AWAITED_EVENTS),
    [],
  );
  assert.deepEqual(
    [...WEBHOOK_EVENTS, ...Object.keys(AWAITED_EVENTS)].filter((event) => !KNOWN_TO_EVOLUTION.includes(event)),
    [],
  );
});

for (const [title, found, expected] of CASES) {
  test(`I17 webhook: ${title}`, () => assert.deepEqual(webhookFaults(found, ['the-secret', 'the-old-secret']), expected));
}

test('I17 webhook: where nobody has to prove who it is, no secret is missed', () => {
  assert.deepEqual(webhookFaults({ ...RIGHT, headers: {} }, []), []);
});
