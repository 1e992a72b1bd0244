/** Hostile changes to recorded webhooks, for the parser alone and for the running product. */

/** Values that break naive readers. JSON only, as a webhook can bring nothing else. */
export const HOSTILE: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  '',
  ' ',
  'x',
  '\u0000',
  '\ud800',
  'constructor',
  '120363043111111111@g.us',
  '@',
  ':@:@',
  [],
  [[]],
  [null],
  {},
  { low: 1 },
  { low: 'x', high: {} },
  { '0': 1, '1': 2 },
  { message: { message: {} } },
  { toString: null, length: -1 },
  { ephemeralMessage: { message: { ephemeralMessage: null } } },
  JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  JSON.parse(`${'{"ephemeralMessage":{"message":'.repeat(2000)}{"conversation":"fundo"}${'}}'.repeat(2000)}`),
  JSON.parse(`${'['.repeat(3000)}${']'.repeat(3000)}`),
  Array.from({ length: 20_000 }, (_, index) => index),
  'A'.repeat(200_000),
];

/** Changes one place inside the body, found by counting through all of them. */
export function mutate(body: Record<string, unknown>, place: number, value: unknown, how: string): void {
  const places: [holder: object, key: string][] = [];
  const queue: object[] = [body];
  for (let holder = queue.shift(); holder !== undefined && places.length < 3000; holder = queue.shift()) {
    for (const [key, child] of Object.entries(holder)) {
      places.push([holder, key]);
      if (typeof child === 'object' && child !== null) queue.push(child);
    }
  }
  const found = places[place % Math.max(1, places.length)];
  if (found === undefined) return;
  const [holder, key] = found;
  if (how === 'delete') Reflect.deleteProperty(holder, key);
  else if (how === 'add') Object.defineProperty(holder, `${key}Message`, { value, enumerable: true, configurable: true, writable: true });
  else Reflect.set(holder, key, how === 'wrap' ? [Reflect.get(holder, key), value] : value);
}
