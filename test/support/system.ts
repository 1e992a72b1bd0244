/**
 * The whole product in one process for a test: a database of its own, the simulator, the api and any number of workers, all real. Waiting is on
 * events (log lines of the product, events of the simulator), never on time.
 */
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { installationEnvironment, WEBHOOK_SECRET } from '../../scripts/lib/installation.ts';
import { ensureRedisServer, startRedis } from '../../scripts/lib/redis.ts';
import type { RedisServer } from '../../scripts/lib/redis.ts';
import { startSimulator } from '../../simulator/index.ts';
import type { Simulator } from '../../simulator/index.ts';
import { DEFAULT_VERSION, rulesOf, versionOf } from '../../simulator/version.ts';
import type { EvolutionVersion } from '../../simulator/version.ts';
import { apiRoutes } from '../../src/api.ts';
import { loadConfig } from '../../src/config.ts';
import type { Config } from '../../src/config.ts';
import { openContext } from '../../src/context.ts';
import type { Context, ContextOverrides } from '../../src/context.ts';
import { WEBHOOK_EVENTS } from '../../src/whatsapp/webhook-setting.ts';
import { createApp, listen } from '../../src/routes/http.ts';
import { createLogger } from '../../src/process/log.ts';
import type { Logger } from '../../src/process/log.ts';
import type { Process } from '../../src/routes/ops.ts';
import { startWorker } from '../../src/worker.ts';
import { testDatabase } from './database.ts';

export { JWT_SECRET, WEBHOOK_SECRET } from '../../scripts/lib/installation.ts';
export const INSTANCE = 'julia-dev';
export const SLACK_SECRET = 'a-signing-secret-of-tests';

export type LogLine = { timestamp: string; level: string; service: string; message: string; context: Record<string, unknown> };

export type SystemOptions = {
  queue?: 'postgres' | 'redis';
  workers?: number;
  /** Environment variables beside those of `testEnvironment`. */
  env?: Record<string, string>;
  simulator?: Parameters<typeof startSimulator>[0];
  /** Notices go to the simulator's Slack, through the incoming webhook or as the bot; without it there is no Slack. */
  slack?: 'webhook' | 'bot';
  /** Voice notes are heard, by the simulator. */
  speech?: boolean;
  /** Passages are found by what they mean too, by the simulator. */
  voyage?: boolean;
  overrides?: ContextOverrides;
  /** A migrated database of the test's own, on a server that it may stop. */
  databaseUrl?: string;
};

export type System = {
  /** As the product reaches it: with the rights of the runtime. */
  databaseUrl: string;
  redis: RedisServer | null;
  simulator: Simulator;
  config: Config;
  /** The api's context. */
  ctx: Context;
  /** Address of the api. */
  url: string;
  lines: LogLine[];
  /** Rows of a statement, which may do everything. */
  query<T extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]>;
  /** Messages as `direction author status[(reason)]: text`, oldest first; what most tests compare. What the wire has seen a moment ago is recorded first. */
  dump(): Promise<string[]>;
  /** Resolves with the first truthy answer of `check`, asked now and after each event. */
  until<T>(check: () => Promise<T> | T, what?: string): Promise<NonNullable<T>>;
  /** Posts to the webhook with the right secret. */
  webhook(body: unknown, options?: { suffix?: string; authorization?: string | null }): Promise<Response>;
  /** One more context on the same database and queues, closed with the system. */
  openContext(mode: 'api' | 'worker' | 'scheduler'): Promise<Context>;
  addWorker(): Promise<{ stop(graceMs: number): Promise<void> }>;
  close(): Promise<void>;
};

/** The Evolution that a run is against: EVOLUTION_VERSION, else the one that compose runs. */
export function testedVersion(): EvolutionVersion {
  return versionOf(process.env['EVOLUTION_VERSION']) ?? DEFAULT_VERSION;
}

