/** Waking what is due: a job is the id of a conversation, and a wake-up that is lost is found by the sweep of the next minute. */
import type { Context } from '../context.ts';
import type { Door } from '../db/door.ts';
import { sweepSends } from './calls.ts';

/** What one call wakes at most: each is a way to the queue and back. The sweep finds the others. */
export const WAKE_AT_ONCE = 500;

/** Wakes each of them, one after the other and in this order; returns how many. Rejects when the queue is unavailable. */
export async function wakeAll(conversations: readonly number[], wake: (conversation: number) => Promise<void>): Promise<number> {
  for (const conversation of conversations) await wake(conversation);
  return conversations.length;
}

/** Wakes each of these lanes, in this order; returns how many. Rejects when the queue is unavailable. */
export async function wakeLanes({ queues }: { queues: Pick<Context['queues'], 'wakeSend'> }, lanes: readonly number[]): Promise<number> {
  return wakeAll(lanes, (lane) => queues.wakeSend(lane));
}

/** Wakes every lane that has something due and that no worker has; returns how many. */
export async function wakeDueLanes(ctx: { db: Door; queues: Pick<Context['queues'], 'wakeSend'> }): Promise<number> {
  return wakeLanes(ctx, await sweepSends(ctx.db, WAKE_AT_ONCE));
}
