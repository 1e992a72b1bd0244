import { pushEvents } from '../feed/push.ts';
import type { CronJob } from '../schedule/job.ts';

/** Subscribers are posted what happened. One run goes on while there is something, and never longer than its minute. */
export const pushEventsJob: CronJob = {
  name: 'push_events',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'posts events to the programs that subscribed, and again what they did not take',
  run: (ctx, { signal }) => pushEvents(ctx, signal),
};
