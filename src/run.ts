/** The life of a process: serve health at once, open the context, start the mode, stop in order on SIGTERM. */
import { watchSelf } from './watch/alerts.ts';
import type { Config } from './config.ts';
import { openContext } from './context.ts';
import { NeedsSession } from './db/failures.ts';
import type { Context } from './context.ts';
import { listInstances } from './numbers/calls.ts';
import { toError } from './process/errors.ts';
import { startHeartbeat } from './breakers/heartbeat.ts';
import { runs } from './process/liveness.ts';
import { createApp, listen } from './routes/http.ts';
import type { Server } from './routes/http.ts';
import { createLogger } from './process/log.ts';
import type { Logger } from './process/log.ts';
import type { Process } from './routes/ops.ts';
import type { Running } from './worker.ts';

/** The end of the grace time is kept for closing; what still hangs then (a call of a database that does not answer) is cut off. */
const CLOSING_MS = 3_000;

const MOVED =
  'The database has become another installation (restored or upgraded under this process): this process ends, to begin again with its queues';

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
export async function run(config: Config, warnings: string[]): Promise<number> {
  const log = createLogger({
    level: config.log.level,
    service: config.app.service,
    pretty: config.log.pretty,
    secrets: config.log.secrets,
  });
  for (const warning of warnings) log.warning({}, warning);
  const stop = stopSignal(log);
  const state: Process = { config, context: null, stopping: false };
  try {
    await using stack = new AsyncDisposableStack();
    let server: Server | null = null;
    if (config.http.port !== null) {
      const { apiRoutes } = runs(config.mode, 'api') ? await import('./api.ts') : { apiRoutes: () => {} };
      const app = createApp(state, log, (routes) => apiRoutes(routes, state));
      server = await listen(app, config.http.host, config.http.port);
      stack.defer(() => server?.close());
      log.info({ port: server.port }, 'Listening');
    }
    const databaseUrl =
      config.database.kind === 'embedded' ? stack.use(await (await import('./db/embedded.ts')).openEmbedded(log)).url : undefined;
    const onWait = (why: string): void => void (state.waiting = why);
    const ctx = stack.use(await openContext(config, log, { signal: stop, onWait, ...(databaseUrl === undefined ? {} : { databaseUrl }) }));
    const moved = new AbortController();
    stack.defer(
      startHeartbeat(ctx, (to) => {
        if (!moved.signal.aborted) log.critical({ was: ctx.queues.installation, is: to }, MOVED);
        moved.abort();
      }),
    );
    stack.defer(watchSelf(ctx));
    // Once more, on top: requests under way need the context, so it goes after them.
    if (server !== null) stack.defer(() => server?.close());
    const running = await startMode(ctx, server);
    if (config.mode !== 'scheduler')
      ctx.background.run('check webhooks', async () => (await import('./numbers/webhook-check.ts')).checkWebhooks(ctx));
    if (runs(config.mode, 'api')) ctx.background.run('compare at the start', () => reconcileAll(ctx));
    state.context = ctx;
    const { installation } = ctx.queues;
    log.info({ process: ctx.process.id, version: config.app.version, git_sha: config.app.gitSha, installation }, `${config.mode} ready`);

    await aborted(AbortSignal.any([stop, moved.signal]));
    const code = moved.signal.aborted ? 1 : 0;
    state.stopping = true;
    log.info({ grace_ms: config.app.shutdownGraceMs }, 'Stopping');
    // Who asked for the end kills us soon anyway, and all that matters is in the database by now.
    setTimeout(() => process.exit(code), config.app.shutdownGraceMs).unref();
    await running.stop(Math.max(0, config.app.shutdownGraceMs - CLOSING_MS));
    log.info({}, 'Stopped');
    return code;
  } catch (error) {
    if (stop.aborted) return 0;
    log.critical(error instanceof NeedsSession ? {} : { error: toError(error) }, toError(error).message);
    return 1;
  }
}

/** Each mode loads its own parts only: memory is what a small machine has least of. With `all` they begin in this order, and stop at once. */
async function startMode(ctx: Context, server: Server | null): Promise<Running> {
  const { mode } = ctx.config;
  const parts: Running[] = [];
  // stops taking requests, and ends those under way; where the server has the ops routes only, they go on telling until the end
  if (runs(mode, 'api') && server !== null) parts.push({ stop: () => server.close() });
  if (runs(mode, 'worker')) parts.push(await (await import('./worker.ts')).startWorker(ctx));
  if (runs(mode, 'scheduler')) parts.push(await (await import('./scheduler.ts')).startScheduler(ctx));
  return { stop: async (graceMs) => void (await Promise.all(parts.map((part) => part.stop(graceMs)))) };
}

/** What came while no api was there need not wait for Evolution's next try, up to 6 minutes later. The queue takes a number once, over any number of copies. */
async function reconcileAll(ctx: Context): Promise<void> {
  if (ctx.whatsapp === null) return;
  for (const { name, status } of await listInstances(ctx.db))
    if (status !== 'close' && status !== 'refused') await ctx.queues.wakeReconcile(name);
}

function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => controller.abort());
  process.on('unhandledRejection', (reason) => log.critical({ error: toError(reason) }, 'Unhandled rejection'));
  process.on('uncaughtException', (error) => {
    log.critical({ error }, 'Uncaught exception');
    process.exit(1);
  });
  return controller.signal;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
}
