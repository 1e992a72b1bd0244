import type { CronJob } from '../schedule/job.ts';

/** The daily backup, where BACKUP_DIR is set; restored and compared before it counts. Fails in words that /health/jobs shows. */
export const backupJob: CronJob = {
  name: 'backup',
  cron: '0 2 * * *',
  catchUp: 'once',
  cadence: 'day',
  // reading, restoring and comparing 100 million messages
  timeoutSeconds: 4 * 3_600,
  summary: 'backs up the database, proves it by a restore, and deletes old backups',
  async run(ctx, { signal }) {
    const { migrationsUrl, backup } = ctx.config;
    if (!backup.daily || migrationsUrl === null) return { skipped: 'BACKUP_DIR is not set' };
    // Only a scheduler that makes backups carries what makes them.
    const { takeBackup } = await import('../backup/dump.ts');
    const say = (line: string): void => ctx.log.debug({ line }, 'Backup under way');
    const made = await takeBackup(migrationsUrl, backup, { verify: true, say, signal });
    return Object.keys(made.tables).length;
  },
};

/** Beside the backups, so that a restore of an older one knows who was erased after it was made. */
export const keepErasuresJob: CronJob = {
  name: 'keep_erasures',
  cron: '*/5 * * * *',
  catchUp: 'once',
  cadence: '5 minutes',
  timeoutSeconds: 60,
  summary: 'writes down beside the backups who was erased, as hashes, for a restore',
  async run(ctx) {
    const { backup } = ctx.config;
    if (!backup.daily) return { skipped: 'BACKUP_DIR is not set' };
    const { keepErasures } = await import('../backup/erasures.ts');
    return keepErasures(ctx.db, backup);
  },
};
