/** Figures in a text, made comparable: money, numbers, percentages, dates. Brazilian and English ways of writing. Pure. */

const NUMBER = String.raw`\d{1,3}(?:[.,\u00a0 ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?`;
const MONEY = new RegExp(
  String.raw`(?:R\$|US\$|€|\$)\s?(${NUMBER})(?!\d)|(?<![\d.,])(${NUMBER})\s?(?:reais|real|d[óo]lares|euros)(?!\p{L})`,
  'giu',
);
const ANY = new RegExp(String.raw`(?<![\d.,])(?:${NUMBER})(?!\d)`, 'gu');
const PERCENT = /(?<![\d.,])(\d{1,3}(?:[.,]\d{1,2})?)\s?(?:%|por cento)/giu;

/** Cents of what stands before a currency or behind it, in the order of the text. */
export function moneyIn(text: string): { text: string; cents: number }[] {
  return [...text.matchAll(MONEY)].map((match) => ({ text: match[0], cents: centsOf(match[1] ?? match[2] ?? '0') }));
}

/** Every number of these texts as if it were money, in cents: a table of prices has no currency in its cells. */
export function numbersIn(texts: readonly string[]): ReadonlySet<number> {
  return new Set(texts.flatMap((text) => (text.match(ANY) ?? []).map(centsOf)));
}

export function percentsIn(text: string): { text: string; value: number }[] {
  return [...text.matchAll(PERCENT)].map((match) => ({ text: match[0], value: Number((match[1] ?? '0').replace(',', '.')) }));
}

/** The last mark with one or two digits behind it is that of the decimals. */
function centsOf(written: string): number {
  const decimals = /[.,](\d{1,2})$/.exec(written);
  const whole = (decimals === null ? written : written.slice(0, decimals.index)).replaceAll(/\D/g, '');
  return Number(whole) * 100 + Number((decimals?.[1] ?? '0').padEnd(2, '0'));
}

const MONTHS = [
  'janeiro',
  'fevereiro',
  'março',
  'abril',
  'maio',
  'junho',
  'julho',
  'agosto',
  'setembro',
  'outubro',
  'novembro',
  'dezembro',
];
const WORDED = new RegExp(String.raw`(?<!\d)(\d{1,2})[ºo°]?\s+de\s+(${MONTHS.join('|').replace('ç', '[çc]')})`, 'giu');
/** 1/2 and 24/7 are no days: the month has two digits, or a year stands behind it. */
const WRITTEN = /(?<![\d/.,-])(\d{1,2})\/(?:(\d{2})|(\d)(?=\/\d))(?:\/(?:\d{4}|\d{2}))?(?![\d/])/g;

/** Days as `month-day`: which year is meant is seldom said. */
export function datesIn(text: string): { text: string; day: string }[] {
  const written = [...text.matchAll(WRITTEN)].flatMap(([all, day, month, short]) => {
    const isDay = Number(month ?? short) >= 1 && Number(month ?? short) <= 12 && Number(day) >= 1 && Number(day) <= 31;
    return isDay ? [{ text: all, day: dayOf(month ?? short, day) }] : [];
  });
  const worded = [...text.matchAll(WORDED)].map(([all, day, month = '']) => ({ text: all, day: dayOf(monthNumber(month), day) }));
  return [...written, ...worded];
}

/** A day as somebody may have written it: 5/3, 05/03/2026, 5 de março, 2026-03-05. */
export function dateForm(day: string): RegExp {
  const [month = 0, of = 0] = day.split('-').map(Number);
  const name = (MONTHS[month - 1] ?? '').replace('ç', '[çc]');
  const iso = `-${String(month).padStart(2, '0')}-${String(of).padStart(2, '0')}`;
  return new RegExp(String.raw`(?<!\d)0?${of}(?:\/0?${month}(?!\d)|[ºo°]?\s+de\s+${name})|${iso}(?!\d)`, 'iu');
}

function monthNumber(name: string): number {
  return MONTHS.findIndex((each) => each.replace('ç', 'c') === name.toLowerCase().replace('ç', 'c')) + 1;
}

function dayOf(month: unknown, day: unknown): string {
  return `${Number(month)}-${Number(day)}`;
}

const DAY_MS = 86_400_000;

/** Yesterday, today and tomorrow. */
export function datesNear(now: Date, timeZone: string): string[] {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, month: 'numeric', day: 'numeric' });
  return [-1, 0, 1].map((days) => format.format(new Date(now.getTime() + days * DAY_MS)).replace('/', '-'));
}
