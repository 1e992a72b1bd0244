/** RUN_MODE=worker: runs turns, the manager's commands and sends. Wiring only; the work is in turns/turn.ts, operators/operator.ts and outbox/send.ts. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Context } from './context.ts';
import { reconcile } from './crons/reconcile-inbox.ts';
import { watchDeferred } from './turns/deferred.ts';
import { DatabaseAway } from './db/failures.ts';
import { store } from './inbox/receive.ts';
import { openKept } from './inbox/kept-webhook.ts';
import { answerCommand } from './operators/operator.ts';
import type { SendClaim } from './outbox/calls.ts';
import { sendLane } from './outbox/send.ts';
import { createPlaces } from './process/places.ts';
import { runTurn } from './turns/turn.ts';

/** A running mode. `stop` finishes or gives back what is under way within this time. */
export type Running = { stop(graceMs: number): Promise<void> };

/** Kept free at the end of the grace time for writing down what was given back. */
const GIVE_BACK_MS = 5_000;
/** How often a kept webhook looks whether the database is back. */
const AWAY_LOOK_MS = 1_000;

export async function startWorker(ctx: Context): Promise<Running> {
  const stopping = new AbortController();
  const { workerConcurrency } = ctx.config;
  /** An answer is sent by the job that wrote it, without a way through the queue; half of the places stay free for turns when sends are slow. */
  const senders = createPlaces(Math.ceil(workerConcurrency / 2));
  await ctx.queues.work('turn', workerConcurrency, async (conversation) => {
    /** Held from before the commit on: what the commit claims for the wire is sent at once. */
    let sends = false;
    const canSend = (): boolean => (sends ||= senders.take());
    const options = { debounce: ctx.config.turn, canSend };
    try {
      let end = await runTurn(ctx, conversation, stopping.signal, options);
      while (end.kind === 'command') {
        await answerCommand(ctx, end.command);
        end = await runTurn(ctx, conversation, stopping.signal, options);
      }
      // Its burst goes on: who is told last waits, and every other wake-up of it has come to nothing.
      if (end.kind === 'early') return await ctx.queues.wakeTurn(conversation, end.delayMs);
      const later = end.kind === 'again' ? ctx.queues.wakeTurnLater(conversation, end.delayMs) : Promise.resolve();
      // Whatever the turn came to. A worker that died between its commit and its sends left both to the worker that takes its job up.
      const lane = canSend() ? runLane(ctx, conversation, end.send) : ctx.queues.wakeSend(conversation);
      // The queue may be unavailable: what is claimed is sent all the same.
      await allDone([later, lane]);
    } finally {
      if (sends) senders.give();
    }
  });
  await ctx.queues.work('send', workerConcurrency, (conversation) => runLane(ctx, conversation));
  const leaving = new AbortController();
  await ctx.queues.workInbound((job) =>
    // All that was kept waits behind the first: each at a wait of its own, a later message would be answered before an earlier one is stored.
    whenDatabaseIsBack(leaving.signal, async () => {
      if ('reconcile' in job) return void (await reconcile(ctx, job.reconcile));
      const webhook = openKept(job, ctx.config.secrets);
      if (typeof webhook === 'string') ctx.events.keptWebhookRefused(webhook);
      else await store(ctx, webhook);
    }),
  );
  const endWatch = watchDeferred(ctx);
  ctx.log.always({ concurrency: workerConcurrency, queue: ctx.config.queue.kind }, 'Worker started');
  return {
    async stop(graceMs) {
      endWatch();
      leaving.abort();
      const giveBack = setTimeout(() => stopping.abort(), Math.max(0, graceMs - GIVE_BACK_MS));
      await ctx.queues.stop(graceMs);
      clearTimeout(giveBack);
      stopping.abort();
    },
  };
}

/** Sends what is due in a conversation, and looks again when the next is. */
async function runLane(ctx: Context, conversation: number, first?: SendClaim): Promise<void> {
  const end = await sendLane(ctx, conversation, first);
  if (end.kind === 'wait') await ctx.queues.wakeSendLater(conversation, end.delayMs);
}

/** Waits for all of them; rejects as the first that does, when all are done. */
async function allDone(works: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason;
}

/** Tries again for as long as the database is unavailable, or until `signal`; throws what the last try threw. */
async function whenDatabaseIsBack(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DatabaseAway) || signal.aborted) throw error;
      await delay(AWAY_LOOK_MS, undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}
