/** /api/notices, /api/notice-templates: what a shop's program tells of its orders, and what became of it. */
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { dataArg, phoneArg, referenceArg } from '../admin/order-notices.ts';
import { timeFormat } from '../admin/why.ts';
import { findNotice, listNotices, noticeRow, setNoticeTemplate } from '../orders/calls.ts';
import type { NoticeRow } from '../orders/calls.ts';
import { MOST_TEXT, NOTICE_TYPES, templateFault } from '../orders/notice-words.ts';
import { tellAgain, tellOrder, templatesOf } from '../orders/order-notices.ts';
import { messageInWords } from '../outbox/outcome-words.ts';
import { notConfigured, providerError } from '../outbox/provider-error.ts';
import type { Context } from '../context.ts';
import type { Process } from './ops.ts';
import type { Caller } from './auth.ts';
import { checked } from './checked.ts';
import { contextOf } from './context-of.ts';
import type { Routes } from './table.ts';

const type = z.enum(NOTICE_TYPES, `must be one of ${NOTICE_TYPES.join(', ')}`);
const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time with a zone, like 2026-12-01T09:00:00-03:00' });
const words = z.string().refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');
const number = (most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a number')
    .transform(Number)
    .pipe(z.number().min(1, 'must be at least 1').max(most, `must be at most ${most}`));

const request = z.strictObject({
  type,
  to: phoneArg,
  reference: z.union([referenceArg, z.number().int().transform(String)]),
  data: dataArg.default({}),
  instance: words.min(1).max(200).optional(),
  send_after: time.optional(),
  expires_at: time.optional(),
});
const filter = z.strictObject({
  type: type.optional(),
  status: words.max(20).optional(),
  reference: words.min(1).max(100).optional(),
  to: phoneArg.optional(),
  since: time.optional(),
  cursor: number(Number.MAX_SAFE_INTEGER).optional(),
  limit: number(200).default(50),
});
const change = z.strictObject({
  text: words.max(MOST_TEXT, `must have at most ${MOST_TEXT} characters`).nullable().optional(),
  enabled: z.boolean().optional(),
});

export function orderNoticeRoutes(routes: Routes, process: Process): void {
  routes.post('/api/notices', POST, async (c) => {
    const ctx = contextOf(process);
    const { to, send_after, expires_at, instance, ...step } = checked(request, await c.req.json<unknown>().catch(() => undefined));
    if (expires_at !== undefined && Date.parse(expires_at) <= Math.max(Date.now(), Date.parse(send_after ?? '') || 0))
      throw new HTTPException(400, { message: 'expires_at: must be in the future and later than send_after, or it would never leave' });
    const { notice } = madeOf(
      await tellOrder(ctx, askingOf(c.get('caller'), c.get('requestId'), instance), {
        ...step,
        phone: to,
        sendAfter: send_after,
        expiresAt: expires_at,
      }),
    );
    return c.json(told(notice, ctx), 202);
  });

  routes.get('/api/notices', LIST, async (c) => {
    const ctx = contextOf(process);
    const { to, cursor, limit, ...rest } = checked(filter, c.req.query());
    const found = await listNotices(ctx.db, c.get('caller').tenant, { ...rest, phone: to, before: cursor }, limit);
    return c.json({
      notices: found.map((notice) => told(notice, ctx)),
      next_cursor: found.length < limit ? null : String(found.at(-1)?.id),
    });
  });

  routes.get('/api/notices/:id{[0-9]{1,15}}', GET, async (c) => {
    const ctx = contextOf(process);
    const notice = await findNotice(ctx.db, c.get('caller').tenant, Number(c.req.param('id')));
    if (notice === null) throw new HTTPException(404, { message: 'there is no such notice' });
    return c.json(told(notice, ctx));
  });

  routes.post('/api/notices/:id{[0-9]{1,15}}/resend', RESEND, async (c) => {
    const ctx = contextOf(process);
    const { notice } = madeOf(await tellAgain(ctx, askingOf(c.get('caller'), c.get('requestId')), Number(c.req.param('id'))));
    return c.json(told(notice, ctx), 202);
  });

  routes.get('/api/notice-templates', TEMPLATES, async (c) => {
    const { shop, all } = await templatesOf(contextOf(process), c.get('caller').tenant);
    return c.json({ loja: shop, templates: all });
  });

  routes.get('/api/notice-templates/:type{[a-z_]{1,40}}', TEMPLATE, async (c) => {
    const { all } = await templatesOf(contextOf(process), c.get('caller').tenant);
    const found = all.find((each) => each.type === c.req.param('type'));
    if (found === undefined) throw unknownType();
    return c.json(found);
  });

  routes.put('/api/notice-templates/:type{[a-z_]{1,40}}', PUT, async (c) => {
    const ctx = contextOf(process);
    const { tenant, sub } = c.get('caller');
    const named = type.safeParse(c.req.param('type'));
    if (!named.success) throw unknownType();
    const { text, enabled } = checked(change, await c.req.json<unknown>().catch(() => undefined));
    const fault = text == null ? null : templateFault(text);
    if (fault !== null) throw new HTTPException(400, { message: fault });
    await setNoticeTemplate(
      ctx.db,
      tenant,
      { type: named.data, ...(text === undefined ? {} : { text }), ...(enabled === undefined ? {} : { enabled }) },
      `api:${sub}`,
    );
    const { all } = await templatesOf(ctx, tenant);
    return c.json(all.find((each) => each.type === named.data));
  });
}

function unknownType(): HTTPException {
  return new HTTPException(404, { message: `there is no such type; there are ${NOTICE_TYPES.join(', ')}` });
}

function askingOf({ tenant, sub }: Caller, requestId: string, instance?: string) {
  return { tenant, actor: `api:${sub}`, correlationId: requestId, instance };
}

const STATUS = { bad_request: 400, not_found: 404, conflict: 409, unavailable: 503 } as const;

function madeOf(answer: Awaited<ReturnType<typeof tellOrder>>): { notice: NoticeRow } {
  if (!answer.ok) throw new HTTPException(STATUS[answer.kind], { message: answer.message });
  return answer.result;
}

function told(notice: NoticeRow, { config }: Context) {
  const stuck = config.evolution === null && notice.status === 'queued';
  const says =
    notice.status === 'deduped'
      ? `repeats notice ${notice.duplicate_of}, which is sent once`
      : messageInWords(notice, timeFormat(config.app.timeZone));
  return { ...notice, says, provider_error: stuck ? notConfigured() : providerError(notice) };
}

const shown = noticeRow.extend({
  says: z.string(),
  provider_error: z.object({ status: z.number(), code: z.string(), hint: z.string() }).nullable(),
});
const template = z.object({
  type,
  text: z.string(),
  enabled: z.boolean(),
  standard: z.boolean(),
  updated_by: z.string().nullable(),
  updated_at: z.iso.datetime().nullable(),
});

const POST = {
  tag: 'messages',
  access: 'sender',
  summary: 'a step of an order, told to its customer',
  details:
    'Rendered at once with the text of its type, and sent at any hour, under a cap and a pace of its own (MAX_AVISOS_POR_HORA) and under allowlist, pause, expiry, health of the number and opt-out. ' +
    'A placeholder without a value is 400 with its name; {loja} has the name of the company where data says none. The same type, to, reference and data are sent once: a repeat is `deduped`. A type that is off is `blocked: type_disabled`.',
  body: request,
  example: {
    type: 'order_delivered',
    to: '+55 11 91234-5678',
    reference: 'pedido-1001',
    data: { nome: 'Maria', codigo: '1001' },
  },
  answers: {
    202: { means: 'written down; `status` says whether it is queued, deduped or blocked', schema: shown },
    400: 'what is wrong with which field, or which placeholder has no value',
    503: 'no number is configured, or the database is away',
  },
} as const;

const LIST = {
  tag: 'messages',
  access: 'sender',
  summary: 'the log of notices, the newest first',
  details: 'Narrowed by type, status, reference, to and since. next_cursor is the cursor of the next page, null on the last one.',
  query: filter,
  answers: {
    200: { means: 'one page', schema: z.object({ notices: z.array(shown), next_cursor: z.string().nullable() }) },
    400: 'what is wrong with which filter',
  },
} as const;

const GET = {
  tag: 'messages',
  access: 'sender',
  summary: 'a notice and what became of it',
  details: '`status` is that of a message; `provider_message_id`, the times and `provider_error` are what WhatsApp has answered.',
  answers: { 200: { means: 'the notice', schema: shown }, 404: 'there is no such notice' },
} as const;

const RESEND = {
  tag: 'messages',
  access: 'operator',
  summary: 'the same notice once more, with the same words',
  body: z.object({}),
  example: {},
  answers: {
    202: { means: 'the new notice', schema: shown },
    404: 'there is no such notice',
    409: 'it is a repeat, or still on its way',
  },
} as const;

const TEMPLATES = {
  tag: 'messages',
  access: 'sender',
  summary: 'what is said at each step of an order',
  answers: { 200: { means: 'all types', schema: z.object({ loja: z.string().nullable(), templates: z.array(template) }) } },
} as const;

const TEMPLATE = {
  tag: 'messages',
  access: 'sender',
  summary: 'what is said at one step of an order',
  answers: { 200: { means: 'its words and its switch', schema: template }, 404: 'there is no such type' },
} as const;

const PUT = {
  tag: 'messages',
  access: 'operator',
  summary: 'other words for a step of an order, or its switch',
  details: 'text null: the words of the product. A placeholder that does not exist is 400 with its name. Audited.',
  body: change,
  example: { text: '{nome}, o seu pedido {codigo} foi retirado. Obrigado!', enabled: true },
  answers: { 200: { means: 'as it is now', schema: template }, 400: 'what is wrong with which field', 404: 'there is no such type' },
} as const;
