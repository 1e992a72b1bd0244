/**
 * One moment out of a person's words: a minute to come, within a year, with the words that confirm it, or a question back. It never guesses between two readings
 * that are both to come. Pure, total.
 */
import { datePieces } from './date-words.ts';
import type { Ask, DatePiece, DayPiece, PartOfDay, TimePiece } from './date-words.ts';
import { instantOf } from './zone.ts';
import type { Zone } from './zone.ts';

export type Moment =
  /** `words` name weekday, date and hour, as the clocks of the zone will show them. */
  { kind: 'at'; at: Date; words: string } | { kind: 'ask'; asks: Ask | 'far' | 'no_such_day' | 'conflict'; question: string };

/** The latest that is taken, from now on. */
const YEAR_MS = 365 * 86_400_000;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** A day without an hour: the confirmation says it, and the contact can say another. Minutes of the day. */
const USUAL_HOUR = 9 * 60;

const QUESTIONS: Readonly<Record<Exclude<Moment, { kind: 'at' }>['asks'], string>> = {
  day: 'Que dia?',
  hour: 'A que horas?',
  unclear: 'Que dia e a que horas?',
  past: 'Isso já passou. Que dia e a que horas?',
  repeats: 'Só consigo marcar uma vez. Que dia e a que horas?',
  weekend: 'Sábado ou domingo, e a que horas?',
  far: 'Só consigo marcar dentro de um ano. Que dia?',
  no_such_day: 'Esse dia não existe. Que dia?',
  conflict: 'Esses dias ou horas não combinam. Que dia e a que horas?',
};

function ask(asks: keyof typeof QUESTIONS, question = QUESTIONS[asks]): Moment {
  return { kind: 'ask', asks, question };
}

export function momentOf(words: string, now: Date, zone: Zone): Moment {
  const pieces = datePieces(words);
  const asked = pieces.find((piece): piece is { ask: Ask } => 'ask' in piece);
  if (asked !== undefined) return ask(asked.ask);
  if (pieces.length === 0) return ask('unclear');
  const setting: Setting = { now: now.getTime(), zone, today: Math.floor((now.getTime() + zone.offset(now.getTime())) / DAY_MS) };
  const after = pieces.filter((piece): piece is { after: number } => 'after' in piece);
  if (after.length > 0) return pieces.length > 1 ? ask('conflict') : afterNow(setting, after[0]?.after ?? 0);
  const days = distinct(pieces.filter((piece): piece is DayPiece => 'day' in piece));
  const times = distinct(pieces.filter((piece): piece is TimePiece => 'time' in piece));
  const day = dayMeant(setting, days);
  if (typeof day === 'object' && day !== null && 'kind' in day) return day;
  return onDay(setting, day, times);
}

/** `today`: days since 1970 on the clocks of the zone. */
type Setting = { now: number; zone: Zone; today: number };

function distinct<Piece extends DatePiece>(pieces: Piece[]): Piece[] {
  return [...new Map(pieces.map((piece) => [JSON.stringify(piece), piece])).values()];
}

/** Counted from the minute that has begun, as who looks at a clock does. */
function afterNow(setting: Setting, minutes: number): Moment {
  if (minutes < 1) return ask('hour');
  return settled(setting, (Math.floor(setting.now / MINUTE_MS) + minutes) * MINUTE_MS);
}

/** Every day that the words allow, or a question. `null`: they name none. */
function dayMeant(setting: Setting, days: DayPiece[]): Moment | DayChoice | null {
  const [anchor, ...others] = days.toSorted((a, b) => RANK.indexOf(a.day) - RANK.indexOf(b.day));
  if (anchor === undefined) return null;
  const week = others.find((piece) => piece.day === 'week');
  const month = others.find((piece) => piece.day === 'month');
  const choice = daysOf(setting, anchor, week?.ahead ?? null, month?.ahead ?? null);
  if ('kind' in choice) return choice;
  const rest = others.filter((piece) => piece !== week && piece !== month);
  const agreed = choice.days.filter((day) => rest.every((piece) => agrees(setting, piece, day)));
  return agreed.length === 0 ? ask('conflict') : { ...choice, days: agreed, sure: choice.sure || rest.length > 0 };
}

