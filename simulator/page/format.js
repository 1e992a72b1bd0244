// How things read: WhatsApp's text marks, times, phone numbers, initials. Pure, apart from making nodes.
import { el } from './dom.js';

/** WhatsApp's marks (*bold* _italic_ ~strike~ `code` ```block```) and links as nodes; line breaks stay as they are. */
export function formatText(text) {
  const nodes = [];
  let rest = text;
  while (rest !== '') {
    const found = firstMark(rest);
    if (found === null) break;
    const { mark, match } = found;
    const start = match.index + (match[1] ?? '').length;
    if (start > 0) nodes.push(rest.slice(0, start));
    nodes.push(mark.build(match[2]));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest !== '') nodes.push(rest);
  return nodes;
}

/** The same text without its marks, on one line: for the list and for quotes. */
export function plainText(text) {
  return text
    .replace(/```/g, '')
    .replace(/(^|[\s(])[*_~]([^*_~\n]+)[*_~](?=$|[\s.,!?;:)])/g, '$1$2')
    .replace(/\s+/g, ' ')
    .trim();
}

/** True for one to three emoji and nothing else: they are drawn large. */
export function isOnlyEmoji(text) {
  return /^(?:\p{Extended_Pictographic}(?:\uFE0F|\u200D\p{Extended_Pictographic}|[\u{1F3FB}-\u{1F3FF}])*\s*){1,3}$/u.test(text);
}

/** What a message says in one line. */
export function summary(message) {
  if (message.deleted) return 'Mensagem apagada';
  const said = plainText(message.text || message.caption || message.media?.caption || '');
  const name = KIND_NAMES[message.media?.kind ?? message.kind];
  if (name === undefined) return said;
  return said === '' ? name : `${name} · ${said}`;
}

/** Hours and minutes of a time in ms. */
export function clock(at) {
  return CLOCK.format(at);
}

/** The list's short time: hour for today, "Ontem", else the date. */
export function shortTime(at, now) {
  const days = daysBetween(at, now);
  if (days === 0) return clock(at);
  return days === 1 ? 'Ontem' : SHORT_DATE.format(at);
}

/** The separator between days. */
export function dayLabel(at, now) {
  const days = daysBetween(at, now);
  if (days === 0) return 'Hoje';
  return days === 1 ? 'Ontem' : LONG_DATE.format(at);
}

/** True when both times (ms) fall on the same local day. */
export function sameDay(a, b) {
  return new Date(a).toDateString() === new Date(b).toDateString();
}

/** Minutes and seconds of a length in seconds. */
export function length(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** A phone number for people: +55 11 90000-1234; other countries stay as digits. */
export function phoneLabel(phone) {
  const digits = String(phone ?? '').replace(/\D/g, '');
  const brazilian = /^55(\d{2})(\d{4,5})(\d{4})$/.exec(digits);
  if (brazilian !== null) return `+55 ${brazilian[1]} ${brazilian[2]}-${brazilian[3]}`;
  return digits === '' ? '' : `+${digits}`;
}

/** Digits as WhatsApp wants them; a Brazilian number typed without the country code gets its 55. Null when it cannot be a number. */
export function phoneDigits(typed) {
  const digits = typed.replace(/\D/g, '');
  if (digits.length < 10 || digits.length > 15) return null;
  return !typed.trim().startsWith('+') && digits.length <= 11 ? `55${digits}` : digits;
}

/** Lower case without accents, for searching. */
export function searchable(text) {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

/** The round picture of a contact: initials on a colour that stays the same for the id. */
export function avatar(id, name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const initials = (words.length > 1 ? words[0][0] + words.at(-1)[0] : (words[0] ?? '?').slice(0, 2)).toUpperCase();
  // Ids differ in their last sign only; the golden angle spreads their colours.
  const hue = ([...String(id)].reduce((sum, char) => sum * 31 + char.charCodeAt(0), 7) * 137.5) % 360;
  const node = el('span', { class: 'avatar', 'aria-hidden': 'true' }, initials);
  node.style.setProperty('--hue', String(hue));
  return node;
}

function firstMark(text) {
  let best = null;
  for (const mark of MARKS) {
    const match = mark.pattern.exec(text);
    if (match !== null && (best === null || match.index + (match[1] ?? '').length < best.match.index + (best.match[1] ?? '').length)) {
      best = { mark, match };
    }
  }
  return best;
}

function inline(char) {
  // WhatsApp wants no word character outside the marks and no space just inside them.
  const mark = char === '*' ? '\\*' : char;
  return new RegExp(`(^|[^\\p{L}\\p{N}${char}])${mark}(?!\\s)([^${char}\\n]*[^\\s${char}])${mark}(?![\\p{L}\\p{N}${char}])`, 'u');
}

const MARKS = [
  { pattern: /()```\n?([\s\S]+?)\n?```/, build: (body) => el('code', { class: 'block' }, body) },
  { pattern: /()`([^`\n]+)`/, build: (body) => el('code', {}, body) },
  {
    pattern: /()(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]*_~])/,
    build: (url) => el('a', { href: url, target: '_blank', rel: 'noreferrer noopener' }, url),
  },
  { pattern: inline('*'), build: (body) => el('strong', {}, ...formatText(body)) },
  { pattern: inline('_'), build: (body) => el('em', {}, ...formatText(body)) },
  { pattern: inline('~'), build: (body) => el('s', {}, ...formatText(body)) },
];

const KIND_NAMES = {
  image: 'Foto',
  audio: 'Mensagem de voz',
  video: 'Vídeo',
  document: 'Documento',
  sticker: 'Figurinha',
  location: 'Localização',
  contact: 'Contato',
  vcard: 'Contato',
};

const CLOCK = new Intl.DateTimeFormat('pt-BR', { hour: '2-digit', minute: '2-digit' });
const SHORT_DATE = new Intl.DateTimeFormat('pt-BR', { day: '2-digit', month: '2-digit', year: '2-digit' });
const LONG_DATE = new Intl.DateTimeFormat('pt-BR', { day: 'numeric', month: 'long', year: 'numeric' });

function daysBetween(at, now) {
  const day = (time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((day(now) - day(at)) / 86_400_000);
}
