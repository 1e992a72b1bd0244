/** How far a number has been compared with what Evolution has. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const comparison = z.object({ from: time, restored: z.boolean() });

/** SQL reconcile_from: since when a number's messages at the provider should be compared with ours; null for an unknown number. */
export async function reconcileFrom(db: Door, instance: string, overlapMs: number): Promise<z.infer<typeof comparison> | null> {
  return comparison.nullable().parse(await db.call('reconcile_from', { p_instance: instance, p_overlap_ms: overlapMs }));
}

/** SQL teach_addresses: pairs of addresses that a comparison shows of messages that are known; the oldest first. How many were news. */
export async function teachAddresses(
  db: Door,
  instance: string,
  pairs: readonly { pn: string; lid: string; sent_at: string }[],
): Promise<number> {
  return z.object({ learned: z.number() }).parse(await db.call('teach_addresses', { p_instance: instance, p_pairs: pairs })).learned;
}

/** SQL reconciled: a number has been compared up to this moment. `settled`: it reached beyond a restore, and the number goes on. */
export async function markReconciled(db: Door, instance: string, until: Date): Promise<{ settled: boolean }> {
  return z.object({ settled: z.boolean() }).parse(await db.call('reconciled', { p_instance: instance, p_until: until.toISOString() }));
}
