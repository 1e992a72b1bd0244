/** What the team tells the agent, and the documents that propose it. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export const SCOPES = ['global', 'agent', 'campaign', 'contact'] as const;
export type Scope = (typeof SCOPES)[number];

const added = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.enum(['done', 'same']), id: z.number() }),
  z.object({ outcome: z.enum(['many', 'unknown']) }),
]);

/** SQL add_directive: in force from the next message on; audited. */
export async function addDirective(
  db: Door,
  given: { tenant: string; scope: Scope; target: string; text: string; endsAt: Date | null; actor: string },
): Promise<z.infer<typeof added>> {
  const { tenant, scope, target, text, endsAt, actor } = given;
  return added.parse(
    await db.call('add_directive', { p_tenant: tenant, p_directive: { scope, target, text, ends_at: endsAt }, p_actor: actor }),
  );
}

const settled = z.object({
  outcome: z.enum(['done', 'unknown', 'over', 'many']),
  text: z.string().nullish(),
  status: z.string().nullish(),
});

/** SQL settle_directive: yes or no to a proposal, or the end of what is in force; audited. */
export async function settleDirective(
  db: Door,
  change: { tenant: string; id: number; status: 'active' | 'rejected' | 'ended'; actor: string; reason: string | null },
): Promise<z.infer<typeof settled>> {
  const { tenant, id, status, actor, reason } = change;
  return settled.parse(
    await db.call('settle_directive', { p_tenant: tenant, p_id: id, p_status: status, p_actor: actor, p_reason: reason }),
  );
}

const listed = z.object({
  id: z.number(),
  scope: z.enum(SCOPES),
  target: z.string(),
  text: z.string(),
  /** `over`: its date has passed. */
  status: z.enum(['proposed', 'active', 'rejected', 'withdrawn', 'ended', 'over']),
  document: z.string().nullable(),
  sentence: z.string().nullable(),
  /** What it would replace. */
  before: z.string().nullable(),
  ends_at: time.nullable(),
  created_by: z.string(),
  created_at: time,
  decided_by: z.string().nullable(),
});

export type Directive = z.infer<typeof listed>;

/** SQL list_directives: proposals first, then what is in force; `all`: also what is over. */
export async function listDirectives(db: Door, tenant: string, all: boolean, limit: number): Promise<Directive[]> {
  return z.array(listed).parse(await db.call('list_directives', { p_tenant: tenant, p_all: all, p_limit: limit }));
}
