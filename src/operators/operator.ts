/**
 * Commands that operators write in a chat: the manager on WhatsApp here, Slack through `runOperatorWords`. They are the admin commands, answered in
 * Portuguese.
 *
 * A command of the manager: stored by record_message -> claimed by claim_turn, whatever is paused -> carried out, when it is proven (operators/proof.ts) ->
 * answered and ended by settle_command in one transaction. A worker that dies in between has it carried out again: each of these commands may be.
 */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { COMMANDS, runCommand } from '../admin/all.ts';
import type { Actor } from '../admin/command.ts';
import { timeFormat } from '../admin/why.ts';
import type { Context } from '../context.ts';
import { judgeCommand } from './proof.ts';
import {
  askText,
  EDITED_TEXT,
  LATE_TEXT,
  LOCKED_NOTICE,
  LOCKED_TEXT,
  NOTHING_TO_CONFIRM_TEXT,
  proveText,
  refusalText,
  replyText,
  WRONG_WORD_TEXT,
} from './reply-texts.ts';
import { OPERATOR_HELP } from '../inbox/operator-words.ts';
import type { OperatorWords } from '../inbox/operator-words.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { settleCommand } from './calls.ts';
import type { CommandEnd } from './calls.ts';
import { persist } from '../db/persist.ts';
import type { CommandClaim } from '../turns/calls.ts';
import { sendNotice } from '../notices/notices.ts';

/** A command that took longer to arrive is not carried out: "retomar" of an hour ago may be wrong by now. */
const LATE_MS = 10 * 60_000;

/** Who the manager is in the audit. The number in GESTOR_WHATSAPP is the installation's, so it speaks for its tenant. */
const MANAGER: Actor = { id: 'whatsapp:gestor', tenant: 'default' };

export type OperatorAnswer = { text: string; outcome: 'done' | 'refused' | 'asked' };

/**
 * Carries a command out, asks for the word that proves it, or refuses it, and answers. Throws what the database throws: the lease runs out then, and it is
 * done again.
 */
export async function answerCommand(ctx: Context, claim: CommandClaim): Promise<void> {
  const words = operatorWords.parse(claim.command);
  const { outcome, ...end } = await commandEnd(ctx, claim, words);
  // Nobody commands without one; a command that was stored when there was one is answered to nobody.
  const to = ctx.config.outbound.managerPhone;
  const settled = await persist(() => settleCommand(ctx.db, claim, { ...end, text: to === null ? null : end.text, to: to ?? '' }));
  ctx.events.operatorAnswered(words.kind === 'command' ? words.command : words.kind, outcome);
  const { conversation_id: lane } = settled;
  if (lane !== null) ctx.background.run('wake send', () => ctx.queues.wakeSend(lane));
}

type Ended = CommandEnd & { outcome: OperatorAnswer['outcome'] | 'late' | 'locked' };

async function commandEnd(ctx: Context, claim: CommandClaim, words: OperatorWords): Promise<Ended> {
  if (claim.now.getTime() - claim.sent_at.getTime() > LATE_MS) return { reason: 'command_wrong', text: LATE_TEXT, outcome: 'late' };
  const asked = claim.asked.map((each) => ({ ...each, command: readOperatorWords(each.command) }));
  const verdict = judgeCommand(words, asked, claim.recent, ctx.config.outbound.managerPausesFreely);
  switch (verdict.kind) {
    case 'run': {
      const { words: meant, proved, quiet } = verdict;
      const sure = meant.kind === 'command' ? { ...meant, needsConfirmation: false } : meant;
      const { text, outcome } = await runOperatorWords(ctx, sure, null, MANAGER);
      return { reason: 'command', text: quiet ? null : text, proved, outcome };
    }
    case 'ask': {
      const word = String(randomInt(10_000_000, 100_000_000));
      return { reason: 'command_asked', text: proveText(claim.text, word), word, outcome: 'asked' };
    }
    case 'edited':
      return { reason: 'command_wrong', text: EDITED_TEXT, outcome: 'refused' };
    case 'wrong':
      await audit(ctx, words, 'wrong_word');
      return { reason: 'command_wrong', text: WRONG_WORD_TEXT, outcome: 'refused' };
    case 'locked':
      if (!verdict.told) {
        await audit(ctx, words, 'locked');
        const hour = claim.now.toISOString().slice(0, 13);
        await sendNotice(ctx, { tenant: MANAGER.tenant, key: `manager-locked-${hour}`, kind: 'alert', text: LOCKED_NOTICE, urgent: true });
      }
      return { reason: 'command_locked', text: verdict.told ? null : LOCKED_TEXT, outcome: 'locked' };
  }
}

async function audit(ctx: Context, words: OperatorWords, why: string): Promise<void> {
  const subject = words.kind === 'command' ? words.command : words.kind;
  await recordAudit(ctx.db, { tenant: MANAGER.tenant, actor: MANAGER.id, action: 'manager.refused', subject, details: { why } });
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
    case 'edited':
      return { text: EDITED_TEXT, outcome: 'refused' };
    case 'command': {
      if (words.needsConfirmation) return { text: askText(words.command, words.args), outcome: 'asked' };
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

/** As inbox/operator-words.ts made it, back from the database. */
const operatorWords = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('help') }),
  z.object({ kind: z.literal('confirm'), word: z.string().nullable().default(null) }),
  z.object({ kind: z.literal('edited') }),
  z.object({ kind: z.literal('command'), command: z.string(), args: z.record(z.string(), z.string()), needsConfirmation: z.boolean() }),
]);
