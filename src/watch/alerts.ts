/**
 * Alerts: look, decide (watch/alert-conditions.ts), keep once (apply_alerts), tell (notices). The schedulers look every quarter of a minute at what is cheap and
 * urgent, and every minute at the rest. Two things are told without that: the other modes tell that no scheduler is there, and every scheduler tells Slack
 * that the database is unavailable.
 */
import type { Context } from '../context.ts';
import { absentHeld, alertOf, CONDITIONS, heldAlerts, SCHEDULER_ABSENT } from './alert-conditions.ts';
import type { Condition, Snapshot } from './alert-conditions.ts';
import { isThere, modesThere, runs } from '../process/liveness.ts';
import type { CronJob, JobContext } from '../schedule/job.ts';
import { alertSnapshot, applyAlerts, noteFigures, noteMinute, slaFigures } from './alert-calls.ts';
import type { AlertRows, HeldAlert } from './alert-calls.ts';
import { botSuspicion } from '../people/suspicion-calls.ts';
import { DatabaseAway } from '../db/failures.ts';
import { rateStatus } from '../outbox/limit-calls.ts';
import { spendSums } from '../spend/calls.ts';
import { readiness } from './health.ts';
import { jobLines } from '../schedule/run-job.ts';
import { deliverNotices } from '../notices/notices.ts';
import type { NoticeContext } from '../notices/notices.ts';
import { postToSlack } from '../notices/slack.ts';

const HOUR_MS = 3_600_000;
const MONTH_MS = 30 * 24 * HOUR_MS;

/**
 * Looks at the conditions of these kinds and tells what is new; `jobs` are those that may be stale. Returns how many hold. Any number may run at once.
 * Throws what the database throws.
 */
export async function evaluateAlerts(ctx: JobContext, each: readonly Condition['each'][], jobs: readonly CronJob[] = []): Promise<number> {
  const { looked, holds } = heldAlerts(await look(ctx, each, jobs, new Date()), each);
  await tellAlerts(ctx, holds, looked);
  return holds.length;
}

/** Keeps which of the conditions that were looked at hold, once over all processes, and tells what is new: who is told is a notice, in the background. */
export async function tellAlerts(ctx: NoticeContext, holds: HeldAlert[], looked: string[]): Promise<void> {
  const { fired, recovered } = await applyAlerts(ctx.db, holds, looked);
  for (const name of fired) ctx.events.alertChanged(name, 'firing');
  for (const name of recovered) ctx.events.alertChanged(name, 'ok');
  if (fired.length + recovered.length > 0) ctx.background.run('deliver notices', () => deliverNotices(ctx));
}

async function look(ctx: JobContext, each: readonly Condition['each'][], catalogue: readonly CronJob[], now: Date): Promise<Snapshot> {
  const minute = each.includes('minute');
  const rows = await alertSnapshot(ctx.db, minute);
  const gateway = ctx.config.evolution?.url.replace(/\/+$/, '') ?? null;
  if (!minute && !each.includes('quarter')) return { ...rows, gateway, down: [] };
  const ceilings = ctx.config.claude?.ceilings ?? null;
  const [ready, jobs, rates, hour, month, suspicion, sums] = await Promise.all([
    readiness(ctx),
    jobLines(ctx.db, catalogue, now),
    rateStatus(ctx.db, 'default', ctx.sendPolicy),
    each.includes('quarter') ? slaFigures(ctx.db, new Date(now.getTime() - HOUR_MS)) : null,
    each.includes('quarter') ? slaFigures(ctx.db, new Date(now.getTime() - MONTH_MS)) : null,
    each.includes('quarter') ? botSuspicion(ctx.db, 'default') : null,
    ceilings === null ? null : spendSums(ctx.db),
  ]);
  const down = downWords(ready.checks);
  if (minute) await noteMinute(ctx.db, down.length === 0 && isServed(rows));
  return {
    ...rows,
    gateway,
    down,
    jobs,
    rates,
    suspicion,
    spend: ceilings === null || sums === null ? null : { ...ceilings, sums },
    ...(hour === null || month === null ? {} : { sla: { hour, month } }),
  };
}

function downWords(checks: Awaited<ReturnType<typeof readiness>>['checks']): string[] {
  return [
    ...(checks.queue === 'ok' ? [] : [checks.redis === 'not_used' ? 'a fila não responde' : 'o Redis não responde']),
    ...(checks.migrations === 'behind' ? ['o esquema do banco está atrasado (npm run migrate)'] : []),
  ];
}

/** Somebody takes messages and somebody answers them. */
function isServed({ processes }: AlertRows): boolean {
  const there = modesThere(processes);
  return there.has('api') && there.has('worker');
}

/** How often a scheduler looks at what is urgent: a breaker that opens is told within a minute. Milliseconds. */
const LOOK_MS = 15_000;
/** So many looks in a row must fail before the database counts as unavailable. */
const AWAY_LOOKS = 2;

/** Looks at what is urgent every few seconds, and tells Slack when the database is unavailable; returns what ends it. */
export function watchAlerts(ctx: Context): () => void {
  const database = createDatabaseWatch(ctx);
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    ctx.background.run('evaluate alerts', async () => {
      try {
        await evaluateAlerts(ctx, ['seconds']);
        await database(true);
      } catch (error) {
        if (!(error instanceof DatabaseAway)) throw error;
        await database(false);
      } finally {
        looking = false;
      }
    });
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/**
 * Tells Slack that the database is unavailable, and that it is back. Nothing can be kept meanwhile, so every scheduler tells once by itself.
 * Call it with what each look found. Never throws.
 */
export function createDatabaseWatch(ctx: Pick<Context, 'config' | 'events'>): (there: boolean) => Promise<void> {
  let failed = 0;
  let told = false;
  return async (there) => {
    failed = there ? 0 : failed + 1;
    if (there === !told || (!there && failed < AWAY_LOOKS)) return;
    const { slack } = ctx.config;
    ctx.events.alertChanged('database_away', there ? 'ok' : 'firing');
    const text = there
      ? 'Resolvido: o banco de dados responde de novo.'
      : '🚨 O banco de dados não responde: nada é enviado, e os webhooks são guardados no Redis ou recusados até ele voltar. Veja /health/deep.';
    // Slack is unavailable too: tried again at the next look
    if (slack === null || (await postToSlack(slack, text)).ok) told = !there;
  };
}

/** How often a process writes down what it measured. Milliseconds. */
const FIGURES_MS = 15_000;

/** Writes down what this process measures. Tells when no scheduler is there, since no scheduler could tell that. Returns what ends it. */
export function watchSelf(ctx: Context): () => void {
  const timer = setInterval(() => ctx.background.run('note figures', () => noteSelf(ctx)), FIGURES_MS);
  return () => clearInterval(timer);
}

export async function noteSelf(ctx: Context): Promise<void> {
  const seconds = await noteFigures(ctx.db, ctx.process.id, await ctx.figures.measure());
  const startedSeconds = (Date.now() - ctx.process.startedAt.getTime()) / 1000;
  if (runs(ctx.config.mode, 'scheduler') || isThere(startedSeconds) || (seconds !== null && isThere(seconds))) return;
  const condition = CONDITIONS.find(({ name }) => name === SCHEDULER_ABSENT);
  if (condition === undefined) return;
  // It was not looked at whether other conditions are over: that is for the scheduler that comes back.
  await tellAlerts(ctx, [alertOf(condition, absentHeld('scheduler'))], []);
}
