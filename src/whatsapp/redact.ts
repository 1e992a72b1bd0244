/** The copy of a webhook that is stored, for replay and for looking at. */
import { cut, LONGEST_WORDS } from '../words/cut.ts';
import { at, storable } from '../words/json.ts';

/** Deeper than any real body, a text inside the deepest nest of wrappers included. */
const MAX_DEPTH = 40;
const MAX_STRING = 64 * 1024;
/** Values of one body. A list of as many messages as are read of one webhook (MAX_EVENTS) has fewer. */
const MAX_VALUES = 100_000;
/** Text of one body, names of its values too. A message has some kilobytes, and 70 at most. UTF-16 units. */
const MAX_TEXT = 2_000_000;
/** Of one object. */
const MAX_NAMES = 1_000;
const TEXT_KEYS = new Set(['conversation', 'text', 'caption', 'speechToText']);
const SECRET_KEY = /^(apikey|jwt|jwtkey|authorization|hash|password|pairingcode)$|token|secret/;
const QRCODE_KEYS = new Set(['code', 'base64']);
const BULK_KEY = /^(base64|mediaKey|fileSha256|fileEncSha256|waveform|buffer)$|thumbnail$|sidecar$/i;
const BASE64 = /^(data:[\w/+.;=-]{1,100};base64,)?[\w+/-]{120,}={0,2}$/;

/** A copy for storage and replay: without secrets, without bulk, always fit for jsonb. The texts of messages stay whole (LONGEST_WORDS). */
export function redact(body: unknown): unknown {
  return redactValue(body, '', '', 0, { values: MAX_VALUES, text: MAX_TEXT });
}

function redactValue(value: unknown, key: string, parentKey: string, depth: number, left: { values: number; text: number }): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'number')
    return isSecret(key) && value !== null ? '[removed]' : value;
  if (isSecret(key) || (parentKey === 'qrcode' && QRCODE_KEYS.has(key))) return '[removed]';
  if (typeof value === 'string') {
    const kept = redactString(value, key);
    left.text -= kept.length;
    return left.text < 0 ? '[removed: too much]' : kept;
  }
  if (typeof value !== 'object') return null;
  const bytes = byteLength(value);
  if (bytes !== null) return `[removed: ${bytes} bytes]`;
  if (BULK_KEY.test(key)) return '[removed]';
  if (depth >= MAX_DEPTH) return '[removed: too deep]';
  if (left.values <= 0) return '[removed: too many]';
  if (Array.isArray(value)) {
    const items = value.slice(0, left.values);
    left.values -= items.length;
    const copied = items.map((item) => redactValue(item, '', key, depth + 1, left));
    return items.length < value.length ? [...copied, `[removed: ${value.length - items.length} more]`] : copied;
  }
  const names = Object.keys(value)
    .filter((name) => name !== '__proto__')
    .slice(0, Math.min(left.values, MAX_NAMES));
  left.values -= names.length;
  left.text -= names.reduce((sum, name) => sum + name.length, 0);
  return Object.fromEntries(names.map((name) => [storable(name), redactValue(at(value, name), name, key, depth + 1, left)]));
}

function isSecret(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replaceAll(/[_-]/g, ''));
}

function redactString(text: string, key: string): string {
  if (TEXT_KEYS.has(key)) return storable(cut(text, LONGEST_WORDS));
  if (BULK_KEY.test(key) || BASE64.test(text)) return `[removed: ${base64Bytes(text)} bytes]`;
  // The webhook's own address may carry a password or a token.
  if (key === 'destination' || key === 'server_url') return storable(text.replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/s, ''));
  return text.length > MAX_STRING ? `${storable(cut(text, MAX_STRING))}[cut: ${text.length} characters]` : storable(text);
}

function base64Bytes(text: string): number {
  const base64 = text.slice(text.indexOf(',') + 1);
  return Math.floor((base64.replace(/=+$/, '').length * 3) / 4);
}

/** Bytes as Evolution writes them, `{"0": 255, "1": 216}` (contract 2.2), or as a long list; null for anything else. */
function byteLength(value: object): number | null {
  if (Array.isArray(value)) return value.length >= 32 && value.every(isByte) ? value.length : null;
  if (!Object.hasOwn(value, '0')) return null;
  const entries = Object.entries(value);
  return entries.every(([name, byte], index) => name === String(index) && isByte(byte)) ? entries.length : null;
}

function isByte(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;
}
