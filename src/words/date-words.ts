/**
 * What words say of a day and of an hour, as Brazilians write it on a phone: one table of rules. What it means at a moment is said in dates.ts. Pure, total; every
 * rule is bounded, so a long text costs its length.
 */
import { isNear } from './spelling.ts';

/** `ask`: these words name no one moment, however they are read. */
export type Ask = 'day' | 'hour' | 'unclear' | 'past' | 'repeats' | 'weekend';

export type DayPiece =
  | { day: 'in'; days: number }
  | { day: 'months'; months: number }
  | { day: 'weekday'; weekday: number; which: 'plain' | 'this' | 'next' }
  /** `month` counts from 1. */
  | { day: 'date'; date: number; month: number | null; year: number | null }
  | { day: 'last' }
  /** Of this week or month, or of the next: says which day is meant, and none itself. */
  | { day: 'week'; ahead: 0 | 1 }
  | { day: 'month'; ahead: 0 | 1 };

export type PartOfDay = 'manha' | 'tarde' | 'noite' | 'madrugada';

export type TimePiece =
  /** `exact`: the hour of a day of 24; otherwise of a clock with hands. */
  | { time: 'clock'; hour: number; minute: number; exact: boolean }
  | { time: 'midnight'; minute: number }
  | { time: 'part'; part: PartOfDay }
  /** A custom and no hour: "after lunch". Minutes of the day. */
  | { time: 'about'; minutes: number };

export type DatePiece = DayPiece | TimePiece | { after: number } | { ask: Ask };

/** Longer words are a story, and no date. */
const LONGEST = 300;

export function datePieces(words: string): DatePiece[] {
  const text = spelled(words.slice(0, LONGEST));
  const found: DatePiece[] = [];
  let at = 0;
  while (at < text.length) {
    const hit = firstRule(text, at);
    if (hit !== null) {
      found.push(...hit.pieces);
      at = hit.end;
    } else {
      // "2 comprimidos" is what the reminder is about; a number that counts nothing may be a day or an hour
      const word = /[^ ]+/y;
      word.lastIndex = at;
      const skipped = word.exec(text)?.[0] ?? '';
      if (/\d/.test(skipped) && !/^ (?!ou |e |as |a |da |de |do |no |na )[a-z]{3,}/.test(text.slice(at + skipped.length)))
        found.push({ ask: 'unclear' });
      at += skipped.length;
    }
    while (text[at] === ' ') at++;
  }
  return found;
}

function firstRule(text: string, at: number): { pieces: DatePiece[]; end: number } | null {
  for (const [pattern, make] of COMPILED) {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) return { pieces: make(...match.slice(1).map((group) => group ?? '')), end: pattern.lastIndex };
  }
  return null;
}

const MONTHS = 'janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro'.split(' ');
const SHORT_MONTHS = MONTHS.map((name) => name.slice(0, 3));
const WEEKDAYS = 'domingo segunda terca quarta quinta sexta sabado'.split(' ');
const SHORT_WEEKDAYS = 'dom seg ter qua qui sex sab'.split(' ');

const MONTH = `(${[...MONTHS, ...SHORT_MONTHS].join('|')})`;
const WEEKDAY = `(${WEEKDAYS.join('|')}|[2-6]a|${SHORT_WEEKDAYS.join('|')})`;
const COUNT = String.raw`(\d{1,3}|uma?)`;
const FROM = '(?:daqui(?: a| ha| de)?(?: umas?(?= \\d)| uns(?= \\d))?|dentro de|em|passad[oa]s)';
const HOUR = String.raw`(\d{1,2}|uma)`;
const LEAD =
  '(?:(?:la )?(?:para |pra |por volta d|a partir d|depois d|tipo |umas? |ate |pel)?as|a|pras|umas|tipo|por volta de|ao|o|pro|para o|pra o|depois do)';
const PART = '(?:(?:d[aeo]|n[ao]|a|pela|parte da) )?(manha|manhazinha|tarde|tardinha|tardezinha|noite|noitinha|madrugada)';
const MINUTES = '(?:minutos?|mins?|m)';
const NEXT = '(?:que vem|q vem|seguinte|proxim[ao])';