/** Options of a test in which somebody edits: Evolution 2.3.6 tells of it only in an event for which it would wait, and which nobody subscribes to. */
export const withEdits = (): { skip: boolean } => ({ skip: !rulesOf(testedVersion()).editsAsUpdates });

type TestHooks = { after(hook: () => Promise<void>): void };

/** A wait that takes longer has failed. Generous: the machine is shared. Milliseconds. */
const PATIENCE_MS = 90_000;
/** Some of what tests wait for is announced by no line and no event (a job of the queue ends without a word), so it is looked for this often too. Milliseconds. */
const UNANNOUNCED_MS = 200;
/** A send that goes on for longer is what the test is about. Milliseconds. */
const RECORDED_MS = 5_000;

export async function startSystem(t: TestHooks, options: SystemOptions = {}): Promise<System> {
  const stack = new AsyncDisposableStack();
  let closed: Promise<void> | null = null;
  const close = (): Promise<void> => (closed ??= stack.disposeAsync());
  t.after(close);

  const database =
    options.databaseUrl === undefined
      ? await testDatabase()
      : { url: options.databaseUrl, runtimeUrl: options.databaseUrl, close: async () => {} };
  stack.defer(() => database.close());
  const redis = options.queue === 'redis' ? await openRedis() : null;
  if (redis) stack.defer(() => redis.stop());
  const simulator = await startSimulator({
    version: testedVersion(),
    instances: [INSTANCE],
    noise: false,
    ackMs: 5,
    ...options.simulator,
  });
  stack.defer(() => simulator.close());
  const pool = new pg.Pool({ connectionString: database.url, max: 3 });
  pool.on('error', () => {}); // the database is dropped under it at the end
  stack.defer(() => pool.end());

  const env = {
    ...testEnvironment({ databaseUrl: database.runtimeUrl, redisUrl: redis?.url ?? null, simulator }),
    ...slackEnvironment(simulator, options.slack),
    ...(options.voyage === true ? { VOYAGE_API_KEY: 'pa-of-tests', VOYAGE_BASE_URL: simulator.voyageUrl } : {}),
    ...(options.speech === true ? { STT_BASE_URL: simulator.speechUrl, STT_API_KEY: 'stt-of-tests' } : {}),
    ...options.env,
  };
  const changes = new EventEmitter().setMaxListeners(0);
  stack.defer(simulator.on(() => changes.emit('change')));
  const lines: LogLine[] = [];
  const log = testLogger(lines, changes);

  const open = async (mode: 'api' | 'worker' | 'scheduler'): Promise<Context> => {
    const config = configOf({ ...env, RUN_MODE: mode });
    const ctx = await openContext(config, log, options.overrides ? { overrides: options.overrides } : {});
    stack.use(ctx);
    return ctx;
  };
  const ctx = await open('api');
  const state: Process = { config: ctx.config, context: ctx, stopping: false };
  const server = await listen(
    createApp(state, log, (app) => apiRoutes(app, state)),
    '127.0.0.1',
    0,
  );
  stack.defer(() => server.close());
  const url = `http://127.0.0.1:${server.port}`;
  simulator.setWebhook(`${url}/webhook/evolution`, WEBHOOK_SECRET, WEBHOOK_EVENTS);

  const system: System = {
    databaseUrl: database.runtimeUrl,
    redis,
    simulator,
    config: ctx.config,
    ctx,
    url,
    lines,
    async query(sql, values = []) {
      return (await pool.query(sql, values)).rows;
    },
    async dump() {
      const timeout = AbortSignal.timeout(RECORDED_MS);
      for (;;) {
        const changed = once(changes, 'change', { signal: AbortSignal.any([timeout, AbortSignal.timeout(UNANNOUNCED_MS)]) }).catch(
          () => null,
        );
        const rows = await system.query<{ line: string; sending: boolean }>(
          `select direction || ' ' || author || ' ' || status || coalesce('(' || reason || ')', '') || ': ' || text as line, status = 'sending' as sending
           from messages order by conversation_id, seq`,
        );
        if (timeout.aborted || !rows.some(({ sending }) => sending)) return rows.map((row) => row.line);
        await changed;
      }
    },
    async until(check, what = 'the condition') {
      const timeout = AbortSignal.timeout(PATIENCE_MS);
      for (;;) {
        const changed = once(changes, 'change', { signal: AbortSignal.any([timeout, AbortSignal.timeout(UNANNOUNCED_MS)]) }).catch(
          () => null,
        );
        const found = await check();
        if (found) return found;
        await changed;
        if (timeout.aborted) {
          throw new Error(
            `${what} did not come true in ${PATIENCE_MS / 1000} s.\n${(await system.dump()).join('\n')}\n${lines
              .slice(-25)
              .map((line) => JSON.stringify(line))
              .join('\n')}`,
          );
        }
      }
    },
    webhook(body, { suffix, authorization = `Bearer ${WEBHOOK_SECRET}` } = {}) {
      return fetch(`${url}/webhook/evolution${suffix === undefined ? '' : `/${suffix}`}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(authorization === null ? {} : { authorization }) },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
    },
    openContext: open,
    async addWorker() {
      const worker = await startWorker(await open('worker'));
      stack.defer(() => worker.stop(2_000));
      return worker;
    },
    close,
  };
  for (let index = 0; index < (options.workers ?? 1); index++) await system.addWorker();
  return system;
}

export function testEnvironment(parts: {
  databaseUrl: string;
  redisUrl: string | null;
  simulator: Pick<Simulator, 'url' | 'apiKey'>;
}): Record<string, string> {
  return {
    ...installationEnvironment({ environment: 'test', instance: INSTANCE, ...parts }),
    // What strangers see is a test of its own.
    HEALTH_DETAILS: 'public',
    DEBOUNCE_MS: '50',
    DEBOUNCE_MAX_MS: '1000',
    HUMAN_DELAY: 'false',
    // A test that takes the database away wants to see it come back.
    DATABASE_BREAKER_RESET_SECONDS: '1',
    DATABASE_BREAKER_MAX_RESET_SECONDS: '1',
    RATE_LIMIT_INTERVALO_MIN: '0',
    RATE_LIMIT_INTERVALO_MAX: '0',
    HORARIO_INICIO: '00:00',
    HORARIO_FIM: '23:59',
    // the simulator's order service
    HTTP_ALLOW_PRIVATE: new URL(parts.simulator.url).host,
  };
}

function slackEnvironment({ slackUrl }: Pick<Simulator, 'slackUrl'>, slack: SystemOptions['slack']): Record<string, string> {
  if (slack === undefined) return {};
  if (slack === 'webhook') return { SLACK_WEBHOOK_URL: `${slackUrl}/hook` };
  return { SLACK_BOT_TOKEN: 'xoxb-test', SLACK_SIGNING_SECRET: SLACK_SECRET, SLACK_API_URL: `${slackUrl}/api` };
}

export function configOf(env: Record<string, string>): Config {
  const loaded = loadConfig(env);
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

/** Collects the lines at DEBUG and tells `changes` of each. */
export function testLogger(lines: LogLine[], changes: EventEmitter): Logger {
  return createLogger({
    level: 'DEBUG',
    service: 'test',
    pretty: false,
    destination: {
      write(line) {
        lines.push(JSON.parse(line) as LogLine);
        // After the statement that logged has gone on: what a line tells is often written just after it.
        setImmediate(() => changes.emit('change'));
      },
    },
  });
}

/** Redis in a folder of its own, which goes with it. */
export async function openRedis(): Promise<RedisServer> {
  await ensureRedisServer();
  const dir = await mkdtemp(path.join(tmpdir(), 'whats-agents-redis-'));
  const server = await startRedis({ dir });
  return { ...server, stop: () => server.stop().then(() => rm(dir, { recursive: true, force: true })) };
}
