/** The processes that are measured, ours and the floors: started as production starts them, found ready, weighed, ended. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { startGuarded } from '../scripts/lib/guarded-process.ts';
import type { GuardedProcess } from '../scripts/lib/guarded-process.ts';
import { freePort } from '../scripts/lib/ports.ts';
import { projectRoot } from '../scripts/lib/tools.ts';
import { INSTANCE, JWT_SECRET, WEBHOOK_SECRET } from './messages.ts';

export type Mode = 'api' | 'worker' | 'scheduler';
export type Program = GuardedProcess & { port: number; /** from the start to the first 200 on /ready */ readyMs: number };

/** A program that is not ready by then never will be. Milliseconds. */
const READY_LIMIT_MS = 90_000;
const POLL_MS = 5;

/** What surrounds the programs; no variable of the caller's shell but the search path reaches them. */
export type Surroundings = { databaseUrl: string; redisUrl: string | null; evolutionUrl: string; apiKey: string; logs: string };

/** `own` are variables that differ from those of all products. */
export async function startProduct(mode: Mode, around: Surroundings, own: Readonly<Record<string, string>>): Promise<Program> {
  return start(`product ${mode}`, ['scripts/entrypoint.sh'], { ...productEnvironment(around), ...own, RUN_MODE: mode }, around.logs);
}

export async function startFloorAccept(around: Surroundings): Promise<Program> {
  return start('floor f1', [process.execPath, 'bench/floor-accept.ts'], { DATABASE_URL: around.databaseUrl }, around.logs);
}

export async function startFloorAnswer(mode: 'api' | 'worker', around: Surroundings): Promise<Program> {
  const environment = { ...outsideWorld(around), REDIS_URL: around.redisUrl ?? '', RUN_MODE: mode };
  return start(`floor f2 ${mode}`, [process.execPath, 'bench/floor-answer.ts'], environment, around.logs);
}

/** Resident memory in megabytes, as the kernel counts it. */
export async function residentMegabytes(program: Program): Promise<number> {
  const status = await readFile(`/proc/${program.pid}/status`, 'utf8');
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error('/proc does not tell the resident memory');
  return Number(kilobytes) / 1024;
}

function productEnvironment(around: Surroundings): Record<string, string> {
  return {
    ...outsideWorld(around),
    ENVIRONMENT: 'development',
    DATABASE_URL: around.databaseUrl,
    ...(around.redisUrl === null ? {} : { REDIS_URL: around.redisUrl }),
    EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
    JWT_SECRET_KEY: JWT_SECRET,
    OUTBOUND_ALLOWLIST: '*',
    // the time of our own work is measured, not the waits that people should see
    DEBOUNCE_MS: '0',
    HUMAN_DELAY: 'false',
    ABUSE_GATES: 'false', // the few contacts of a bench are machines
    MAX_RESPOSTAS_POR_HORA: '1000000',
    SHUTDOWN_GRACE_MS: '2000',
  };
}

function outsideWorld(around: Surroundings): Record<string, string> {
  return {
    EVOLUTION_API_URL: around.evolutionUrl,
    EVOLUTION_API_KEY: around.apiKey,
    EVOLUTION_INSTANCE: INSTANCE,
    ANTHROPIC_API_KEY: 'sk-bench',
    ANTHROPIC_BASE_URL: `${around.evolutionUrl}/anthropic`,
  };
}

/** What it says goes to a file, written by the kernel: reading it here would cost the machine that is measured. */
async function start(name: string, command: string[], environment: Record<string, string>, logs: string): Promise<Program> {
  const port = await freePort();
  const log = path.join(logs, `${name.replaceAll(' ', '-')}-${port}.log`);
  const env = {
    // the entry point takes the first `node`: it must be this one
    PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    HOME: process.env['HOME'] ?? '',
    // `BENCH_NODE_ARGS="--cpu-prof --cpu-prof-dir=.data/bench/profiles"` profiles all of them
    NODE_OPTIONS: process.env['BENCH_NODE_ARGS'] ?? '',
    ...environment,
    BIND_HOST: '127.0.0.1',
    PORT: String(port),
  };
  const started = performance.now();
  const script = 'log=$1; shift; exec "$@" >"$log" 2>&1';
  const program = await startGuarded('/bin/sh', ['-c', script, 'sh', log, ...command], {
    stopSignal: 'TERM',
    env,
    cwd: projectRoot,
  });
  try {
    await Promise.race([
      untilReady(name, port),
      program.exited.then(async (code) => {
        throw new Error(`${name} ended with code ${code}:\n${(await readFile(log, 'utf8').catch(() => '')).slice(-2_000)}`);
      }),
    ]);
  } catch (error) {
    await program.kill();
    throw error;
  }
  return { ...program, port, readyMs: performance.now() - started };
}

async function untilReady(name: string, port: number): Promise<void> {
  const end = performance.now() + READY_LIMIT_MS;
  let last = 'no connection';
  while (performance.now() < end) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(2_000) });
      last = await response.text();
      if (response.status === 200) return;
    } catch {
      // not listening yet
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, POLL_MS);
    await promise;
  }
  throw new Error(`${name} was not ready after ${READY_LIMIT_MS / 1000} s: ${last.slice(0, 500)}`);
}
