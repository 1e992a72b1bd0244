/** handoff list, handoff return: conversations that people have. */
import { shownName, oneLine } from '../core/foreign-text.ts';
import { z } from 'zod';
import { because } from '../core/reasons.ts';
import { listHandoffs, returnHandoff } from '../db/control.ts';
import type { HeldConversation } from '../db/control.ts';
import { defineCommand, idArg, limitArg, refused, wordsArg } from './command.ts';
import type { FormatTime } from './command.ts';

const list = defineCommand({
  name: 'handoff list',
  summary: 'conversations that a person has, or should look at',
  details:
    'The longest waiting first: handed over, taken over by somebody who types on the phone, or only listed (an old message, a failed send).',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { conversations: await listHandoffs(ctx.db, tenant, limit) } };
  },
  text({ conversations }, format) {
    if (conversations.length === 0) return 'No conversation needs a person.';
    return conversations.map((each) => block(each, format)).join('\n');
  },
});

const giveBack = defineCommand({
  name: 'handoff return',
  summary: 'gives a conversation back to the agent',
  details:
    'Control, a takeover from the phone and all open handoffs of the conversation end. What was left to a person stays with the person: the agent answers what ' +
    'comes from now on, and sees what was written meanwhile.',
  args: z.object({ id: idArg.describe('id of the conversation'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, reason }, actor) {
    const answer = await returnHandoff(ctx.db, actor.tenant, id, actor.id, reason ?? null);
    switch (answer.outcome) {
      case 'unknown':
        return refused('not_found', `there is no conversation ${id} (handoff list shows them)`);
      case 'not_with_a_person':
        return refused('conflict', `no person has conversation ${id}; nothing was changed`);
      case 'returned':
        return { ok: true, result: { conversation_id: id, handoffs: answer.handoffs, mode: answer.mode, paused: answer.paused } };
    }
  },
  text({ conversation_id: id, mode, paused }) {
    const but = [...(mode === 'auto' ? [] : [`its mode is ${mode}`]), ...(paused === null ? [] : [because(`paused_${paused}`)])];
    return but.length === 0
      ? `The agent answers in conversation ${id} again.`
      : `Conversation ${id} is given back, but the agent keeps quiet there: ${but.join(', and ')}.`;
  },
});

export const handoffCommands = [list, giveBack];

/** Of a contact's words in a list. */
const LINE_CHARS = 300;

function block(held: HeldConversation, format: FormatTime): string {
  const who = shownName(held.contact) ?? 'a contact without a name';
  const by =
    held.controlled_by === 'human'
      ? 'a person has it'
      : held.takeover_until === null
        ? held.mode === 'manual'
          ? 'in mode manual only people answer'
          : 'the agent answers'
        : `taken over until ${format(held.takeover_until)}`;
  const last =
    held.last_inbound_at === null ? [] : [`  last written ${format(held.last_inbound_at)}: ${oneLine(held.last_text ?? '', LINE_CHARS)}`];
  const reasons = held.handoffs.map(
    (each) =>
      `  ${format(each.created_at)}  because ${because(each.reason)}${each.summary === null ? '' : `: ${oneLine(each.summary, LINE_CHARS)}`}`,
  );
  if (reasons.length === 0 && held.escalation_reason !== null) reasons.push(`  because ${because(held.escalation_reason)}`);
  return [`conversation ${held.conversation_id}  ${who} on ${held.instance}: ${by}`, ...reasons, ...last].join('\n');
}
