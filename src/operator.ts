/**
 * Commands that operators write in a chat: the manager on WhatsApp here, Slack through `runOperatorWords`. They are the admin commands, answered in
 * Portuguese.
 *
 * A command of the manager: stored by record_message -> claimed by claim_turn, whatever is paused -> carried out -> answered and ended by
 * settle_command in one transaction. A worker that dies in between has it carried out again: each of these commands may be.
 */
import { z } from 'zod';
import { COMMANDS, runCommand } from './admin.ts';
import type { Actor } from './admin/command.ts';
import { timeFormat } from './admin/why.ts';
import type { Context } from './context.ts';
import { askText, LATE_TEXT, NOTHING_TO_CONFIRM_TEXT, refusalText, replyText } from './core/operator-reply.ts';
import { OPERATOR_HELP } from './core/operator-words.ts';
import type { OperatorWords } from './core/operator-words.ts';
import { settleCommand } from './db/people.ts';
import { persist } from './db/persist.ts';
import type { CommandClaim } from './db/turns.ts';

/** A command that took longer to arrive is not carried out: "retomar" of an hour ago may be wrong by now. */
const LATE_MS = 10 * 60_000;

/** Who the manager is in the audit. The number in GESTOR_WHATSAPP is the installation's, so it speaks for its tenant. */
const MANAGER: Actor = { id: 'whatsapp:gestor', tenant: 'default' };

export type OperatorAnswer = { text: string; outcome: 'done' | 'refused' | 'asked' };

/** Carries a command out and answers it. Throws what the database throws: the lease runs out then, and it is done again. */
export async function answerCommand(ctx: Context, claim: CommandClaim): Promise<void> {
  const words = operatorWords.parse(claim.command);
  const late = claim.now.getTime() - claim.sent_at.getTime() > LATE_MS;
  const answer = late
    ? ({ text: LATE_TEXT, outcome: 'late' } as const)
    : await runOperatorWords(ctx, words, readOperatorWords(claim.asked), MANAGER);
  const settled = await persist(() => settleCommand(ctx.db, claim, answer.text, answer.outcome === 'asked'));
  ctx.events.operatorAnswered(words.kind === 'command' ? words.command : words.kind, answer.outcome);
  const { conversation_id: lane } = settled;
  if (lane !== null) ctx.background.run('wake send', () => ctx.queues.wakeSend(lane));
}

/**
 * Runs what an operator wrote; `asked` is the command that waits for a confirmation, or null. The caller remembers a command whose outcome is
 * `asked`. Throws what the database throws.
 */
export async function runOperatorWords(
  ctx: Context,
  words: OperatorWords,
  asked: OperatorWords | null,
  actor: Actor,
): Promise<OperatorAnswer> {
  switch (words.kind) {
    case 'help':
      return { text: OPERATOR_HELP, outcome: 'done' };
    case 'confirm':
      return asked?.kind === 'command'
        ? runOperatorWords(ctx, { ...asked, needsConfirmation: false }, null, actor)
        : { text: NOTHING_TO_CONFIRM_TEXT, outcome: 'refused' };
    case 'command': {
      if (words.needsConfirmation) return { text: askText(words.command), outcome: 'asked' };
      const command = COMMANDS.find((each) => each.name === words.command);
      if (command === undefined) return { text: refusalText('unknown'), outcome: 'refused' };
      const outcome = await runCommand(command, ctx, words.args, actor);
      return outcome.ok
        ? { text: replyText(command.name, outcome.result, timeFormat(ctx.config.app.timeZone)), outcome: 'done' }
        : { text: refusalText(outcome.kind), outcome: 'refused' };
    }
  }
}

/** What waits for a confirmation, back from the database; null when nothing does. */
export function readOperatorWords(stored: unknown): OperatorWords | null {
  return operatorWords.nullable().parse(stored ?? null);
}

/** As core/operator-words.ts made it, back from the database. */
const operatorWords = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('help') }),
  z.object({ kind: z.literal('confirm') }),
  z.object({ kind: z.literal('command'), command: z.string(), args: z.record(z.string(), z.string()), needsConfirmation: z.boolean() }),
]);
