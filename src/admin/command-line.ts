/** A command line as words: which command it is, and what it is given. Runs nothing. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { toError } from '../process/errors.ts';
import { COMMANDS } from './all.ts';
import type { AdminCommand, CommandShape, LocalCommand } from './command.ts';
import { LOCAL_COMMANDS } from './local.ts';

export const ALL: readonly (AdminCommand | LocalCommand)[] = [...COMMANDS, ...LOCAL_COMMANDS];

/** null: there is no such command. */
export function commandOf(words: string[]): { command: AdminCommand | LocalCommand; rest: string[] } | null {
  for (const length of [2, 1]) {
    const command = ALL.find((each) => each.name === words.slice(0, length).join(' '));
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  return null;
}

export type Given = { args: Record<string, unknown>; json: boolean; help: boolean; tenant: string };

/** Throws with words for the person when an option is unknown or a value is missing. */
export function parse(command: CommandShape, words: string[]): Given {
  const named = Object.keys(command.args.shape).map(
    (name) => [name, { type: command.flags.includes(name) ? 'boolean' : 'string' }] as const,
  );
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      ...Object.fromEntries(named),
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      tenant: { type: 'string', default: 'default' },
    },
  });
  if (positionals.length > command.positional.length)
    throw new Error(`too many arguments: ${positionals.slice(command.positional.length).join(' ')} (words with spaces belong in quotes)`);
  const { json, help, tenant, ...args } = values as Given & Record<string, unknown>;
  return {
    json,
    help,
    tenant,
    args: {
      ...args,
      ...('tenant' in command.args.shape ? { tenant } : {}),
      ...Object.fromEntries(positionals.map((word, index) => [command.positional[index], word])),
    },
  };
}

/** Puts files in the place of their paths; the words for a person when one cannot be read. */
export async function readFiles(command: CommandShape, { args }: Given): Promise<string | null> {
  for (const name of command.files) {
    const given = args[name];
    if (typeof given !== 'string') continue;
    try {
      args[name] = { name: path.basename(given), base64: (await readFile(given)).toString('base64') };
    } catch (error) {
      return `${name}: ${toError(error).message}`;
    }
  }
  return null;
}
