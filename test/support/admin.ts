/** Admin commands as the command line and HTTP run them, without either. */
import assert from 'node:assert/strict';
import { COMMANDS, runCommand } from '../../src/admin/all.ts';
import type { Outcome } from '../../src/admin/command.ts';
import type { Context } from '../../src/context.ts';

/** The outcome, and the words that a person reads. */
export async function admin(
  ctx: Context,
  name: string,
  args: Record<string, unknown> = {},
  tenant = 'default',
): Promise<Outcome<unknown> & { text: string | null }> {
  const command = COMMANDS.find((each) => each.name === name);
  assert.ok(command, name);
  const outcome = await runCommand(command, ctx, args, { id: 'cli:ana', tenant });
  return { ...outcome, text: outcome.ok ? command.text(outcome.result, (at) => at.toISOString()) : null };
}

/** The result of a command that must succeed. */
export async function adminDone<Result = Record<string, unknown>>(
  ctx: Context,
  name: string,
  args: Record<string, unknown> = {},
  tenant = 'default',
): Promise<Result> {
  const outcome = await admin(ctx, name, args, tenant);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  // the test says what it expects of the command
  return outcome.result as Result;
}
