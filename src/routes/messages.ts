/** POST /api/messages, GET /api/messages, GET /api/messages/:id: proactive messages, and what became of them. */
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { typingTimes } from '../turns/answer.ts';
import { canonicalPhone } from '../words/phone.ts';
import { notConfigured, providerError } from '../outbox/provider-error.ts';
import type { ProviderError } from '../outbox/provider-error.ts';
import { timeFormat } from '../admin/why.ts';
import { messageInWords } from '../outbox/outcome-words.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { enqueueMessage, findMessageStatus, LISTED_KINDS, listMessages, messageStatus, PROACTIVE_KINDS } from '../outbox/calls.ts';
import type { MessageStatus } from '../outbox/calls.ts';
import type { Context } from '../context.ts';
import type { Process } from './ops.ts';
import { mayCall } from './auth.ts';
import { contextOf } from './context-of.ts';
import type { Routes } from './table.ts';

/** WhatsApp cuts beyond some 65,000 characters; nobody reads a message that long. */
const MAX_TEXT = 4_000;

/** What Postgres cannot hold in a text, and nobody means to send: NUL, and half an emoji. */
const words = z.string().refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');
const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time with a zone, like 2026-12-01T09:00:00-03:00' });
const phone = z
  .string('must be a phone number in quotes, like "+55 11 91234-5678"')
  .transform(
    (raw, check) => canonicalPhone(raw) ?? (check.addIssue('must be a phone number with area code, like +55 11 91234-5678'), z.NEVER),
  );
const kind = z.enum(PROACTIVE_KINDS, `must be one of ${PROACTIVE_KINDS.join(', ')}; replies are written by the agent`);
const request = z
  .strictObject({
    to: phone,
    text: words.trim().min(1, 'must not be empty').max(MAX_TEXT, `must have at most ${MAX_TEXT} characters; send it as several messages`),
    kind: kind.default('notification'),
    instance: words.min(1).max(200).optional(),
    campaign_id: words.min(1).max(100).optional(),
    send_after: time.optional(),
    expires_at: time.optional(),
    bypass_reason: words.trim().min(3, 'must say why').max(500, 'must have at most 500 characters').optional(),
  })
  .refine(({ kind: is, bypass_reason: why }) => why === undefined || is === 'manual', {
    path: ['bypass_reason'],
    error: 'is for kind "manual" only: what a program sends keeps to the rules',
  })
  .refine(({ send_after: after, expires_at: end }) => after === undefined || end === undefined || Date.parse(end) > Date.parse(after), {
    path: ['expires_at'],
    error: 'must be later than send_after, or it would never leave',
  });

/** An empty header would make one message of all that have it. */
const idempotencyKey = z.string().trim().min(1, 'must not be empty').max(200, 'must have at most 200 characters').optional();

export function messageRoutes(routes: Routes, process: Process): void {
  routes.post('/api/messages', POST, async (c) => {
    const ctx = contextOf(process);
    const parsed = request.safeParse(await c.req.json<unknown>().catch(() => undefined));
    if (!parsed.success) throw new HTTPException(400, { message: z.prettifyError(parsed.error) });
    const key = idempotencyKey.safeParse(c.req.header('idempotency-key'));
    if (!key.success) throw new HTTPException(400, { message: `Idempotency-Key: ${z.prettifyError(key.error)}` });
    const { to, text, kind: is, instance, campaign_id, send_after, expires_at, bypass_reason } = parsed.data;
    const caller = c.get('caller');
    if (expires_at !== undefined && Date.parse(expires_at) <= Date.now())
      throw new HTTPException(400, { message: 'expires_at: is in the past, so it would never leave; give a later time, or none' });
    // What a person writes passes over rules that a program keeps to.
    if (is === 'manual' && !mayCall(caller.role, 'operator'))
      throw new HTTPException(403, {
        message: `kind "manual"${bypass_reason === undefined ? '' : ' with bypass_reason'}: needs the role operator; this token has the role ${caller.role}`,
      });
    // EVOLUTION_INSTANCE is the installation's; of another tenant's numbers one is chosen, or none is meant.
    const from = instance ?? (caller.tenant === 'default' ? ctx.config.evolution?.instance : '');
    if (from === undefined)
      throw new HTTPException(503, { message: 'instance: no number is configured; name one or set EVOLUTION_INSTANCE' });
    try {
      const { id, status, conversation_id } = await enqueueMessage(ctx.db, {
        tenant: caller.tenant,
        instance: from,
        choose: instance === undefined && ctx.config.outbound.multiChip ? ctx.sendPolicy : null,
        phone: to,
        text,
        kind: is,
        send_after: send_after ?? null,
        expires_at: expires_at ?? null,
        idempotency_key: key.data ?? null,
        campaign_id: campaign_id ?? null,
        typing_ms: ctx.config.turn.humanDelay ? (typingTimes([text], 0, ctx.random())[0] ?? 0) : 0,
        correlation_id: c.get('requestId'),
        bypass: bypass_reason ?? null,
        actor: `api:${caller.sub}`,
      });
      ctx.background.run('wake send', () => ctx.queues.wakeSend(conversation_id));
      return c.json({ id, status }, 202);
    } catch (error) {
      if (error instanceof DatabaseRefused && error.code === 'WA001')
        throw new HTTPException(400, {
          message:
            from === ''
              ? 'instance: name the number; none may be chosen by itself (instance set NAME --proactive true)'
              : `instance: there is no number ${from}`,
        });
      if (error instanceof DatabaseRefused && error.code === 'WA002')
        throw new HTTPException(409, { message: 'Idempotency-Key: was used for another message within 24 hours' });
      throw error;
    }
  });

  routes.get('/api/messages', LIST, async (c) => {
    const ctx = contextOf(process);
    const parsed = filter.safeParse(c.req.query());
    if (!parsed.success) throw new HTTPException(400, { message: z.prettifyError(parsed.error) });
    const { status, kind: is, to, instance, campaign_id, since, cursor, limit } = parsed.data;
    const found = await listMessages(
      ctx.db,
      c.get('caller').tenant,
      {
        status: status ?? null,
        kind: is ?? null,
        phone: to ?? null,
        instance: instance ?? null,
        campaign_id: campaign_id ?? null,
        since: since ?? null,
        before: cursor ?? null,
      },
      limit,
    );
    return c.json({
      messages: found.map((message) => told(message, ctx)),
      next_cursor: found.length < limit ? null : String(found.at(-1)?.id),
    });
  });

  routes.get('/api/messages/:id{[0-9]{1,15}}', GET, async (c) => {
    const ctx = contextOf(process);
    const message = await findMessageStatus(ctx.db, c.get('caller').tenant, Number(c.req.param('id')));
    if (message === null) throw new HTTPException(404, { message: 'there is no such message' });
    return c.json(told(message, ctx));
  });
}