/** What names the day most exactly comes first; the others must agree with it. */
const RANK: readonly DayPiece['day'][] = ['date', 'in', 'months', 'last', 'weekday', 'week', 'month'];

/** `days`: as days since 1970, in order; all but the first are a second reading. `sure`: the day was named by itself and is not looked for beyond it. */
type DayChoice = { days: number[]; sure: boolean };

function daysOf(setting: Setting, piece: DayPiece, week: 0 | 1 | null, month: 0 | 1 | null): Moment | DayChoice {
  const { today } = setting;
  switch (piece.day) {
    case 'in':
      return { days: [today + piece.days], sure: true };
    case 'months': {
      const { year, month, date } = calendar(today);
      const day = dayNumber(year, month + piece.months, date);
      return day === null ? ask('no_such_day') : { days: [day], sure: true };
    }
    case 'last': {
      const { year, month: here } = calendar(today);
      const first = Date.UTC(year, here + (month ?? 0), 1) / DAY_MS;
      return { days: [first - 1], sure: true };
    }
    case 'date':
      return dated(setting, piece, month);
    case 'weekday':
      return onWeekday(setting, piece, week);
    case 'week':
    case 'month':
      return ask('day', piece.day === 'week' ? 'Que dia da semana?' : 'Que dia do mês?');
  }
}

function dated({ today }: Setting, { date, month, year }: Extract<DayPiece, { day: 'date' }>, ahead: 0 | 1 | null): Moment | DayChoice {
  const here = calendar(today);
  const noSuchDay = ask('no_such_day');
  if (month !== null && month > 12) return noSuchDay;
  if (month !== null && year !== null) {
    const day = dayNumber(year, month, date);
    return day === null ? noSuchDay : { days: [day], sure: true };
  }
  if (month !== null) {
    const [these, next] = [dayNumber(here.year, month, date), dayNumber(here.year + 1, month, date)];
    const day = these !== null && these >= today ? these : next;
    // 29 February is there in some years only, and not in two that follow each other
    return day === null ? noSuchDay : { days: [day], sure: true };
  }
  if (ahead !== null) {
    const day = dayNumber(here.year, here.month + ahead, date);
    return day === null ? noSuchDay : { days: [day], sure: true };
  }
  const [these, next] = [dayNumber(here.year, here.month, date), dayNumber(here.year, here.month + 1, date)];
  // "dia 31" in a month of 30: the end of this one or of the next?
  if (these === null) return noSuchDay;
  if (these > today) return { days: [these], sure: true };
  if (these === today) return { days: next === null ? [these] : [these, next], sure: false };
  return next === null ? noSuchDay : { days: [next], sure: true };
}

function onWeekday({ today }: Setting, { weekday, which }: Extract<DayPiece, { day: 'weekday' }>, week: 0 | 1 | null): Moment | DayChoice {
  const here = weekdayOn(today);
  const coming = today + ((weekday - here + 7) % 7);
  // weeks begin on Monday for some and on Sunday for others
  if (week !== null) {
    if (here === 0 || weekday === 0) return ask('day', `Que dia: ${dayNamed(coming)} ou ${dayNamed(coming + 7)}?`);
    const day = today - here + weekday + 7 * week;
    return { days: [day], sure: true };
  }
  if (which === 'this') return { days: [coming], sure: true };
  if (which === 'next') {
    if (coming === today) return { days: [today + 7], sure: true };
    const isOfThisWeek = here !== 0 && (weekday === 0 || weekday > here);
    return isOfThisWeek ? ask('day', `Que dia: ${dayNamed(coming)} ou ${dayNamed(coming + 7)}?`) : { days: [coming], sure: true };
  }
  return coming === today ? { days: [today, today + 7], sure: false } : { days: [coming], sure: true };
}

