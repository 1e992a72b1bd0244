/** The hours for messages that nobody asked for. Pure; the same rule as next_open in SQL. */

/** True when the local time in `timeZone` is from `start` on and before `end` (`HH:MM`). */
export function insideHours(hours: { start: string; end: string }, timeZone: string, now: Date): boolean {
  const local = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(now);
  return local >= hours.start && local < hours.end;
}
