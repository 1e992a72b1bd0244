/**
 * Looks at Evolution every few seconds, in the scheduler: webhooks about a number get lost, and an Evolution that was unavailable says nothing when it is back.
 *
 *   answers    one number after the other is asked for its state; what changed is written down
 *   away       asked until it answers again. Then every number is compared with what Evolution has, and counts as alive, so the next probe of an open breaker comes sooner
 *
 * A number whose socket is dead although Evolution answers is restarted from here too (claim_restarts). Several schedulers may do all of this at once.
 */
import type { Context } from '../context.ts';
import { CURED_BY_RESTART, isOfGateway } from '../whatsapp/send-fault.ts';
import { claimRestarts, listInstances, noteAlive, noteFault, setInstanceState } from '../numbers/calls.ts';
import type { PolledNumber } from '../numbers/calls.ts';
import { wakeDueLanes } from '../outbox/wake.ts';
import type { Evolution, Failure } from '../whatsapp/client.ts';

/** Evolution is missed, and found again, within it. One small request. Milliseconds. */
const LOOK_MS = 4_000;
/** What takes longer has not answered. Milliseconds; a look must be over before the next but one. */
const ANSWER_MS = 3_500;
/** Numbers with an open breaker that are asked in each look beside the one whose turn it is. */
const MOST_ILL = 5;

type WatchContext = Pick<Context, 'config' | 'db' | 'events' | 'background' | 'whatsapp'> & {
  queues: Pick<Context['queues'], 'wakeSend' | 'wakeReconcile'>;
};

/** Starts it; returns what ends it. */
export function watchGateway(ctx: WatchContext): () => void {
  const look = createGatewayWatch(ctx);
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    ctx.background.run('watch Evolution', async () => {
      try {
        await look();
      } finally {
        looking = false;
      }
    });
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** One look. Rejects with DatabaseAway. One at a time. */
export function createGatewayWatch(ctx: WatchContext): () => Promise<void> {
  const { whatsapp, config } = ctx;
  let turn = 0;
  let away = false;
  /** Numbers whose last call failed although Evolution itself is there. */
  const failing = new Set<string>();

  async function ask(known: Evolution, number: PolledNumber, all: readonly PolledNumber[]): Promise<boolean> {
    const answer = await known.connectionState(number.name, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.kind === 'failed') {
      await noteNews(ctx, answer, number, all);
      if (AWAY.has(answer.class)) {
        if (!away) ctx.events.gatewayChanged(false);
        away = true;
      } else if (answer.class !== 'unknown_instance') failing.add(number.name);
      return false;
    }
    if (number.fault !== null) await noteFault(ctx.db, [number.name], null);
    await noteState(ctx, number, answer.state === 'not_loaded' ? 'close' : answer.state);
    const wasFailing = failing.delete(number.name);
    if (wasFailing || isOfGateway(number.breaker)) await noteAlive(ctx.db, [number.name], 'word');
    if (wasFailing) await ctx.queues.wakeReconcile(number.name);
    return true;
  }

  return async () => {
    if (whatsapp === null) return;
    const numbers = await listInstances(ctx.db);
    const next = numbers[turn++ % Math.max(1, numbers.length)];
    if (next === undefined) return;
    const wasAway = away;
    const answered = await ask(whatsapp, next, numbers);
    if (answered && !wasAway)
      for (const [index, other] of numbers.filter((each) => each !== next && isOfGateway(each.breaker)).entries())
        if (index < MOST_ILL) await ask(whatsapp, other, numbers);
    if (answered && wasAway) {
      away = false;
      ctx.events.gatewayChanged(true);
      for (const other of numbers) if (other !== next && !away) await ask(whatsapp, other, numbers);
      if (away) return; // gone again: its next return begins again
      await noteAlive(
        ctx.db,
        numbers.map(({ name }) => name),
        'reconnect',
      );
      // A queue takes each number once, however many schedulers ask, and a worker compares one after the other.
      for (const { name } of numbers) await ctx.queues.wakeReconcile(name);
    }
    if (config.evolution?.autoRestart === true && !away) await restartDead(ctx, whatsapp);
  };
}

/** Failures that are Evolution's as a whole, and not those of one number. */
const AWAY: ReadonlySet<string> = new Set(['unavailable', 'service_unavailable', 'unlicensed']);

/** What a person has to mend; other failures are of one call. */
const NAMED: ReadonlySet<string> = new Set([...AWAY, 'unauthorized', 'unknown_instance']);

/** So that health, status and doctor say it before the first send fails. Where all of Evolution is away, of every number. */
async function noteNews(ctx: WatchContext, { class: fault }: Failure, number: PolledNumber, all: readonly PolledNumber[]): Promise<void> {
  if (!NAMED.has(fault)) return;
  const concerned = AWAY.has(fault) ? all : [number];
  const news = concerned.filter((each) => each.fault !== fault).map(({ name }) => name);
  if (news.length > 0) await noteFault(ctx.db, news, fault);
}

/** Written down only when it is news: a write a look would be one for each number, for ever. */
async function noteState(ctx: WatchContext, { name, status }: PolledNumber, state: string): Promise<void> {
  if (state === status) return;
  const { wakeSends } = await setInstanceState(ctx.db, name, state);
  if (!wakeSends) return;
  await wakeDueLanes(ctx);
  await ctx.queues.wakeReconcile(name);
}

async function restartDead(ctx: WatchContext, whatsapp: Evolution): Promise<void> {
  for (const { instance, reason, restarts } of await claimRestarts(ctx.db, CURED_BY_RESTART)) {
    const answer = await whatsapp.restart(instance);
    ctx.events.numberRestarted(instance, reason, restarts, answer.kind === 'ok' ? null : answer.detail);
  }
}
