/**
 * Conversations that wait for the model. Their turns are put off in the database; a job of the queue usually brings each back, and this look brings back
 * those whose job got lost, and all of them once the model may be asked again.
 */
import type { Context } from '../context.ts';
import { wakeAll, WAKE_AT_ONCE } from '../outbox/wake.ts';
import { sweepDeferred } from './calls.ts';
import { returnRecovered } from '../people/handoffs.ts';

/** What a lost job, or a breaker that was closed by hand, costs a contact at most. One call over an index of what waits. Milliseconds. */
const LOOK_MS = 5_000;
/** How often conversations are looked for that a person need not have any more. Who looks must know whether there is a model, so a worker does. Milliseconds. */
const RETURN_MS = 30_000;

/**
 * Wakes what waits and whose time has come, or whose last try began before a model was available again; returns how many. Who was put off while a model was
 * available waits for something else, and would be put off again. Any number of workers at once: a turn that is woken twice is claimed once.
 */
export async function wakeDeferred(ctx: Pick<Context, 'config' | 'db' | 'queues' | 'breakers' | 'events'>): Promise<number> {
  const { claude } = ctx.config;
  if (claude === null) return 0; // without a key they are a person's, see decideTurn
  const breakers = [claude.model, claude.complexModel].map((model) => ctx.breakers.claude(model));
  const available = breakers.filter((each) => !each.isOpen()).map((each) => each.availableForMs());
  const found = await sweepDeferred(ctx.db, available.length === 0 ? null : Math.min(...available), WAKE_AT_ONCE);
  const woken = await wakeAll(found, (list) => ctx.queues.wakeTurn(list, 0));
  if (woken > 0) ctx.events.swept('deferred', woken);
  return woken;
}

/** Looks every few seconds; returns what ends it. */
export function watchDeferred(ctx: Context): () => void {
  const endings = [
    each(LOOK_MS, ctx, 'wake deferred turns', () => wakeDeferred(ctx)),
    ...(ctx.config.claude === null ? [] : [each(RETURN_MS, ctx, 'return recovered conversations', () => returnRecovered(ctx))]),
  ];
  return () => {
    for (const end of endings) end();
  };
}

/** One at a time. */
function each(ms: number, { background }: Pick<Context, 'background'>, name: string, look: () => Promise<unknown>): () => void {
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    background.run(name, () => look().finally(() => (looking = false)));
  }, ms);
  return () => clearInterval(timer);
}