type Told = MessageStatus & { says: string; provider_error: ProviderError | null };

function told(message: MessageStatus, { config }: Context): Told {
  const stuck = config.evolution === null && message.status === 'queued';
  return {
    ...message,
    says: messageInWords(message, timeFormat(config.app.timeZone)),
    provider_error: stuck ? notConfigured() : providerError(message),
  };
}

const OUT_STATES = [
  'queued',
  'sending',
  'sent',
  'delivered',
  'read',
  'failed',
  'blocked',
  'deduped',
  'expired',
  'cancelled',
  'uncertain',
  'unproven',
];
const number = (most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a number')
    .transform(Number)
    .pipe(z.number().min(1, 'must be at least 1').max(most, `must be at most ${most}`));
const filter = z.strictObject({
  status: z.enum(OUT_STATES, `must be one of ${OUT_STATES.join(', ')}`).optional(),
  kind: z.enum(LISTED_KINDS, `must be one of ${LISTED_KINDS.join(', ')}`).optional(),
  to: phone.optional(),
  instance: words.min(1).max(200).optional(),
  campaign_id: words.min(1).max(100).optional(),
  since: time.optional(),
  cursor: number(Number.MAX_SAFE_INTEGER).optional(),
  limit: number(200).default(50),
});

const POST = {
  tag: 'messages',
  access: 'sender',
  summary: 'a message that nobody asked for',
  details:
    'Queued with this text, and sent under all rules: caps, hours, pace, opt-out, pause. A header Idempotency-Key makes a repeat within 24 hours the same message. ' +
    'kind manual is for operators: with bypass_reason one leaves over hours, caps and pace, never over an opt-out or a pause; the reason is audited.',
  headers: z.object({ 'idempotency-key': z.string().max(200).optional() }),
  body: request,
  example: { to: '+55 11 91234-5678', text: 'Sua consulta é amanhã às 9h.', kind: 'notification' },
  answers: {
    202: { means: 'queued', schema: z.object({ id: z.number(), status: z.string() }) },
    400: 'what is wrong with which field',
    409: 'the Idempotency-Key was used for another message',
    503: 'no number is configured, or the database is away',
  },
} as const;

const shown = messageStatus.extend({
  says: z.string(),
  provider_error: z.object({ status: z.number(), code: z.string(), hint: z.string() }).nullable(),
});

const LIST = {
  tag: 'messages',
  access: 'sender',
  summary: 'what became of messages that nobody asked for, the newest first',
  details:
    'Narrowed by status, kind, to, instance, campaign_id and since. next_cursor is the cursor of the next page, null on the last one.',
  query: filter,
  answers: {
    200: { means: 'one page', schema: z.object({ messages: z.array(shown), next_cursor: z.string().nullable() }) },
    400: 'what is wrong with which filter',
  },
} as const;

const GET = {
  tag: 'messages',
  access: 'sender',
  summary: 'what became of a message',
  details:
    '`status` is queued, sending, sent, delivered, read, failed, blocked, deduped, expired, cancelled, uncertain (Evolution is being asked) or unproven (a person is asked to look); `reason` and `goes_at` say why it waits and until when, `says` the same in words. `provider_error` is set while Evolution or the number stands in the way: status 409 (disconnected), 503 (not configured) or 502, with a hint.',
  answers: { 200: { means: 'the message', schema: shown }, 404: 'there is no such message' },
} as const;
