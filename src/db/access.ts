import { z } from 'zod';
import type { Door } from './door.ts';

/** Tokens of /api and /admin. SQL in the migration `access`. */

const time = z.coerce.date();

/** What was signed. `id`: its jti, or a digest of it. */
export type SignedToken = { id: string; tenant: string; sub: string; role: string; expiresAt: Date };

const argument = ({ id, tenant, sub, role, expiresAt }: SignedToken) => ({ id, tenant, sub, role, expires_at: expiresAt.toISOString() });

/** SQL add_token: writes down a token that is about to be given out; false when there is no such tenant. Audited. */
export async function addToken(db: Door, token: SignedToken, actor: string): Promise<boolean> {
  const { outcome } = z
    .object({ outcome: z.enum(['added', 'unknown_tenant']) })
    .parse(await db.call('add_token', { p_token: argument(token), p_actor: actor }));
  return outcome === 'added';
}

/** SQL use_token: whether a rightly signed token counts: nobody has revoked it. */
export async function useToken(db: Door, token: SignedToken): Promise<'valid' | 'revoked'> {
  return z.object({ outcome: z.enum(['valid', 'revoked']) }).parse(await db.call('use_token', { p_token: argument(token) })).outcome;
}

const listed = z.object({
  id: z.string(),
  sub: z.string(),
  role: z.string(),
  /** null: signed elsewhere, known since its first use. */
  issued_by: z.string().nullable(),
  created_at: time,
  expires_at: time,
  used_at: time.nullable(),
  revoked_at: time.nullable(),
  revoked_by: z.string().nullable(),
});
export type ListedToken = z.infer<typeof listed>;

/** SQL list_tokens: the tokens of a tenant that count, the newest first; `all`: those that are over too. */
export async function listTokens(db: Door, tenant: string, all: boolean, limit: number): Promise<ListedToken[]> {
  return z.array(listed).parse(await db.call('list_tokens', { p_tenant: tenant, p_all: all, p_limit: limit }));
}

const revoked = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('revoked'), sub: z.string(), role: z.string() }),
  z.object({ outcome: z.enum(['already', 'unknown']) }),
]);

/** SQL revoke_token: it counts no more, in any process. Audited. */
export async function revokeToken(
  db: Door,
  tenant: string,
  id: string,
  actor: string,
  reason: string | null,
): Promise<z.infer<typeof revoked>> {
  return revoked.parse(await db.call('revoke_token', { p_tenant: tenant, p_id: id, p_actor: actor, p_reason: reason }));
}

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
