/** The admin commands: one table for the command line (src/cli.ts) and for HTTP (src/routes/admin.ts). */
import { z } from 'zod';
import { breakerCommands } from './admin/breakers.ts';
import type { Actor, AdminCommand, AdminContext, CommandShape, Outcome, Refusal } from './admin/command.ts';
import { refused } from './admin/command.ts';
import { contactCommands } from './admin/contacts.ts';
import { secretCommands } from './admin/secrets.ts';
import { asideCommands } from './admin/aside.ts';
import { auditCommands } from './admin/audit.ts';
import { deadLetterCommands } from './admin/dead-letters.ts';
import { draftCommands } from './admin/drafts.ts';
import { ignoredCommands } from './admin/ignored.ts';
import { jobCommands } from './admin/jobs.ts';
import { handoffCommands } from './admin/handoffs.ts';
import { linkCommands } from './admin/instance-link.ts';
import { instanceCommands } from './admin/instances.ts';
import { limitCommands } from './admin/limits.ts';
import { optOutCommands } from './admin/opt-outs.ts';
import { pauseCommands } from './admin/pauses.ts';
import { replayCommands } from './admin/replay.ts';
import { statusCommands } from './admin/status.ts';
import { suspicionCommands } from './admin/suspicions.ts';
import { tokenListCommands } from './admin/tokens.ts';
import { unmergeCommands } from './admin/unmerge.ts';
import { whyCommands } from './admin/why.ts';

export const COMMANDS: readonly AdminCommand[] = [
  ...statusCommands,
  ...limitCommands,
  ...whyCommands,
  ...pauseCommands,
  ...breakerCommands,
  ...instanceCommands,
  ...linkCommands,
  ...asideCommands,
  ...unmergeCommands,
  ...deadLetterCommands,
  ...handoffCommands,
  ...draftCommands,
  ...optOutCommands,
  ...suspicionCommands,
  ...replayCommands,
  ...ignoredCommands,
  ...contactCommands,
  ...secretCommands,
  ...tokenListCommands,
  ...auditCommands,
  ...jobCommands,
];

/** Runs a command with arguments as they came from outside. Throws only what the database throws. */
export async function runCommand(command: AdminCommand, ctx: AdminContext, given: unknown, actor: Actor): Promise<Outcome<unknown>> {
  const checked = checkArguments(command, given);
  return checked.ok ? command.run(ctx, checked.args, actor) : checked;
}

/** The arguments as the command takes them, or why not; needs no context. */
export function checkArguments(command: CommandShape, given: unknown): { ok: true; args: Record<string, unknown> } | Refusal {
  const parsed = z
    .strictObject(command.args.shape)
    .safeParse(given, { error: (issue) => (issue.input === undefined ? 'is needed' : undefined) });
  if (parsed.success) return { ok: true, args: parsed.data };
  return refused(
    'bad_request',
    parsed.error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': ')).join('\n'),
  );
}