/** The first rule that fits at a place counts, so the longer ones stand above. A group that is not there is ''. */
const RULES: readonly [string, (...groups: string[]) => DatePiece[]][] = [
  // What only looks like a time, or is no single one
  ['bo[am] (?:dia|tarde|noite|madrugada)', () => []],
  [
    `tod[oa]s?(?: os?| as?)? (?:dias?|semanas?|mes|meses|manhas?|tardes?|noites?|horas?|${WEEKDAYS.join('|')})s?(?: feiras?)?`,
    () => [{ ask: 'repeats' }],
  ],
  [
    '(?:as|aos) (?:segundas|tercas|quartas|quintas|sextas|sabados|domingos)|diariamente|semanalmente|mensalmente',
    () => [{ ask: 'repeats' }],
  ],
  ['a cada', () => [{ ask: 'repeats' }]],
  [`ontem|anteontem|(?:${WEEKDAYS.join('|')}|semana|mes|ano|dia)(?: feira)? passad[oa]`, () => [{ ask: 'past' }]],
  ['(?:fim|final|fins) de semana|fds|findi', () => [{ ask: 'weekend' }]],
  ['(?:entre|das?) (?:as )?\\d{1,2}(?:h|:\\d\\d|hs| horas)? (?:e|as|a) (?:as )?\\d{1,2}(?:h|:\\d\\d|hs| horas)?', () => [{ ask: 'hour' }]],
  ['antes d(?:as|e|o meio dia|a)(?: \\d{1,2}(?:h|:\\d\\d|hs| horas)?)?', () => [{ ask: 'hour' }]],
  ['(?:mais|bem) tarde|mais cedo|mais pro fim|agora mesmo|agora|qualquer hora', () => [{ ask: 'hour' }]],
  [
    '(?:qualquer|algum|outro) dia|dias? uteis|dia util|uns dias|alguns dias|(?:primeira|segunda) (?:quinzena|semana)',
    () => [{ ask: 'day' }],
  ],
  [`${COUNT} (?:semanas?|dias?|mes|meses|anos?) e (?:meia|meio)`, () => [{ ask: 'unclear' }]],
  // From now on
  [`${FROM} meia hora(?:zinha)?`, () => [{ after: 30 }]],
  [
    `${FROM} ${COUNT} ?(?:h|hs|hr|hrs|horas?|horinhas?)(?: ?e (meia|\\d{1,2})(?: ?${MINUTES})?)?`,
    (hours, more) => [{ after: number(hours) * 60 + minuteOf(more) }],
  ],
  [`${FROM} ${COUNT} ?(?:minutos?|mins?|minutinhos?)`, (minutes) => [{ after: number(minutes) }]],
  [`${FROM} ${COUNT} dias uteis`, () => [{ ask: 'day' }]],
  [`${FROM} ${COUNT} (?:dias?|diazinhos)`, (days) => [{ day: 'in', days: number(days) }]],
  [`${FROM} ${COUNT} semanas?`, (weeks) => [{ day: 'in', days: number(weeks) * 7 }]],
  [`${FROM} ${COUNT} (?:mes|meses)`, (months) => [{ day: 'months', months: number(months) }]],
  [`${FROM} ${COUNT} anos?`, (years) => [{ day: 'months', months: number(years) * 12 }]],
  [
    `${FROM} (?:pouco|pouquinho|instantes|um tempo|algum tempo|alguns? (?:minutos|dias|meses)|umas? horas|uns (?:dias|minutos))`,
    () => [{ ask: 'hour' }],
  ],
  ['daqui(?: a| ha| de)? \\d+', () => [{ ask: 'unclear' }]],
  // Days
  ['depois de amanha', () => [{ day: 'in', days: 2 }]],
  ['amanha', () => [{ day: 'in', days: 1 }]],
  ['hoje', () => [{ day: 'in', days: 0 }]],
  [`(?:proxima|prox) semana|semana ${NEXT}|sem que vem`, () => [{ day: 'week', ahead: 1 }]],
  ['(?:n?ess[ae]|n?est[ae]|d?est[ae]|dess[ae]) semana', () => [{ day: 'week', ahead: 0 }]],
  ['(?:outra|semana depois|seguinte) semana', () => [{ ask: 'day' }]],
  [`(?:proximo|prox) mes|mes ${NEXT}`, () => [{ day: 'month', ahead: 1 }]],
  ['(?:n?ess?e|n?este|dess?e|deste) mes', () => [{ day: 'month', ahead: 0 }]],
  ['ultimo dia do mes', () => [{ day: 'last' }]],
  ['(?:fim|final|comeco|inicio|meio|meados) d[aeo] (?:proxim[oa] )?(?:mes|semana|ano)', () => [{ ask: 'day' }]],
  [`(?:proximo ano|ano ${NEXT}|no ano novo chines)`, () => [{ ask: 'day' }]],
  [`outr[ao] ${WEEKDAY}(?: feira)?`, () => [{ ask: 'day' }]],
  [
    `(?:(n?ess[ae]|n?est[ae]) |(proxim[ao]|prox) )?${WEEKDAY}(?: ?feira)?(?: (${NEXT})| (agora))?(?= |$)`,
    (these, next, name, comes, now) => [
      { day: 'weekday', weekday: weekdayOf(name), which: next + comes === '' ? (these + now === '' ? 'plain' : 'this') : 'next' },
    ],
  ],
  [String.raw`(\d{4})-(\d{2})-(\d{2})`, (year, month, date) => [dateOf(date, month, year)]],
  [String.raw`(?:dia )?(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})`, (date, month, year) => [dateOf(date, month, year)]],
  [String.raw`(?:dia )?(\d{1,2})[/.-](\d{1,2})`, (date, month) => [dateOf(date, month, '')]],
  [
    String.raw`(?:dia )?(\d{1,2}|um|primeiro)o? (?:d[eo]? )?${MONTH}(?: (?:d[eo] )?(\d{4}))?`,
    (date, month, year) => [dateOf(date, String(monthOf(month)), year)],
  ],
  [String.raw`dia (\d{1,2}|um|primeiro)o? do (?:mes )?(\d{1,2})(?! ?h)`, (date, month) => [dateOf(date, month, '')]],
  [String.raw`dia (\d{1,2}|um|primeiro)o?`, (date) => [dateOf(date, '', '')]],
  [`(?:em|no mes de) ${MONTH}|${MONTH} ${NEXT}`, () => [{ ask: 'day' }]],
  ['vespera d[eo] natal', () => [dateOf('24', '12', '')]],
  ['(?:vespera d[eo] ano novo|reveillon)', () => [dateOf('31', '12', '')]],
  ['natal', () => [dateOf('25', '12', '')]],
  ['ano novo', () => [dateOf('1', '1', '')]],
  // Hours by custom
  ['(?:depois|apos|logo depois) d?o almoco|pos almoco', () => [{ time: 'about', minutes: 14 * 60 }]],
  ['antes do almoco', () => [{ time: 'about', minutes: 11 * 60 }]],
  ['(?:na |a )?hora do almoco|no almoco', () => [{ time: 'about', minutes: 12 * 60 }]],
  ['(?:depois|apos) d?[oa] (?:jantar|janta)', () => [{ time: 'about', minutes: 20 * 60 }]],
  [
    '(?:depois|apos) d?o (?:trabalho|expediente|servico)|(?:no )?(?:fim|final|finalzinho) do dia',
    () => [{ time: 'about', minutes: 18 * 60 }],
  ],
  ['(?:no )?(?:fim|final) do expediente', () => [{ time: 'about', minutes: 17 * 60 }]],
  ['(?:depois|apos|antes) d?[oa] [a-z]{3,12}', () => [{ ask: 'hour' }]],
  ['(?:no )?(?:comeco|inicio) da (?:manha)', () => [{ time: 'about', minutes: 8 * 60 }]],
  ['(?:no )?(?:comeco|inicio) da (?:tarde)', () => [{ time: 'about', minutes: 13 * 60 }]],
  ['(?:no )?(?:comeco|inicio) da (?:noite)|(?:de )?(?:noitinha)', () => [{ time: 'about', minutes: 18 * 60 + 30 }]],
  ['(?:no )?meio da manha', () => [{ time: 'about', minutes: 10 * 60 }]],
  ['(?:no )?meio da tarde', () => [{ time: 'about', minutes: 15 * 60 }]],
  ['(?:no )?(?:fim|final|finzinho) da manha', () => [{ time: 'about', minutes: 11 * 60 }]],
  ['(?:no )?(?:fim|final|finzinho) da tarde|(?:de |a )?tard(?:e)?zinha|(?:de |a )?tardinha', () => [{ time: 'about', minutes: 17 * 60 }]],
  ['(?:fim|final|finzinho) da (?:noite|madrugada)', () => [{ ask: 'hour' }]],
  [
    '(?:(?:logo|bem|de manha|manha|pela manha) )?(?:cedo|cedinho)|primeira hora|primeiro horario',
    () => [{ time: 'about', minutes: 8 * 60 }],
  ],
  // Hours
  [`(?:${LEAD} )?(?:meia noite|0 ?horas)(?: e (meia|\\d{1,2}))?`, (more) => [{ time: 'midnight', minute: minuteOf(more) }]],
  [`(?:${LEAD} )?meio dia(?: e (meia|\\d{1,2}))?`, (more) => [{ time: 'clock', hour: 12, minute: minuteOf(more), exact: true }]],
  [`(?:as |aos? )?${COUNT} (?:${MINUTES} )?(?:para|pra|pro|p) (?:o )?meio dia`, (less) => clock('12', -number(less), '')],
  [
    `(?:as |aos? )?${COUNT} (?:${MINUTES} )?(?:pras|para as|pra as|pra|p as|para a|pra a) ${HOUR}(?: ${PART})?`,
    (less, hour, part) => clock(hour, -number(less), part),
  ],
  [
    `(?:${LEAD} )?(\\d{1,2}) ?(?::|h|hs|hrs?) ?([0-5]\\d)(?: ?(?:h|hs|hrs?|${MINUTES}))?(?: ${PART})?`,
    (hour, minute, part) => clock(hour, Number(minute), part),
  ],
  [`(?:${LEAD} )?(\\d{1,2}) ?(am|pm)`, (hour, half) => clock(hour, 0, half === 'am' ? 'manha' : 'tarde')],
  [
    `(?:${LEAD} )?${HOUR} ?(?:h|hs|hrs?|horas?|horinhas)(?: em ponto)?(?: e (meia|\\d{1,2})(?: ?${MINUTES})?)?(?: em ponto)?(?: ${PART})?`,
    (hour, more, part) => clock(hour, minuteOf(more), part),
  ],
  [
    `${LEAD} ${HOUR}(?: e (meia|\\d{1,2})(?: ?${MINUTES})?)?(?: em ponto)?(?: ${PART})?`,
    (hour, more, part) => clock(hour, minuteOf(more), part),
  ],
  [`${HOUR}(?: e (meia|\\d{1,2}))? d[ae] (manha|tarde|noite|madrugada)`, (hour, more, part) => clock(hour, minuteOf(more), part)],
  [`${HOUR} e meia`, (hour) => clock(hour, 30, '')],
  [PART, (part) => [{ time: 'part', part: partOf(part) }]],
];

