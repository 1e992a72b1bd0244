/** Configuration of what is kept, backed up and sealed. */
import type { SecretKeys } from '../process/secrets.ts';
/** How long things are kept, and where backups go. */
import type { Report } from './environment.ts';
import type { Variables } from './variables.ts';

/** Days after which rows of a kind go; 0 keeps them. */
export type Retention = {
  readonly webhooks: number;
  readonly jobs: number;
  readonly transcripts: number;
  readonly messages: number;
  readonly audit: number;
};

export function retention(v: Variables): Retention {
  return {
    webhooks: v.RETENTION_WEBHOOKS_DAYS,
    jobs: v.RETENTION_JOBS_DAYS,
    transcripts: v.RETENTION_TRANSCRIPTS_DAYS,
    messages: v.RETENTION_MESSAGES_DAYS,
    audit: v.RETENTION_AUDIT_DAYS,
  };
}

export type Backup = {
  /** The scheduler makes one every day: BACKUP_DIR is set. */
  readonly daily: boolean;
  readonly dir: string;
  readonly keepDays: number;
  /** null: backups are not encrypted. */
  readonly encryptionKey: string | null;
  /** Of pg_dump and pg_restore; null: where the system keeps them. */
  readonly toolsDir: string | null;
  /** A server for scratch databases; null: the one that is backed up. */
  readonly verifyUrl: string | null;
};

const KEY_MIN_CHARS = 32;

export function backup(v: Variables, report: Report): Backup {
  if (v.BACKUP_ENCRYPTION_KEY !== undefined && v.BACKUP_ENCRYPTION_KEY.length < KEY_MIN_CHARS)
    report.problem(`BACKUP_ENCRYPTION_KEY: must have at least ${KEY_MIN_CHARS} characters; make one with \`openssl rand -hex 32\``);
  if (v.BACKUP_DIR !== undefined && (v.MIGRATE_DATABASE_URL ?? v.DATABASE_URL ?? v.SUPABASE_DB_URL) === undefined)
    report.problem('BACKUP_DIR: needs DATABASE_URL or SUPABASE_DB_URL, the Postgres that is backed up');
  return {
    daily: v.BACKUP_DIR !== undefined,
    dir: v.BACKUP_DIR ?? 'backups',
    keepDays: v.BACKUP_KEEP_DAYS,
    encryptionKey: v.BACKUP_ENCRYPTION_KEY ?? null,
    toolsDir: v.PG_BIN_DIR ?? null,
    verifyUrl: v.BACKUP_VERIFY_URL ?? null,
  };
}

/** null: no secret can be kept in the database. */
export function secrets(v: Variables, report: Report): SecretKeys | null {
  for (const name of ['SECRETS_KEY', 'SECRETS_KEY_PREVIOUS'] as const)
    if (v[name] !== undefined && v[name].length < KEY_MIN_CHARS)
      report.problem(`${name}: must have at least ${KEY_MIN_CHARS} characters; make one with \`openssl rand -hex 32\``);
  if (v.SECRETS_KEY_PREVIOUS !== undefined && v.SECRETS_KEY === undefined)
    report.problem('SECRETS_KEY: must be set too when SECRETS_KEY_PREVIOUS is set');
  return v.SECRETS_KEY === undefined ? null : { current: v.SECRETS_KEY, previous: v.SECRETS_KEY_PREVIOUS ?? null };
}
