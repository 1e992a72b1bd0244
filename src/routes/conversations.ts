/** /api/conversations: what the console does with conversations, for programs: read, take, write, give back. */
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { returnHandoff } from '../people/handoff-calls.ts';
import { takeConversation, writeByHand } from '../people/hand-calls.ts';
import {
  conversationRow,
  listConversations,
  readConversation,
  readMessage,
  searchConversations,
  TABS,
} from '../watch/conversation-calls.ts';
import { checked } from './checked.ts';
import { contextOf } from './context-of.ts';
import type { Process } from './ops.ts';
import type { Routes } from './table.ts';

const words = z.string().refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must not hold NUL or half a character');
const number = (most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a number')
    .transform(Number)
    .pipe(z.number().min(1, 'must be at least 1').max(most, `must be at most ${most}`));

const filter = z.strictObject({
  tab: z.enum(TABS, `must be one of ${TABS.join(', ')}`).default('needs'),
  q: words.trim().min(2).max(100).optional(),
  cursor: number(Number.MAX_SAFE_INTEGER).optional(),
  limit: number(100).default(50),
});
const page = z.strictObject({ cursor: number(Number.MAX_SAFE_INTEGER).optional(), limit: number(200).default(50) });
const taking = z.strictObject({ force: z.boolean().default(false) });
const writing = taking.extend({
  text: words.trim().min(1, 'must not be empty').max(4_000, 'must have at most 4000 characters; send it as several messages'),
});
const returning = z.strictObject({ reason: words.trim().min(1).max(500).optional() });

const idempotencyKey = z.string().trim().min(1, 'must not be empty').max(200, 'must have at most 200 characters').optional();

export function conversationRoutes(routes: Routes, process: Process): void {
  routes.get('/api/conversations', LIST, async (c) => {
    const { db } = contextOf(process);
    const { tenant } = c.get('caller');
    const { tab, q, cursor, limit } = checked(filter, c.req.query());
    if (q !== undefined) return c.json({ conversations: await searchConversations(db, tenant, q, limit), next_cursor: null });
    const { rows, next } = await listConversations(db, { tenant, tab, before: cursor ?? null, limit });
    return c.json({ conversations: rows, next_cursor: next === null ? null : String(next) });
  });

  routes.get('/api/conversations/:id{[0-9]{1,15}}/messages', MESSAGES, async (c) => {
    const { cursor, limit } = checked(page, c.req.query());
    const found = await readConversation(contextOf(process).db, c.get('caller').tenant, Number(c.req.param('id')), cursor ?? null, limit);
    if (found === null) throw unknown();
    if ('merged_into' in found)
      throw new HTTPException(409, { message: `it is conversation ${found.merged_into} now: two contacts turned out to be one` });
    return c.json({ messages: found.messages, next_cursor: found.more ? String(found.messages[0]?.seq) : null });
  });

  routes.post('/api/conversations/:id{[0-9]{1,15}}/take', TAKE, async (c) => {
    const caller = c.get('caller');
    const { force } = checked(taking, await bodyOf(c.req));
    const answer = await takeConversation(contextOf(process).db, {
      tenant: caller.tenant,
      conversation: Number(c.req.param('id')),
      actor: `api:${caller.sub}`,
      force,
    });
    if (answer.outcome === 'unknown') throw unknown();
    if (answer.outcome === 'has') throw has(answer);
    return c.json({ conversation_id: answer.conversation_id });
  });

  routes.post('/api/conversations/:id{[0-9]{1,15}}/messages', WRITE, async (c) => {
    const ctx = contextOf(process);
    const caller = c.get('caller');
    const { text, force } = checked(writing, await bodyOf(c.req));
    const key = checked(idempotencyKey, c.req.header('idempotency-key'));
    const answer = await writeByHand(ctx.db, {
      tenant: caller.tenant,
      conversation: Number(c.req.param('id')),
      text,
      actor: `api:${caller.sub}`,
      key: key ?? null,
      force,
    });
    if (answer.outcome === 'unknown') throw unknown();
    if (answer.outcome === 'has') throw has(answer);
    ctx.background.run('wake send', () => ctx.queues.wakeSend(answer.conversation_id));
    return c.json({ id: answer.id, status: answer.status, conversation_id: answer.conversation_id }, 202);
  });

  routes.post('/api/conversations/:id{[0-9]{1,15}}/return', RETURN, async (c) => {
    const caller = c.get('caller');
    const { reason } = checked(returning, await bodyOf(c.req));
    const id = Number(c.req.param('id'));
    const answer = await returnHandoff(contextOf(process).db, caller.tenant, id, `api:${caller.sub}`, reason ?? null);
    if (answer.outcome === 'unknown') throw unknown();
    if (answer.outcome === 'not_with_a_person')
      throw new HTTPException(409, { message: 'no person has this conversation; nothing was changed' });
    return c.json({ conversation_id: id, mode: answer.mode, paused: answer.paused });
  });
}

function unknown(): HTTPException {
  return new HTTPException(404, { message: 'there is no such conversation' });
}

function has({ by, since }: { by: string; since: Date }): HTTPException {
  return new HTTPException(409, {
    message: `${by} has this conversation since ${since.toISOString()}; with "force": true you take it over`,
  });
}

/** No body is no fields. */
async function bodyOf(request: { text(): Promise<string> }): Promise<unknown> {
  const text = await request.text();
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new HTTPException(400, { message: 'the body must be JSON' });
  }
}

