/** `npm run migrate`: applies supabase/migrations to MIGRATE_DATABASE_URL, DATABASE_URL or SUPABASE_DB_URL, whichever is set first, and needs no other variable. `-- --status` lists them. */
import { migrationTarget, readEnv } from './config.ts';
import { fillHolidays } from './crons/refresh-holidays.ts';
import { openPostgres } from './db/door.ts';
import { migrate, migrationStates } from './db/migrate.ts';
import { toError } from './process/errors.ts';

const HELP = `npm run migrate             applies what is pending to MIGRATE_DATABASE_URL, else DATABASE_URL (or SUPABASE_DB_URL)
npm run migrate -- --status lists the migrations and whether they are applied`;

async function main(args: string[]): Promise<number> {
  if (args.includes('--help')) return say(HELP);
  const unknown = args.filter((arg) => arg !== '--status');
  if (unknown.length > 0) return complain(`unknown argument ${unknown.join(' ')}\n${HELP}`);
  const target = migrationTarget(readEnv());
  if (!target.ok) return complain(target.problems.join('\n'));
  const { url, queue } = target;
  if (args.includes('--status')) {
    for (const { name, state, appliedAt } of await migrationStates(url))
      say(`${state.padEnd(8)} ${name}${appliedAt === null ? '' : `  ${appliedAt.toISOString()}`}`);
    return 0;
  }
  const applied = await migrate(url, { log: say, queue });
  const db = openPostgres(url, { poolSize: 1 });
  // So that they are there before the first message; the scheduler keeps them a year ahead.
  try {
    await fillHolidays(db, new Date());
  } finally {
    await db.close();
  }
  return say(applied.length === 0 ? 'the database is up to date' : `applied ${applied.length} migrations`);
}

function say(line: string): 0 {
  process.stdout.write(`${line}\n`);
  return 0;
}

function complain(line: string): 1 {
  process.stderr.write(`${line}\n`);
  return 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = complain(toError(error).message);
}
