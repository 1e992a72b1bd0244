/** Stored webhooks, and what came with them and found no place. */
import { z } from 'zod';
import type { ChatAddress } from '../whatsapp/inbound-event.ts';
import type { Door } from '../db/door.ts';
import { poster } from './calls.ts';

const time = z.coerce.date();

const storedWebhook = z.object({
  id: z.number(),
  instance: z.string().nullable(),
  event: z.string().nullable(),
  body: z.unknown(),
  /** What became of its events when it came, in their order; null: not written down. */
  results: z.array(z.object({ outcome: z.string(), reason: z.string().nullish(), refused: z.boolean().nullish() })).nullable(),
  posted_by: poster,
  /** Why events in it were put aside or found no place; null: none was. */
  ignored: z.array(z.string()).nullable(),
  received_at: time,
});

export type StoredWebhook = z.infer<typeof storedWebhook>;

/** SQL stored_webhook: a raw webhook (kept 7 days) for a replay, or null. */
export async function findStoredWebhook(db: Door, tenant: string, id: number): Promise<StoredWebhook | null> {
  return storedWebhook.nullable().parse(await db.call('stored_webhook', { p_tenant: tenant, p_id: id }));
}

/** Which entries: null is any. */
export type IgnoredFilter = { reason: string | null; instance: string | null };

const ignored = z.object({
  reasons: z.array(z.object({ reason: z.string(), webhooks: z.number(), whole: z.number(), first_at: time, last_at: time })),
  entries: z.array(
    z.object({
      id: z.number(),
      instance: z.string().nullable(),
      event: z.string().nullable(),
      reasons: z.array(z.string()),
      /** Ids at WhatsApp. */
      messages: z.array(z.string()),
      /** It has its body, so it can be replayed. */
      whole: z.boolean(),
      received_at: time,
    }),
  ),
});

export type Ignored = z.infer<typeof ignored>;

/** SQL list_ignored: what of webhooks was put aside, the newest first, and how much of it there is by reason. */
export async function listIgnored(db: Door, tenant: string, { reason, instance }: IgnoredFilter, limit: number): Promise<Ignored> {
  return ignored.parse(await db.call('list_ignored', { p_tenant: tenant, p_reason: reason, p_instance: instance, p_limit: limit }));
}

/** SQL ignored_webhooks: those with their body, the oldest first, behind the id `after`. */
export async function ignoredWebhooks(
  db: Door,
  tenant: string,
  { reason, instance }: IgnoredFilter,
  after: number,
  limit: number,
): Promise<StoredWebhook[]> {
  const args = { p_tenant: tenant, p_reason: reason, p_instance: instance, p_after: after, p_limit: limit };
  return z.array(storedWebhook).parse(await db.call('ignored_webhooks', args));
}

const ignoredMessage = z.object({ id: z.number(), instance: z.string().nullable(), reason: z.string(), received_at: time });

/** SQL ignored_message: the entry that a message left when it was put aside, by its id at WhatsApp; null when there is none. */
export async function findIgnored(db: Door, tenant: string, providerId: string): Promise<z.infer<typeof ignoredMessage> | null> {
  return ignoredMessage.nullable().parse(await db.call('ignored_message', { p_tenant: tenant, p_provider_id: providerId }));
}

const reopened = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('reopened'),
    message_id: z.number(),
    conversation_id: z.number(),
    was: z.string(),
    provider_at: time,
    holder: z.string(),
    paused: z.string().nullable(),
  }),
  z.object({ outcome: z.literal('waiting'), message_id: z.number(), conversation_id: z.number() }),
  z.object({ outcome: z.literal('not_possible') }),
]);

export type ReopenedInbound = z.infer<typeof reopened>;

/** SQL reopen_inbound: an inbound message that has had its outcome is to be answered again. */
export async function reopenInbound(
  db: Door,
  tenant: string,
  message: { instance: string; providerId: string; chat: ChatAddress | null },
  actor: string,
  reason: string,
): Promise<ReopenedInbound> {
  return reopened.parse(
    await db.call('reopen_inbound', {
      p_tenant: tenant,
      p_instance: message.instance,
      p_provider_id: message.providerId,
      p_chat: message.chat,
      p_actor: actor,
      p_reason: reason,
    }),
  );
}
