/** The tokens of /api and /admin in the database: who has one, and which were revoked. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

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

/** Each may do what those before it may. A token with any other word as its role may what a sender may: post messages and ask for them. */
export const TOKEN_ROLES = ['sender', 'operator', 'admin'] as const;

export type TokenRole = (typeof TOKEN_ROLES)[number];
