/** `npm run rehearse`: a stored day on today's code, and each decision that differs. */
import { parseArgs } from 'node:util';
import { rehearse } from './rehearse.ts';
import { readDay } from './stored.ts';

const HELP = `Usage: DATABASE_URL=... npm run rehearse -- [options]

Takes the webhooks of a day from a database (they are kept for RETENTION_WEBHOOKS_DAYS, 7), feeds them at their moments to the code of this directory on a
Postgres of its own with a virtual clock, and names every decision that differs from what was decided then, with both reasons. Nothing is sent to anybody:
the model says what was said that day, the wire ends here. The database is only read. Exit code 1 when something differs.

  --day YYYY-MM-DD   the day, in UTC; default yesterday
  --json             as JSON
  --help             this text

docs/simulation.md says what a rehearsal does not know.`;

const DAY_MS = 86_400_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { day: { type: 'string' }, json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  const url = process.env['DATABASE_URL'] ?? process.env['SUPABASE_DB_URL'];
  if (values.help) return say(HELP);
  if (url === undefined) throw new Error('DATABASE_URL: the database that has the day');
  const from = values.day === undefined ? new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS) : new Date(`${values.day}T00:00:00Z`);
  if (Number.isNaN(from.getTime())) throw new Error('--day wants YYYY-MM-DD');
  const began = performance.now();
  const result = await rehearse(await readDay(url, from, new Date(from.getTime() + DAY_MS)), process.env);
  if (values.json) say(JSON.stringify(result));
  else {
    for (const { what, id, was, is } of result.differences) say(`${what} ${id}: was ${was}, is ${is}`);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    say(
      `${result.events} events and ${result.messages} messages of contacts in ${seconds} s: ${result.differences.length} decisions differ`,
    );
  }
  return result.differences.length === 0 ? 0 : 1;
}

function say(text: string): 0 {
  process.stdout.write(`${text}\n`);
  return 0;
}

process.exitCode = await main();
