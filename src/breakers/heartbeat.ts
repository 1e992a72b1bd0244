/** Each process says every few seconds that it lives and what its breakers look like, and hears what is asked of them. */
import type { Context } from '../context.ts';
import { heartbeat } from './calls.ts';

/** What /health/circuit shows is at most so old, and a reset by hand reaches each process within it. Milliseconds. */
const HEARTBEAT_MS = 2_000;

/**
 * Starts it; returns what ends it. A change of a breaker is told at once. `onMoved` is told, maybe often, that the database has become another installation:
 * it was restored or upgraded under this process, whose queues nobody else will look at from now on.
 */
export function startHeartbeat(ctx: Context, onMoved: (to: string) => void = () => {}): () => void {
  const beat = createHeartbeat(ctx);
  let beating = false;
  let waits = false;
  const say = (): void => {
    if (beating) return;
    beating = true;
    ctx.background.run('heartbeat', async () => {
      try {
        const installation = await beat();
        if (!isMoved(ctx, installation)) return;
        // Under the new name nobody would find the webhooks that were kept under the old one.
        if (!(await ctx.queues.holdsInbound())) return onMoved(installation);
        if (!waits)
          ctx.log.warning(
            { was: ctx.queues.installation, is: installation },
            'The database has become another installation: waiting until what was kept is stored',
          );
        waits = true;
      } finally {
        beating = false;
      }
    });
  };
  say();
  const timer = setInterval(say, HEARTBEAT_MS);
  ctx.transitions.onAdded(say);
  return () => {
    clearInterval(timer);
    ctx.transitions.onAdded(() => {});
  };
}

function isMoved({ config, queues }: Context, installation: string): boolean {
  return config.queue.kind === 'redis' && config.queue.installation === null && queues.installation !== installation;
}

/** One beat: tells, hears, and does what it has heard. Resolves with the installation that the database is. Rejects with DatabaseAway. One at a time. */
export function createHeartbeat(ctx: Pick<Context, 'config' | 'db' | 'breakers' | 'transitions' | 'process'>): () => Promise<string> {
  let resetsSeen: number | null = null;
  return async () => {
    await ctx.transitions.flush();
    const heard = await heartbeat(ctx.db, {
      id: ctx.process.id,
      mode: ctx.config.mode,
      version: ctx.config.app.version,
      started_at: ctx.process.startedAt.toISOString(),
      breakers: ctx.breakers.reports(),
      queues: {},
      resets_seen: resetsSeen,
    });
    resetsSeen = heard.resets_seen;
    for (const { breaker, instance, actor } of heard.resets) ctx.breakers.reset(breaker, instance, `reset by ${actor}`);
    ctx.breakers.follow(heard.others);
    for (const [instance, signs] of Object.entries(heard.signs))
      for (const { kind, age_ms: ageMs } of signs) ctx.breakers.hear(instance, { kind, ageMs });
    return heard.installation;
  };
}
