/** What is read of Google: briefings every hour, texts of notices each morning. What cannot be read fails the run, with what to do about it. */
import { createDrive } from '../google/client.ts';
import { syncBriefings, syncTemplates } from '../directives/briefings.ts';
import type { Setting, Synced } from '../directives/briefings.ts';
import { sendNotice } from '../notices/notices.ts';
import type { CronJob, JobContext, JobRun } from '../schedule/job.ts';

/** The folders are the installation's. */
const TENANT = 'default';

export const syncBriefingsJob: CronJob = {
  name: 'sync_briefings',
  cron: '30 * * * *',
  cadence: 'hour',
  catchUp: 'once',
  timeoutSeconds: 600,
  summary: 'reads what has changed of the briefings at Google and proposes directives',
  async run(ctx, job) {
    return read(ctx, job, 'briefingsFolderId', 'GOOGLE_BRIEFINGS_FOLDER_ID', syncBriefings);
  },
};

export const syncTemplatesJob: CronJob = {
  name: 'sync_templates',
  cron: '0 6 * * *',
  cadence: 'day',
  catchUp: 'once',
  timeoutSeconds: 600,
  summary: 'reads what has changed of the texts of order notices at Google',
  async run(ctx, job) {
    return read(ctx, job, 'templatesFolderId', 'GOOGLE_TEMPLATES_FOLDER_ID', syncTemplates);
  },
};

async function read(
  ctx: JobContext,
  { signal }: JobRun,
  folder: 'briefingsFolderId' | 'templatesFolderId',
  variable: string,
  sync: (setting: Setting, signal: AbortSignal) => Promise<Synced>,
): Promise<number | { skipped: string }> {
  const { google, app } = ctx.config;
  const folderId = google?.[folder] ?? null;
  if (google === null || folderId === null) return { skipped: `not configured: set ${variable}` };
  const { db } = ctx;
  const synced = await sync({ db, drive: createDrive(google), tenant: TENANT, folderId, timeZone: app.timeZone, now: new Date() }, signal);
  for (const { name, proposed, withdrawn, key } of synced.news)
    await sendNotice(ctx, {
      tenant: TENANT,
      key: `briefing-${key}`,
      kind: 'alert',
      urgent: false,
      text: `Briefing "${name}": ${proposed} instruções propostas, ${withdrawn} retiradas. Nada novo vale antes de um sim: *instruções*, ou Agente no console.`,
    });
  if (synced.faults.length > 0) throw new Error(synced.faults.join('; '));
  return synced.read + synced.withdrawn;
}
