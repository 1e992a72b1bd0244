/** What a process knows of itself and of what it stands on. Bounded in time; no secrets, no exceptions' texts. */
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import { healthSnapshot, schemaVersion } from './db/operations.ts';
import type { HealthSnapshot } from './db/operations.ts';
import { migrationNames } from './db/migrate.ts';

/** A check that takes longer counts as failed. Milliseconds; all run at once, so /health/deep answers within it. */
const CHECK_MS = 4_000;
/** A process that said nothing for so long is not there. Seconds. */
const SILENT_SECONDS = 60;
/** Unanswered for so long: somebody should know. Seconds. */
const UNANSWERED_SECONDS = 300;

export type CheckResult = 'ok' | 'down' | 'not_used' | 'behind' | 'wrong_project';

export function health(config: Config): { status: 'healthy'; service: string; version: string; environment: string } {
  return { status: 'healthy', service: config.app.name, version: config.app.version, environment: config.app.environment };
}

/** Ready: the database, the queue and the schema are there. */
export async function readiness(
  ctx: Context | null,
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

export async function deepHealth(config: Config, ctx: Context | null): Promise<DeepHealth> {
  const { app } = config;
  const [ready, snapshot] = await Promise.all([readiness(ctx), ctx === null ? null : within(healthSnapshot(ctx.db))]);
  const wrongProject =
    config.supabaseProjectRef !== null && snapshot?.project_ref != null && snapshot.project_ref !== config.supabaseProjectRef;
  const down: string[] = [];
  if (ready.checks.db !== 'ok') down.push('the database does not answer');
  if (ready.checks.queue !== 'ok') down.push(config.queue.kind === 'redis' ? 'Redis does not answer' : 'the queue does not answer');
  if (ready.checks.migrations === 'behind') down.push('the database schema is behind this version: run `npm run migrate`');
  if (wrongProject) down.push('the database belongs to another project than SUPABASE_PROJECT_REF says');
  const reasons = [...down, ...(snapshot === null ? [] : degradations(snapshot))];
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

/** What is wrong although everything answers. */
function degradations(snapshot: HealthSnapshot): string[] {
  const alive = new Set(snapshot.processes.filter((each) => each.seen_seconds < SILENT_SECONDS).map((each) => each.mode));
  const reasons: string[] = [];
  if (!alive.has('worker')) reasons.push('no worker is running: nothing is answered (start RUN_MODE=worker)');
  if (!alive.has('scheduler')) reasons.push('no scheduler is running: what a queue forgets is not found (start RUN_MODE=scheduler)');
  if (snapshot.paused !== null) reasons.push('everything is paused (julia_status)');
  for (const { name, status } of snapshot.instances)
    if (status === 'close' || status === 'refused') reasons.push(`the number ${name} is disconnected`);
  const { oldest_seconds: oldest, count } = snapshot.unanswered;
  if (snapshot.paused === null && oldest !== null && oldest > UNANSWERED_SECONDS)
    reasons.push(`${count} messages are unanswered, the oldest for ${Math.round(oldest / 60)} minutes`);
  if (snapshot.outbound.uncertain > 0) reasons.push(`${snapshot.outbound.uncertain} sends may or may not have left`);
  return reasons;
}

function redisCheck(ctx: Context, answers: boolean): CheckResult {
  if (ctx.config.queue.kind === 'postgres') return 'not_used';
  return answers ? 'ok' : 'down';
}

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
