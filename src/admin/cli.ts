/** `npm run admin -- COMMAND`: the admin commands for a person at a terminal. Exit code 0 done, 1 refused or not found, 2 wrong usage. */
import type { z } from 'zod';
import { checkArguments, runCommand } from './all.ts';
import { actorOf } from './command.ts';
import type { AdminCommand, LocalCommand, Outcome } from './command.ts';
import { ALL, commandOf, parse, readFiles } from './command-line.ts';
import type { Given } from './command-line.ts';
import { timeFormat } from './why.ts';
import { loadConfig, readEnv } from '../config.ts';
import { printable } from '../words/foreign-text.ts';
import { adminStatus } from '../watch/status-calls.ts';
import { DatabaseAway, DatabaseRefused } from '../db/failures.ts';
import { toError } from '../process/errors.ts';
import { createLogger } from '../process/log.ts';

const DONE = 0;
const REFUSED = 1;
const WRONG_USAGE = 2;

async function main(words: string[]): Promise<number> {
  if (words[0] === '--help' || words[0] === '-h' || words[0] === 'help') return say(overview());
  if (words.length === 0) return complain(overview(), WRONG_USAGE);
  const found = commandOf(words);
  if (found === null) return complain(unknownCommand(words), WRONG_USAGE);
  const { command, rest } = found;
  let given: Given;
  try {
    given = parse(command, rest);
  } catch (error) {
    return complain(`${toError(error).message}\n\n${help(command)}`, WRONG_USAGE);
  }
  if (given.help) return say(help(command));
  const unread = await readFiles(command, given);
  if (unread !== null) return complain(unread, WRONG_USAGE);
  const checked = checkArguments(command, given.args);
  if (!checked.ok) return complain(`${checked.message}\n\n${help(command)}`, WRONG_USAGE);
  return 'role' in command ? execute(command, given) : executeLocal(command, checked.args, given.json);
}

async function execute(command: AdminCommand, { args, json, tenant }: Given): Promise<number> {
  const env = readEnv();
  const loaded = loadConfig(env, { mode: 'admin' });
  if (!loaded.ok) return complain(loaded.problems.join('\n'), REFUSED);
  const { config } = loaded;
  if (config.database.kind === 'embedded')
    return complain(
      "DATABASE_URL: must be set to the installation's database (./scripts/dev shows its own); or SUPABASE_URL and REDIS_URL",
      REFUSED,
    );
  const log = createLogger({
    level: 'ERROR',
    service: config.app.service,
    pretty: false,
    secrets: config.log.secrets,
    destination: process.stderr,
  });
  try {
    // Not loaded for help and mistakes: what it brings takes longer than all the rest.
    const { openAdminContext } = await import('../context.ts');
    await using ctx = await openAdminContext(config, log);
    if (tenant !== 'default' && (await adminStatus(ctx.db, tenant)) === null) return complain(`there is no tenant ${tenant}`, REFUSED);
    const outcome = await runCommand(command, json ? ctx : Object.assign(ctx, { progress: say }), args, {
      id: actorOf(env),
      tenant,
    });
    return told(outcome, json, (result) => withZone(command.text(result, timeFormat(config.app.timeZone)), config.app.timeZone));
  } catch (error) {
    return complain(trouble(toError(error), config.database.kind === 'supabase' ? 'SUPABASE_URL' : 'DATABASE_URL'), REFUSED);
  }
}

/** A time says little without its zone, and a zone on every line is noise. */
function withZone(text: string, timeZone: string): string {
  return /\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b/.test(text) ? `${text}\n(times of ${timeZone})` : text;
}

async function executeLocal(command: LocalCommand, args: Record<string, unknown>, json: boolean): Promise<number> {
  const outcome = await command.run(readEnv(), args);
  const code = told(outcome, json, (result) => command.text(result));
  return outcome.ok && command.failed?.(outcome.result) === true ? REFUSED : code;
}

function told(outcome: Outcome<unknown>, json: boolean, text: (result: unknown) => string): number {
  if (outcome.ok) return say(json ? jsonText(outcome.result) : printable(text(outcome.result)));
  return complain(
    json ? jsonText({ error: { code: outcome.kind, message: outcome.message } }) : printable(outcome.message),
    outcome.kind === 'bad_request' ? WRONG_USAGE : REFUSED,
  );
}

/** Also without what a terminal obeys, or shows the other way round, and JSON lets stand. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(/(?!\n)[\p{Cc}\p{Cf}]/gu, (sign) =>
    Array.from({ length: sign.length }, (_, at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  );
}

/** What a person can do about it. */
function trouble(error: Error, variable: string): string {
  if (error instanceof DatabaseAway)
    return `${variable}: the database does not answer (${error.message}); is it running, and is the address right?`;
  if (error instanceof DatabaseRefused) {
    if (['42883', '42P01', 'PGRST202'].includes(error.code)) return 'the schema of the database is missing or old: run `npm run migrate`';
    return `${variable}: ${error.message}`;
  }
  return error.message;
}

function unknownCommand(words: string[]): string {
  const first = words[0] ?? '';
  const near = ALL.filter((each) => each.name.startsWith(`${first} `)).map((each) => each.name);
  const meant = near.length === 0 ? 'npm run admin -- --help lists them' : `did you mean ${near.join(', ')}?`;
  return `there is no command ${words.slice(0, near.length === 0 ? 1 : 2).join(' ')}: ${meant}`;
}

function overview(): string {
  const width = Math.max(...ALL.map((each) => each.name.length));
  return [
    'npm run admin -- COMMAND [arguments] [--json] [--tenant T]',
    '',
    ...ALL.map((each) => `  ${each.name.padEnd(width)}  ${each.summary}`),
    '',
    'COMMAND --help tells more. Needs DATABASE_URL (or SUPABASE_URL, SUPABASE_SERVICE_KEY and REDIS_URL) of the installation.',
  ].join('\n');
}

function help(command: AdminCommand | LocalCommand): string {
  const shape = Object.entries(command.args.shape).map(([name, type]) => {
    const value = command.flags.includes(name) ? '' : command.files.includes(name) ? ' PATH' : ' VALUE';
    const needed = !(type as z.ZodType).safeParse(undefined).success;
    return { name, option: `--${name}${value}`, needed, description: (type as z.ZodType).description ?? '' };
  });
  const neededNames = new Set(shape.filter((each) => each.needed).map(({ name }) => name));
  const positional = command.positional.map((name) => (neededNames.has(name) ? name.toUpperCase() : `[${name.toUpperCase()}]`));
  const options = shape.filter(({ name, needed }) => needed && !command.positional.includes(name)).map(({ option }) => option);
  const width = Math.max(18, ...shape.map(({ option }) => option.length));
  const args = shape.map(({ option, needed, description }) => `  ${option.padEnd(width)} ${description}${needed ? ' (needed)' : ''}`);
  return [
    `npm run admin -- ${[command.name, ...positional, ...options].join(' ')}`,
    '',
    `${command.summary}.`,
    command.details,
    '',
    ...args,
    `  ${'--json'.padEnd(width)} the result as JSON`,
    ...('role' in command
      ? [
          `  ${'--tenant VALUE'.padEnd(width)} another tenant than default`,
          '',
          `Over HTTP: ${command.readOnly ? 'GET' : 'POST'} /admin/${command.name.replaceAll(' ', '/')} with a token of the role ${command.role}.`,
        ]
      : []),
  ].join('\n');
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return DONE;
}

function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`);
  return code;
}

// A Redis that is unavailable keeps its connection trying: the command is over when its answer is written.
process.exit(await main(process.argv.slice(2)));
