/** Two contacts who are one person, and the way back. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const unmerged = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('unmerged'), merged: z.number() }),
  z.object({ outcome: z.literal('no_merge') }),
  z.object({ outcome: z.literal('later_merge'), merged: z.number() }),
]);

const mergedByHand = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('merged'), kept: z.number() }),
  z.object({ outcome: z.enum(['unknown', 'same']) }),
]);

const unlearned = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('unlearned'), lids: z.number() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL merge_by_hand: a person says that two contacts are one; audited. */
export async function mergeByHand(
  db: Door,
  tenant: string,
  actor: string,
  a: number,
  b: number,
  reason: string,
): Promise<z.infer<typeof mergedByHand>> {
  const answer = await db.call('merge_by_hand', { p_tenant: tenant, p_a: a, p_b: b, p_actor: actor, p_reason: reason });
  return mergedByHand.parse(answer);
}

/** SQL unlearn_lids: the lids that a number taught of people with a phone are nobody's again; how many, or null: the tenant has no such number. Audited. */
export async function unlearnLids(db: Door, tenant: string, actor: string, name: string, since: Date | null): Promise<number | null> {
  const answer = unlearned.parse(
    await db.call('unlearn_lids', { p_tenant: tenant, p_name: name, p_since: since?.toISOString() ?? null, p_actor: actor }),
  );
  return answer.outcome === 'unlearned' ? answer.lids : null;
}

/** SQL unmerge_contact: takes the merge of two contacts back; `merged` null: the last one. */
export async function unmergeContact(
  db: Door,
  tenant: string,
  actor: string,
  kept: number,
  merged: number | null,
): Promise<z.infer<typeof unmerged>> {
  return unmerged.parse(await db.call('unmerge_contact', { p_tenant: tenant, p_actor: actor, p_kept: kept, p_merged: merged }));
}
