/** directive add, list, approve, reject, end: what the team tells the agent, beside its words. */
import { z } from 'zod';
import { addDirective, listDirectives, SCOPES, settleDirective } from '../directives/calls.ts';
import type { Directive } from '../directives/calls.ts';
import { endMeant } from '../directives/end-words.ts';
import { oneLine } from '../words/foreign-text.ts';
import { zoneOf } from '../words/zone.ts';
import { defineCommand, flagArg, idArg, limitArg, refused, wordsArg } from './command.ts';
import type { Actor, AdminContext, FormatTime, Outcome } from './command.ts';

const add = defineCommand({
  name: 'directive add',
  summary: 'tells the agent something, from the next message on',
  details:
    'For example: directive add "Frete grátis para todo o Brasil" --until "sexta". It stands in the part of the prompt that is cached, below the rules that nothing changes, and may be told to contacts. --scope agent, campaign or contact with --target: the slug, the name of the campaign, the id of the contact; a campaign’s holds for who got it within 7 days. At most 40 are in force. Audited.',
  args: z.object({
    text: wordsArg.describe('what the agent is to know or do'),
    until: wordsArg
      .max(60)
      .optional()
      .describe('when it ends, in Portuguese: "sexta", "31/12", "daqui a 3 dias"; nothing: until it is ended'),
    scope: z.enum(SCOPES).default('global').describe('whom it is about'),
    target: wordsArg.max(100).optional().describe('slug of the agent, name of the campaign, id of the contact'),
  }),
  positional: ['text'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { text, until, scope, target }, { tenant, id: actor }) {
    if ((scope === 'global') !== (target === undefined))
      return refused('bad_request', scope === 'global' ? 'target: only with --scope agent, campaign or contact' : 'target: is needed');
    const end = until === undefined ? null : endMeant(until, new Date(), zoneOf(ctx.config.app.timeZone));
    if (end?.kind === 'ask') return refused('bad_request', `until: ${end.question}`);
    const endsAt = end?.at ?? null;
    const said = await addDirective(ctx.db, { tenant, scope, target: target ?? '', text: oneLine(text, 500), endsAt, actor });
    if (!('id' in said))
      return said.outcome === 'unknown'
        ? refused('not_found', `there is no ${scope} ${target}`)
        : refused('conflict', '40 directives are in force; end one first (directive list)');
    return { ok: true, result: { id: said.id, text, ends_at: endsAt, same: said.outcome === 'same' } };
  },
  text: ({ id, ends_at: end, same }, format) =>
    `Directive ${id} ${same ? 'was in force already; it ends' : 'is in force'}${end === null ? (same ? ' when it is ended' : '') : `${same ? '' : ' until'} ${format(end)}`}.`,
});

const list = defineCommand({
  name: 'directive list',
  summary: 'what the team tells the agent, and what waits for a yes',
  details:
    'Proposals first, each with the sentence of the document that it came from and what it would replace; with --all also what is over.',
  args: z.object({ all: flagArg.describe('also what is over'), limit: limitArg.default(100).describe('at most so many') }),
  flags: ['all'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { all, limit }, { tenant }) {
    return { ok: true, result: { directives: await listDirectives(ctx.db, tenant, all, limit) } };
  },
  text: ({ directives: all }, format) =>
    all.length === 0 ? 'The team tells the agent nothing.' : all.map((each) => block(each, format)).join('\n'),
});

const idOf = z.object({ id: idArg.describe('id of the directive'), reason: wordsArg.optional().describe('why, for the audit') });

const approve = defineCommand({
  name: 'directive approve',
  summary: 'a proposal is in force, from the next message on',
  details: 'What it replaces ends. Audited.',
  args: idOf,
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  run: (ctx, args, actor) => settle(ctx, args, actor, 'active'),
  text: ({ id }) => `Directive ${id} is in force.`,
});

const reject = defineCommand({
  name: 'directive reject',
  summary: 'a proposal does not come into force',
  details: 'What it would have replaced stays. The same sentence of the same document is not proposed again. Audited.',
  args: idOf,
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  run: (ctx, args, actor) => settle(ctx, args, actor, 'rejected'),
  text: ({ id }) => `Directive ${id} is rejected.`,
});

const end = defineCommand({
  name: 'directive end',
  summary: 'a directive holds no more, from the next message on',
  details: 'Audited.',
  args: idOf,
  positional: ['id'],
  readOnly: false,
  role: 'admin',
  run: (ctx, args, actor) => settle(ctx, args, actor, 'ended'),
  text: ({ id }) => `Directive ${id} has ended.`,
});

export const directiveCommands = [add, list, approve, reject, end];

async function settle(
  ctx: AdminContext,
  { id, reason }: z.infer<typeof idOf>,
  { tenant, id: actor }: Actor,
  status: 'active' | 'rejected' | 'ended',
): Promise<Outcome<{ id: number; text: string; status: string }>> {
  const said = await settleDirective(ctx.db, { tenant, id, status, actor, reason: reason ?? null });
  switch (said.outcome) {
    case 'done':
      return { ok: true, result: { id, text: said.text ?? '', status } };
    case 'unknown':
      return refused('not_found', `there is no directive ${id}`);
    case 'over':
      return refused('conflict', `directive ${id} is ${said.status}${status === 'ended' ? '' : ', or its date has passed'}`);
    case 'many':
      return refused('conflict', '40 directives are in force; end one first (directive list)');
  }
}

function block(each: Directive, format: FormatTime): string {
  const whom = each.scope === 'global' ? '' : ` (${each.scope} ${each.target})`;
  const until = each.ends_at === null ? '' : `, until ${format(each.ends_at)}`;
  return [
    `${each.id}  ${each.status}${until}${whom}: ${each.text}`,
    ...(each.document === null ? [] : [`     from "${oneLine(each.document, 80)}": ${each.sentence ?? ''}`]),
    ...(each.before === null ? [] : [`     - ${each.before}`, `     + ${each.text}`]),
  ].join('\n');
}
