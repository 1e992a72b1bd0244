/**
 * What may stand in a log line: the last defence for people's privacy, behind call sites that log ids only. Pure.
 *
 * - Phone numbers and WhatsApp addresses keep their last 4 digits, wherever they stand: values, keys, messages, stack traces.
 * - Configured secrets, and whatever looks like an API key, a JWT or a bearer token, become `[secret]`.
 * - Fields that hold a message's text are dropped at INFO and above.
 *
 * A number is taken for a phone when 10 to 15 digits stand together, or apart only by what people write between them. ISO times, uuids and epoch milliseconds have
 * such digits and are let through first. So are hex ids and decimal fractions, unless their digits are a full Brazilian number.
 */
import { cut } from '../words/cut.ts';

/** How much of a value a line keeps. A line is read by people: a value beyond these sizes is a mistake at the call site, cut not kept. */
const MAX_DEPTH = 8;
const MAX_ENTRIES = 100;
const MAX_TEXT = 8_000;
/** Longer texts are not even searched: masking must stay cheap, and cutting first could leave half a secret unrecognised. */
const MAX_SEARCHED_TEXT = 50_000;
const MAX_CAUSES = 3;
/** Shorter secrets are words: replacing them would only garble the log. */
const MIN_SECRET_LENGTH = 6;

const SECRET = '[secret]';
const UNREADABLE = '[unreadable]';

export type LineDetail = {
  /** Stack traces are kept. */
  stack: boolean;
  /** Fields with message text are kept (masked like all else). */
  text: boolean;
};

export type Privacy = {
  /** Masks one string. Total. */
  text(raw: string): string;
  /** A plain, masked copy of any value that JSON can hold. Total: cycles, throwing getters, BigInt and revoked proxies become words. */
  copy(value: unknown, detail: LineDetail): unknown;
};

/** `secrets`: exact values that must never appear (those under 6 characters are not looked for). */
export function createPrivacy(secrets: readonly string[]): Privacy {
  const forms = secrets
    .filter((secret) => secret.length >= MIN_SECRET_LENGTH)
    .flatMap((secret) => [secret, ...escapedForms(secret)])
    .sort((a, b) => b.length - a.length);
  const known = forms.length === 0 ? null : new RegExp([...new Set(forms)].map(asPattern).join('|'), 'g');

  function text(raw: string): string {
    if (raw.length > MAX_SEARCHED_TEXT) return `[${raw.length} characters]`;
    const withoutKnown = known === null ? raw : raw.replace(known, SECRET);
    const masked = maskNumbers(maskSecretShapes(withoutKnown));
    return masked.length > MAX_TEXT ? `${cut(masked, MAX_TEXT)}… [${masked.length} characters]` : masked;
  }

  function copy(value: unknown, detail: LineDetail): unknown {
    return copyValue(value, '', { detail, text, ancestors: [] });
  }
  return { text, copy };
}

// ---- secrets

/** How a secret looks after JSON.stringify (twice, in a quoted body) and in a URL. */
function escapedForms(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const encoded = secret.isWellFormed() ? [encodeURIComponent(secret)] : [];
  return [json, JSON.stringify(json).slice(1, -1), ...encoded];
}

