/** observe on, off, list: the agent reads and notes, and says nothing: in a conversation, on a number, or whatever number it is on. */
import { z } from 'zod';
import { printable, shownName } from '../words/foreign-text.ts';
import { listObserved, OBSERVED_SCOPES, setObserved } from '../people/observe-calls.ts';
import type { Observed, ObservedScope } from '../people/observe-calls.ts';
import { wakeWaiting } from '../turns/wake.ts';
import { defineCommand, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome } from './command.ts';

const args = z.object({
  scope: z.enum(OBSERVED_SCOPES, `must be one of ${OBSERVED_SCOPES.join(', ')}`).describe(OBSERVED_SCOPES.join(', ')),
  target: wordsArg.describe('id of the conversation, name of the number, or name of the agent'),
  reason: wordsArg.optional().describe('why, for the audit'),
});

type Switched = { scope: ObservedScope; target: string; changed: boolean };

const on = defineCommand({
  name: 'observe on',
  summary: 'the agent only looks on: it reads, labels, summarises and alerts, and nothing leaves',
  details:
    'Nothing leaves there from the next send on but what a person writes by hand: no answers, campaigns, follow-ups or reminders. What the contact writes is read and ' +
    'noted (at the price of a model call a burst), shown by the console, and left to people. Answers that wait are dropped. ' +
    'Examples: observe on instance julia-prod --reason "first week"; observe on conversation 7; observe on agent default.',
  args,
  positional: ['scope', 'target'],
  readOnly: false,
  role: 'operator',
  run: (ctx, given, actor) => change(ctx, true, given, actor),
  text: ({ scope, target, changed }) =>
    `The agent only looks on: ${scope} ${target}${changed ? '' : ' (it did already)'}. To end it: observe off ${scope} ${target}.`,
});

const off = defineCommand({
  name: 'observe off',
  summary: 'the agent answers there again',
  details:
    'What came meanwhile stays unanswered: it was read and left to people. The agent knows it, and answers from the next message on. What nobody asked for and ' +
    'waited meanwhile goes on under all rules.',
  args,
  positional: ['scope', 'target'],
  readOnly: false,
  role: 'operator',
  async run(ctx, given, actor) {
    const changed = await change(ctx, false, given, actor);
    return changed.ok ? { ok: true, result: { ...changed.result, woken: await woken(ctx, () => wakeWaiting(ctx)) } } : changed;
  },
  text: ({ scope, target, changed, woken: isWoken }) =>
    `The agent answers again: ${scope} ${target}${changed ? '' : ' (it was not looking on)'}.${isWoken ? '' : `\n${NOT_WOKEN}`}`,
});

const list = defineCommand({
  name: 'observe list',
  summary: 'where the agent only looks on, and what it noted',
  details: 'Numbers, agents, and single conversations with their labels and summary.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _, { tenant }) {
    return { ok: true, result: await listObserved(ctx.db, tenant) };
  },
  text: listText,
});

export const observeCommands = [on, off, list];

async function change(
  ctx: AdminContext,
  isOn: boolean,
  { scope, target, reason }: z.infer<typeof args>,
  actor: Actor,
): Promise<Outcome<Switched>> {
  if (scope === 'conversation' && !/^\d{1,15}$/.test(target)) return refused('bad_request', 'target: the id of a conversation is a number');
  const outcome = await setObserved(ctx.db, { tenant: actor.tenant, actor: actor.id, reason: reason ?? null, scope, target, on: isOn });
  return outcome === 'unknown'
    ? refused('not_found', `there is no ${scope} ${target}`)
    : { ok: true, result: { scope, target, changed: outcome === 'done' } };
}

function listText({ scopes, conversations }: Observed, format: FormatTime): string {
  const lines = scopes.map(
    ({ scope, target, since, actor, reason }) =>
      `${scope} ${target}, since ${format(since)}, by ${actor}${reason === null ? '' : `: ${printable(reason)}`}`,
  );
  const talks = conversations.map(({ id, name, instance, labels, summary }) => {
    const noted =
      summary === null
        ? 'nothing noted yet'
        : `${printable(summary)}${labels.length === 0 ? '' : ` [${labels.map(printable).join(', ')}]`}`;
    return `conversation ${id} (${shownName(name) ?? 'no name'}, ${instance}): ${noted}`;
  });
  return [...lines, ...talks].join('\n') || 'The agent looks on nowhere: it answers.';
}
