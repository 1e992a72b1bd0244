/**
 * Cron patterns of five fields in a time zone: numbers, `*`, lists, ranges, steps; weekday 0 and 7 are Sunday; with both a day of the month and a
 * weekday, either suffices. Pure.
 *
 * When the clocks change, as in Vixie's cron: a job at fixed hours whose time is skipped runs at the first minute after the gap, and one whose time
 * comes twice runs the first time only. A job of every hour follows real time: it neither pauses nor doubles.
 */

import type { Zone } from '../words/zone.ts';

export type Cron = {
  minutes: ReadonlySet<number>;
  hours: ReadonlySet<number>;
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  weekdays: ReadonlySet<number>;
  /** The hour is a wish of its own, not "every hour". */
  fixedHours: boolean;
  /** Both a day of the month and a weekday are asked for. */
  eitherDay: boolean;
};

/** Throws on a pattern that is none: patterns are written by programmers. */
export function parseCron(pattern: string): Cron {
  const fields = pattern.trim().split(/\s+/);
  if (fields.length !== 5) throw new Error(`not a cron pattern of five fields: ${pattern}`);
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = fields;
  return {
    minutes: numbersOf(minute, 0, 59, pattern),
    hours: numbersOf(hour, 0, 23, pattern),
    days: numbersOf(day, 1, 31, pattern),
    months: numbersOf(month, 1, 12, pattern),
    weekdays: new Set([...numbersOf(weekday, 0, 7, pattern)].map((each) => each % 7)),
    fixedHours: !hour.startsWith('*'),
    eitherDay: !day.startsWith('*') && !weekday.startsWith('*'),
  };
}

function numbersOf(field: string, min: number, max: number, pattern: string): Set<number> {
  const found = new Set<number>();
  for (const part of field.split(',')) {
    const [, star, from, to, step] = /^(?:(\*)|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part) ?? [];
    if (star === undefined && from === undefined) throw new Error(`not a cron pattern: ${pattern}`);
    const first = star === undefined ? Number(from) : min;
    // `5/15` is from 5 on, as `5-59/15`
    const last = star !== undefined || (to === undefined && step !== undefined) ? max : Number(to ?? from);
    const by = step === undefined ? 1 : Number(step);
    if (first < min || last > max || first > last || by < 1) throw new Error(`out of range in the cron pattern: ${pattern}`);
    for (let each = first; each <= last; each += by) found.add(each);
  }
  return found;
}

const MINUTE_MS = 60_000;
/** No zone's clocks are moved by more. Milliseconds. */
const MOST_SHIFT_MS = 3 * 60 * MINUTE_MS;

/** Whether the pattern is due in the minute that begins at `minute`. */
export function isDue(cron: Cron, zone: Zone, minute: Date): boolean {
  const now = minute.getTime();
  const wall = now + zone.offset(now);
  if (!cron.fixedHours) return matches(cron, wall);
  // The offset of just before: what differs is a clock that was moved within the last hours.
  const before = zone.offset(now - MOST_SHIFT_MS);
  const shift = zone.offset(now) - before;
  if (shift < 0 && matches(cron, wall)) {
    // set back: this wall time has been before, -shift ago, if the clock had not yet been moved then
    const earlier = now + shift;
    return earlier + zone.offset(earlier) !== wall;
  }
  if (matches(cron, wall)) return true;
  // set forward: what was skipped since the minute before is due now
  for (let skipped = now - MINUTE_MS + zone.offset(now - MINUTE_MS) + MINUTE_MS; skipped < wall; skipped += MINUTE_MS)
    if (matches(cron, skipped)) return true;
  return false;
}

/** `wall`: the local time as if it were UTC, milliseconds. */
function matches(cron: Cron, wall: number): boolean {
  const at = new Date(wall);
  if (!cron.minutes.has(at.getUTCMinutes()) || !cron.hours.has(at.getUTCHours()) || !cron.months.has(at.getUTCMonth() + 1)) return false;
  const day = cron.days.has(at.getUTCDate());
  const weekday = cron.weekdays.has(at.getUTCDay());
  return cron.eitherDay ? day || weekday : day && weekday;
}