const COMPILED = RULES.map(([pattern, make]) => [new RegExp(`(?:${pattern})(?![a-z0-9])`, 'y'), make] as const);

function number(written: string): number {
  return /^uma?$|^primeiro$/.test(written) ? 1 : Number(written);
}

function minuteOf(more: string): number {
  return more === 'meia' ? 30 : Number(more);
}

function partOf(part: string): PartOfDay {
  if (part.startsWith('manha')) return 'manha';
  if (part.startsWith('tard')) return 'tarde';
  return part.startsWith('noit') ? 'noite' : 'madrugada';
}

/** An hour with minutes more, or less; a part of the day may say which of the two that clocks with hands show. */
function clock(written: string, more: number, part: string): DatePiece[] {
  const minutes = number(written) * 60 + more;
  const [hour, minute] = [Math.floor(minutes / 60), ((minutes % 60) + 60) % 60];
  if (hour < 0 || hour > 23 || more > 59) return [{ ask: 'hour' }];
  const exact = hour > 12 || hour === 0 || (written.length === 2 && written.startsWith('0'));
  return [{ time: 'clock', hour, minute, exact }, ...(part === '' ? [] : [{ time: 'part' as const, part: partOf(part) }])];
}

function dateOf(date: string, month: string, year: string): DatePiece {
  const full = year.length === 2 ? 2000 + Number(year) : Number(year);
  return { day: 'date', date: number(date), month: month === '' ? null : Number(month), year: year === '' ? null : full };
}

