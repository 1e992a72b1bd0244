/** Until when a directive holds, in a person's words. Pure. */
import { momentOf } from '../words/dates.ts';
import type { Moment } from '../words/dates.ts';
import type { Zone } from '../words/zone.ts';

/** A day without an hour is meant to its end. */
export function endMeant(words: string, now: Date, zone: Zone): Moment {
  const wholeDay = momentOf(`${words} às 23:59`, now, zone);
  return wholeDay.kind === 'at' || wholeDay.asks !== 'conflict' ? wholeDay : momentOf(words, now, zone);
}
