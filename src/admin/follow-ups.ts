/** follow-up list, set, off: what is said to who was answered and went quiet. */
import { z } from 'zod';
import { because } from '../words/reasons.ts';
import { shownName } from '../words/foreign-text.ts';
import { listFollowUps, setFollowUps } from '../later/calls.ts';
import { ladderLines, ladderOf } from '../later/ladder-words.ts';
import { defineCommand, flagArg, limitArg, refused } from './command.ts';

const list = defineCommand({
  name: 'follow-up list',
  summary: 'the ladder of follow-ups, and those that run or ran',
  details: 'The ladder as `follow-up set` takes it, then the newest follow-ups: who is at which step, and why others ended.',
  args: z.object({ limit: limitArg.default(50).describe('at most so many') }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit }, { tenant }) {
    return { ok: true, result: await listFollowUps(ctx.db, tenant, limit) };
  },
  text({ ladder, follow_ups: all }, format) {
    const head =
      ladder === null || ladder.enabled_at === null
        ? ['Follow-ups are off (follow-up set).']
        : [`On since ${format(ladder.enabled_at)}, ${ladder.only_questions ? 'after a question of the agent' : 'after any answer'}:`];
    const lines = all.map(({ id, conversation_id: talk, contact, step, due_at: due, status, reason }) => {
      const state = status === 'active' ? `next look ${format(due)}` : `${status}${reason === null ? '' : `, because ${because(reason)}`}`;
      return `${id}  conversation ${talk}${shownName(contact) === null ? '' : `, ${shownName(contact)}`}: ${step} said; ${state}`;
    });
    return [...head, ...ladderLines(ladder?.steps ?? []).map((line) => `  ${line}`), ...lines].join('\n');
  },
});

const set = defineCommand({
  name: 'follow-up set',
  summary: 'a ladder of follow-ups, on from now on',
  details:
    'A line a step (or " // " between them): how long after the answer or the step before (90min, 4h, 2d), then the words, with {nome} and {loja}. At most five. It begins only with who writes from now on and is quiet after a question of the agent; with --any after any answer. Whatever comes in, an opt-out, a takeover or a handoff ends it. Those that run end.',
  args: z.object({
    steps: z.string().trim().min(1).max(8_000).describe('a line a step: 1d Oi {nome}, ainda posso ajudar?'),
    any: flagArg.describe('after any answer, not only after a question'),
  }),
  positional: ['steps'],
  flags: ['any'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { steps: written, any }, { tenant, id: actor }) {
    const ladder = ladderOf(written);
    if (!ladder.ok) return refused('bad_request', ladder.fault);
    const ended = await setFollowUps(ctx.db, { tenant, steps: ladder.steps, onlyQuestions: !any, actor });
    return { ok: true, result: { steps: ladder.steps, only_questions: !any, ended } };
  },
  text: ({ steps, ended }) =>
    `Follow-ups are on with ${steps.length} steps, for who writes from now on.${ended === 0 ? '' : ` ${ended} that ran have ended.`}`,
});

const off = defineCommand({
  name: 'follow-up off',
  summary: 'no follow-ups, and those that run end',
  details: 'What has not left does not leave. The ladder is kept, to be read.',
  args: z.object({}),
  readOnly: false,
  role: 'operator',
  async run(ctx, _, { tenant, id: actor }) {
    return { ok: true, result: { ended: await setFollowUps(ctx.db, { tenant, steps: null, onlyQuestions: true, actor }) } };
  },
  text: ({ ended }) => `Follow-ups are off.${ended === 0 ? '' : ` ${ended} that ran have ended.`}`,
});

export const followUpCommands = [list, set, off];
