/** Until when a directive holds, in a person's words. Pure. */
import { momentOf } from '../words/dates.ts';
import type { Moment } from '../words/dates.ts';
import type { Zone } from '../words/zone.ts';

/** A day without an hour is meant to its end. */
export function endMeant(words: string, now: Date, zone: Zone): Moment {
  const asTyped = momentOf(words, now, zone);
  if (asTyped.kind === 'ask' && asTyped.asks === 'unclear') return asTyped; // no day is named, and the end of today is not meant
  const wholeDay = momentOf(`${words} às 23:59`, now, zone);
  return wholeDay.kind === 'at' || wholeDay.asks !== 'conflict' ? wholeDay : asTyped;
}

const UNTIL = /(?:^|[^\p{L}])até\s+(.{2,60}?)(?=[.;:!?)]|$|,\s)/giu;

/** The end that a sentence of a document names ("até sexta", "até 31/12"); null: it names none that is clear. */
export function endIn(sentence: string, now: Date, zone: Zone): Date | null {
  const ends = [...sentence.normalize('NFC').matchAll(UNTIL)].flatMap(([, words = '']) => {
    const meant = endMeant(words, now, zone);
    return meant.kind === 'at' ? [meant.at] : [];
  });
  return ends.length === 1 ? (ends[0] ?? null) : null;
}
