import type { Context } from '../context.ts';

/** A scheduled job. */
export type CronJob = {
  name: string;
  /** Cron pattern of five fields, in the zone of TZ. */
  cron: string;
  /** What becomes of the ticks that nobody ran: one run for all of them, a run for each, or none. */
  catchUp: 'once' | 'all' | 'skip';
  /** Returns how many things it dealt with. May run in two schedulers for different ticks at once; must bear being cut off anywhere. */
  run(ctx: Context): Promise<number>;
};
