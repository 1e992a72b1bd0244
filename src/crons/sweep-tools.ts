import { sweepWrites } from '../tools/writes.ts';
import type { CronJob } from '../schedule/job.ts';

/** What a process left behind between an answer and the call that it promised, and what nobody approved in time. */
export const sweepToolsJob: CronJob = {
  name: 'sweep_tools',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'makes calls of business tools that are due, and ends approvals that nobody gave in time',
  run: sweepWrites,
};
