/** What is kept of people and for how long: purge, export, erasure. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

/** Days after which rows of a kind go; 0 keeps them. */
export type RetentionAges = { webhooks: number; jobs: number; transcripts: number; messages: number; audit: number };

/** SQL purge_old: retention. `more`: at least one kind had as many as one call may delete. */
export async function purgeOld(db: Door, ages: RetentionAges, limit: number): Promise<{ deleted: number; more: boolean }> {
  const { deleted, most } = z
    .object({ deleted: z.number(), most: z.number() })
    .parse(await db.call('purge_old', { p_ages: ages, p_limit: limit }));
  return { deleted, more: most >= limit };
}

/** A contact, by our id or by its phone number in canonical digits. */
export type ContactKey = { id: number } | { phone: string };

const keyArgs = (key: ContactKey) => ({ p_contact: 'id' in key ? key.id : null, p_phone: 'phone' in key ? key.phone : null });

/** SQL export_contact: everything that is stored about a person; null for an unknown one. Audited. */
export async function exportContact(db: Door, tenant: string, key: ContactKey, actor: string): Promise<Record<string, unknown> | null> {
  const { p_contact, p_phone } = keyArgs(key);
  return z
    .record(z.string(), z.unknown())
    .nullable()
    .parse(await db.call('export_contact', { p_tenant: tenant, p_contact, p_phone, p_actor: actor }));
}

const erased = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('erased'), contact_id: z.number(), messages: z.number(), webhooks: z.number() }),
  z.object({ outcome: z.literal('sending'), until: z.coerce.date() }),
  z.object({ outcome: z.literal('unknown') }),
  z.object({ outcome: z.literal('again') }),
]);

/** SQL erase_contact: nothing of a person is left but figures and an opt-out. Audited. A person of put-aside webhooks only takes two calls: the first makes a contact. */
export async function eraseContact(
  db: Door,
  tenant: string,
  key: ContactKey,
  actor: string,
  reason: string,
): Promise<Exclude<z.infer<typeof erased>, { outcome: 'again' }>> {
  const { p_contact, p_phone } = keyArgs(key);
  for (;;) {
    const answer = erased.parse(await db.call('erase_contact', { p_tenant: tenant, p_contact, p_phone, p_actor: actor, p_reason: reason }));
    if (answer.outcome !== 'again') return answer;
  }
}

const erasure = z.object({
  tenant: z.string(),
  kind: z.enum(['address', 'message']),
  hash: z.string(),
  erased_at: z.string(),
  own_until: z.string().nullable(),
});

/** Keyed hashes of what was erased; they name nobody. */
export const erasures = z.array(erasure);

export type Erasures = z.infer<typeof erasures>;

/** SQL list_erasures: what a restore of any backup since then must know; null: of all times. */
export async function listErasures(db: Door, since: Date | null): Promise<Erasures> {
  return erasures.parse(await db.call('list_erasures', { p_since: since?.toISOString() ?? null }));
}

/** SQL apply_erasures: contacts that were erased after the backup was made are erased in it too. Returns how many contacts were. */
export async function applyErasures(db: Door, list: Erasures, actor: string): Promise<number> {
  return z.object({ erased: z.number() }).parse(await db.call('apply_erasures', { p_erasures: list, p_actor: actor })).erased;
}
