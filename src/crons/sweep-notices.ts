import { deliverNotices } from '../notices/notices.ts';
import type { CronJob } from '../schedule/job.ts';

/** Delivers notices that are due. The scheduler looks every few seconds anyway; this leaves a record that it can. */
export const sweepNoticesJob: CronJob = {
  name: 'sweep_notices',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'delivers notices to people that are due',
  run: deliverNotices,
};
