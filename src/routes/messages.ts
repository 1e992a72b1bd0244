/** POST /api/messages, GET /api/messages/:id: a message that nobody asked for, and what became of it. */
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { typingTimes } from '../core/answer.ts';
import { canonicalPhone } from '../core/phone.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { enqueueMessage, findMessageStatus, messageStatus } from '../db/sends.ts';
import type { Process } from '../ops.ts';
import { contextOf } from './context-of.ts';
import type { Routes } from './table.ts';

/** WhatsApp cuts beyond some 65,000 characters; nobody reads a message that long. */
const MAX_TEXT = 4_000;

/** What Postgres cannot hold in a text, and nobody means to send: NUL, and half an emoji. */
const words = z.string().refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');
const time = z.iso.datetime({ offset: true, error: 'must be an ISO 8601 time with a zone, like 2026-12-01T09:00:00-03:00' });
const request = z.strictObject({
  to: z
    .string()
    .transform(
      (raw, check) => canonicalPhone(raw) ?? (check.addIssue('must be a phone number with area code, like +55 11 91234-5678'), z.NEVER),
    ),
  text: words.trim().min(1, 'must not be empty').max(MAX_TEXT, `must have at most ${MAX_TEXT} characters`),
  kind: z.enum(['notification', 'follow_up', 'campaign', 'manual']).default('notification'),
  instance: words.min(1).max(200).optional(),
  campaign_id: words.min(1).max(100).optional(),
  send_after: time.optional(),
  expires_at: time.optional(),
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
    const { to, text, kind, instance, campaign_id, send_after, expires_at } = parsed.data;
    const from = instance ?? ctx.config.evolution?.instance;
    if (from === undefined)
      throw new HTTPException(400, { message: 'instance: no number is configured; name one or set EVOLUTION_INSTANCE' });
    try {
      const { id, status, conversation_id } = await enqueueMessage(ctx.db, {
        tenant: c.get('caller').tenant,
        instance: from,
        phone: to,
        text,
        kind,
        send_after: send_after ?? null,
        expires_at: expires_at ?? null,
        idempotency_key: key.data ?? null,
        campaign_id: campaign_id ?? null,
        typing_ms: ctx.config.turn.humanDelay ? (typingTimes([text], 0, ctx.random())[0] ?? 0) : 0,
        correlation_id: c.get('requestId'),
      });
      ctx.background.run('wake send', () => ctx.queues.wakeSend(conversation_id));
      return c.json({ id, status }, 202);
    } catch (error) {
      if (error instanceof DatabaseRefused && error.code === 'WA001')
        throw new HTTPException(400, { message: `instance: there is no number ${from}` });
      if (error instanceof DatabaseRefused && error.code === 'WA002')
        throw new HTTPException(409, { message: 'Idempotency-Key: was used for another message within 24 hours' });
      throw error;
    }
  });

  routes.get('/api/messages/:id{[0-9]{1,15}}', GET, async (c) => {
    const message = await findMessageStatus(contextOf(process).db, c.get('caller').tenant, Number(c.req.param('id')));
    if (message === null) throw new HTTPException(404, { message: 'there is no such message' });
    return c.json(message);
  });
}

const POST = {
  tag: 'messages',
  access: 'sender',
  summary: 'a message that nobody asked for',
  details:
    'Queued, and sent under all rules: caps, hours, pace, opt-out, pause. A header Idempotency-Key makes a repeat within 24 hours the same message.',
  headers: z.object({ 'idempotency-key': z.string().max(200).optional() }),
  body: request,
  answers: {
    202: { means: 'queued', schema: z.object({ id: z.number(), status: z.string() }) },
    400: 'what is wrong with which field',
    409: 'the Idempotency-Key was used for another message',
  },
} as const;

const GET = {
  tag: 'messages',
  access: 'sender',
  summary: 'what became of a message',
  details:
    '`status` is queued, sending, sent, delivered, read, failed, blocked, deduped, expired, cancelled or uncertain; `reason` and `goes_at` say why it waits and until when.',
  answers: { 200: { means: 'the message', schema: messageStatus }, 404: 'there is no such message' },
} as const;
