/** When jobs run, what becomes of ticks that nobody ran, and when a job counts as stale. Pure. */
import { isDue, parseCron } from './cron.ts';
import type { Zone } from '../words/zone.ts';

/** What becomes of the ticks that nobody ran: one run for all of them, a run for each, or none. */
export type CatchUp = 'once' | 'all' | 'skip';
export type Cadence = 'minute' | '5 minutes' | '10 minutes' | '15 minutes' | 'hour' | 'day' | 'week';
export type Timing = { cron: string; cadence: Cadence; catchUp: CatchUp };

/** A job without a good run for so long is stale. Seconds. */
export const STALE_SECONDS: Readonly<Record<Cadence, number>> = {
  minute: 180,
  '5 minutes': 900,
  '10 minutes': 1_800,
  '15 minutes': 2_700,
  hour: 7_200,
  day: 90_000,
  week: 691_200,
};

const MINUTE_MS = 60_000;
/** Ticks further back than this are not caught up: a weekly job and a day. */
const CATCH_UP_MINUTES = 8 * 24 * 60;

/** What the catch-up rule asks for at a start: of the ticks after `last` (the newest that ran), up to now, none, the newest, or all. */
export function missedTicks(job: Pick<Timing, 'cron' | 'catchUp'>, zone: Zone, last: Date | null, now: Date): Date[] {
  if (last === null || job.catchUp === 'skip') return [];
  const cron = parseCron(job.cron);
  const missed: Date[] = [];
  const newest = floorToMinute(now).getTime();
  const oldest = Math.max(last.getTime() + 1, newest - CATCH_UP_MINUTES * MINUTE_MS);
  for (let at = newest; at >= oldest; at -= MINUTE_MS) {
    if (!isDue(cron, zone, new Date(at))) continue;
    missed.unshift(new Date(at));
    if (job.catchUp === 'once') break;
  }
  return missed;
}

/**
 * Which ticks begin, as time goes on: call it with the present time, as often as you like. Every minute is looked at once; when minutes were
 * left out (the machine slept), the catch-up rules hold for them, and the present one runs as ever.
 */
export function createTicker<Job extends Timing>(jobs: readonly Job[], zone: Zone, start: Date): (now: Date) => { job: Job; tick: Date }[] {
  const timed = jobs.map((job) => ({ job, cron: parseCron(job.cron) }));
  let seen = floorToMinute(start).getTime();
  return (now) => {
    const minute = floorToMinute(now);
    if (minute.getTime() <= seen) return [];
    const last = new Date(seen);
    seen = minute.getTime();
    return timed.flatMap(({ job, cron }) => {
      const ticks = missedTicks(job, zone, last, now);
      if (job.catchUp === 'skip' && isDue(cron, zone, minute)) ticks.push(minute);
      return ticks.map((tick) => ({ job, tick }));
    });
  };
}

/** A tick that waits for the database. */
export type KeptTick<Job> = { job: Job; tick: Date };

/** Ticks of one job that wait at most: an hour of a job of every minute. */
const MOST_KEPT = 60;

/** What waits for the database, with one tick more: each one of a job that makes up for all; of the others the newest, whatever their rule. */
export function keepTick<Job extends Pick<Timing, 'catchUp'>>(kept: readonly KeptTick<Job>[], more: KeptTick<Job>): KeptTick<Job>[] {
  const own = kept.filter(({ job }) => job === more.job);
  const others = kept.filter(({ job }) => job !== more.job);
  if (own.some(({ tick }) => tick.getTime() === more.tick.getTime())) return [...kept];
  const all = [...own, more].toSorted((a, b) => a.tick.getTime() - b.tick.getTime());
  return [...others, ...all.slice(more.job.catchUp === 'all' ? -MOST_KEPT : -1)];
}

/** Words with which programs that reach the database by themselves (pg_dump) say that it is not there. */
const ABSENT =
  /ECONNREFUSED|ECONNRESET|Connection refused|could not connect|connection to server .* failed|terminating connection|server closed the connection|Connection terminated|the database system is (?:starting up|shutting down|in recovery)/i;

/** Whether a job failed because the database was not there. */
export function metNoDatabase(error: string): boolean {
  return ABSENT.test(error) || error.startsWith('database away');
}

export function floorToMinute(date: Date): Date {
  return new Date(Math.floor(date.getTime() / MINUTE_MS) * MINUTE_MS);
}

/** Stale: no good run (done, or skipped with a reason) within the cadence's allowance. `lastGood` null: no scheduler has known the job yet. */
export function isStale(cadence: Cadence, lastGood: Date | null, now: Date): boolean {
  return lastGood !== null && now.getTime() - lastGood.getTime() > STALE_SECONDS[cadence] * 1000;
}
