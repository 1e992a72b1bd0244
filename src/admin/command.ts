/** What an admin command is. The command line and HTTP serve the same table of them (src/admin/all.ts). */
import { userInfo } from 'node:os';
import { z } from 'zod';
import type { JobContext } from '../schedule/job.ts';
import type { Environment } from '../config/environment.ts';
import { failure } from '../process/errors.ts';
import type { Failure } from '../process/errors.ts';
import type { StoreContext } from '../inbox/receive.ts';

/** What commands need of the context: database, queue and Evolution, nothing that talks to the model. */
export type AdminContext = StoreContext &
  JobContext & {
    /** Somebody watches: says what is going on. Without it nothing waits for a person. */
    progress?: (line: string) => void;
  };

/** Who asks: `cli:USER` or `api:SUB`. Written into the audit. */
export type Actor = { id: string; tenant: string };

/** Who works at this terminal. */
export function actorOf(env: Environment): string {
  return `cli:${env['USER'] ?? userInfo().username}`;
}

/** An admin may do what an operator may. */
export type Role = 'operator' | 'admin';

export type Refusal = Failure<'not_found' | 'conflict' | 'forbidden' | 'bad_request' | 'unavailable' | 'upstream'>;
export type Outcome<Result> = { ok: true; result: Result } | Refusal;

/** Writes a moment in the zone of the installation. */
export type FormatTime = (at: Date) => string;

/** What the command line needs to know of any command. */
export type CommandShape<Args extends z.ZodObject = z.ZodObject> = {
  /** One or two words; the path under /admin/ with a slash between them. */
  name: string;
  /** One line for the list. */
  summary: string;
  /** What it does exactly, for a person who decides whether to run it. */
  details: string;
  args: Args;
  /** Arguments that stand without their name on the command line, in this order. */
  positional: string[];
  /** Arguments that are yes or no: `--force`. */
  flags: string[];
  /** Arguments that are files (`fileArg`): at the command line the path of one, whose bytes are given; over HTTP nothing is read from a disk. */
  files: string[];
};

export type AdminCommand<Args extends z.ZodObject = z.ZodObject, Result = unknown> = CommandShape<Args> & {
  /** Changes nothing: served by GET too. */
  readOnly: boolean;
  role: Role;
  /** What the result looks like, for the reference of the API; left out: an object. */
  result?: z.ZodType;
  /** Contract: throws only what the database throws. What was done is durable when it resolves. */
  run(ctx: AdminContext, args: z.infer<Args>, actor: Actor): Promise<Outcome<Result>>;
  /** The result for a person. */
  text(result: Result, format: FormatTime): string;
};

/** A command of the machine it runs on: only at the command line, and without the database. */
export type LocalCommand<Args extends z.ZodObject = z.ZodObject, Result = unknown> = CommandShape<Args> & {
  /** Contract: `env` may hold anything; throws nothing. */
  run(env: Environment, args: z.infer<Args>): Promise<Outcome<Result>>;
  /** The command did its work, and what it found is that something is wrong: exit code 1. */
  failed?(result: Result): boolean;
  text(result: Result): string;
};

export function defineLocalCommand<Args extends z.ZodObject, Result>(
  command: Omit<LocalCommand<Args, Result>, Lists> & Partial<Pick<CommandShape, Lists>>,
): LocalCommand {
  // as for defineCommand
  return { ...NO_LISTS, ...command };
}

/** Keeps the link between a command's arguments, `run` and `text`, which a list of different commands would lose. */
export function defineCommand<Args extends z.ZodObject, Result>(
  command: Omit<AdminCommand<Args, Result>, Lists> & Partial<Pick<CommandShape, Lists>>,
): AdminCommand {
  // who runs a command parses its arguments with this very schema, and gives `text` what `run` returned
  return { ...NO_LISTS, ...command };
}

type Lists = 'flags' | 'positional' | 'files';
const NO_LISTS = { flags: [], positional: [], files: [] };

export function refused(kind: Refusal['kind'], message: string): Refusal {
  return failure(kind, { retryable: false, message });
}

/** What a command that keeps a secret says where there is no key to seal it with. */
export function noSecretsKey(): Refusal {
  return refused('conflict', 'SECRETS_KEY: must be set; make one with `openssl rand -hex 32`');
}

/** Numbers come as words on the command line and in addresses. */
const numberArg = z.union(
  [
    z.number(),
    z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number),
  ],
  'must be a number',
);
export const idArg = numberArg.pipe(z.number().int().positive().max(Number.MAX_SAFE_INTEGER));
export const limitArg = numberArg.pipe(z.number().int().min(1).max(1_000));
export const flagArg = z.union([z.boolean(), z.stringbool()], 'must be true or false').default(false);
/** What Postgres cannot hold, and nobody means to say: NUL, and half an emoji. */
export const wordsArg = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(500, 'must have at most 500 characters')
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');

/** A file that is given with its name. */
export const fileArg = z.object({
  name: z
    .string()
    .trim()
    .min(1, 'must not be empty')
    .max(200, 'must have at most 200 characters')
    .describe('name of the file, with its ending'),
  base64: z.base64('must be base64').describe('its bytes'),
});

/** Wakes a lane after a change; false when the queue is unavailable: the sweep of the scheduler finds it then. */
export async function woken(ctx: AdminContext, wake: () => Promise<unknown>): Promise<boolean> {
  try {
    await wake();
    return true;
  } catch (error) {
    ctx.log.warning({ error }, 'Could not wake the queue after an admin command');
    return false;
  }
}

export const NOT_WOKEN = 'The queue does not answer; the scheduler finds the work within a minute.';