/** Whether a day is what a further piece says of it: "terça, dia 5". */
function agrees(setting: Setting, piece: DayPiece, day: number): boolean {
  if (piece.day === 'weekday') return weekdayOn(day) === piece.weekday;
  const other = daysOf(setting, piece, null, null);
  return 'days' in other && other.days.includes(day);
}

function onDay(setting: Setting, choice: DayChoice | null, times: TimePiece[]): Moment {
  const [clocks, parts] = [times.filter(({ time }) => time !== 'part'), times.filter((piece) => piece.time === 'part')];
  if (clocks.length > 1 || parts.length > 1) return ask('conflict');
  const [time, part] = [clocks[0], parts[0]?.part ?? null];
  if (time?.time === 'midnight') return atMidnight(setting, choice, time.minute);
  const minutes = minutesOf(time, part, choice !== null);
  if (minutes === null) return ask('hour');
  if (choice === null) return nextTime(setting, minutes);
  if (choice.sure) {
    const day = choice.days[0] ?? setting.today;
    return chosen(setting, readings(setting, day, minutes), minutes, day, time === undefined);
  }
  // named today's weekday, or today's date: who means today says "hoje"
  const [today = 0, later] = choice.days;
  const stillToday = readings(setting, today, minutes.open ? minutes : only(minutes.meant));
  if (later === undefined) return chosen(setting, stillToday, minutes, today, time === undefined);
  if (stillToday.length > 0) return ask('day', `Hoje ou ${dayNamed(later)}?`);
  return chosen(setting, readings(setting, later, minutes), minutes, later, false);
}

/** Minutes of the day: what is meant, and what a clock with hands could mean as well. */
type Minutes = { meant: number; also: number | null; /** Both are as likely. */ open: boolean };

function minutesOf(time: Exclude<TimePiece, { time: 'midnight' }> | undefined, part: PartOfDay | null, hasDay: boolean): Minutes | null {
  if (time === undefined) {
    if (part === null) return hasDay ? only(USUAL_HOUR) : null;
    return part === 'madrugada' ? null : only(PARTS[part].usual);
  }
  if (time.time === 'part') return null;
  // "amanhã cedo, de manhã" says the same twice
  if (time.time === 'about') return part === null || isIn(time.minutes, part) ? only(time.minutes) : null;
  const [early, late] = [time.hour * 60 + time.minute, ((time.hour + 12) % 24) * 60 + time.minute];
  if (part !== null) {
    const fitting = (time.exact ? [early] : [early, late]).filter((minutes) => isIn(minutes, part));
    return fitting.length === 1 ? only(fitting[0] ?? 0) : null;
  }
  if (time.exact || time.hour === 12) return only(early);
  return { meant: early, also: late, open: time.hour < EARLIEST_HOUR };
}

/** Below it an hour without more is as well one of the afternoon; from it on it is one of the morning. */
const EARLIEST_HOUR = 7;

function only(meant: number): Minutes {
  return { meant, also: null, open: false };
}

/** Minutes of the day. Noon is "meio-dia"; who says "12 da noite" is asked. */
const PARTS: Readonly<Record<PartOfDay, { from: number; to: number; usual: number }>> = {
  madrugada: { from: 0, to: 6 * 60, usual: 0 },
  manha: { from: 4 * 60, to: 12 * 60, usual: 9 * 60 },
  tarde: { from: 12 * 60, to: 19 * 60, usual: 15 * 60 },
  noite: { from: 18 * 60, to: 24 * 60, usual: 19 * 60 },
};

function isIn(minutes: number, part: PartOfDay): boolean {
  return minutes >= PARTS[part].from && minutes < PARTS[part].to;
}

/** The instants of a day that are to come, of what is meant and of what could be meant. */
function readings({ now, zone }: Setting, day: number, { meant, also }: Minutes): number[] {
  const all = also === null ? [meant] : [meant, also];
  return all.map((minutes) => instantOf(zone, day * DAY_MS + minutes * MINUTE_MS)).filter((instant) => instant > now);
}

