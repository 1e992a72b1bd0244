/** The copy of a webhook that is stored, for replay and for looking at. */
import { cut } from '../core/cut.ts';
import { storable } from '../core/json.ts';

/** Deeper than any real body, a text inside the deepest nest of wrappers included. */
const MAX_DEPTH = 40;
const MAX_STRING = 64 * 1024;
const TEXT_KEYS = new Set(['conversation', 'text', 'caption', 'speechToText']);
const SECRET_KEY = /^(apikey|jwt|jwtkey|authorization|hash|password|pairingcode)$|token|secret/;
const QRCODE_KEYS = new Set(['code', 'base64']);
const BULK_KEY = /^(base64|mediaKey|fileSha256|fileEncSha256|waveform|buffer)$|thumbnail$|sidecar$/i;
const BASE64 = /^(data:[\w/+.;=-]{1,100};base64,)?[\w+/-]{120,}={0,2}$/;

/** A copy for storage and replay: without secrets, without bulk, always fit for jsonb. The texts of messages stay whole. */
export function redact(body: unknown): unknown {
  return redactValue(body, '', '', 0);
}

function redactValue(value: unknown, key: string, parentKey: string, depth: number): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'number')
    return isSecret(key) && value !== null ? '[removed]' : value;
  if (isSecret(key) || (parentKey === 'qrcode' && QRCODE_KEYS.has(key))) return '[removed]';
  if (typeof value === 'string') return redactString(value, key);
  if (typeof value !== 'object') return null;
  const bytes = byteLength(value);
  if (bytes !== null) return `[removed: ${bytes} bytes]`;
  if (BULK_KEY.test(key)) return '[removed]';
  if (depth >= MAX_DEPTH) return '[removed: too deep]';
  if (Array.isArray(value)) return value.map((item) => redactValue(item, '', key, depth + 1));
  const entries = Object.entries(value).filter(([name]) => name !== '__proto__');
  return Object.fromEntries(entries.map(([name, item]) => [storable(name), redactValue(item, name, key, depth + 1)]));
}

function isSecret(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replaceAll(/[_-]/g, ''));
}

function redactString(text: string, key: string): string {
  if (TEXT_KEYS.has(key)) return storable(text);
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
  if (Array.isArray(value) ? value.length < 32 : !Object.hasOwn(value, '0')) return null;
  const keys = Object.keys(value);
  const values: unknown[] = Object.values(value);
  const areBytes = values.every(
    (byte, index) => keys[index] === String(index) && Number.isInteger(byte) && Number(byte) >= 0 && Number(byte) <= 255,
  );
  return areBytes ? values.length : null;
}
