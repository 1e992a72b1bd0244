/**
 * Conversations that wait for the model. Their turns are put off in the database; a job of the queue usually brings each back, and this look brings back
 * those whose job got lost, and all of them once the model may be asked again.
 */
import type { Context } from './context.ts';
import { sweepDeferred } from './db/turns.ts';

/** What a lost job, or a breaker that was closed by hand, costs a contact at most. One call over an index of what waits. Milliseconds. */
const LOOK_MS = 5_000;
const AT_ONCE = 500;

/** Wakes what waits and whose time has come; returns how many. Any number of workers at once: a turn that is woken twice is claimed once. */
export async function wakeDeferred(ctx: Pick<Context, 'config' | 'db' | 'queues' | 'breakers' | 'events'>): Promise<number> {
  const { claude } = ctx.config;
  if (claude === null) return 0; // without a key they are a person's, see decideTurn
  const available = [claude.model, claude.complexModel].some((model) => !ctx.breakers.claude(model).isOpen());
  const found = await sweepDeferred(ctx.db, available, AT_ONCE);
  for (const conversation of found) await ctx.queues.wakeTurn(conversation, 0);
  if (found.length > 0) ctx.events.swept('deferred', found.length);
  return found.length;
}

/** Looks each few seconds; returns what ends it. */
export function watchDeferred(ctx: Context): () => void {
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    ctx.background.run('wake deferred turns', () => wakeDeferred(ctx).finally(() => (looking = false)));
  }, LOOK_MS);
  return () => clearInterval(timer);
}
