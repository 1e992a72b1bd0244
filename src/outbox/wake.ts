/** Waking what is due: a job is ids of conversations, and a wake-up that is lost is found by the sweep of the next minute. */
import type { Context } from '../context.ts';
import type { Door } from '../db/door.ts';
import { sweepSends } from './calls.ts';

/** What one call wakes at most. The sweep finds the others. */
export const WAKE_AT_ONCE = 500;

/** Ids of one wake-up: as many as one job carries. */
const LIST = 50;

/** Wakes them in lists, one after the other and in this order; returns how many. Rejects when the queue is unavailable. */
export async function wakeAll(conversations: readonly number[], wake: (list: readonly number[]) => Promise<void>): Promise<number> {
  for (let from = 0; from < conversations.length; from += LIST) await wake(conversations.slice(from, from + LIST));
  return conversations.length;
}

/** Wakes each of these lanes, in this order; returns how many. Rejects when the queue is unavailable. */
export async function wakeLanes({ queues }: { queues: Pick<Context['queues'], 'wakeSend'> }, lanes: readonly number[]): Promise<number> {
  return wakeAll(lanes, (list) => queues.wakeSend(list));
}

/** Wakes every lane that has something due and that no worker has; returns how many. */
export async function wakeDueLanes(ctx: { db: Door; queues: Pick<Context['queues'], 'wakeSend'> }): Promise<number> {
  return wakeLanes(ctx, await sweepSends(ctx.db, WAKE_AT_ONCE));
}
