import { deliverNotices } from '../notices.ts';
import type { CronJob } from './job.ts';

/** Delivers notices that are due. The scheduler looks each few seconds anyway; this leaves a record that it can. */
export const sweepNoticesJob: CronJob = {
  name: 'sweep_notices',
  cron: '* * * * *',
  catchUp: 'once',
  run: deliverNotices,
};
