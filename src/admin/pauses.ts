/** pause, resume: the stop button. One row in julia_status, as by hand, with an audit. */
import { z } from 'zod';
import { oneLine } from '../words/foreign-text.ts';
import { PAUSE_SCOPES, setPause } from '../people/pause-calls.ts';
import type { Pause, PauseScope } from '../people/pause-calls.ts';
import { wakeWaiting } from '../turns/wake.ts';
import { defineCommand, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome } from './command.ts';

const args = z.object({
  scope: z
    .enum(PAUSE_SCOPES, `must be one of ${PAUSE_SCOPES.join(', ')}`)
    .default('all')
    .describe(PAUSE_SCOPES.join(', ')),
  target: wordsArg.optional().describe('tenant, number, campaign or conversation id; nothing with all'),
  reason: wordsArg.optional().describe('why; whoever asks for the status reads it'),
});

type Switched = { status: 'pausado' | 'ativo'; scope: PauseScope; target: string; was: 'pausado' | 'ativo'; still: Pause[] };

const pause = defineCommand({
  name: 'pause',
  summary: 'stops the agent: everything, or one tenant, number, campaign or conversation',
  details:
    'No model call and no send begins after this, and answers that are being written are put aside. What contacts write is stored and waits for the resume. ' +
    'Examples: pause --reason "wrong prices"; pause instance julia-prod; pause conversation 7.',
  args,
  positional: ['scope', 'target'],
  readOnly: false,
  role: 'operator',
  run: (ctx, given, actor) => change(ctx, 'pausado', given, actor),
  text: (result) => `${nameOf(result)} is paused${result.was === 'pausado' ? ' (it was already)' : ''}. To go on: ${resumeOf(result)}.`,
});

const resume = defineCommand({
  name: 'resume',
  summary: 'lets it go on',
  details:
    'What waited is taken up at once: replies and messages leave under all rules, and what contacts wrote is answered if it is younger than ' +
    'MAX_MESSAGE_AGE_MINUTES; older messages are listed to a person. Each pause ends by itself: resuming everything leaves a paused conversation paused.',
  args,
  positional: ['scope', 'target'],
  readOnly: false,
  role: 'operator',
  async run(ctx, given, actor) {
    const changed = await change(ctx, 'ativo', given, actor);
    if (!changed.ok) return changed;
    return { ok: true, result: { ...changed.result, woken: await woken(ctx, () => wakeWaiting(ctx)) } };
  },
  text(result, format) {
    const lines = [`${nameOf(result)} goes on${result.was === 'ativo' ? ' (it was not paused)' : ''}.`];
    if (result.still.length > 0) lines.push('Still paused:', ...result.still.map((each) => `  ${pauseLine(each, format)}`));
    if (!result.woken) lines.push(NOT_WOKEN);
    return lines.join('\n');
  },
});

export const pauseCommands = [pause, resume];

async function change(
  ctx: AdminContext,
  status: Switched['status'],
  { scope, target = '', reason }: z.infer<typeof args>,
  actor: Actor,
): Promise<Outcome<Switched>> {
  if (scope === 'all' && target !== '') return refused('bad_request', 'target: everything has none; name the scope that you mean');
  if (scope !== 'all' && target === '') return refused('bad_request', `target: which ${scope}? For example: ${EXAMPLES[scope]}`);
  const request = { tenant: actor.tenant, actor: actor.id, status, scope, target, reason: reason ?? null };
  const answer = await setPause(ctx.db, request);
  switch (answer.outcome) {
    case 'not_yours':
      return refused('forbidden', 'only the tenant default may stop everything or another tenant');
    case 'unknown_target':
      return refused('not_found', `there is no ${scope} ${target}`);
    case 'done':
      return { ok: true, result: { status, scope, target, was: answer.was, still: answer.still } };
  }
}

const EXAMPLES: Readonly<Record<Exclude<PauseScope, 'all'>, string>> = {
  tenant: 'tenant default',
  instance: 'instance julia-prod',
  campaign: 'campaign natal-2026',
  conversation: 'conversation 7',
};

function nameOf({ scope, target }: { scope: PauseScope; target: string }): string {
  return scope === 'all' ? 'Everything' : `The ${scope} ${oneLine(target, 100)}`;
}

function resumeOf({ scope, target }: { scope: PauseScope; target: string }): string {
  return scope === 'all' ? 'resume' : `resume ${scope} ${oneLine(target, 100)}`;
}

export function pauseLine(each: Pause, format: FormatTime): string {
  const why = each.motivo === null ? 'no reason given' : `because: ${oneLine(each.motivo, 300)}`;
  return `${nameOf(each)} since ${format(each.since)}, by ${oneLine(each.alterado_via ?? 'somebody', 100)}, ${why}`;
}
