import { z } from 'zod';
import type { Door } from './door.ts';

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

/** SQL erase_contact: nothing of a person is left but figures and an opt-out. Audited. Of whom only put-aside webhooks tell it takes two calls: the first makes a contact. */
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

const restored = z.object({ uncertain: z.number(), scheduled: z.number(), unanswered: z.number(), instances: z.array(z.string()) });
export type Restored = z.infer<typeof restored>;

/** SQL mark_restored: once, after a restore and before anything starts: what may have left since the backup is looked up, not sent again. */
export async function markRestored(db: Door, backupAt: Date, actor: string): Promise<Restored> {
  return restored.parse(await db.call('mark_restored', { p_backup_at: backupAt.toISOString(), p_actor: actor }));
}

const sealed = z.object({
  name: z.string(),
  kind: z.enum(['evolution_key', 'webhook_secret', 'webhook_secret_previous']),
  sealed: z.string(),
  /** False: a previous secret whose time is over. */
  counts: z.boolean(),
});

/** SQL sealed_secrets: the sealed keys and secrets of numbers that have some of their own; `tenant` null: of all tenants. */
export async function listSealedSecrets(db: Door, tenant: string | null): Promise<z.infer<typeof sealed>[]> {
  return z.array(sealed).parse(await db.call('sealed_secrets', { p_tenant: tenant }));
}

/** SQL set_instance_key: a number's own key, sealed, or null; audited. False for an unknown number. */
export async function setInstanceKey(db: Door, tenant: string, instance: string, sealed: string | null, actor: string): Promise<boolean> {
  const answer = await db.call('set_instance_key', { p_tenant: tenant, p_instance: instance, p_key: sealed, p_actor: actor });
  return z.object({ found: z.boolean() }).parse(answer).found;
}

/** SQL set_webhook_secret: a number's own secret, sealed; the one before it counts until an hour after it is confirmed. False for an unknown number. */
export async function setWebhookSecret(db: Door, tenant: string, instance: string, sealed: string, actor: string): Promise<boolean> {
  const answer = await db.call('set_webhook_secret', { p_tenant: tenant, p_instance: instance, p_sealed: sealed, p_actor: actor });
  return z.object({ found: z.boolean() }).parse(answer).found;
}

/** SQL confirm_webhook_secret: Evolution has it. */
export async function confirmWebhookSecret(db: Door, instance: string): Promise<void> {
  await db.call('confirm_webhook_secret', { p_instance: instance });
}

/** SQL swap_secret: the same secret sealed again, unless it was changed since it was read. */
export async function swapSecret(db: Door, instance: string, old: string, sealed: string): Promise<boolean> {
  const answer = await db.call('swap_secret', { p_instance: instance, p_old: old, p_new: sealed });
  return z.object({ swapped: z.boolean() }).parse(answer).swapped;
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

/** SQL apply_erasures: whoever was erased after the restored backup was made is erased in it too. Returns how many contacts were. */
export async function applyErasures(db: Door, list: Erasures, actor: string): Promise<number> {
  return z.object({ erased: z.number() }).parse(await db.call('apply_erasures', { p_erasures: list, p_actor: actor })).erased;
}
