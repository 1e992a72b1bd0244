/**
 * The scheduler's clock: node-cron wakes it every minute of UTC. The calendar (schedule/decide.ts) says which ticks begin then, in the zone of the installation
 * and by the catch-up rule of each job. (Rejected: node-cron's own patterns. It would skip a job in the hour that a change of clocks leaves out, and pause those
 * of every minute in the hour that comes twice.)
 */
import { schedule } from 'node-cron';
import type { Zone } from '../words/zone.ts';
import { createTicker } from './decide.ts';
import type { Timing } from './decide.ts';
import type { Logger } from '../process/log.ts';

/** A minute that is begun later than this was missed, as far as node-cron is concerned: it tells of it instead of running it. Milliseconds. */
const TOLERANCE_MS = 30_000;

export type Clock = { stop(): void };

/**
 * Calls `begin` for every tick of a minute after that of `since`, once. It should not throw: what it throws in a minute is logged, and the clock goes on.
 * A machine that slept is noticed at its next minute at the latest; what it slept through follows the catch-up rules.
 */
export function startClock<Job extends Timing>(
  jobs: readonly Job[],
  { zone, since, log, begin }: { zone: Zone; since: Date; log: Logger; begin: (job: Job, tick: Date) => void },
): Clock {
  const due = createTicker(jobs, zone, since);
  const look = (): void => {
    for (const { job, tick } of due(new Date())) begin(job, tick);
  };
  const task = schedule('* * * * *', look, {
    timezone: 'UTC',
    missedExecutionTolerance: TOLERANCE_MS,
    logger: {
      info: () => {},
      debug: () => {},
      warn: (detail) => log.warning({ detail }, 'The clock warns'),
      error: (what, error) => log.error({ error: error ?? what }, 'A minute could not be begun'),
    },
  });
  // The calendar is asked for all that is due by now, not for the minute that was missed. So a job that makes up once runs once for several of them.
  task.on('execution:missed', look);
  look(); // a minute may have begun since `since`, and node-cron begins with the next one
  return { stop: () => void task.destroy() };
}
