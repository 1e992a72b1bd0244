/** What a process knows of itself and of what it stands on. Bounded in time; no secrets, no exceptions' texts. */
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import { degradations, WRONG_PROJECT } from './health-words.ts';
import { alertSnapshot } from './alert-calls.ts';
import { schemaVersion } from '../db/server-calls.ts';
import { migrationNames } from '../db/migrate.ts';

/** A check that takes longer counts as failed. Milliseconds; all run at once, so /health/deep answers within it. */
const CHECK_MS = 4_000;
export type CheckResult = 'ok' | 'down' | 'not_used' | 'behind' | 'wrong_project';

export function health(config: Config): { status: 'healthy'; service: string; version: string; environment: string } {
  return { status: 'healthy', service: config.app.name, version: config.app.version, environment: config.app.environment };
}

type ReadyContext = Pick<Context, 'config' | 'db'> & { queues: Pick<Context['queues'], 'ping'> };

/** Ready: the database, the queue and the schema are there. */
export async function readiness(
  ctx: ReadyContext | null,
): Promise<{ ready: boolean; checks: { db: CheckResult; redis: CheckResult; queue: CheckResult; migrations: CheckResult } }> {
  if (ctx === null) return { ready: false, checks: { db: 'down', redis: 'down', queue: 'down', migrations: 'down' } };
  const [schema, queue] = await Promise.all([within(schemaVersion(ctx.db)), within(ctx.queues.ping().then(() => true))]);
  const needed = (await migrationNames()).at(-1)?.split('_')[0] ?? '';
  const checks = {
    db: schema === null ? ('down' as const) : ('ok' as const),
    redis: redisCheck(ctx, queue !== null),
    queue: queue === null ? ('down' as const) : ('ok' as const),
    migrations: schema === null ? ('down' as const) : schema >= needed ? ('ok' as const) : ('behind' as const),
  };
  return { ready: checks.db === 'ok' && checks.queue === 'ok' && checks.migrations === 'ok', checks };
}

export type DeepHealth = {
  status: 'healthy' | 'degraded' | 'unhealthy';
  service: string;
  version: string;
  environment: string;
  git_sha: string | null;
  build_time: string | null;
  checks: { redis: CheckResult; supabase: CheckResult; migrations: CheckResult; project: CheckResult };
  /** In words, worst first. */
  reasons: string[];
};

/** `detailed`: the reasons may name numbers and say how many. `waiting`: why there is no context yet. */
export async function deepHealth(config: Config, ctx: Context | null, detailed: boolean, waiting?: string): Promise<DeepHealth> {
  const { app } = config;
  const [ready, snapshot] = await Promise.all([readiness(ctx), ctx === null ? null : within(alertSnapshot(ctx.db, false))]);
  const wrongProject =
    (ctx === null && waiting === WRONG_PROJECT) ||
    (config.supabaseProjectRef !== null && snapshot?.project_ref != null && snapshot.project_ref !== config.supabaseProjectRef);
  const down =
    ctx === null ? [waiting ?? 'it is starting'] : [...downInWords(config, ready.checks), ...(wrongProject ? [WRONG_PROJECT] : [])];
  const reasons = [...down, ...(snapshot === null ? [] : degradations(snapshot, detailed))];
  return {
    status: down.length > 0 ? 'unhealthy' : reasons.length > 0 ? 'degraded' : 'healthy',
    service: app.name,
    version: app.version,
    environment: app.environment,
    git_sha: app.gitSha,
    build_time: app.buildTime,
    checks: {
      redis: ready.checks.redis,
      supabase: ready.checks.db,
      migrations: ready.checks.migrations,
      project: wrongProject ? 'wrong_project' : 'ok',
    },
    reasons,
  };
}

/** What does not answer, or is not as this version needs it. */
export function downInWords(config: Config, checks: Awaited<ReturnType<typeof readiness>>['checks']): string[] {
  return [
    ...(checks.db === 'ok' ? [] : ['the database does not answer']),
    ...(checks.queue === 'ok' ? [] : [config.queue.kind === 'redis' ? 'Redis does not answer' : 'the queue does not answer']),
    ...(checks.migrations === 'behind' ? ['the database schema is behind this version: run `npm run migrate`'] : []),
  ];
}

function redisCheck(ctx: Pick<Context, 'config'>, answers: boolean): CheckResult {
  if (ctx.config.queue.kind === 'postgres') return 'not_used';
  return answers ? 'ok' : 'down';
}

/** `/healthz`: alive, and how the calls of Evolution (the broker) go, over all processes. Never rejects. */
export async function brokerHealth(config: Config, ctx: Context | null): Promise<BrokerHealth> {
  const rows = ctx === null ? null : await within(alertSnapshot(ctx.db, false));
  const brokers = (rows?.processes ?? []).flatMap(({ figures }) => (figures.broker === undefined ? [] : [figures.broker]));
  const newest = (times: (Date | null)[]): Date | null =>
    times.reduce((latest, at) => (at !== null && (latest === null || at > latest) ? at : latest), null);
  const lastSuccess = newest(brokers.map((each) => each.last_success_at));
  const lastFailure = newest(brokers.map((each) => each.last_failure_at));
  // Where one process succeeds after the failures of another, the broker is well.
  const failing = brokers.filter((each) => each.last_failure_at !== null && (lastSuccess === null || each.last_failure_at > lastSuccess));
  const consecutive = Math.max(0, ...failing.map((each) => each.consecutive_failures));
  const degraded = rows === null || consecutive > 0 || degradations(rows, false).length > 0;
  return {
    status: ctx === null ? 'starting' : degraded ? 'degraded' : 'ok',
    service: config.app.name,
    version: config.app.version,
    uptime: Math.round(process.uptime()),
    broker: { last_success: lastSuccess, last_failure: lastFailure, consecutive_failures: consecutive },
    degraded,
  };
}

type BrokerHealth = {
  status: 'ok' | 'degraded' | 'starting';
  service: string;
  version: string;
  /** Seconds that this process runs. */
  uptime: number;
  broker: { last_success: Date | null; last_failure: Date | null; consecutive_failures: number };
  degraded: boolean;
};

/** null when it fails or takes too long. */
async function within<T>(work: Promise<T>): Promise<T | null> {
  const { promise: late, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => resolve(null), CHECK_MS);
  try {
    return await Promise.race([work.catch(() => null), late]);
  } finally {
    clearTimeout(timer);
  }
}
