/**
 * One installation of the product, for tests, chaos, bench, dev and the check of the image: which variables it needs, how a mode of it starts as a
 * process of its own, and how one waits for it over HTTP. What only one of them sets lies with that one. Who reads the lines of a process waits for
 * its `MODE ready` instead.
 */
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { MODES, RUN_MODES } from '../../src/process/liveness.ts';
import { startGuarded } from './guarded-process.ts';
import type { GuardedProcess, Log } from './guarded-process.ts';
import { projectRoot } from './tools.ts';

export type Mode = (typeof MODES)[number];
/** What a process is started as. */
export type RunMode = (typeof RUN_MODES)[number];

/** Secrets that everybody may know: they are good on this machine only. */
export const WEBHOOK_SECRET = 'a-webhook-secret-of-this-machine';
export const JWT_SECRET = '0123456789abcdef0123456789abcdef';

export type Installation = {
  environment: 'development' | 'test' | 'production';
  databaseUrl: string;
  /** Null: the queue lives in Postgres. */
  redisUrl: string | null;
  /** In the place of Evolution and of Claude. */
  simulator: { url: string; apiKey: string };
  /** The WhatsApp number of the answers. */
  instance: string;
};

/** What all processes of an installation share. */
export function installationEnvironment(of: Installation): Record<string, string> {
  return {
    ENVIRONMENT: of.environment,
    BIND_HOST: '127.0.0.1',
    DATABASE_URL: of.databaseUrl,
    ...(of.redisUrl === null ? {} : { REDIS_URL: of.redisUrl }),
    EVOLUTION_API_URL: of.simulator.url,
    EVOLUTION_API_KEY: of.simulator.apiKey,
    EVOLUTION_INSTANCE: of.instance,
    EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
    JWT_SECRET_KEY: JWT_SECRET,
    ANTHROPIC_API_KEY: 'sk-simulator',
    ANTHROPIC_BASE_URL: `${of.simulator.url}/anthropic`,
    // production has none
    ...(of.environment === 'production' ? {} : { OUTBOUND_ALLOWLIST: '*' }),
  };
}

/** What one of its processes has for itself. Without a port, a worker and a scheduler serve no HTTP. */
export function modeEnvironment(mode: RunMode, port: number | null): Record<string, string> {
  return { RUN_MODE: mode, ...(port === null ? {} : { PORT: String(port) }) };
}

type ModeOptions = {
  port: number | null;
  /** What runs, below the project's root: the product's main file unless it is said. */
  command?: readonly string[];
  /** The project's unless it is said: a version of the product may lie elsewhere. */
  root?: string | undefined;
  log?: Log;
};

/**
 * Starts a mode, guarded, with `env` over what it has for itself and nothing of the caller's environment but the search path, on which this Node
 * comes first. Does not wait for it.
 */
export function startMode(
  mode: RunMode,
  env: NodeJS.ProcessEnv,
  { port, command, root = projectRoot, log }: ModeOptions,
): Promise<GuardedProcess> {
  const [program = '', ...args] = command ?? [process.execPath, 'src/main.ts'];
  return startGuarded(program, args, {
    stopSignal: 'TERM',
    cwd: root,
    env: { PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, ...modeEnvironment(mode, port), ...env },
    ...(log ? { log } : {}),
  });
}

/** Who does not answer by then never will. Generous: the machine may be shared. Milliseconds. */
const READY_MS = 90_000;

/** Resolves at the first 200. Rejects after 90 s, with the last answer, and when `signal` is aborted, with its reason. */
export async function untilAnswers(url: string, { signal, pollMs = 20 }: { signal: AbortSignal; pollMs?: number }): Promise<void> {
  const end = performance.now() + READY_MS;
  let last = 'no connection';
  while (performance.now() < end) {
    try {
      const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) });
      const body = await response.text();
      if (response.status === 200) return;
      last = `${response.status} ${body.slice(0, 500)}`;
    } catch (error) {
      last = String(error);
    }
    signal.throwIfAborted();
    await delay(pollMs);
  }
  throw new Error(`no 200 from ${url} within ${READY_MS / 1000} s: ${last}`);
}
