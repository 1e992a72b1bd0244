/** handoff list, handoff return: conversations that people have. */
import { shownName, oneLine } from '../words/foreign-text.ts';
import { z } from 'zod';
import { because } from '../words/reasons.ts';
import { listHandoffs, returnHandoff, returnTechnical } from '../people/handoff-calls.ts';
import type { HeldConversation } from '../people/handoff-calls.ts';
import { defineCommand, flagArg, idArg, limitArg, refused, wordsArg } from './command.ts';
import type { FormatTime, Outcome } from './command.ts';

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
  summary: 'gives a conversation back to the agent, or all that it could not answer for a technical reason',
  details:
    'Of one conversation: control, a takeover from the phone and all open handoffs of the conversation end. What was left to a person stays with the person: the agent answers what ' +
    'comes from now on, and sees what was written meanwhile. --technical: all that went to a person only because the agent could not answer (the model was unavailable, ' +
    'an answer failed again and again) and that nobody has taken: the agent answers what waits there. This happens by itself when the cause is over.',
  args: z.object({
    id: idArg.optional().describe('id of the conversation'),
    technical: flagArg.describe('all that have a technical reason'),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  flags: ['technical'],
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, technical, reason }, actor): Promise<Outcome<Returned>> {
    if ((id === undefined) !== technical)
      return refused('bad_request', 'name one conversation, or --technical for all that have a technical reason');
    if (id === undefined) {
      const all = await returnTechnical(ctx.db, { tenant: actor.tenant, by: actor.id, reason: reason ?? null, limit: MOST });
      return { ok: true, result: { returned: all.map((each) => each.conversation_id) } };
    }
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
  text(result) {
    if ('returned' in result)
      return result.returned.length === 0
        ? 'No conversation is with people for a technical reason that nobody has taken.'
        : `The agent answers again in ${result.returned.length} conversation${result.returned.length === 1 ? '' : 's'}: ${result.returned.join(', ')}.`;
    const { conversation_id: id, mode, paused } = result;
    const but = [...(mode === 'auto' ? [] : [`its mode is ${mode}`]), ...(paused === null ? [] : [because(`paused_${paused}`)])];
    return but.length === 0
      ? `The agent answers in conversation ${id} again.`
      : `Conversation ${id} is given back, but the agent keeps quiet there: ${but.join(', and ')}.`;
  },
});

type Returned = { conversation_id: number; handoffs: number; mode: string; paused: string | null } | { returned: number[] };
/** In one go; the command may be given again. */
const MOST = 1_000;

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
          : held.quiet_until === null
            ? 'the agent answers'
            : `the agent keeps quiet until ${format(held.quiet_until)} (too many messages, or the same again; handoff return ends it)`
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