function monthOf(name: string): number {
  return SHORT_MONTHS.indexOf(name.slice(0, 3)) + 1;
}

function weekdayOf(name: string): number {
  return /^\d/.test(name) ? Number(name[0]) - 1 : SHORT_WEEKDAYS.indexOf(name.slice(0, 3));
}

/** Lower case without accents, figures for numbers in words, what was typed in a hurry as a dictionary has it. */
function spelled(words: string): string {
  const plain = words
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/(?<!\d)[.:/-]|[.:/-](?!\d)|[^a-z0-9.:/ -]+/g, ' ')
    .replaceAll(/(?<=\d de) dez\b/g, ' dezembro')
    .split(/ +/)
    .filter(Boolean)
    .map((word) => SHORT.get(word) ?? TENS.get(word) ?? corrected(word))
    .join(' ');
  return plain
    .replaceAll(/\b(20|30|40|50)w(?: e (uma?|\d)(?![\d:/.]))?/g, (_, tens: string, more?: string) =>
      String(Number(tens) + (more === undefined ? 0 : number(more))),
    )
    .replaceAll('depois d amanha', 'depois de amanha')
    .replaceAll('depois amanha', 'depois de amanha');
}

/** Marked until it is seen whether a unit follows: twenty and five are one number, 10 and 5 an hour with its minutes. */
const TENS: ReadonlyMap<string, string> = new Map([
  ['vinte', '20w'],
  ['trinta', '30w'],
  ['quarenta', '40w'],
  ['cinquenta', '50w'],
]);

