/** What a month will have cost. Pure. */

const DAY_MS = 86_400_000;
/** So many whole days before today say how much a day costs now. */
const RECENT_DAYS = 7;

/**
 * US dollars of the whole month of `now` (UTC), if each day that is left costs what the last whole days did, today what is known of it or as much, whichever is
 * more. With no whole day before today, today so far says it; null: it has hardly begun.
 */
export function forecast(spent: { now: Date; day: number; month: number; days: readonly { day: string; usd: number }[] }): number | null {
  const { now, day, month, days } = spent;
  const midnight = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate());
  const first = days.map((each) => Date.parse(each.day)).toSorted((a, b) => a - b)[0] ?? midnight;
  const whole = Math.min(RECENT_DAYS, Math.round((midnight - first) / DAY_MS));
  const recent = days.filter((each) => Date.parse(each.day) >= midnight - whole * DAY_MS).reduce((sum, { usd }) => sum + usd, 0);
  const passed = (now.getTime() - midnight) / DAY_MS;
  if (whole === 0 && passed < 1 / 24) return null;
  const usual = whole === 0 ? day / passed : recent / whole;
  const left = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 0)).getUTCDate() - now.getUTCDate();
  return Math.round((month + Math.max(0, usual - day) + usual * left) * 1e6) / 1e6;
}
