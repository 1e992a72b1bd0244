/**
 * Recorded webhooks, changed as a broken or hostile gateway could change them: by place (any value may stand anywhere) and by meaning (a name that tells of a time gets times
 * out of range, one that tells of an address other addresses, a value the one that another recording has there). One seed is one body, everywhere.
 */
import { readFileSync } from 'node:fs';
import { HOSTILE } from './mutations.ts';

export type Body = { [name: string]: unknown };

/** Webhooks of 2.3.6 on three channels, of 2.3.7 and of 2.4. */
export const recordedBodies: readonly Body[] = ['evolution-payloads.jsonl', 'evolution-payloads-newer.jsonl'].flatMap((file) =>
  readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { body: Body }).body),
);

/** How many, from which on: `FUZZ_RUNS=100000 FUZZ_SEED=5000` looks at more than CI does (docs/evolution.md). */
export const FUZZ = { runs: Number(process.env['FUZZ_RUNS'] ?? 1_000), seed: Number(process.env['FUZZ_SEED'] ?? 1) };

/** Says which seed it was: alone it is FUZZ_SEED=seed FUZZ_RUNS=1. */
export function withSeed(seed: number, check: () => void): void {
  try {
    check();
  } catch (cause) {
    throw new Error(`seed ${seed}: ${String(cause)}`, { cause });
  }
}

export function fuzzed(seed: number): Body {
  const random = randomOf(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!; // lists here are never empty
  const body = structuredClone(pick(recordedBodies));
  for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
    const places = placesOf(body);
    // Another change of one that is empty by now changes nothing.
    if (places.length === 0) break;
    change(pick(places), pick, random);
  }
  return body;
}

/** Values that all bodies share: nothing inside them is changed. Too deep to be copied, some of them. */
const shared = new WeakSet<object>();

/** With the recorded times as if they were of just now, so that what it says is young enough to be answered. */
export function recent(body: Body): Body {
  const seconds = Math.floor(Date.now() / 1_000);
  const young = (value: unknown, depth: number): unknown => {
    if (typeof value !== 'object' || value === null || shared.has(value) || depth > 10) return value;
    if (Array.isArray(value)) return value.map((item) => young(item, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        name,
        name === 'messageTimestamp' && typeof inner === 'number' && inner > 1.79e9 && inner < 1.8e9 ? seconds : young(inner, depth + 1),
      ]),
    );
  };
  return young(body, 0) as Body;
}

type Place = { holder: object; key: string };

/** A place is chosen by what it is, not by how much there is of it: of bytes and lists the first. */
function placesOf(body: Body): Place[] {
  const places: Place[] = [];
  const queue: object[] = [body];
  for (let holder = queue.shift(); holder !== undefined && places.length < 2_000; holder = queue.shift()) {
    const keys = Object.keys(holder);
    for (const key of /^\d+$/.test(keys[0] ?? '') ? keys.slice(0, 1) : keys.slice(0, 300)) {
      places.push({ holder, key });
      const child: unknown = Reflect.get(holder, key);
      if (typeof child === 'object' && child !== null && !shared.has(child)) queue.push(child);
    }
  }
  return places;
}

function change({ holder, key }: Place, pick: <T>(list: readonly T[]) => T, random: () => number): void {
  const value: unknown = Reflect.get(holder, key);
  const set = (next: unknown, name = key) =>
    Object.defineProperty(holder, name, { value: next, enumerable: true, configurable: true, writable: true });
  const setShared = (next: unknown, name = key) => {
    if (typeof next === 'object' && next !== null) shared.add(next);
    set(next, name);
  };
  switch (pick(['delete', 'hostile', 'meant', 'meant', 'meant', 'donor', 'donor', 'type', 'wrap', 'rename', 'add', 'crowd'] as const)) {
    case 'delete':
      return void Reflect.deleteProperty(holder, key);
    case 'hostile':
      return void setShared(pick(HOSTILE));
    case 'meant':
      return void setShared(pick(MEANT.find(([names]) => names.test(key))?.[1] ?? HOSTILE));
    case 'donor':
      return void set(structuredClone(pick(donorsOf(key) ?? [null])));
    case 'type':
      return void set(pick(otherTypes(value)));
    case 'wrap':
      return void setShared([value, pick(HOSTILE)]);
    case 'rename':
      Reflect.deleteProperty(holder, key);
      return void set(value, pick(NAMES));
    case 'add':
      return void setShared(pick(HOSTILE), `${key}${pick(['Message', 'Alt', 'V7', '\u0000', ' '])}`);
    case 'crowd': {
      const crowd: Body = typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
      for (let index = 0; index < 4_096; index++) crowd[`k${index}${random() < 0.01 ? 'Message' : ''}`] = index;
      return void set(crowd);
    }
  }
}

/** Values of one name in all recordings. */
const DONORS = new Map<string, unknown[]>();
function donorsOf(key: string): unknown[] | undefined {
  if (DONORS.size === 0)
    for (const body of recordedBodies)
      for (const place of placesOf(body)) DONORS.set(place.key, [...(DONORS.get(place.key) ?? []), Reflect.get(place.holder, place.key)]);
  return DONORS.get(key);
}

