/** RUN_MODE=worker: runs turns and sends. Wiring only; the work is in turn.ts and outbound.ts. */
import type { Context } from './context.ts';
import { reconcile } from './crons/reconcile-inbox.ts';
import { store } from './inbound.ts';
import { sendNext } from './outbound.ts';
import { runTurn } from './turn.ts';

/** A running mode. `stop` finishes or gives back what is under way within this time. */
export type Running = { stop(graceMs: number): Promise<void> };

/** Kept free at the end of the grace time for writing down what was given back. */
const GIVE_BACK_MS = 5_000;

export async function startWorker(ctx: Context): Promise<Running> {
  const stopping = new AbortController();
  await ctx.queues.work('turn', ctx.config.workerConcurrency, async (conversation) => {
    const end = await runTurn(ctx, conversation, stopping.signal);
    if (end.kind === 'again') await ctx.queues.wakeTurnLater(conversation, end.delayMs);
  });
  await ctx.queues.work('send', ctx.config.workerConcurrency, async (conversation) => {
    let step = await sendNext(ctx, conversation);
    while (step.kind === 'next') step = await sendNext(ctx, conversation);
    if (step.kind === 'wait') await ctx.queues.wakeSendLater(conversation, step.delayMs);
  });
  await ctx.queues.workInbound(async (job) => {
    if ('webhook' in job) await store(ctx, job.webhook);
    else await reconcile(ctx, job.reconcile);
  });
  ctx.log.always({ concurrency: ctx.config.workerConcurrency, queue: ctx.config.queue.kind }, 'Worker started');
  return {
    async stop(graceMs) {
      const giveBack = setTimeout(() => stopping.abort(), Math.max(0, graceMs - GIVE_BACK_MS));
      await ctx.queues.stop(graceMs);
      clearTimeout(giveBack);
      stopping.abort();
    },
  };
}
