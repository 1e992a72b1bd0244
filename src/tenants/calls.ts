/** Tenants in the database: made, listed, audited. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

export type NewTenant = {
  slug: string;
  name: string;
  settings: { createdBy: { name: string; email: string }; owner: { name: string; email: string }; squad?: string; sla?: string };
  agent: { name: string; tone: string; instructions: string; promises: string };
  /** Sealed, by their names. */
  secrets: Record<string, string>;
  email: string;
  /** Of the first password. */
  hash: string;
  actor: string;
};

/** SQL create_tenant: with its agent, secrets and first admin, all or nothing; of many at once one makes it. Audited. */
export async function createTenant(db: Door, tenant: NewTenant): Promise<'created' | 'exists' | 'email_taken'> {
  const answer = await db.call('create_tenant', {
    p_tenant: { slug: tenant.slug, name: tenant.name, settings: tenant.settings },
    p_agent: tenant.agent,
    p_secrets: tenant.secrets,
    p_email: tenant.email,
    p_hash: tenant.hash,
    p_actor: tenant.actor,
  });
  return z.object({ outcome: z.enum(['created', 'exists', 'email_taken']) }).parse(answer).outcome;
}

const listed = z.object({
  slug: z.string(),
  name: z.string(),
  settings: z.record(z.string(), z.unknown()),
  created_at: z.coerce.date(),
  numbers: z.number(),
  users: z.number(),
});

export type ListedTenant = z.infer<typeof listed>;

/** SQL list_tenants: all, or the one of the slug. */
export async function listTenants(db: Door, slug: string | null): Promise<ListedTenant[]> {
  return z.array(listed).parse(await db.call('list_tenants', { p_slug: slug }));
}

const audited = z.object({ relations: z.number(), crossing: z.array(z.object({ relation: z.string(), rows: z.number() })) });

/** SQL audit_tenants: rows that point at a row of another tenant, by each relation of the catalog. */
export async function auditTenants(db: Door): Promise<z.infer<typeof audited>> {
  return audited.parse(await db.call('audit_tenants', {}));
}
