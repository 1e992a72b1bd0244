/** The catalogue of jobs. What a job does is in its own file. */
import { backupJob, keepErasuresJob } from './backup.ts';
import { campaignsJob } from './campaigns.ts';
import { checkInstancesJob } from './check-instances.ts';
import { evaluateAlertsJob, evaluateTrustJob } from './evaluate-alerts.ts';
import { handoffsJob } from './handoffs.ts';
import { expireHeldJob, followUpsJob } from './daily.ts';
import { syncBriefingsJob, syncTemplatesJob } from './google.ts';
import { countDaysJob, reportEveningJob, reportMorningJob, reportWeeklyJob, snapshotNumbersJob } from './reports.ts';
import { fireRemindersJob, followUpStepsJob } from './later.ts';
import { syncNumbersJob } from './sync-numbers.ts';
import type { CronJob } from '../schedule/job.ts';
import { pushEventsJob } from './push-events.ts';
import { purgeOldJob } from './purge-old.ts';
import { embedKnowledgeJob } from './embed-knowledge.ts';
import { retryMediaJob } from './retry-media.ts';
import { reconcileInboxJob } from './reconcile-inbox.ts';
import { refreshHolidaysJob } from './refresh-holidays.ts';
import { sweepNoticesJob } from './sweep-notices.ts';
import { sweepSendsJob } from './sweep-sends.ts';
import { sweepToolsJob } from './sweep-tools.ts';
import { sweepTurnsJob } from './sweep-turns.ts';

export const JOBS: readonly CronJob[] = [
  sweepTurnsJob,
  sweepSendsJob,
  fireRemindersJob,
  campaignsJob,
  followUpStepsJob,
  sweepToolsJob,
  pushEventsJob,
  retryMediaJob,
  embedKnowledgeJob,
  handoffsJob,
  sweepNoticesJob,
  checkInstancesJob,
  evaluateAlertsJob(() => JOBS),
  reconcileInboxJob,
  evaluateTrustJob,
  purgeOldJob,
  refreshHolidaysJob,
  backupJob,
  keepErasuresJob,
  syncNumbersJob,
  followUpsJob,
  expireHeldJob,
  reportMorningJob,
  reportEveningJob,
  reportWeeklyJob,
  countDaysJob,
  snapshotNumbersJob,
  syncBriefingsJob,
  syncTemplatesJob,
];
