import type { Context } from '../context.ts';
import type { Timing } from './decide.ts';

/** What jobs need of the context; the command line has it too, for `job run`. */
export type JobContext = Pick<
  Context,
  'config' | 'log' | 'events' | 'db' | 'inbox' | 'background' | 'whatsapp' | 'voyage' | 'tools' | 'sendPolicy'
> & {
  process: Pick<Context['process'], 'id'>;
  queues: Pick<Context['queues'], 'wakeTurn' | 'wakeSend' | 'wakeReconcile' | 'ping' | 'counts'>;
};

/** A scheduled job. The pattern is in the zone of TZ. */
export type CronJob = Timing & {
  name: string;
  /** One line for people. */
  summary: string;
  /** A run that takes longer is recorded as failed. Seconds. */
  timeoutSeconds: number;
  /**
   * Returns how many things it dealt with, or why there was nothing to do. May run in two schedulers for different ticks at once; must bear being cut
   * off anywhere. `signal` aborts when the time is over or the process stops: what comes after that counts for nothing, so it should end soon.
   */
  run(ctx: JobContext, run: JobRun): Promise<number | { skipped: string }>;
};

export type JobRun = { tick: Date; signal: AbortSignal };
