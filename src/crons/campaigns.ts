import { feedCampaigns } from '../campaigns/campaigns.ts';
import type { CronJob } from '../schedule/job.ts';

/** Begins what is scheduled, queues the next of what runs, and stops what people leave. */
export const campaignsJob: CronJob = {
  name: 'campaigns',
  cron: '* * * * *',
  catchUp: 'once',
  cadence: 'minute',
  timeoutSeconds: 50,
  summary: 'queues the next messages of campaigns, and pauses one that people leave or that does not arrive',
  run: (ctx, { signal }) => feedCampaigns(ctx, signal),
};
