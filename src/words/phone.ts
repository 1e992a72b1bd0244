/**
 * Phone numbers and WhatsApp addresses (jids). One person must have one number, and three countries write their mobiles in two ways. WhatsApp and the Evolution
 * API add and remove Brazil's ninth digit, Mexico's 1 and Argentina's 9 (contract 2.2). So `5511999999999` and `551199999999` are the same contact.
 */

/** `machine`: an account of WhatsApp itself that is no address to write to. */
export type JidKind = 'pn' | 'lid' | 'machine' | 'group' | 'broadcast' | 'status' | 'newsletter' | 'unknown';
export type Jid = { kind: JidKind; user: string; device?: number };

/**
 * Digits with country code, or null when it is no phone number (8 to 15 digits, E.164).
 *
 * A number without `+` or `00` may be a national one: 10 or 11 digits that fit Brazil's plan get 55. So a number that surely has its
 * country code (a jid's user, a stored number) is passed with a leading `+`, else a Danish 45xxxxxxxx would become Brazilian.
 */
export function canonicalPhone(raw: string): string | null {
  // Numbers copied from a chat carry invisible direction marks.
  const text = raw.replaceAll(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '').trim();
  if (!/^\+?[\d\s().\-/\u2010-\u2015]+$/.test(text)) return null;
  const digits = text.replaceAll(/\D/g, '');
  const number = text.startsWith('+') ? digits : digits.startsWith('00') ? digits.slice(2) : withCountryCode(digits);
  if (number === null || !/^[1-9]\d{7,14}$/.test(number)) return null;
  return oneWriting(number);
}

/** Mobiles that are written with and without one digit: what stands before it, the digit, and what follows. */
const TWO_WRITINGS: readonly { pattern: RegExp; digit: string; canonical: 'with' | 'without' }[] = [
  // 55, DDD and eight digits that start with 6 to 9 are a mobile of the old plan; 2 to 5 are landlines.
  { pattern: /^(55[1-9]{2})(9?)([6-9]\d{7})$/, digit: '9', canonical: 'with' },
  // Without it, as the Evolution API itself addresses them.
  { pattern: /^(52)(1?)(\d{10})$/, digit: '1', canonical: 'without' },
  { pattern: /^(54)(9?)(\d{10})$/, digit: '9', canonical: 'without' },
];

function bothWritings(number: string): { with: string; without: string; canonical: string } | null {
  for (const { pattern, digit, canonical } of TWO_WRITINGS) {
    const found = pattern.exec(number);
    if (!found) continue;
    const [, head = '', , rest = ''] = found;
    const both = { with: `${head}${digit}${rest}`, without: `${head}${rest}` };
    return { ...both, canonical: both[canonical] };
  }
  return null;
}

function oneWriting(number: string): string {
  return bothWritings(number)?.canonical ?? number;
}

/** The addresses under which WhatsApp may keep the chat of this one, itself first: a mobile is registered in one of its two writings. */
export function jidVariants(jid: string): string[] {
  const [user = '', server] = jid.split('@');
  const both = server === 's.whatsapp.net' ? bothWritings(user) : null;
  return both === null ? [jid] : [jid, `${user === both.with ? both.without : both.with}@${server}`];
}

/**
 * The address of the person rather than of one device: `5511...:12@s.whatsapp.net` -> `5511...@s.whatsapp.net`. Servers that Evolution does
 * not know become those that it does: it would take the digits of `...@hosted.lid` for a phone number. Bare digits stay as they are.
 */
export function bareJid(jid: string): string {
  const { kind, user } = parseJid(jid);
  if (!jid.includes('@')) return jid;
  return kind === 'pn' ? `${user}@s.whatsapp.net` : kind === 'lid' ? `${user}@lid` : jid;
}

/** The last 4 digits, for logs and alerts; everything else is hidden. */
export function maskPhone(phone: string): string {
  const user = phone.split('@')[0] ?? '';
  const digits = (user.split(':')[0] ?? '').replaceAll(/\D/g, '');
  return digits.length >= 8 ? `***${digits.slice(-4)}` : '***';
}

/**
 * Reads `user[_agent][:device]@server`. Bare digits are a phone number (the EVOLUTION channel answers with the number as given), from
 * 18 digits on a group, as the Evolution API itself reads them (contract 4.3).
 */
export function parseJid(jid: string): Jid {
  const [left = '', server = null, ...rest] = jid.trim().split('@');
  const [name = '', deviceText] = left.split(':');
  const user = name.replace(/_\d+$/, '');
  const device = deviceText !== undefined && /^\d{1,5}$/.test(deviceText) ? { device: Number(deviceText) } : {};
  if (rest.length > 0) return { kind: 'unknown', user };
  return { kind: kindOf(user, server), user, ...device };
}

/** The numbers of Meta AI and of the characters of its studio. Source: Baileys 7.0.0-rc.9, `isJidBot` in WABinary/jid-utils.ts. */
export function isMachineNumber(pn: string): boolean {
  return /^(?:1313555\d{4}|131655500\d{2})$/.test(pn);
}

/** BR national number -> with 55. Leading zeros are the trunk prefix; a number that still starts with none of these is left as it is. */
function withCountryCode(digits: string): string | null {
  const trunk = digits.startsWith('0');
  const rest = trunk ? digits.slice(1) : digits;
  // 11 digits are a mobile (DDD, 9, eight digits), 10 a landline or a mobile of the old plan. North American numbers written with their 1
  // have 11 digits too, but their third digit is never 9.
  if (/^[1-9]{2}9\d{8}$/.test(rest) || /^[1-9]{2}[2-9]\d{7}$/.test(rest)) return `55${rest}`;
  if (trunk) return /^55[1-9]{2}\d{8,9}$/.test(rest) ? rest : null;
  return rest;
}

function kindOf(user: string, server: string | null): JidKind {
  switch (server) {
    case null:
      if (/^\d{18,}$/.test(user)) return 'group';
      return /^\d{5,15}$/.test(user) ? 'pn' : 'unknown';
    case 's.whatsapp.net':
    case 'c.us':
    case 'hosted':
      // WhatsApp's own news are written by 0@s.whatsapp.net
      if (user === '0') return 'machine';
      return /^\d{5,15}$/.test(user) ? 'pn' : 'unknown';
    case 'lid':
    case 'hosted.lid':
      return /^\d{1,20}$/.test(user) ? 'lid' : 'unknown';
    case 'bot':
      return 'machine';
    case 'g.us':
      return 'group';
    case 'broadcast':
      return user === 'status' ? 'status' : 'broadcast';
    case 'newsletter':
      return 'newsletter';
    default:
      return 'unknown';
  }
}
