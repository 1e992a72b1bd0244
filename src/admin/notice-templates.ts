/** template list, set, on, off, preview: what a shop says at each step of an order. */
import { z } from 'zod';
import { setNoticeTemplate } from '../orders/calls.ts';
import { TYPE_NAMES } from '../orders/notice-texts.ts';
import { MOST_TEXT, NOTICE_TYPES, PLACEHOLDERS, templateFault } from '../orders/notice-words.ts';
import { previewNotice, templatesOf } from '../orders/order-notices.ts';
import { printable } from '../words/foreign-text.ts';
import { defineCommand, flagArg, refused } from './command.ts';
import type { AdminCommand } from './command.ts';

export const typeArg = z.enum(NOTICE_TYPES, `must be one of ${NOTICE_TYPES.join(', ')}`);
/** Lines count, so it is not trimmed. */
const textArg = z
  .string()
  .max(MOST_TEXT, `must have at most ${MOST_TEXT} characters`)
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');

const list = defineCommand({
  name: 'template list',
  summary: 'what is said at each step of an order, and which steps are off',
  details: `The ${NOTICE_TYPES.length} types with their words. Placeholders: ${PLACEHOLDERS.map((name) => `{${name}}`).join(' ')}.`,
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    const { shop, all } = await templatesOf(ctx, tenant);
    return { ok: true, result: { loja: shop, templates: all.map((each) => ({ ...each, name: TYPE_NAMES[each.type] })) } };
  },
  text: ({ templates }, format) =>
    templates
      .map(
        ({ type, enabled, standard, text, updated_by: by, updated_at: at }) =>
          `${type}${enabled ? '' : ' (off)'}${standard ? '' : ' (own words)'}${by === null || at === null ? '' : `, ${format(at)} by ${by}`}\n  ${printable(text).replaceAll('\n', '\n  ')}`,
      )
      .join('\n'),
});

const set = defineCommand({
  name: 'template set',
  summary: 'other words for a step of an order',
  details:
    'In force from the next notice on. A placeholder that does not exist is refused. --standard takes the words of the product again. Audited. For example: template set picked_up "{nome}, obrigado pela visita!"',
  args: z.object({
    type: typeArg,
    text: textArg.optional().describe('the words, with placeholders'),
    standard: flagArg.describe('the words of the product'),
  }),
  positional: ['type', 'text'],
  flags: ['standard'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { type, text, standard }, { id, tenant }) {
    if (standard === (text !== undefined)) return refused('bad_request', 'text: is needed, or standard');
    const fault = text === undefined ? null : templateFault(text);
    if (fault !== null) return refused('bad_request', fault);
    return { ok: true, result: await setNoticeTemplate(ctx.db, tenant, { type, text: text ?? null }, id) };
  },
  text: ({ type, text, enabled }) =>
    `${type} has ${text === null ? 'the words of the product' : 'its own words'} from now on${enabled ? '' : '; it is off (template on)'}.`,
});

const [on, off] = (['on', 'off'] as const).map((verb) =>
  defineCommand({
    name: `template ${verb}`,
    summary: verb === 'on' ? 'a step of an order is told again' : 'a step of an order is not told any more',
    details:
      verb === 'on'
        ? 'From the next notice on; what was asked for while it was off is not sent. Audited.'
        : 'What is asked for from now on is `blocked: type_disabled` in the log; what is queued leaves. Audited.',
    args: z.object({ type: typeArg }),
    positional: ['type'],
    readOnly: false,
    role: 'operator',
    async run(ctx, { type }, { id, tenant }) {
      return { ok: true, result: await setNoticeTemplate(ctx.db, tenant, { type, enabled: verb === 'on' }, id) };
    },
    text: ({ type, enabled }) => `${type} is ${enabled ? 'on' : 'off'}.`,
  }),
) as [AdminCommand, AdminCommand];

const preview = defineCommand({
  name: 'template preview',
  summary: 'what a step of an order would say',
  details: 'Of an order that does not exist; with text: what those words would say. Nothing is sent or stored.',
  args: z.object({ type: typeArg, text: textArg.optional().describe('words that are not saved yet') }),
  positional: ['type', 'text'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { type, text }, { tenant }) {
    const fault = text === undefined ? null : templateFault(text);
    if (fault !== null) return refused('bad_request', fault);
    const seen = await previewNotice(ctx, tenant, { type, text });
    return seen.ok ? { ok: true, result: { type, text: seen.text } } : seen;
  },
  text: ({ text }) => printable(text),
});

export const noticeTemplateCommands = [list, set, on, off, preview];
