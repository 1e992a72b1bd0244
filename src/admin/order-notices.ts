/** notice send, test, list, show, resend, opt-out: what a shop tells of its orders, and what became of it. */
import { z } from 'zod';
import { findNotice, listNotices, setNoticeOptOut } from '../orders/calls.ts';
import type { NoticeRow } from '../orders/calls.ts';
import { SAMPLE } from '../orders/notice-texts.ts';
import { MOST_VALUE } from '../orders/notice-words.ts';
import { tellAgain, tellOrder } from '../orders/order-notices.ts';
import { messageInWords } from '../outbox/outcome-words.ts';
import { jsonOf } from '../words/json.ts';
import { printable } from '../words/foreign-text.ts';
import { canonicalPhone } from '../words/phone.ts';
import { typeArg } from './notice-templates.ts';
import { defineCommand, idArg, limitArg, refused, wordsArg } from './command.ts';
import type { Actor, FormatTime, Outcome } from './command.ts';

const NO_PHONE = 'must be a phone number with area code, like +55 11 91234-5678';
export const phoneArg = wordsArg.transform((raw, check) => canonicalPhone(raw) ?? (check.addIssue(NO_PHONE), z.NEVER));
export const referenceArg = wordsArg.max(100, 'must have at most 100 characters').describe('the order, as the shop names it');
const value = z.union([z.string().max(MOST_VALUE, `must have at most ${MOST_VALUE} characters`), z.number()], 'must be a text or a number');
/** What the shop tells of the order; keys that no text asks for are kept in the log. */
export const dataArg = z
  .record(z.string().max(50), value, 'must be an object of texts and numbers')
  .refine((data) => Object.keys(data).length <= 40, 'must have at most 40 keys')
  .refine((data) => {
    const written = JSON.stringify(data);
    return written.isWellFormed() && !written.includes(String.raw`\u0000`) && !/\\u[dD][89a-fA-F]/.test(written);
  }, 'must not hold NUL or half a character');
const writtenData = z.union([dataArg, z.string().transform((raw, check) => jsonOf(raw) ?? (check.addIssue('must be JSON'), z.NEVER))]);

type Told = { notice: NoticeRow };

const send = defineCommand({
  name: 'notice send',
  summary: 'tells a customer a step of an order',
  details:
    'As POST /api/notices does: rendered at once, at any hour, under MAX_AVISOS_POR_HORA. The same type, phone, reference and data are sent once. ' +
    `For example: notice send picked_up +5511912345678 pedido-1001 --data '{"nome": "Maria", "codigo": "1001"}'`,
  args: z.object({
    type: typeArg,
    to: phoneArg.describe('phone number of the customer'),
    reference: referenceArg,
    data: writtenData.default({}).describe('values of the placeholders, as JSON'),
    instance: wordsArg.optional().describe('from this number and no other'),
  }),
  positional: ['type', 'to', 'reference'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { type, to, reference, data, instance }, actor): Promise<Outcome<Told>> {
    const values = dataArg.safeParse(data);
    if (!values.success) return refused('bad_request', `data: ${values.error.issues[0]?.message ?? 'is wrong'}`);
    return tellOrder(ctx, askingOf(actor, instance), { type, reference, phone: to, data: values.data, byHand: true });
  },
  text: ({ notice }, format) => line(notice, format),
});

const test = defineCommand({
  name: 'notice test',
  summary: 'sends a step of an order that does not exist to a phone of the shop',
  details:
    'With invented values, also of a type that is off, and as often as it is asked. Without a phone it goes to GESTOR_WHATSAPP. It leaves under the rules of all notices.',
  args: z.object({ type: typeArg, phone: phoneArg.optional().describe('phone number; nothing: the manager’s') }),
  positional: ['type', 'phone'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { type, phone }, actor): Promise<Outcome<Told>> {
    // The manager is the installation's.
    const to = phone ?? (actor.tenant === 'default' ? ctx.config.outbound.managerPhone : null);
    if (to === null) return refused('bad_request', 'phone: is needed; there is no GESTOR_WHATSAPP');
    return tellOrder(ctx, askingOf(actor), { type, reference: 'teste', phone: to, data: SAMPLE, test: true, byHand: true });
  },
  text: ({ notice }, format) => line(notice, format),
});

