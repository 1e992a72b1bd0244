/** Brazil's national holidays. Pure. */
import { getHolidays } from '@brazilian-utils/brazilian-utils/get-holidays';
import type { Holiday } from './holiday-calls.ts';

/** The holidays by law of a year, in order: not carnival and Corpus Christi, on which many work. */
export function brazilianHolidays(year: number): Holiday[] {
  const days = getHolidays(year).flatMap(({ type, date, name }) =>
    // The library means local midnight.
    type === 'national' ? [{ day: dayOf(year, date.getMonth(), date.getDate()), name }] : [],
  );
  return [...days, ...electionDays(year)].toSorted((a, b) => a.day.localeCompare(b.day));
}

const OCTOBER = 9;

/** The first and the last Sunday of October of even years (Constitution, art. 77), holidays by art. 380 of Lei 4.737/1965. The library does not have them. */
function electionDays(year: number): Holiday[] {
  if (year % 2 !== 0) return [];
  const firstSunday = 1 + ((7 - new Date(Date.UTC(year, OCTOBER, 1)).getUTCDay()) % 7);
  const lastSunday = 31 - new Date(Date.UTC(year, OCTOBER, 31)).getUTCDay();
  return [firstSunday, lastSunday].map((date) => ({ day: dayOf(year, OCTOBER, date), name: 'Dia de eleição' }));
}

/** `month` counts from 0. */
function dayOf(year: number, month: number, date: number): string {
  return new Date(Date.UTC(year, month, date)).toISOString().slice(0, 10);
}
