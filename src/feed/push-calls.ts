/** Subscriptions to events, in the database. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import { envelope } from './event-words.ts';
import type { EventType } from './event-words.ts';

const time = z.coerce.date().nullable();

const subscription = z.object({
  id: z.number(),
  url: z.string(),
  types: z.array(z.string()).nullable(),
  status: z.enum(['active', 'disabled']),
  cursor: z.number(),
  secret_name: z.string(),
  previous_until: time,
  failures: z.number(),
  failing_since: time,
  /** null: at once. */
  due_at: z.string().nullable(),
  last_fault: z.string().nullable(),
  delivered_at: time,
  /** Events that it is still to be posted. */
  waiting: z.number(),
});
export type Subscription = z.infer<typeof subscription>;

/** SQL add_subscription: null: there are `most` already. */
export async function addSubscription(
  db: Door,
  tenant: string,
  { url, types, secret, sealed }: { url: string; types: readonly EventType[] | null; secret: string; sealed: string },
  most: number,
  actor: string,
): Promise<number | null> {
  const args = { p_tenant: tenant, p_url: url, p_types: types, p_secret: secret, p_sealed: sealed, p_most: most, p_actor: actor };
  return z.object({ id: z.number().nullable() }).parse(await db.call('add_subscription', args)).id;
}

/** SQL list_subscriptions: the oldest first; with `id` only that one. */
export async function listSubscriptions(db: Door, tenant: string, id: number | null): Promise<Subscription[]> {
  return z.array(subscription).parse(await db.call('list_subscriptions', { p_tenant: tenant, p_id: id }));
}

/** SQL remove_subscription: whether it was there. */
export async function removeSubscription(db: Door, tenant: string, id: number, actor: string): Promise<boolean> {
  return z.boolean().parse(await db.call('remove_subscription', { p_tenant: tenant, p_id: id, p_actor: actor }));
}

const replayed = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('again'), cursor: z.number() }),
  z.object({ outcome: z.literal('gone'), cursor: z.number() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL replay_subscription: posted again from a cursor on; null: from where it stands. */
export async function replaySubscription(
  db: Door,
  tenant: string,
  id: number,
  after: number | null,
  actor: string,
): Promise<z.infer<typeof replayed>> {
  return replayed.parse(await db.call('replay_subscription', { p_tenant: tenant, p_id: id, p_after: after, p_actor: actor }));
}

/** SQL rotate_subscription: whether it is there. */
export async function rotateSubscription(
  db: Door,
  tenant: string,
  id: number,
  { sealed, previous, until }: { sealed: string; previous: string; until: Date },
  actor: string,
): Promise<boolean> {
  const args = { p_tenant: tenant, p_id: id, p_sealed: sealed, p_previous: previous, p_until: until.toISOString(), p_actor: actor };
  return z.boolean().parse(await db.call('rotate_subscription', args));
}

const claimed = z.object({
  id: z.number(),
  claim: z.number(),
  tenant: z.string(),
  url: z.string(),
  secret: z.string(),
  previous: z.boolean(),
  failures: z.number(),
  events: z.array(z.object({ seq: z.number(), event: envelope })),
});
export type ClaimedPush = z.infer<typeof claimed>;

/** SQL claim_push: null: nothing is due. */
export async function claimPush(db: Door, worker: string, leaseMs: number, limit: number): Promise<ClaimedPush | null> {
  const answer = await db.call('claim_push', { p_worker: worker, p_lease_ms: leaseMs, p_limit: limit });
  return claimed.nullable().parse(answer);
}

/** SQL record_push: only the newest claim counts. */
export async function recordPush(
  db: Door,
  { id, claim }: Pick<ClaimedPush, 'id' | 'claim'>,
  end: { seq: number; fault: string | null; waitMs: number; patienceMs: number; leaseMs: number; last: boolean },
): Promise<{ recorded: boolean; disabled: boolean }> {
  const answer = await db.call('record_push', {
    p_id: id,
    p_claim: claim,
    p_seq: end.seq,
    p_fault: end.fault,
    p_wait_ms: end.waitMs,
    p_patience_ms: end.patienceMs,
    p_lease_ms: end.leaseMs,
    p_last: end.last,
  });
  return z.object({ recorded: z.boolean(), disabled: z.boolean() }).parse(answer);
}
