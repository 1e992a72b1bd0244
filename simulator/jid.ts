// WhatsApp addresses: what Evolution's createJid makes of the `number` of a request, and which numbers exist.

const NOT_A_NUMBER = /@(g\.us|s\.whatsapp\.net|lid|newsletter|broadcast)$/;

/** Source: Evolution's src/utils/createJid.ts, with its ninth-digit rules for BR, MX and AR. */
export function createJid(number: string): string {
  const bare = number.replace(/:\d+/, '');
  if (NOT_A_NUMBER.test(bare)) return bare;
  const user = bare.split('@')[0] ?? '';
  if (user.includes('-') && user.length >= 24) return `${user.replace(/[^\d-]/g, '')}@g.us`;
  const digits = user.replace(/\D/g, '');
  if (digits.length >= 18) return `${digits}@g.us`;
  return `${brazilian(mexicanOrArgentine(digits))}@s.whatsapp.net`;
}

function mexicanOrArgentine(digits: string): string {
  const country = digits.slice(0, 2);
  if ((country === '52' || country === '54') && digits.length === 13) return country + digits.slice(3);
  return digits;
}

/** Mobile numbers outside the area codes 11 to 30 are registered without the ninth digit. */
function brazilian(digits: string): string {
  const parts = /^(55)(\d{2})\d(\d{8})$/.exec(digits);
  if (!parts) return digits;
  const [, country = '', area = '', rest = ''] = parts;
  if (Number(rest[0]) < 7 || Number(area) < 31) return digits;
  return country + area + rest;
}

export function digitsOf(jid: string): string {
  return (jid.split('@')[0] ?? '').split(':')[0] ?? '';
}

export function isPhoneJid(jid: string): boolean {
  return jid.endsWith('@s.whatsapp.net');
}

/** Countries that write a mobile with and without one digit: what stands before it, the digit, what follows. */
const TWO_WRITINGS = [
  { pattern: /^(55[1-9]{2})(9?)([6-9]\d{7})$/, digit: '9' },
  { pattern: /^(52)(1?)(\d{10})$/, digit: '1' },
  { pattern: /^(54)(9?)(\d{10})$/, digit: '9' },
];

/** Digits as they are, and in the other writing where there is one. Anything but bare digits has none: Evolution does not look further either. */
export function writingsOf(digits: string): string[] {
  for (const { pattern, digit } of TWO_WRITINGS) {
    const [, head = '', found, rest = ''] = pattern.exec(digits) ?? [];
    if (found !== undefined) return found === '' ? [digits, `${head}${digit}${rest}`] : [digits, `${head}${rest}`];
  }
  return [digits];
}

/** Same person in both writings. */
export function sameNumber(left: string, right: string): boolean {
  return writingsOf(left).includes(right);
}

/** The writing under which WhatsApp knows a stranger: in Brazil with the ninth digit up to area code 30, without it from 31 on. */
export function registeredWriting(digits: string): string {
  const parts = /^55(\d{2})9?([6-9]\d{7})$/.exec(digits);
  if (!parts) return mexicanOrArgentine(digits);
  return Number(parts[1]) < 31 ? `55${parts[1]}9${parts[2]}` : `55${parts[1]}${parts[2]}`;
}

/** In the simulator every plausible number is on WhatsApp, except those that end in 0404. */
export function isOnWhatsapp(digits: string): boolean {
  return digits.length >= 10 && digits.length <= 15 && !digits.endsWith('0404');
}
