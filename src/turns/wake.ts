/** Waking conversations that wait for an answer: see outbox/wake.ts. */
import type { Context } from '../context.ts';
import { wakeAll, WAKE_AT_ONCE, wakeDueLanes } from '../outbox/wake.ts';
import { sweepTurns } from './calls.ts';

type WakeContext = Pick<Context, 'db'> & { queues: Pick<Context['queues'], 'wakeTurn' | 'wakeSend'> };

/** Wakes what has been unanswered for `olderMs` and that no worker has; returns how many. A burst that is just being written gets its debounce, by the claim. */
export async function wakeDueTurns({ db, queues }: WakeContext, olderMs: number): Promise<number> {
  return wakeAll(await sweepTurns(db, olderMs, WAKE_AT_ONCE), (list) => queues.wakeTurn(list, 0));
}

/** Takes up at once what a pause or a restore has held: the sweeps would find it within a minute. */
export async function wakeWaiting(ctx: WakeContext): Promise<void> {
  await wakeDueLanes(ctx);
  await wakeDueTurns(ctx, 0);
}
