/** What only looks on: a number, an agent; of a conversation its mode says so (draft-calls.ts). */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export const OBSERVED_SCOPES = ['conversation', 'instance', 'agent'] as const;

export type ObservedScope = (typeof OBSERVED_SCOPES)[number];

const listed = z.object({
  scopes: z.array(
    z.object({ scope: z.enum(OBSERVED_SCOPES), target: z.string(), since: time, actor: z.string(), reason: z.string().nullable() }),
  ),
  conversations: z.array(
    z.object({
      id: z.number(),
      name: z.string().nullable(),
      instance: z.string(),
      labels: z.array(z.string()),
      summary: z.string().nullable(),
      observed_at: time.nullable(),
    }),
  ),
});

export type Observed = z.infer<typeof listed>;

/** SQL list_observed. */
export async function listObserved(db: Door, tenant: string): Promise<Observed> {
  return listed.parse(await db.call('list_observed', { p_tenant: tenant }));
}

/** SQL set_observed: audited; repeats change nothing. */
export async function setObserved(
  db: Door,
  change: { tenant: string; scope: ObservedScope; target: string; on: boolean; actor: string; reason: string | null },
): Promise<'done' | 'already' | 'unknown'> {
  const answer = await db.call('set_observed', {
    p_tenant: change.tenant,
    p_scope: change.scope,
    p_target: change.target,
    p_on: change.on,
    p_actor: change.actor,
    p_reason: change.reason,
  });
  return z.object({ outcome: z.enum(['done', 'already', 'unknown']) }).parse(answer).outcome;
}
