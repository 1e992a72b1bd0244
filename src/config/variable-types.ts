/**
 * The kinds of value an environment variable can have. Each takes the trimmed, non-empty text and says in its message what to write
 * instead; no message ever holds the text itself, because it may be a secret.
 */
import { LOG_LEVELS } from '../process/log-levels.ts';
import { z } from 'zod';

import { canonicalPhone } from '../words/phone.ts';

export function text() {
  return z.string();
}

/** A whole number from `min` to `max`, both allowed. */
export function integer(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,12}$/, message)
    .transform(Number)
    .refine((value) => value >= min && value <= max, message);
}

/** Days to keep something: 0 for good, or at least `min`. */
export function days(min: number, max: number) {
  const message = `must be 0, or a whole number of days from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,6}$/, message)
    .transform(Number)
    .refine((value) => value === 0 || (value >= min && value <= max), message);
}

/** A price, in the currency that the variable's name says. */
export function price() {
  return z
    .string()
    .regex(/^\d{1,6}(\.\d{1,8})?$/, 'must be a price with a decimal point, such as 0.0625')
    .transform(Number);
}

/** A part of the whole, 0 to 1. */
export function share() {
  return z
    .string()
    .regex(/^(0(\.\d{1,6})?|1(\.0{1,6})?)$/, 'must be between 0 and 1, such as 0.1')
    .transform(Number);
}

export function bool() {
  return z.stringbool({ truthy: ['true', '1'], falsy: ['false', '0'], case: 'insensitive', error: 'must be true, false, 1 or 0' });
}

/** An address with one of the given protocols and a host. A trailing slash is taken off, so that paths can be appended. */
export function url(...protocols: string[]) {
  return z.string().transform((raw, ctx) => {
    const parsed = URL.canParse(raw) ? new URL(raw) : null;
    if (parsed !== null && parsed.hostname !== '' && protocols.includes(parsed.protocol)) return raw.replace(/\/+$/, '');
    return refuse(ctx, `must be an address that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`);
  });
}

/** A time of day, `HH:MM`, 00:00 to 23:59. */
export function timeOfDay() {
  return z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day as HH:MM, such as 08:00');
}

const WEEKDAYS = ['seg', 'ter', 'qua', 'qui', 'sex', 'sab', 'dom'];

/** Weekdays as `seg-sab` or `seg,qua,sex`; become 1 (Monday) to 7. */
export function weekdays() {
  return z.string().transform((raw, ctx) => {
    const found = new Set<number>();
    for (const entry of commaList(raw.toLowerCase().replaceAll('á', 'a'))) {
      const [from = -1, to = from, ...more] = entry.split('-').map((word) => WEEKDAYS.indexOf(word.trim()));
      if (from < 0 || to < 0 || more.length > 0)
        return refuse(ctx, `must be weekdays such as seg-sab or seg,qua,sex; they are ${WEEKDAYS.join(', ')}`);
      for (let day = from; ; day = (day + 1) % 7) {
        found.add(day + 1);
        if (day === to) break;
      }
    }
    return [...found].toSorted((a, b) => a - b);
  });
}

/** A zone of the tz database. Offsets such as -03:00 are refused: they have no daylight saving and cron libraries do not know them. */
export function timeZone() {
  return z.string().refine((raw) => /^[A-Za-z]/.test(raw) && isKnownZone(raw), 'must be a known time zone, such as America/Sao_Paulo');
}

/** One of these words, in any case. */
export function oneOf<const Word extends string>(words: readonly Word[]) {
  return text()
    .transform((value) => value.toLowerCase())
    .pipe(z.enum(words, { error: `must be one of ${words.join(', ')}` }));
}

export function logLevel() {
  return z
    .string()
    .transform((raw) => raw.toUpperCase())
    .pipe(z.enum(LOG_LEVELS, { error: `must be one of ${LOG_LEVELS.join(', ')}` }));
}

/** A phone number in any writing; becomes its canonical digits. */
export function phone() {
  return z
    .string()
    .transform((raw, ctx) => canonicalPhone(raw) ?? refuse(ctx, 'must be a phone number with country and area code, digits only'));
}

/** A comma list of phone numbers in canonical digits, or `*`. */
export function phonesOrStar() {
  return z.string().transform((raw, ctx) => {
    if (raw === '*') return '*' as const;
    const phones: string[] = [];
    for (const [index, entry] of commaList(raw).entries()) {
      const canonical = canonicalPhone(entry);
      if (canonical === null) return refuse(ctx, `must be a comma list of phone numbers, or * alone; entry ${index + 1} is neither`);
      phones.push(canonical);
    }
    return phones;
  });
}

/** A comma list of ids of Slack members, such as U02ABCDEF. */
export function slackUsers() {
  return z.string().transform((raw, ctx) => {
    const ids = commaList(raw);
    const wrong = ids.findIndex((id) => !/^[UW][A-Z0-9]{2,30}$/.test(id));
    return wrong === -1
      ? ids
      : refuse(ctx, `must be a comma list of ids of Slack members such as U02ABCDEF; entry ${wrong + 1} is not one`);
  });
}

/** A comma list of web origins (scheme, host, port), or `*`. */
export function originsOrStar() {
  return z.string().transform((raw, ctx) => {
    const origins: string[] = [];
    for (const [index, entry] of commaList(raw).entries()) {
      const origin = entry === '*' ? '*' : originOf(entry);
      if (origin === null)
        return refuse(ctx, `must be a comma list of origins such as https://app.example.com; entry ${index + 1} is not one`);
      origins.push(origin);
    }
    return origins;
  });
}

/** A comma list of HOST:PORT, in small letters. */
export function hostPorts() {
  return z.string().transform((raw, ctx) => {
    const all = commaList(raw.toLowerCase());
    const wrong = all.findIndex((entry) => !/^(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\]):\d{1,5}$/.test(entry));
    return wrong === -1
      ? all
      : refuse(ctx, `must be a comma list of HOST:PORT such as pedidos.internal:8080; entry ${wrong + 1} is not one`);
  });
}

/** An environment's name. `dev` is what the first manual calls development. */
export function environmentName() {
  return z
    .string()
    .transform((raw) => raw.toLowerCase())
    .pipe(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,39}$/, 'must be a name such as production, staging or development'))
    .transform((name) => (name === 'dev' ? 'development' : name));
}

/** True when the address leads to this machine and cannot lead anywhere else. */
export function isLoopback(address: string): boolean {
  const host = URL.canParse(address) ? new URL(address).hostname : '';
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function refuse(ctx: z.RefinementCtx, message: string): never {
  ctx.addIssue({ code: 'custom', message });
  return z.NEVER;
}

function isKnownZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function commaList(raw: string): string[] {
  return raw
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function originOf(entry: string): string | null {
  if (!URL.canParse(entry)) return null;
  const { origin, protocol, pathname, search, hash, username } = new URL(entry);
  const bare = (pathname === '/' || pathname === '') && search === '' && hash === '' && username === '';
  return bare && (protocol === 'https:' || protocol === 'http:') ? origin : null;
}
