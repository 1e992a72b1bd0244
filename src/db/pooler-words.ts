/** Poolers in transaction mode: how an address says that it leads to one, and what is said of what cannot go through it. Pure. */

/** Supabase's port for it, and the word that Prisma taught people to write. Others are recognised by asking (db/pooler.ts). */
export function saysTransactionPooler(address: string): boolean {
  const url = URL.parse(address);
  if (url === null) return false;
  return url.searchParams.get('pgbouncer') === 'true' || (url.port === '6543' && /(^|\.)supabase\.(com|co|net|in)$/.test(url.hostname));
}

const INSTEAD = 'the address of the database itself or of a pooler in session mode (at Supabase the same host with port 5432)';

export const QUEUE_NEEDS_SESSION = `DATABASE_URL: leads to a pooler in transaction mode, and a queue in Postgres needs sessions (it listens for jobs): set REDIS_URL, or use ${INSTEAD}`;

export const MIGRATION_NEEDS_SESSION = `MIGRATE_DATABASE_URL: must be ${INSTEAD}: through a pooler in transaction mode a migration keeps no lock. Nothing was changed`;

export const BACKUP_NEEDS_SESSION = `MIGRATE_DATABASE_URL: must be ${INSTEAD}: through a pooler in transaction mode pg_dump and pg_restore leave their settings to others. Nothing was done`;
