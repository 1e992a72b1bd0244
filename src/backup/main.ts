/** The backup commands behind scripts/backup-db.sh, restore.sh and health-check.sh. Exit code 0 done, 1 failed, 2 wrong usage. */
import { userInfo } from 'node:os';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { loadConfig, readEnv } from '../config.ts';
import type { Config } from '../config.ts';
import { openPostgres } from '../db/door.ts';
import { toError } from '../process/errors.ts';
import { takeBackup } from './dump.ts';
import { keepErasures } from './erasures.ts';
import { listBackups } from './files.ts';
import { restoreBackup } from './restore.ts';
import { sealing, unsealing } from './seal.ts';

const HELP: Readonly<Record<string, string>> = {
  backup: `Usage: scripts/backup-db.sh [--no-verify | --erasures]

Backs up the database of MIGRATE_DATABASE_URL, else DATABASE_URL (or SUPABASE_DB_URL), into BACKUP_DIR (./backups), restores it into a scratch database,
compares rows and checksums of each table, gives it its name, and deletes backups that are older than BACKUP_KEEP_DAYS (30). Encrypted (age) when
BACKUP_ENCRYPTION_KEY is set. Everything may run meanwhile. Beside it lies the list of who was
erased, as hashes, which a restore of an older backup needs. Needs pg_dump of the server's version (PG_BIN_DIR), and the right to create a database there or on BACKUP_VERIFY_URL.

  --no-verify   do not restore and compare it; it is marked as unproven
  --erasures    back up nothing, only write the list: some minutes apart where no scheduler has BACKUP_DIR`,
  restore: `Usage: scripts/restore.sh [FILE] [--replace]

Restores a backup, the newest in BACKUP_DIR when no FILE is named, into the database of MIGRATE_DATABASE_URL, else DATABASE_URL (or SUPABASE_DB_URL), as
the owner of its tables and never as a superuser. With BACKUP_ENCRYPTION_KEY set only what was made with that key is taken. Compares it with what was backed
up, migrates it, and marks it: what was on its way may have left since, so it is looked up and not sent again, and each number waits until it was compared
with WhatsApp. Who was erased after it was made is erased again, as far as the list beside the backups and the tables that were there know it. Stop api, worker and scheduler first, start them afterwards.

  --replace     the database has tables: they are moved into a schema before_restore_..., nothing is deleted`,
  check: `Usage: scripts/health-check.sh [URL]

Looks at the newest backup in BACKUP_DIR (younger than 26 hours, restored and compared) and, when an address is given or APP_BASE_URL is set, at
/health/deep there. One line for each check; exit code 1 when one fails.`,
  seal: 'Usage: node src/backup/main.ts seal < FILE > FILE.age\n\nEncrypts with BACKUP_ENCRYPTION_KEY, in the format of age; without it passes everything on as it is.',
  unseal:
    'Usage: node src/backup/main.ts unseal < FILE.age > FILE\n\nDecrypts with BACKUP_ENCRYPTION_KEY, as `age -d` does. An error means that FILE must not be used.',
};

/** A day and some time for the backup itself. */
const MAX_AGE_HOURS = 26;

async function main([name = '', ...words]: string[]): Promise<number> {
  const help = HELP[name];
  if (help === undefined) return complain(Object.values(HELP).join('\n\n'), 2);
  let given;
  try {
    given = parseArgs({
      args: words,
      allowPositionals: name === 'restore' || name === 'check',
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        ...(name === 'backup' ? { 'no-verify': { type: 'boolean' }, erasures: { type: 'boolean' } } : {}),
        ...(name === 'restore' ? { replace: { type: 'boolean' } } : {}),
      },
    });
  } catch (error) {
    return complain(`${toError(error).message}\n\n${help}`, 2);
  }
  if (given.values.help) return say(help);
  if (given.positionals.length > 1) return complain(help, 2);
  const env = readEnv();
  const loaded = loadConfig(env, { mode: 'admin' });
  if (!loaded.ok) return complain(loaded.problems.join('\n'), 1);
  const options: Record<string, unknown> = given.values;
  try {
    switch (name) {
      case 'backup':
        return await backup(loaded.config, { verify: options['no-verify'] !== true, onlyErasures: options['erasures'] === true });
      case 'restore':
        return await restore(
          loaded.config,
          given.positionals[0] ?? null,
          options['replace'] === true,
          `cli:${env['USER'] ?? userInfo().username}`,
        );
      case 'seal':
      case 'unseal':
        await pass(name, loaded.config.backup.encryptionKey);
        return 0;
      default:
        return await check(loaded.config, given.positionals[0] ?? loaded.config.app.baseUrl);
    }
  } catch (error) {
    return complain(toError(error).message, 1);
  }
}