function asPattern(literal: string): string {
  return literal.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function maskSecretShapes(text: string): string {
  if (!/sk-ant-|eyJ|bearer|:\/\//i.test(text)) return text; // most texts: a line costs a few microseconds
  return text
    .replace(/sk-ant-[\w-]+/g, SECRET)
    .replace(/(?<![\w-])[\w-]+(?:\.[\w-]*)+/g, maskJwt)
    .replace(/\b(Bearer)\s+[^\s"',;\\]+/gi, `$1 ${SECRET}`)
    .replace(/(:\/\/)[^\s/@"]+@/g, `$1${SECRET}@`);
}

const MIN_JWT_LENGTH = 20;

/** `dotted` is words with dots between; a JWT begins with `{"` in base 64. Searched word by word, for one pattern would take quadratic time. */
function maskJwt(dotted: string): string {
  const start = dotted.indexOf('eyJ');
  return start < 0 || dotted.length - start < MIN_JWT_LENGTH ? dotted : dotted.slice(0, start) + SECRET;
}

/** Names of fields whose value is a secret whatever it looks like. `tokens` and `*_tokens` are usage figures and stay. */
const SECRET_FIELD =
  /^(?:authorization|apikey|cookie|set-cookie|jwt|pass|.*(?:api[-_]?key|password|passwd|secret|token|service[-_]?key|jwt[-_]?key))$/i;

/** Names of fields that hold what a person or the agent wrote. */
const TEXT_FIELD = /^(?:text|body|prompt|content|caption|typed|transcript|quoted_?text)$/i;

// ---- numbers

const JID = String.raw`\d{1,20}(?:[-_:]\d{1,20}){0,3}@(?:s\.whatsapp\.net|c\.us|lid|hosted\.lid|hosted|g\.us|broadcast|newsletter)\b`;
const UUID = String.raw`(?<![\da-f])[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}(?![\da-f])`;
const ISO_TIME = String.raw`(?<!\d)\d{4}-(?:0[1-9]|1[0-2])-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?(?: ?Z|[+-]\d{2}:?\d{2}|[+-]\d{2})?)?(?![\d-])`;
/** Ids of WhatsApp messages, git commits, traces, digests: letters and digits of base 16, at least one letter. */
const HEX_ID = String.raw`(?<![\da-z])(?=\d*[a-f])[\da-f]{16,}(?![\da-z])`;
/** People write numbers with dots too. So do versions and IP addresses, but without a group of 4 or 5 digits before one of 4. */
const DOTTED = String.raw`(?<![\d.])\+?(?:\d{1,3}\.)?\(?\d{2}\)?\.?\d{4,5}\.\d{4}(?![\d.])`;
/** Short groups with what people write between them, up to one group that is long enough alone: what follows it is another number. */
const BETWEEN = String.raw`[ \u00a0()\-\u2010-\u2015]{1,3}`;
const DIGITS = String.raw`\d{10,}|\d{1,9}(?:${BETWEEN}\d{1,9}(?!\d))*(?:${BETWEEN}\d{10,})?`;

const DOTTED_NUMBERS = new RegExp(DOTTED, 'g');
const NUMBERS = new RegExp(`(?<jid>${JID})|(?<kept>${UUID}|${ISO_TIME})|(?<hex>${HEX_ID})|[+(]{0,3}(?<digits>${DIGITS})`, 'gi');

type NumberGroups = Partial<Record<'jid' | 'kept' | 'hex' | 'digits', string>>;

/** Whether there is anything to look at closer; few ids of a usual line pass. */
const MAY_HOLD_NUMBER = /@|\d(?:[^\da-z]{0,3}\d){9}/i;

function maskNumbers(raw: string): string {
  if (!MAY_HOLD_NUMBER.test(raw)) return raw;
  const text = raw.replace(DOTTED_NUMBERS, lastFour);
  return text.replace(NUMBERS, (...match) => {
    const [whole] = match;
    const groups = match.at(-1) as NumberGroups; // the last argument, because the pattern has named groups; the offset is the third last
    const offset = Number(match.at(-3));
    if (groups.jid !== undefined) return maskJid(groups.jid);
    if (groups.kept !== undefined) return whole;
    if (groups.hex !== undefined) return groups.hex.replace(/\d{10,15}/g, (run) => (isBrazilian(run) ? lastFour(run) : run));
    const digits = groups.digits ?? '';
    const fraction = /\d\.$/.test(text.slice(Math.max(0, offset - 2), offset)) && whole === digits && /^\d+$/.test(digits);
    if (fraction && !isBrazilian(digits)) return whole;
    const masked = maskDigits(digits);
    return masked === digits ? whole : masked;
  });
}

/** A jid's user keeps its last 4 digits; device and group suffix go. */
function maskJid(jid: string): string {
  const [user = '', server = ''] = jid.split('@');
  return `${lastFour(user.split(/[-:_]/)[0] ?? '')}@${server}`;
}

/** `written` is digits with what people write between them. */
function maskDigits(written: string): string {
  const groups = written.split(/\D+/);
  if (groups.some(isEpochMs)) {
    // `1763884680123-0` is a stream id: the time stays, what stands beside it is judged without it.
    return written.replace(/\d+/g, (group) => (isEpochMs(group) || group.length < 10 ? group : maskDigits(group)));
  }
  const digits = groups.join('');
  if (digits.length < 10) return written;
  if (COMPACT_TIME.test(written)) return written;
  // One run of 16 digits or more is an id of another system (a snowflake, nanoseconds); in groups it may still hold a number.
  if (groups.length === 1 && digits.length > 15) return written;
  return lastFour(digits);
}

function lastFour(raw: string): string {
  const digits = raw.replace(/\D/g, '');
  return digits.length > 4 ? `***${digits.slice(-4)}` : '***';
}

/** `20261123080000`, as in the names of migrations. */
const COMPACT_TIME = /^20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d$/;

/** 2015 to 2034 in milliseconds. No country code and number of 13 digits begins like that: 1 has 11 digits, 20 has 12. */
function isEpochMs(digits: string): boolean {
  return /^\d{13}$/.test(digits) && digits >= '1420070400000' && digits < '2050000000000';
}

function isBrazilian(digits: string): boolean {
  return /^55[1-9]\d(?:9\d{8}|[2-9]\d{7})$/.test(digits);
}

/** Fields whose big numbers are times, durations, sizes or amounts. */
const MEASURE_FIELD =
  /(?:(?:^|_)(?:at|ms|us|ns|bytes|seconds|time|timestamp|until|size|rss|uptime)|(?:At|Ms|Us|Ns|Bytes|Seconds|Time|Timestamp|Until|Size|Total|Used))$/;

function copyNumber(value: number | bigint, field: string): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  const whole = String(typeof value === 'bigint' ? value : BigInt(Math.trunc(value))).replace('-', '');
  const plain = typeof value === 'bigint' ? String(value) : value;
  if (whole.length < 10 || whole.length > 15 || isEpochMs(whole)) return plain;
  return MEASURE_FIELD.test(field) && !isBrazilian(whole) ? plain : lastFour(whole);
}

// ---- any value

type Walk = { detail: LineDetail; text: (raw: string) => string; ancestors: object[] };

function copyValue(value: unknown, field: string, walk: Walk): unknown {
  try {
    switch (typeof value) {
      case 'string':
        return SECRET_FIELD.test(field) ? SECRET : walk.text(value);
      case 'number':
      case 'bigint':
        return copyNumber(value, field);
      case 'object':
        return value === null ? null : copyObject(value, field, walk);
      case 'boolean':
        return value;
      case 'undefined':
        return undefined;
      case 'function':
      case 'symbol':
        return `[${typeof value}]`;
    }
  } catch {
    return UNREADABLE; // a getter or a proxy of the value threw
  }
}

function copyObject(value: object, field: string, walk: Walk): unknown {
  if (walk.ancestors.includes(value)) return '[circular]';
  if (walk.ancestors.length >= MAX_DEPTH) return '[too deep]';
  const inner = { ...walk, ancestors: [...walk.ancestors, value] };
  if (value instanceof Error) return copyError(value, inner, 0);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (value instanceof URL) return walk.text(value.href);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return copyEntries([...value].slice(0, MAX_ENTRIES), inner);
  if (value instanceof Set) return copyList([...value], field, inner);
  if (Array.isArray(value)) return copyList(value, field, inner);
  if ('toJSON' in value && typeof value.toJSON === 'function') return copyValue(value.toJSON(field), field, inner);
  const entries = Object.keys(value).slice(0, MAX_ENTRIES);
  return copyEntries(
    entries.map((key) => [key, readField(value, key)]),
    inner,
  );
}

/** One field that throws costs that field, not the object. */
export function readField(value: object, key: string): unknown {
  try {
    return Reflect.get(value, key);
  } catch {
    return UNREADABLE;
  }
}

function copyList(values: unknown[], field: string, walk: Walk): unknown[] {
  const copied = values.slice(0, MAX_ENTRIES).map((value) => copyValue(value, field, walk) ?? null);
  return values.length > MAX_ENTRIES ? [...copied, `[${values.length} entries]`] : copied;
}

function copyEntries(entries: [unknown, unknown][], walk: Walk): object {
  // Without a prototype, so that a key `__proto__` is a key.
  const copied: Record<string, unknown> = Object.create(null);
  for (const [key, value] of entries) {
    const name = typeof key === 'symbol' || (typeof key === 'object' && key !== null) ? '[object]' : String(key);
    if (TEXT_FIELD.test(name) && !walk.detail.text) continue;
    const copiedValue = copyValue(value, name, walk);
    if (copiedValue !== undefined) copied[walk.text(name)] = copiedValue;
  }
  return copied;
}

/** Own fields of an error are left out: HTTP clients hang whole requests on them. */
function copyError(error: Error, walk: Walk, causes: number): object {
  const told: Record<string, unknown> = { type: walk.text(error.name), message: walk.text(error.message) };
  if (walk.detail.stack && typeof error.stack === 'string') told['stack'] = walk.text(error.stack);
  const { cause } = error;
  if (cause instanceof Error && causes < MAX_CAUSES) told['cause'] = copyError(cause, walk, causes + 1);
  else if (cause !== undefined && !(cause instanceof Error)) told['cause'] = copyValue(cause, 'cause', walk);
  return told;
}