const SHORT: ReadonlyMap<string, string> = new Map([
  ...'zero _ dois tres quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete dezoito dezenove'
    .split(' ')
    .map((word, value) => [word, String(value)] as const),
  ['duas', '2'],
  ['catorze', '14'],
  ...['hj', 'hoj', 'oje', 'hojee'].map((word) => [word, 'hoje'] as const),
  ...['amn', 'amnh', 'amh', 'amanh', 'manhana', 'amanhan'].map((word) => [word, 'amanha'] as const),
  ...['tersa', 'terssa', 'tersca', 'tessa'].map((word) => [word, 'terca'] as const),
  ...['dps', 'dpois', 'depoi'].map((word) => [word, 'depois'] as const),
  ...['q', 'ke'].map((word) => [word, 'que'] as const),
  ...['prox', 'proximo', 'prox.'].map((word) => [word, word === 'proximo' ? 'proximo' : 'prox'] as const),
  ...['min', 'mins'].map((word) => [word, 'min'] as const),
  ['d', 'de'],
]);

const LONG = [
  ...WEEKDAYS,
  ...MONTHS,
  ...'amanha depois semana proxima almoco minutos horas tarde noite madrugada feira manha daqui vespera natal meses'.split(' '),
];
/** Words of their own, one letter from those. */
const OTHERS = new Set(
  'quarto quartos quinto sexto segundo segundos manhas tardes noites conta contas noiva maior marca marcar marcos minuto hora semanas mesas mesmo natais seis feito feiras dezena julio tarda nota proximo almocar almoca sextas quartas quintas tercas segundas sabados domingos terco janeiros daquilo daquela'.split(
    ' ',
  ),
);

function corrected(word: string): string {
  // "amanhaaa", "sextaa feira"
  const held = word.replaceAll(/([a-z])\1{2,}/g, '$1');
  if (held.length < 5 || OTHERS.has(held) || LONG.includes(held)) return held;
  return LONG.find((known) => isNear(held, known)) ?? held;
}
