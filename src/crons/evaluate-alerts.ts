import { evaluateAlerts } from '../watch/alerts.ts';
import type { CronJob } from '../schedule/job.ts';

/**
 * What holds of the conditions of watch/alert-conditions.ts becomes one message each. Each scheduler also looks at the urgent ones every quarter of a minute.
 * `catalogue`: the jobs that may be stale, this one among them.
 */
export const evaluateAlertsJob = (catalogue: () => readonly CronJob[]): CronJob => ({
  name: 'evaluate_alerts',
  cron: '* * * * *',
  cadence: 'minute',
  catchUp: 'skip',
  timeoutSeconds: 50,
  summary: 'looks for trouble and tells people once: errors, latency, queues, limits, machines, jobs',
  run: (ctx) => evaluateAlerts(ctx, ['seconds', 'minute'], catalogue()),
});

/** Conditions over days. */
export const evaluateTrustJob: CronJob = {
  name: 'evaluate_trust',
  cron: '*/15 * * * *',
  cadence: '15 minutes',
  catchUp: 'skip',
  timeoutSeconds: 120,
  summary: 'looks at what shows over days: suspicion of a robot, how fast the SLA is used up',
  run: (ctx) => evaluateAlerts(ctx, ['quarter']),
};
