import { setTimeout as delay } from 'node:timers/promises';

import type { GuardedProcess, Log } from './guarded-process.ts';

type SupervisedOptions = {
  /** Starts it, the first time and again. */
  start: (log: Log) => Promise<GuardedProcess>;
  log: (line: string) => void;
  /** Called once, when starting it again is hopeless. The program is then down and stays down. Must not throw. */
  onHopeless: (lastLines: readonly string[]) => void;
};

export type Supervised = {
  /** pid of the program that runs now; null while it is down */
  pid(): number | null;
  /** SIGTERM, then SIGKILL after 30 s (its own grace is 25 s). Resolves when it has ended; may be called again. */
  stop(): Promise<void>;
};

/** A program that ends this soon with code 1 did not crash at work: its configuration is wrong. */
const QUICK_MS = 2_000;
const BACKOFF_MS = { first: 500, most: 30_000 };

/**
 * Runs a program and starts it again when it ends by itself: after 0.5 s, then twice as long each time, 30 s at most, and from
 * 0.5 s again once it has run for a minute. Two quick ends with code 1 in a row are hopeless.
 */
export async function supervise(options: SupervisedOptions): Promise<Supervised> {
  const lastLines: string[] = [];
  const stopped = new AbortController();
  let current: GuardedProcess | null = null;

  function log(line: string): void {
    lastLines.push(line);
    if (lastLines.length > 20) lastLines.shift();
    options.log(line);
  }

  async function start(): Promise<{ program: GuardedProcess; at: number }> {
    lastLines.length = 0;
    const at = performance.now();
    const program = await options.start(log);
    current = program;
    return { program, at };
  }

  async function keep(first: { program: GuardedProcess; at: number }): Promise<void> {
    let run = first;
    let quickEnds = 0;
    let wait = BACKOFF_MS.first;
    for (;;) {
      const code = await run.program.exited;
      current = null;
      if (stopped.signal.aborted) return;
      const lived = performance.now() - run.at;
      quickEnds = code === 1 && lived < QUICK_MS ? quickEnds + 1 : 0;
      if (quickEnds === 2) return options.onHopeless([...lastLines]);
      if (lived > 60_000) wait = BACKOFF_MS.first;
      options.log(`ended with ${describe(code)}; starting it again in ${wait / 1000} s`);
      await delay(wait, undefined, { signal: stopped.signal }).catch(() => {});
      if (stopped.signal.aborted) return;
      wait = Math.min(wait * 2, BACKOFF_MS.most);
      run = await start();
    }
  }

  const kept = keep(await start());
  return {
    pid: () => current?.pid ?? null,
    stop: async () => {
      stopped.abort();
      await current?.stop(30_000);
      await kept;
      // a start that was under way when stop was called
      await current?.stop(30_000);
    },
  };
}

/** A shell's exit code in words: 128 + n stands for signal n. */
function describe(code: number): string {
  return code > 128 ? `signal ${code - 128}` : `code ${code}`;
}
