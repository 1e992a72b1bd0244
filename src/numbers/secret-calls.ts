/** The sealed secrets of numbers: their key at Evolution, and the secret of their webhooks. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

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
