/** A webhook becomes rows, and then wakes the lanes that have work. First persisted, then acknowledged: the caller answers 200 when this resolves. */
import type { Context } from '../context.ts';
import type { InboundEvent } from '../whatsapp/inbound-event.ts';
import { meaningOf } from './meaning.ts';
import type { MeantEvent } from './meaning.ts';
import { presenceDelay } from './debounce.ts';
import { DatabaseAway } from '../db/failures.ts';
import { holdTurn, pendingSince } from './calls.ts';
import type { Poster, RecordedEvent, WebhookRecord } from './calls.ts';
import { wakeDueLanes } from '../outbox/wake.ts';
import { keptWebhook } from './kept-webhook.ts';
import { deliverNotices } from '../notices/notices.ts';
import { parseWebhook, partsOf } from '../whatsapp/payload.ts';
import { redact } from '../whatsapp/redact.ts';
import { stringAt } from '../words/json.ts';
import { mark } from '../process/trace.ts';

export type Webhook = {
  /** Joins everything that comes of this webhook: the turn, the model's calls, the sends. */
  requestId: string;
  /** An envelope of Evolution. */
  body: unknown;
  /** `messages-upsert`, when Evolution posts by event. */
  suffix: string | null;
  /** Whose secret it came with. */
  from: Poster;
};

/**
 * Stores what a webhook says. Resolves when it is durable, or when there is nothing to keep. It is kept in the database, or in the queue `inbound` while the
 * database is unavailable and the queue is Redis. Rejects with DatabaseAway when it could not be kept: then the webhook must not be acknowledged.
 * Any number at once; a webhook that comes again changes nothing.
 */
export async function receive(ctx: Context, webhook: Webhook): Promise<void> {
  // One after the other, so that a long list of one sender holds up nobody else.
  for (const { body, most } of partsOf(webhook.body, webhook.suffix)) await receivePart(ctx, { ...webhook, body }, most);
}

/** `most`: so many of its events are read. */
async function receivePart(ctx: Context, webhook: Webhook, most: number): Promise<void> {
  const events = parseWebhook(webhook.body, webhook.suffix, new Date(), most);
  // Most of what Evolution posts is noise (contacts, chats, presence): it costs no round trip.
  if (events.every((event) => (event.kind === 'ignored' && event.kept !== true) || event.kind === 'presence')) {
    ctx.events.webhookIgnored(events.map((event) => (event.kind === 'ignored' ? event.reason : event.kind)));
    // Evolution tells of one chat at a time. It is a hint: where it would cost those who write their place, nobody waits.
    const typing = events.find((event) => event.kind === 'presence');
    if (typing !== undefined) ctx.background.run('wait for typing', () => waitForTyping(ctx, typing, webhook.from), MOST_TYPING);
    return;
  }
  const record = {
    requestId: webhook.requestId,
    instance: events[0]?.instance ?? null,
    event: stringAt(webhook.body, 'event') ?? webhook.suffix,
    raw: redact(webhook.body),
    from: webhook.from,
    events,
  };
  try {
    await store(ctx, record);
  } catch (error) {
    if (!(error instanceof DatabaseAway) || !ctx.queues.survivesDatabase) throw error;
    // The worker stores it when the database is back; when the queue is unavailable too, this rejects and Evolution comes again.
    await ctx.queues.keepWebhook(keptWebhook(record, ctx.config.secrets)).catch((cause: unknown) => {
      throw new DatabaseAway('keep webhook', 'the queue is away too', { cause });
    });
    ctx.events.webhookKept(webhook.requestId);
  }
}

/** So many looks at who is typing are under way at once; each takes one of the connections to the database. */
const MOST_TYPING = 2;

/** Somebody who is typing is not answered in the middle of it: the turn waits for the rest. */
async function waitForTyping(ctx: Context, event: Extract<InboundEvent, { kind: 'presence' }>, from: Poster): Promise<void> {
  const pending = await pendingSince(ctx.db, event.instance, event.chat, from);
  if (pending === null) return;
  const { first_pending_at: firstAt, newest_at: newestAt, now } = pending;
  const delayMs = presenceDelay(event.presence, { firstAt, newestAt, now }, ctx.config.turn);
  if (delayMs === null) return;
  await holdTurn(ctx.db, pending.conversation_id, Math.round(delayMs));
  await wakeTurn(ctx, [pending.conversation_id], delayMs);
}

/** What storing needs of the context: the command line opens no more than this. */
export type StoreContext = Pick<Context, 'config' | 'log' | 'events' | 'db' | 'inbox' | 'background'> & {
  queues: Pick<Context['queues'], 'wakeTurn' | 'wakeSend' | 'wakeReconcile'>;
};

/** Records a webhook and wakes what has work; returns what became of each event. Rejects with DatabaseAway when the database is unavailable; may be repeated. */
export async function store(ctx: StoreContext, record: WebhookRecord): Promise<RecordedEvent[]> {
  const { results, tenant_id: tenant } = await ctx.inbox.add({ ...record, events: record.events.map(understood) });
  ctx.events.webhookRecorded(record.requestId, tenant, results);
  // News of a message of ours belong to its trace.
  for (const { outcome, correlation_id: of } of results)
    if (of != null && of !== record.requestId) mark(outcome, { kind: 'internal', of, link: record.requestId });
  if (results.some(({ told }) => told === true)) ctx.background.run('deliver notices', () => deliverNotices(ctx));
  // Not awaited: a wake-up that is lost is found by the sweep, and the answer to Evolution need not wait for the queue.
  for (const [index, result] of results.entries())
    ctx.background.run('wake after webhook', () => wake(ctx, result, record.events[index]?.instance ?? null));
  return results;
}

/** Recognised again at each storing: a webhook that was kept in the queue brings none. */
function understood(event: InboundEvent): MeantEvent {
  return event.kind === 'message' || event.kind === 'edit' ? { ...event, meaning: meaningOf(event) } : event;
}

/** Turns are woken at once: how long a burst is waited for is said by the claim, by the clock of the database. */
async function wake(ctx: StoreContext, result: RecordedEvent, instance: string | null): Promise<void> {
  const { conversation_id: conversation } = result;
  const own = conversation != null && result.wake ? [conversation] : [];
  await wakeTurn(ctx, [...new Set([...own, ...(result.wake_turns ?? [])])]);
  if (conversation != null && result.wake_send === true) await ctx.queues.wakeSend(conversation);
  if (result.wake_sends === true) await wakeDueLanes(ctx);
  // While the number was disconnected Evolution may have dropped what came in.
  if (result.reconcile === true && instance !== null) await ctx.queues.wakeReconcile(instance);
}

/** `heldMs`: for how long the contact is given to finish its words. */
async function wakeTurn(ctx: StoreContext, conversations: readonly number[], heldMs = 0): Promise<void> {
  if (conversations.length === 0) return;
  await ctx.queues.wakeTurn(conversations, 0);
  for (const conversation of conversations) ctx.events.turnWoken(conversation, heldMs);
}
