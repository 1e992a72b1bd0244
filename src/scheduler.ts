/** RUN_MODE=scheduler: runs every tick of each job once, over any number of schedulers, and tells people what nobody told. */
import { watchAlerts } from './watch/alerts.ts';
import { startClock } from './schedule/clock.ts';
import type { Context } from './context.ts';
import { zoneOf } from './words/zone.ts';
import { keepTick, missedTicks } from './schedule/decide.ts';
import type { KeptTick } from './schedule/decide.ts';
import { JOBS } from './crons/all.ts';
import type { CronJob } from './schedule/job.ts';
import { lastTicks } from './schedule/calls.ts';
import { schemaVersion } from './db/server-calls.ts';
import { persist } from './db/persist.ts';
import { watchGateway } from './watch/gateway.ts';
import { tellOfHandoffs, tellOfMessages } from './people/handoffs.ts';
import { retakeLost, tryTick } from './schedule/run-job.ts';
import { deliverNotices } from './notices/notices.ts';
import { waitAtMost } from './process/wait.ts';
import type { Running } from './worker.ts';

/** How often due notices are looked for: what is urgent leaves within seconds although its writer died. One call over a small index. */
const NOTICES_MS = 3_000;
/** How often handoffs are looked for that no turn told: people hear of each within 30 s, and Slack takes its time. One call over a small index. */
const HANDOFFS_MS = 5_000;
/** How often ticks of dead schedulers are looked for. */
const LOST_MS = 30_000;
/** How often it is looked whether the database is back while ticks wait for it. Milliseconds. */
const KEPT_MS = 1_000;
/** Kept free at the end of the grace time for writing down what was cut off. */
const WRITE_DOWN_MS = 2_000;

export async function startScheduler(ctx: Context, jobs: readonly CronJob[] = JOBS): Promise<Running> {
  const underWay = new Set<Promise<unknown>>();
  const stopping = new AbortController();
  const begin = (name: string, work: () => Promise<unknown>): void => {
    const run = work().catch((error: unknown) => ctx.log.warning({ job: name, error }, 'Job could not be claimed or written down'));
    underWay.add(run);
    void run.finally(() => underWay.delete(run));
  };
  /** Ticks that met an absent database. They live as long as this process: the catch-up of the next one finds what its rule asks for. */
  let kept: KeptTick<CronJob>[] = [];
  const start = (job: CronJob, tick: Date, again = false): void =>
    begin(job.name, async () => {
      if ((await tryTick(ctx, job, tick, { again, stop: stopping.signal })) !== 'kept') return;
      if (!kept.some((each) => each.job === job)) ctx.log.warning({ job: job.name }, 'Job waits for the database');
      kept = keepTick(kept, { job, tick });
    });
  let looking = false;
  const runKept = (): void => {
    if (kept.length === 0 || looking) return;
    looking = true;
    begin('kept ticks', async () => {
      const there = await schemaVersion(ctx.db).then(
        () => true,
        () => false,
      );
      looking = false;
      if (!there) return;
      const waited = kept;
      kept = [];
      for (const { job, tick } of waited) start(job, tick, true);
    });
  };

  const zone = zoneOf(ctx.config.app.timeZone);
  const now = new Date();
  const names = jobs.map(({ name }) => name);
  const last = await persist(() => lastTicks(ctx.db, names, now));
  for (const job of jobs) for (const tick of missedTicks(job, zone, last[job.name] ?? null, now)) start(job, tick);
  const clock = startClock(jobs, { zone, since: now, log: ctx.log, begin: start });
  const timers = [
    setInterval(runKept, KEPT_MS),
    setInterval(() => ctx.background.run('deliver notices', () => deliverNotices(ctx)), NOTICES_MS),
    setInterval(() => ctx.background.run('tell of handoffs', () => tellOfHandoffs(ctx)), HANDOFFS_MS),
    setInterval(() => ctx.background.run('forward messages', () => tellOfMessages(ctx)), HANDOFFS_MS),
    setInterval(() => begin('lost ticks', () => retakeLost(ctx, jobs, stopping.signal)), LOST_MS),
  ];
  const endWatches = [watchAlerts(ctx), watchGateway(ctx)];
  ctx.log.always({ jobs: jobs.map((job) => job.name) }, 'Scheduler started');

  return {
    async stop(graceMs) {
      clock.stop();
      for (const timer of timers) clearInterval(timer);
      for (const end of endWatches) end();
      await waitAtMost(Math.max(0, graceMs - WRITE_DOWN_MS), Promise.all(underWay));
      stopping.abort();
      await waitAtMost(WRITE_DOWN_MS, Promise.all(underWay));
    },
  };
}