function chosen(setting: Setting, reached: number[], { open }: Minutes, day: number, isUsual: boolean): Moment {
  const [first, second] = reached;
  if (first === undefined) return ask(isUsual && day === setting.today ? 'hour' : 'past');
  if (second !== undefined && open) return ask('hour', `Às ${hourNamed(setting, first)} ou às ${hourNamed(setting, second)}?`);
  return settled(setting, first);
}

/** An hour and no day: today, or tomorrow when it is over and nothing else of today could be meant. */
function nextTime(setting: Setting, minutes: Minutes): Moment {
  const [today, tomorrow] = [readings(setting, setting.today, minutes), readings(setting, setting.today + 1, minutes)];
  const [first, second] = today;
  if (first === undefined) return chosen(setting, tomorrow, minutes, setting.today + 1, false);
  const isMeant = minutes.also === null || second !== undefined || minutes.open;
  if (!isMeant) return ask('day', `Hoje às ${hourNamed(setting, first)} ou amanhã às ${hourNamed(setting, tomorrow[0] ?? first)}?`);
  return chosen(setting, today, minutes, setting.today, false);
}

/** Midnight belongs to two days: of today, and of no day, it is the one to come. */
function atMidnight(setting: Setting, choice: DayChoice | null, minute: number): Moment {
  const [day] = choice?.days ?? [setting.today];
  if (day !== setting.today || (choice !== null && choice.days.length > 1))
    return ask('day', `Meia-noite na virada para ${dayNamed(day ?? 0)}, ou no fim desse dia?`);
  const soon = readings(setting, setting.today, only(minute));
  return settled(setting, soon[0] ?? instantOf(setting.zone, (setting.today + 1) * DAY_MS + minute * MINUTE_MS));
}

function settled({ now, zone }: Setting, instant: number): Moment {
  if (instant <= now) return ask('past');
  return instant - now > YEAR_MS ? ask('far') : { kind: 'at', at: new Date(instant), words: momentWords(new Date(instant), zone) };
}

const WEEKDAYS = ['domingo', 'segunda-feira', 'terça-feira', 'quarta-feira', 'quinta-feira', 'sexta-feira', 'sábado'];

/** "terça-feira, 01/12/2026, às 10:00". */
export function momentWords(at: Date, zone: Zone): string {
  const wall = new Date(at.getTime() + zone.offset(at.getTime()));
  const [year, month, day] = wall.toISOString().slice(0, 10).split('-');
  return `${WEEKDAYS[wall.getUTCDay()]}, ${day}/${month}/${year}, às ${wall.toISOString().slice(11, 16)}`;
}

/** How a day is called at a moment: hoje, amanhã, its weekday within the week, its date. */
export function dayFrom(day: Date, now: Date, zone: Zone): string {
  const [that, here] = [day, now].map((instant) => Math.floor((instant.getTime() + zone.offset(instant.getTime())) / DAY_MS));
  const ahead = (that ?? 0) - (here ?? 0);
  if (ahead === 0) return 'hoje';
  if (ahead === 1) return 'amanhã';
  return ahead === -1 ? 'ontem' : dayNamed(that ?? 0);
}

function dayNamed(day: number): string {
  const [, month, date] = new Date(day * DAY_MS).toISOString().slice(0, 10).split('-');
  return `${WEEKDAYS[weekdayOn(day)]}, ${date}/${month}`;
}

function hourNamed({ zone }: Setting, instant: number): string {
  return new Date(instant + zone.offset(instant)).toISOString().slice(11, 16);
}

function weekdayOn(day: number): number {
  return new Date(day * DAY_MS).getUTCDay();
}

/** `month` counts from 1. */
function calendar(day: number): { year: number; month: number; date: number } {
  const at = new Date(day * DAY_MS);
  return { year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, date: at.getUTCDate() };
}

/** `month` may be beyond 12: of the years after. Null: there is no such day. */
function dayNumber(year: number, month: number, date: number): number | null {
  const first = new Date(Date.UTC(year, month - 1, 1));
  const at = new Date(Date.UTC(year, month - 1, date));
  return month >= 1 && date >= 1 && at.getUTCMonth() === first.getUTCMonth() ? at.getTime() / DAY_MS : null;
}
