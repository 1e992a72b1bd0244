import { returnHandoffs, tellOfGreetings, tellOfHandoffs, tellOfMessages } from '../people/handoffs.ts';
import type { CronJob } from '../schedule/job.ts';

/** People hear of handoffs that no turn told (a failed send, a worker that died) and of those that nobody took; forgotten ones go back to the agent. */
export const handoffsJob: CronJob = {
  name: 'handoffs',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'tells people of handoffs, reminds them, gives forgotten ones back to the agent',
  async run(ctx) {
    return (await tellOfHandoffs(ctx)) + (await tellOfMessages(ctx)) + (await returnHandoffs(ctx)) + (await tellOfGreetings(ctx));
  },
};