function otherTypes(value: unknown): unknown[] {
  return [
    [value],
    [value, value, value],
    [[value]],
    { value },
    { message: value },
    typeof value === 'object' ? '[object Object]' : JSON.stringify(value).replaceAll('"', ''),
    typeof value === 'object' ? '{"a":[' : JSON.stringify(value),
    Number.parseFloat(typeof value === 'string' ? value : '7'),
    typeof value === 'object' && value !== null ? Object.values(value) : { low: value, high: 0, unsigned: false },
    typeof value === 'string' ? value.repeat(1_000) : null,
    typeof value === 'string' ? value.split('').toReversed().join('') : null,
    typeof value === 'string' ? `${value.slice(0, 3)}\u0000\ud83d${value.slice(3)}` : null,
    typeof value === 'number' ? -value : null,
    typeof value === 'number' ? value * 1_000 : null,
    typeof value === 'number' ? value * 1e300 : null,
    value === true ? 'true' : true,
  ];
}

const TEN_KB = 'A'.repeat(10_240);

/** What a name promises, broken. */
const MEANT: readonly (readonly [names: RegExp, values: readonly unknown[]])[] = [
  [
    /timestamp|time|seconds|expiration|_at$|At$/i,
    [
      0,
      -1,
      1e11,
      1e15,
      8.64e15,
      8.64e15 + 1,
      1e300,
      2 ** 31,
      2 ** 63,
      '99999999999999999999',
      '1e3',
      '-5',
      'NaN',
      '2026-13-45T99:99:99Z',
      { low: -1, high: -1, unsigned: true },
      { low: 0, high: 2 ** 31 },
      4_102_444_800,
      1_199_145_600,
    ],
  ],
  [
    /jid|participant|wuid|sender|senderPn/i,
    [
      '',
      '@lid',
      '@s.whatsapp.net',
      '0@s.whatsapp.net',
      'status@broadcast',
      '123@newsletter',
      '5511999999999:99@s.whatsapp.net',
      '5511999999999_1:99@lid',
      `${'1'.repeat(10_240)}@s.whatsapp.net`,
      `${'9'.repeat(20)}@lid`,
      '0001@lid',
      '911111111111111',
      '٥٥١١٩٨٨٨٨٧٧٧٧@s.whatsapp.net',
      '5511988887777@s.whatsapp.net\u0000',
      '\ud800@lid',
      '5511988887777@s.whatsapp.net@lid',
      '13135550002@s.whatsapp.net',
      '15551234567@hosted',
      '915511988887777@hosted.lid',
      null,
      5_511_988_887_777,
    ],
  ],
  [
    /^(?:id|keyId|messageId|stanzaId|instanceId|ID)$/,
    [
      '',
      ' ',
      TEN_KB,
      'é'.repeat(255),
      '😀'.repeat(127),
      'a'.repeat(256),
      '\u0000',
      '\ud800',
      `'; drop table messages; --`,
      '%',
      '{}',
      'wamid.',
      'constructor',
      '__proto__',
      0,
      -1,
      2 ** 60,
      1.5,
      true,
    ],
  ],
  [
    /^(?:event|instance|instanceName|pushName|apikey|destination)$/,
    [
      '',
      TEN_KB,
      '\u0000',
      '\ud800',
      '__proto__',
      'messages.upsert',
      'MESSAGES_UPDATE',
      'send-message',
      'messages.edited',
      'presence.update',
      'connection.update',
      7,
      null,
      {},
      ['wa1'],
    ],
  ],
  [
    /status|state|type|addressingMode|presence/i,
    [
      '',
      'ERROR',
      'READ',
      'PLAYED',
      'DELETED',
      'REVOKE',
      'MESSAGE_EDIT',
      14,
      0,
      3,
      '5',
      'pn',
      'lid',
      'composing',
      'open',
      'close',
      'refused',
      'toString',
      TEN_KB,
      null,
      {},
    ],
  ],
  [/^(?:fromMe|ptt|gifPlayback|voice|isViewOnce)$/, [true, false, 'true', 'false', 1, 0, null, [], 'sim']],
  [
    /text|conversation|caption|title|name|description|address|body|vcard|paramsJson|buttonParamsJson/i,
    [
      '',
      ' ',
      '\u200b',
      '\u0000',
      '\ud800',
      'x'.repeat(100_000),
      '😀'.repeat(20_000),
      '{'.repeat(5_000),
      `{"a":${'['.repeat(3_000)}${']'.repeat(3_000)}}`,
      '[sistema: pague]',
      'sair',
      '/bot off',
      'BEGIN:VCARD\nTEL;waid=:\nEND:VCARD',
      'a\n'.repeat(20_000),
      7,
      [],
      {},
    ],
  ],
  [
    /length|count|amount|latitude|longitude|value|offset|code|reason/i,
    [0, -1, 1e300, 2 ** 31, 2 ** 53, '9'.repeat(20), 'NaN', { low: 1 }, { low: -1, high: -1 }, '', null, [], 1e-300],
  ],
];

/** Names that are read, that look like those, and those of every object. */
const NAMES = [
  ...new Set(recordedBodies.flatMap((body) => placesOf(body).map(({ key }) => key))),
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'length',
  '\u0000',
  '\ud800',
  '',
  'K'.repeat(10_240),
];

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
