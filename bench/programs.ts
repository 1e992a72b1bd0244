/** The processes that are measured, ours and the floors: started as production starts them, found ready, weighed, ended. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import type { GuardedProcess } from '../scripts/lib/guarded-process.ts';
import { installationEnvironment, startMode, untilAnswers } from '../scripts/lib/installation.ts';
import type { RunMode } from '../scripts/lib/installation.ts';
import { freePort } from '../scripts/lib/ports.ts';
import { INSTANCE } from './messages.ts';

export type Program = GuardedProcess & { port: number; /** from the start to the first 200 on /ready */ readyMs: number };

const POLL_MS = 5;

/** What surrounds the programs; no variable of the caller's shell but the search path reaches them. */
export type Surroundings = { databaseUrl: string; redisUrl: string | null; simulator: { url: string; apiKey: string }; logs: string };

/** What a product of the bench sets beside what each installation needs. */
const OWN = {
  // the time of our own work is measured, not the waits that people should see
  DEBOUNCE_MS: '0',
  HUMAN_DELAY: 'false',
  ABUSE_GATES: 'false', // the few contacts of a bench are machines
  MAX_RESPOSTAS_POR_HORA: '1000000',
  SHUTDOWN_GRACE_MS: '2000',
};

/** `own` are variables that differ from those of all products; `root` is where the files of its version lie. */
export async function startProduct(
  mode: RunMode,
  around: Surroundings,
  own: Readonly<Record<string, string>>,
  root: string,
): Promise<Program> {
  return start(`product ${mode}`, mode, ['scripts/entrypoint.sh'], around, own, root);
}

export async function startFloorAccept(around: Surroundings): Promise<Program> {
  return start('floor f1', 'api', [process.execPath, 'bench/floor-accept.ts'], around);
}

export async function startFloorAnswer(mode: 'api' | 'worker', around: Surroundings): Promise<Program> {
  return start(`floor f2 ${mode}`, mode, [process.execPath, 'bench/floor-answer.ts'], around);
}

export async function startFloorDurable(mode: 'api' | 'worker', around: Surroundings): Promise<Program> {
  return start(`floor f3 ${mode}`, mode, [process.execPath, 'bench/floor-durable.ts'], around);
}

/** Resident memory in megabytes, as the kernel counts it. */
export async function residentMegabytes(program: Program): Promise<number> {
  const status = await readFile(`/proc/${program.pid}/status`, 'utf8');
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error('/proc does not tell the resident memory');
  return Number(kilobytes) / 1024;
}

/** What it says goes to a file, written by the kernel: reading it here would cost the machine that is measured. */
async function start(
  name: string,
  mode: RunMode,
  command: string[],
  around: Surroundings,
  own: Readonly<Record<string, string>> = {},
  root?: string,
): Promise<Program> {
  const port = await freePort();
  const log = path.join(around.logs, `${name.replaceAll(' ', '-')}-${port}.log`);
  const env = {
    HOME: process.env['HOME'] ?? '',
    // `BENCH_NODE_ARGS="--cpu-prof --cpu-prof-dir=.data/bench/profiles"` profiles all of them
    NODE_OPTIONS: process.env['BENCH_NODE_ARGS'] ?? '',
    ...installationEnvironment({ environment: 'development', instance: INSTANCE, ...around }),
    ...OWN,
    ...own,
  };
  const started = performance.now();
  const script = 'log=$1; shift; exec "$@" >"$log" 2>&1';
  const program = await startMode(mode, env, { port, root, command: ['/bin/sh', '-c', script, 'sh', log, ...command] });
  const waiting = new AbortController();
  try {
    await Promise.race([
      untilAnswers(`http://127.0.0.1:${port}/ready`, { signal: waiting.signal, pollMs: POLL_MS }),
      program.exited.then(async (code) => {
        throw new Error(`${name} ended with code ${code}:\n${(await readFile(log, 'utf8').catch(() => '')).slice(-2_000)}`);
      }),
    ]);
  } catch (error) {
    waiting.abort();
    await program.kill();
    throw error;
  }
  return { ...program, port, readyMs: performance.now() - started };
}