async function backup(config: Config, { verify, onlyErasures }: { verify: boolean; onlyErasures: boolean }): Promise<number> {
  const url = urlOf(config);
  if (!onlyErasures) await takeBackup(url, config.backup, { verify, say });
  const door = openPostgres(url);
  try {
    const count = await keepErasures(door, config.backup);
    if (onlyErasures) say(`${count} hashes of who was erased are beside the backups`);
  } finally {
    await door.close();
  }
  return 0;
}

async function pass(name: 'seal' | 'unseal', key: string | null): Promise<void> {
  if (key === null && name === 'unseal') throw new Error('BACKUP_ENCRYPTION_KEY: must be set');
  const through = key === null ? new PassThrough() : name === 'seal' ? sealing(key) : unsealing(key);
  await pipeline(process.stdin, through, process.stdout);
}

function urlOf(config: Config): string {
  if (config.migrationsUrl === null) throw new Error('DATABASE_URL (or SUPABASE_DB_URL): must be set to the Postgres');
  return config.migrationsUrl;
}

async function restore(config: Config, file: string | null, replace: boolean, actor: string): Promise<number> {
  const started = performance.now();
  const queue = config.queue.kind === 'postgres';
  const done = await restoreBackup(urlOf(config), config.backup, { file, replace, queue, actor, say });
  const rows = Object.values(done.backup.tables).reduce((sum, table) => sum + table.rows, 0);
  say(`restored ${rows} rows in ${Math.round((performance.now() - started) / 1000)} s; it is as on ${done.backup.backup_at.toISOString()}`);
  say(
    `${done.uncertain} messages were on their way: they are looked up at Evolution, and what stays unproven is listed (npm run admin -- dlq list)`,
  );
  if (done.erased > 0) say(`${done.erased} contacts were erased after it was made, and are erased again`);
  say(
    `who was erased ${done.erasuresUntil === null ? 'after the backup was made' : `after ${done.erasuresUntil.toISOString()}`} is not known: erase-contact again, if anybody was`,
  );
  if (done.scheduled > 0) say(`${done.scheduled} messages are scheduled for later and stay so`);
  if (done.unanswered > 0) say(`${done.unanswered} messages of contacts were unanswered`);
  if (done.instances.length > 0)
    say(
      `start the processes now: ${done.instances.join(', ')} ${done.instances.length === 1 ? 'is' : 'are'} paused until what happened since was read from Evolution, within some 10 minutes`,
    );
  if (done.aside !== null) say(`when all is well: drop schema ${done.aside} cascade`);
  return 0;
}

async function check(config: Config, url: string | null): Promise<number> {
  const { backups, refused } = await listBackups(config.backup.dir, config.backup.encryptionKey);
  const [newest] = backups;
  const hours = newest === undefined ? null : (Date.now() - newest.backup_at.getTime()) / 3_600_000;
  const results = [
    newest === undefined || hours === null
      ? { ok: false, text: `there is no complete backup in ${config.backup.dir}` }
      : { ok: hours < MAX_AGE_HOURS, text: `the newest backup, ${newest.file}, is ${hours.toFixed(1)} hours old` },
    ...(newest === undefined
      ? []
      : [{ ok: newest.verified, text: newest.verified ? 'it was restored and compared' : 'it was never compared' }]),
    ...refused.map((why) => ({ ok: false, text: why })),
    ...(url === null ? [] : [await health(url)]),
  ];
  for (const { ok, text } of results) say(`${ok ? 'ok    ' : 'FAILED'}  ${text}`);
  return results.every(({ ok }) => ok) ? 0 : 1;
}

async function health(url: string): Promise<{ ok: boolean; text: string }> {
  try {
    const answer = await fetch(`${url.replace(/\/+$/, '')}/health/deep`, { signal: AbortSignal.timeout(10_000) });
    const { status = 'unknown', reasons = [] } = (await answer.json()) as { status?: string; reasons?: string[] };
    return { ok: answer.status === 200, text: `${url} is ${status}${reasons.length === 0 ? '' : `: ${reasons.join('; ')}`}` };
  } catch (error) {
    return { ok: false, text: `${url} does not answer: ${toError(error).message}` };
  }
}

function say(line: string): number {
  process.stdout.write(`${line}\n`);
  return 0;
}

function complain(line: string, code: number): number {
  process.stderr.write(`${line}\n`);
  return code;
}

process.exitCode = await main(process.argv.slice(2));