const list = defineCommand({
  name: 'notice list',
  summary: 'what was told of orders and what became of it, the newest first',
  details: 'Narrowed by type, status, order, phone. For one with its words and what WhatsApp answered: notice show ID.',
  args: z.object({
    type: typeArg.optional(),
    status: wordsArg.optional().describe('queued, sent, delivered, read, failed, blocked, deduped, expired, cancelled ...'),
    reference: wordsArg.optional().describe('the order'),
    phone: phoneArg.optional().describe('phone number of the customer'),
    limit: limitArg.default(50).describe('at most so many'),
  }),
  readOnly: true,
  role: 'operator',
  async run(ctx, { limit, ...filter }, { tenant }) {
    return { ok: true, result: { notices: await listNotices(ctx.db, tenant, filter, limit) } };
  },
  text: ({ notices }, format) => (notices.length === 0 ? 'There is no such notice.' : notices.map((each) => line(each, format)).join('\n')),
});

const show = defineCommand({
  name: 'notice show',
  summary: 'a notice with its words and what WhatsApp answered',
  details: 'For everything that happened to its message: why MESSAGE.',
  args: z.object({ id: idArg.describe('id of the notice') }),
  positional: ['id'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { id }, { tenant }): Promise<Outcome<Told>> {
    const notice = await findNotice(ctx.db, tenant, id);
    return notice === null ? refused('not_found', `there is no notice ${id}`) : { ok: true, result: { notice } };
  },
  text: ({ notice }, format) => `${line(notice, format)}\n  ${printable(notice.text).replaceAll('\n', '\n  ')}`,
});

const resend = defineCommand({
  name: 'notice resend',
  summary: 'sends a notice once more, with the same words',
  details: 'Refused while it is still on its way. It leaves under the rules of all notices. Audited.',
  args: z.object({ id: idArg.describe('id of the notice') }),
  positional: ['id'],
  readOnly: false,
  role: 'operator',
  run: (ctx, { id }, actor): Promise<Outcome<Told>> => tellAgain(ctx, askingOf(actor), id),
  text: ({ notice }, format) => line(notice, format),
});

const optOut = defineCommand({
  name: 'notice opt-out',
  summary: 'whether who asked for no more messages is told of an order all the same',
  details:
    'obey (the default): nothing is sent to them. ignore: steps of their own orders are, and nothing else is. In force at once. Audited.',
  args: z.object({
    setting: z.enum(['obey', 'ignore'], 'must be obey or ignore').describe('obey or ignore'),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['setting'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { setting, reason }, { id, tenant }) {
    const told = await setNoticeOptOut(ctx.db, { tenant, tell: setting === 'ignore', actor: id, reason: reason ?? null });
    return { ok: true, result: { setting, was: told ? ('ignore' as const) : ('obey' as const) } };
  },
  text: ({ setting, was }) =>
    `${setting === 'obey' ? 'Who asked for no more messages is not told of orders.' : 'Steps of an order are told to who asked for no more messages too.'}${setting === was ? ' It was so already.' : ''}`,
});

export const orderNoticeCommands = [send, test, list, show, resend, optOut];

function askingOf({ id, tenant }: Actor, instance?: string) {
  return { tenant, actor: id, correlationId: null, instance };
}

function line(notice: NoticeRow, format: FormatTime): string {
  const repeats = notice.duplicate_of === null ? '' : ` (repeats notice ${notice.duplicate_of})`;
  const provider = notice.provider_message_id === null ? '' : `, ${notice.provider_message_id} at WhatsApp`;
  const what = notice.status === 'deduped' ? 'is a repeat, which is sent once' : messageInWords(notice, format);
  return `${notice.id}  ${format(new Date(notice.created_at))}  ${notice.type} of ${printable(notice.reference)}${notice.test ? ' (test)' : ''} to ${notice.to}: ${notice.status}, ${what}${repeats}${provider}`;
}
