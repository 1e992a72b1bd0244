/** Webhooks that were set aside because nobody knows their number. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const aside = z.object({
  id: z.number(),
  /** Whose secret posted it. */
  tenant: z.string(),
  name: z.string(),
  provider_id: z.string().nullable(),
  reason: z.enum(['nobodys_number', 'foreign_uuid', 'secret_of_another', 'only_one_number']),
  webhooks: z.number(),
  kept: z.number(),
  first_at: time,
  last_at: time,
  forgotten_at: time.nullable(),
  /** The number that has this uuid. */
  same_as: z.string().nullable(),
});

export type Aside = z.infer<typeof aside>;

/** SQL list_aside: who posted webhooks and may not, the newest first. */
export async function listAside(db: Door, limit: number): Promise<Aside[]> {
  return z.array(aside).parse(await db.call('list_aside', { p_limit: limit }));
}

const adopted = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('adopted'), name: z.string(), renamed: z.string().nullable(), aside: z.array(z.number()) }),
  z.object({ outcome: z.enum(['unknown', 'no_name', 'other_tenant', 'unknown_tenant', 'ambiguous']) }),
]);

/** SQL adopt_aside: makes a number of what was set aside. `key` its name, or aside:ID; `owner` the tenant that it is for. Audited. */
export async function adoptAside(db: Door, tenant: string, key: string, owner: string, actor: string): Promise<z.infer<typeof adopted>> {
  return adopted.parse(await db.call('adopt_aside', { p_tenant: tenant, p_key: key, p_for: owner, p_actor: actor }));
}

const forgotten = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('forgotten'), name: z.string(), webhooks: z.number() }),
  z.object({ outcome: z.enum(['unknown', 'not_yours']) }),
]);

/** SQL forget_aside: what was kept of a name goes, and nobody is told of it again. Audited. */
export async function forgetAside(db: Door, tenant: string, key: string, actor: string): Promise<z.infer<typeof forgotten>> {
  return forgotten.parse(await db.call('forget_aside', { p_tenant: tenant, p_key: key, p_actor: actor }));
}

const waiting = z.object({ id: z.number(), event: z.string().nullable(), body: z.unknown(), received_at: time });

/** SQL aside_webhooks: what was set aside and waits, the oldest first. */
export async function asideWebhooks(db: Door, of: number[], limit: number): Promise<z.infer<typeof waiting>[]> {
  return z.array(waiting).parse(await db.call('aside_webhooks', { p_aside: of, p_limit: limit }));
}

/** SQL end_aside: these have been replayed. */
export async function endAside(db: Door, of: number[], webhooks: number[]): Promise<{ left: number }> {
  return z.object({ left: z.number() }).parse(await db.call('end_aside', { p_aside: of, p_webhooks: webhooks }));
}