const one = { 404: 'there is no such conversation', 409: 'another person has it, or it is not in a state for this; nothing was changed' };

const LIST = {
  tag: 'messages',
  access: 'operator',
  summary: 'conversations: who needs a person first',
  details:
    'tab: needs (who waits longest first), agent, paused, all (newest first); q searches names, digits of numbers and words of the newest 10,000 messages instead. next_cursor is the cursor of the next page, null on the last one.',
  query: filter,
  answers: {
    200: { means: 'one page', schema: z.object({ conversations: z.array(conversationRow), next_cursor: z.string().nullable() }) },
    400: 'what is wrong with which filter',
  },
} as const;

const MESSAGES = {
  tag: 'messages',
  access: 'operator',
  summary: 'the messages of a conversation, the newest page first',
  query: page,
  answers: {
    200: {
      means: 'one page, the oldest message first; next_cursor leads to older ones',
      schema: z.object({ messages: z.array(readMessage), next_cursor: z.string().nullable() }),
    },
    ...one,
  },
} as const;

const TAKE = {
  tag: 'messages',
  access: 'operator',
  summary: 'a person takes a conversation: the agent keeps quiet there until it is given back',
  details: 'Of two at once one has it, and the other hears who. force takes it over from another person.',
  body: taking,
  example: { force: false },
  answers: { 200: { means: 'taken', schema: z.object({ conversation_id: z.number() }) }, 400: 'what is wrong', ...one },
} as const;

const WRITE = {
  tag: 'messages',
  access: 'operator',
  summary: 'a person writes in a conversation, and has it from then on',
  details:
    'It leaves from the number of the conversation, to where the contact wrote from last, and the agent knows it as the words of a person. A header Idempotency-Key makes a repeat the same message. GET /api/messages/{id} says what became of it.',
  headers: z.object({ 'idempotency-key': z.string().max(200).optional() }),
  body: writing,
  example: { text: 'Oi! Aqui é a Ana, da equipe. Já vi o seu pedido.' },
  answers: {
    202: { means: 'queued', schema: z.object({ id: z.number(), status: z.string(), conversation_id: z.number() }) },
    400: 'what is wrong with which field',
    ...one,
  },
} as const;

const RETURN = {
  tag: 'messages',
  access: 'operator',
  summary: 'the agent answers in a conversation again',
  details: 'The same as the command handoff return: what was left to a person stays with the person.',
  body: returning,
  example: { reason: 'pedido resolvido' },
  answers: {
    200: { means: 'given back', schema: z.object({ conversation_id: z.number(), mode: z.string(), paused: z.string().nullable() }) },
    400: 'what is wrong',
    ...one,
  },
} as const;
