/** The admin commands: one table for the command line (src/admin/cli.ts) and for HTTP (src/routes/admin.ts). */
import { z } from 'zod';
import { breakerCommands } from './breakers.ts';
import type { Actor, AdminCommand, AdminContext, CommandShape, Outcome, Refusal } from './command.ts';
import { refused } from './command.ts';
import { campaignCommands } from './campaigns.ts';
import { contactListCommands } from './contact-lists.ts';
import { contactCommands } from './contacts.ts';
import { secretCommands } from './secrets.ts';
import { agentCommands } from './agents.ts';
import { asideCommands } from './aside.ts';
import { auditCommands } from './audit.ts';
import { deadLetterCommands } from './dead-letters.ts';
import { directiveCommands } from './directives.ts';
import { draftCommands } from './drafts.ts';
import { ignoredCommands } from './ignored.ts';
import { jobCommands } from './jobs.ts';
import { handoffCommands } from './handoffs.ts';
import { knowledgeCommands } from './knowledge.ts';
import { linkCommands } from './instance-link.ts';
import { instanceCommands } from './instances.ts';
import { limitCommands } from './limits.ts';
import { noticeTemplateCommands } from './notice-templates.ts';
import { orderNoticeCommands } from './order-notices.ts';
import { mergeCommands } from './merges.ts';
import { optOutCommands } from './opt-outs.ts';
import { observeCommands } from './observe.ts';
import { pauseCommands } from './pauses.ts';
import { followUpCommands } from './follow-ups.ts';
import { reminderCommands } from './reminders.ts';
import { replayCommands } from './replay.ts';
import { spendCommands } from './spend.ts';
import { statusCommands } from './status.ts';
import { subscriptionCommands } from './subscriptions.ts';
import { suspicionCommands } from './suspicions.ts';
import { approvalCommands } from './approvals.ts';
import { toolCommands } from './tools.ts';
import { tokenListCommands } from './tokens.ts';
import { tenantCommands } from './tenants.ts';
import { userCommands } from './users.ts';
import { whyCommands } from './why.ts';

export const COMMANDS: readonly AdminCommand[] = [
  ...statusCommands,
  ...limitCommands,
  ...spendCommands,
  ...whyCommands,
  ...pauseCommands,
  ...observeCommands,
  ...breakerCommands,
  ...agentCommands,
  ...directiveCommands,
  ...instanceCommands,
  ...linkCommands,
  ...asideCommands,
  ...mergeCommands,
  ...campaignCommands,
  ...contactListCommands,
  ...orderNoticeCommands,
  ...noticeTemplateCommands,
  ...deadLetterCommands,
  ...handoffCommands,
  ...draftCommands,
  ...reminderCommands,
  ...followUpCommands,
  ...optOutCommands,
  ...suspicionCommands,
  ...replayCommands,
  ...ignoredCommands,
  ...contactCommands,
  ...knowledgeCommands,
  ...toolCommands,
  ...subscriptionCommands,
  ...approvalCommands,
  ...secretCommands,
  ...tokenListCommands,
  ...userCommands,
  ...tenantCommands,
  ...auditCommands,
  ...jobCommands,
];

/** Throws for a name that no command has: it is a mistake of ours. */
export function commandNamed(name: string): AdminCommand {
  const command = COMMANDS.find((each) => each.name === name);
  if (command === undefined) throw new Error(`there is no admin command ${name}`);
  return command;
}

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
