/**
 * What people write to the bot in Slack: the commands of inbox/operator-words.ts, for members of SLACK_ALLOWED_USERS. What is dangerous is asked back, and the
 * same person may say "confirmar" in the same channel within two minutes, to whichever api gets it.
 */
import type { Context } from '../context.ts';
import { parseOperatorWords } from '../inbox/operator-words.ts';
import type { SlackRequest } from './slack-request.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { askOperator, takeAsked } from './calls.ts';
import { readOperatorWords, runOperatorWords } from './operator.ts';
import type { OperatorAnswer } from './operator.ts';
import { postToSlack } from '../notices/slack.ts';
import type { Bot, Slack } from '../config/features.ts';

const NOT_UNDERSTOOD = 'Não entendi. Escreva *ajuda* para ver os comandos.';
const FAILED = 'Não consegui executar: o banco de dados não respondeu. Tente de novo.';

/** Carries a command out and answers it in its channel. The event was taken before: a process that dies here leaves it unanswered, and the person asks again. */
export async function answerInSlack(
  ctx: Context,
  slack: Slack & { bot: Bot },
  request: Extract<SlackRequest, { kind: 'words' }>,
): Promise<void> {
  let answer: Pick<OperatorAnswer, 'text'>;
  try {
    answer = await carryOut(ctx, slack.bot, request);
  } catch (error) {
    ctx.log.error({ error }, 'Command from Slack failed');
    answer = { text: FAILED };
  }
  const said = await postToSlack(slack, answer.text, request.channel);
  if (!said.ok) ctx.log.error({ reason: said.message }, 'Answer to a command from Slack did not arrive');
}

async function carryOut(
  ctx: Context,
  bot: Bot,
  { user, channel, text }: Extract<SlackRequest, { kind: 'words' }>,
): Promise<OperatorAnswer> {
  // The bot is the installation's, as the manager's phone is.
  const actor = { id: `slack:${user}`, tenant: 'default' };
  if (!bot.allowedUsers.includes(user)) {
    await recordAudit(ctx.db, { tenant: actor.tenant, actor: actor.id, action: 'slack.refused', subject: channel, details: {} });
    ctx.events.operatorAnswered('slack', 'refused');
    return { text: refusal(bot, user), outcome: 'refused' };
  }
  const words = parseOperatorWords(text);
  if (words === null) return { text: NOT_UNDERSTOOD, outcome: 'refused' };
  const asked = words.kind === 'confirm' ? readOperatorWords(await takeAsked(ctx.db, actor.id, channel)) : null;
  const answer = await runOperatorWords(ctx, words, asked, actor);
  if (answer.outcome === 'asked') await askOperator(ctx.db, actor.id, channel, words);
  ctx.events.operatorAnswered(words.kind === 'command' ? words.command : words.kind, answer.outcome);
  return answer;
}

function refusal({ allowedUsers }: Bot, user: string): string {
  return allowedUsers.length === 0
    ? 'Ninguém pode dar comandos por aqui: SLACK_ALLOWED_USERS está vazia.'
    : `Você não pode dar comandos por aqui: ${user} não está em SLACK_ALLOWED_USERS.`;
}
