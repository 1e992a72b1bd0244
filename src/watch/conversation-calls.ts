/** Conversations as people read them. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();
const author = z.enum(['contact', 'agent', 'human', 'system', 'automatic']);
const holder = z.enum(['agent', 'human', 'takeover', 'manual', 'observe']);

export const conversationRow = z.object({
  id: z.number(),
  name: z.string().nullable(),
  phone: z.string().nullable(),
  instance: z.string(),
  holder,
  /** `console:EMAIL` or `api:SUB`; null: nobody by name. */
  taken_by: z.string().nullable(),
  mode: z.string(),
  paused: z.boolean(),
  quiet_until: time.nullable(),
  /** The contact has waited for a person since then; null: not now. */
  waits_since: time.nullable(),
  reason: z.string().nullable(),
  drafts: z.number(),
  last: z.object({ text: z.string(), type: z.string(), direction: z.enum(['in', 'out']), author, status: z.string(), at: time }).nullable(),
});

export type ConversationRow = z.infer<typeof conversationRow>;

export const TABS = ['needs', 'agent', 'paused', 'all'] as const;

export type Tab = (typeof TABS)[number];

const listed = z.object({ rows: z.array(conversationRow), next: z.number().nullable(), needs: z.number() });

/** SQL list_conversations: `before`: `next` of the page before. `needs`: how many need a person, 200 at most. */
export async function listConversations(
  db: Door,
  ask: { tenant: string; tab: Tab; before: number | null; limit: number },
): Promise<z.infer<typeof listed>> {
  return listed.parse(
    await db.call('list_conversations', { p_tenant: ask.tenant, p_tab: ask.tab, p_before: ask.before, p_limit: ask.limit }),
  );
}

/** SQL search_conversations: by a name, by digits of a number, by words of the newest 10,000 messages. */
export async function searchConversations(db: Door, tenant: string, query: string, limit: number): Promise<ConversationRow[]> {
  return z.array(conversationRow).parse(await db.call('search_conversations', { p_tenant: tenant, p_query: query, p_limit: limit }));
}

export const readMessage = z.object({
  id: z.number(),
  seq: z.number(),
  direction: z.enum(['in', 'out']),
  author,
  /** Of a person's words that were written here: who. */
  by: z.string().nullable(),
  type: z.string(),
  status: z.string(),
  reason: z.string().nullable(),
  text: z.string(),
  at: time,
  kind: z.string().nullable(),
  turn_id: z.number().nullable(),
  goes_at: time.nullable(),
  delivered_at: time.nullable(),
  read_at: time.nullable(),
  edited_at: time.nullable(),
  deleted_at: time.nullable(),
  quoted_text: z.string().nullable(),
  /** Name of its file. */
  file: z.string().nullable(),
  /** Of the answer that it begins. */
  cost_usd: z.coerce.number().nullable(),
  model: z.string().nullable(),
  /** Which rule chose it. */
  route: z.string().nullable(),
});

export type ReadMessage = z.infer<typeof readMessage>;

const thread = z.object({
  conversation: z.object({
    id: z.number(),
    contact_id: z.number(),
    name: z.string().nullable(),
    phone: z.string().nullable(),
    instance: z.string(),
    erased: z.boolean(),
    holder,
    taken_by: z.string().nullable(),
    taken_at: time.nullable(),
    mode: z.string(),
    reason: z.string().nullable(),
    takeover_until: time.nullable(),
    quiet_until: time.nullable(),
    quiet_reason: z.string().nullable(),
    /** Scope of the pause that holds it. */
    paused: z.string().nullable(),
    deferred_reason: z.string().nullable(),
    deferred_until: time.nullable(),
    opted_out: z.boolean(),
    /** What the agent noted while it only looked on. */
    labels: z.array(z.string()),
    summary: z.string().nullable(),
    observed_at: time.nullable(),
    /** What is remembered of the contact. */
    facts: z.array(z.string()),
    handoffs: z.array(
      z.object({ reason: z.string(), summary: z.string().nullable(), suggestion: z.string().nullable(), at: time, controls: z.boolean() }),
    ),
    /** Of its answers in 30 days. */
    cost_usd: z.coerce.number(),
    drafts: z.array(z.object({ id: z.number(), text: z.string(), at: time })),
  }),
  messages: z.array(readMessage),
  /** There are older ones. */
  more: z.boolean(),
});

export type Thread = z.infer<typeof thread>;

/** SQL read_conversation: the newest messages before `before` (a seq), the oldest first; a number: the conversation that it was merged into. */
export async function readConversation(
  db: Door,
  tenant: string,
  conversation: number,
  before: number | null,
  limit: number,
): Promise<Thread | { merged_into: number } | null> {
  return z
    .union([thread, z.object({ merged_into: z.number() })])
    .nullable()
    .parse(await db.call('read_conversation', { p_tenant: tenant, p_conversation: conversation, p_before: before, p_limit: limit }));
}

const news = z.object({
  state: z.string(),
  lists: z.record(z.string(), z.string()).optional(),
  threads: z.record(z.string(), z.string()).optional(),
  over: z.array(z.string()).optional(),
});

export type News = z.infer<typeof news>;
/** What somebody looks at: the lists of a tenant, and perhaps a conversation. */
export type Screen = { tenant: string; id: number | null };

/** SQL console_news: what open pages should look at again, one call for all of them; without `lists` nothing was written since `seen`. */
export async function consoleNews(db: Door, seen: string | null, threads: Screen[], sessions: string[]): Promise<News> {
  return news.parse(await db.call('console_news', { p_seen: seen, p_threads: threads, p_sessions: sessions }));
}
