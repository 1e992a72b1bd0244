/**
 * Total readers for JSON of a foreign shape. They walk own properties only (so `__proto__` and `constructor` in a payload mean
 * nothing), answer null instead of throwing, and forgive an array where one object is usual and the reverse.
 */

/** A list of as many messages as are read of one webhook has fewer. */
const MAX_VALUES = 100_000;

/**
 * What a text of JSON says. undefined: it is no JSON, or it has so many values that nobody else would be served for the seconds that making them takes
 * (measured: 16 MB of brackets 3.8 s). Looking takes some 2 ms for every MB.
 */
export function parseBounded(text: string): unknown {
  if (isTooMuch(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isTooMuch(text: string): boolean {
  let values = 0;
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x22: // "
        index = endOfString(text, index);
        break;
      case 0x5b: // [
      case 0x7b: // {
      case 0x2c: // ,
        if (++values > MAX_VALUES) return true;
        break;
    }
  }
  return false;
}

/** The place of the quote that ends the string; the end of the text when none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}

/** The value at the path, or undefined. An array on the way stands for its first element. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const step of path) {
    if (Array.isArray(here)) here = here[0];
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = Reflect.get(here, step);
  }
  return here;
}

export function objectAt(value: unknown, ...path: readonly string[]): object | null {
  const found = at(value, ...path);
  const one: unknown = Array.isArray(found) ? found[0] : found;
  return typeof one === 'object' && one !== null && !Array.isArray(one) ? one : null;
}

/** A list of what is there: nothing, one or many. */
export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(value, ...path);
  if (found === undefined || found === null) return [];
  return Array.isArray(found) ? found : [found];
}

/** A string that says something, cleaned for storage; null when blank or of another type. */
export function stringAt(value: unknown, ...path: readonly string[]): string | null {
  const found = at(value, ...path);
  return typeof found === 'string' && !isBlank(found) ? storable(found) : null;
}

/** An identifier of at most 255 characters (longer ones do not fit an index); numbers count. */
export function idAt(value: unknown, ...path: readonly string[]): string | null {
  const found = at(value, ...path);
  if (typeof found === 'number' && Number.isSafeInteger(found)) return String(found);
  const id = typeof found === 'string' ? storable(found).trim() : '';
  return id !== '' && id.length <= 255 ? id : null;
}

/** A finite number; a number in a string and protobuf's `{low, high, unsigned}` count. */
export function numberAt(value: unknown, ...path: readonly string[]): number | null {
  const found = at(value, ...path);
  if (typeof found === 'number') return Number.isFinite(found) ? found : null;
  if (typeof found === 'string') return /^-?\d{1,20}(\.\d{1,10})?$/.test(found) ? Number(found) : null;
  const low = at(found, 'low');
  const high = at(found, 'high');
  if (typeof low !== 'number' || typeof high !== 'number') return null;
  // `unsigned` matters from 2^63 on only, and nothing here counts that far.
  const long = high * 2 ** 32 + (low >>> 0);
  return Number.isFinite(long) ? long : null;
}

/** A count that fits a 32-bit column, or null. */
export function countAt(value: unknown, ...path: readonly string[]): number | null {
  const found = numberAt(value, ...path);
  return found !== null && found >= 0 && found < 2 ** 31 ? Math.round(found) : null;
}

/** What a text says as JSON; undefined when it is none. For texts of a known size: parseBounded is for those of strangers. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Protobuf's booleans as Evolution and forwarders write them. */
export function isTrue(value: unknown): boolean {
  return value === true || value === 'true' || value === 1;
}

/** Without NUL and lone surrogates: Postgres takes neither in text nor in jsonb, and a message must not fail on them. */
export function storable(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}

/** True for white space, and for the invisible characters people send as an empty message. */
export function isBlank(text: string): boolean {
  return !/[^\s\p{Cc}\p{Default_Ignorable_Code_Point}\u2800]/u.test(text);
}
