/** conversation mode: who answers in a conversation. draft list, approve, discard: answers that wait for a person's yes. */
import { shownName, printable } from '../words/foreign-text.ts';
import { z } from 'zod';
import { splitAnswer } from '../turns/answer.ts';
import { because } from '../words/reasons.ts';
import { listDrafts, MODES, setMode, settleDraft } from '../people/draft-calls.ts';
import type { Draft } from '../people/draft-calls.ts';
import { defineCommand, idArg, limitArg, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome } from './command.ts';

const mode = defineCommand({
  name: 'conversation mode',
  summary: 'who writes in a conversation: auto, assist, manual or observe',
  details:
    'auto: the agent answers. assist: the agent writes a draft, which leaves after draft approve; people are told of each. manual: people answer from the phone, ' +
    'and what the contact writes is forwarded to them. observe: the agent reads and notes, and nothing leaves but what a person writes (observe on). A draft that waits stays when the mode changes.',
  args: z.object({
    id: idArg.describe('id of the conversation'),
    mode: z.enum(MODES, `must be one of ${MODES.join(', ')}`).describe(MODES.join(', ')),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['id', 'mode'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { id, mode, reason }, actor) {
    const answer = await setMode(ctx.db, { tenant: actor.tenant, conversation: id, mode, actor: actor.id, reason: reason ?? null });
    return answer.outcome === 'unknown'
      ? refused('not_found', `there is no conversation ${id}`)
      : { ok: true, result: { conversation_id: id, mode, was: answer.was, drafts: answer.drafts } };
  },
  text({ conversation_id: id, mode, was, drafts }) {
    const waiting = drafts === 0 ? '' : ` ${drafts} drafts wait: draft list.`;
    return `Conversation ${id} is in mode ${mode}${mode === was ? ' (it was already)' : ` (it was ${was})`}.${waiting}`;
  },
});

const list = defineCommand({
  name: 'draft list',
  summary: 'answers of the agent that wait for a yes',
  details: 'The oldest first, of conversations in mode assist. When the contact writes again, a draft is withdrawn and a new one comes.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: { drafts: await listDrafts(ctx.db, tenant, limit) } };
  },
  text({ drafts }, format) {
    return drafts.length === 0 ? 'No draft waits.' : drafts.map((draft) => block(draft, format)).join('\n');
  },
});

type Settled = { draft: number; conversation_id: number; parts: number; held: string | null; woken: boolean };

const approve = defineCommand({
  name: 'draft approve',
  summary: 'sends a draft, or your own words instead of it',
  details: 'It leaves under all rules of the moment. A draft that somebody settled, or that the contact overtook, cannot be approved.',
  args: z.object({
    id: idArg.describe('id of the draft'),
    text: z.string().trim().min(1).max(4_000).optional().describe('what to send instead'),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['id', 'text'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { id, text, reason }, actor) => settle(ctx, actor, id, true, text === undefined ? null : splitAnswer(text), reason ?? null),
  text({ draft, held, woken }) {
    const lines = [held === null ? `Draft ${draft} leaves.` : `Draft ${draft} is approved, but it waits: ${held}.`];
    return (woken ? lines : [...lines, NOT_WOKEN]).join('\n');
  },
});

const discard = defineCommand({
  name: 'draft discard',
  summary: 'a draft is not sent',
  details: 'What the contact wrote stays with people.',
  args: z.object({ id: idArg.describe('id of the draft'), reason: wordsArg.optional().describe('why, for the audit') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { id, reason }, actor) => settle(ctx, actor, id, false, null, reason ?? null),
  text: ({ draft }) => `Draft ${draft} is discarded.`,
});

export const draftCommands = [mode, list, approve, discard];

async function settle(
  ctx: AdminContext,
  actor: Actor,
  id: number,
  yes: boolean,
  parts: string[] | null,
  reason: string | null,
): Promise<Outcome<Settled>> {
  const answer = await settleDraft(ctx.db, { tenant: actor.tenant, draft: id, yes, parts, actor: actor.id, reason });
  if (answer.outcome === 'unknown') return refused('not_found', `there is no draft ${id} (draft list shows them)`);
  if (answer.outcome === 'with_person')
    return refused('conflict', `draft ${id} does not leave and goes on waiting: ${because(answer.holder)}`);
  const { conversation_id, paused } = answer;
  const held = yes && paused !== null ? because(`paused_${paused}`) : null;
  return {
    ok: true,
    result: {
      draft: id,
      conversation_id,
      parts: answer.parts,
      held,
      woken: !yes || (await woken(ctx, () => ctx.queues.wakeSend(conversation_id))),
    },
  };
}

function block(draft: Draft, format: FormatTime): string {
  const who = shownName(draft.contact) ?? 'a contact without a name';
  const asked = printable(draft.asked ?? '').replaceAll('\n', '\n  > ');
  return `draft ${draft.id}  ${format(draft.created_at)}  conversation ${draft.conversation_id}, ${who} on ${draft.instance}\n  > ${asked}\n  ${printable(draft.text).replaceAll('\n', '\n  ')}`;
}
