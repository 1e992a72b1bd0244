/** The clocks of a time zone: what they show at an instant, and when they show a time. Pure. */

const MINUTE_MS = 60_000;
const DAY_MS = 1_440 * MINUTE_MS;

export type Zone = {
  /** Milliseconds that the local clocks are ahead of UTC at this instant. */
  offset(instant: number): number;
};

/** Clocks are moved at quarters of an hour, so an offset is asked for once in a quarter: a week is looked through in milliseconds. */
const QUARTER_MS = 15 * MINUTE_MS;
const KEPT = 2_000;

export function zoneOf(timeZone: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const known = new Map<number, number>();
  return {
    offset(instant) {
      const quarter = Math.floor(instant / QUARTER_MS);
      const found = known.get(quarter);
      if (found !== undefined) return found;
      const at = quarter * QUARTER_MS;
      const parts = Object.fromEntries(format.formatToParts(new Date(at)).map(({ type, value }) => [type, Number(value)]));
      const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts;
      const offset = Date.UTC(year, month - 1, day, hour, minute) - at;
      if (known.size >= KEPT) known.clear();
      known.set(quarter, offset);
      return offset;
    },
  };
}

/**
 * The instant at which the clocks of a zone show `wall` (the local time as if it were UTC, milliseconds). Shown twice, the first of the two; never shown, since the
 * clocks are moved forward over it, that much later.
 */
export function instantOf(zone: Zone, wall: number): number {
  const before = zone.offset(wall - DAY_MS);
  const shown = [wall - before, wall - zone.offset(wall + DAY_MS)].filter((instant) => instant + zone.offset(instant) === wall);
  return shown.length === 0 ? wall - before : Math.min(...shown);
}
