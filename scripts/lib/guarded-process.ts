import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Gets each line. */
export type Log = (line: string, from: 'stdout' | 'stderr') => void;

type GuardedOptions = {
  /** the signal that asks the program to stop in order */
  stopSignal: 'INT' | 'TERM';
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** gets each line of stdout and stderr */
  log?: Log;
};

export type GuardedProcess = {
  /** pid of the program itself, not of its guard */
  pid: number;
  /** resolves when the program has ended, with its exit code (128 + signal when a signal ended it); never rejects */
  exited: Promise<number>;
  /** Asks it to stop, then SIGKILL after `timeoutMs`. Resolves when it has ended; may be called again. */
  stop(timeoutMs?: number): Promise<void>;
  /** To the program itself; nothing happens when it has ended. */
  signal(name: NodeJS.Signals): void;
  /** SIGKILL, as a crash would. Resolves when it has ended. */
  kill(): Promise<void>;
};

/**
 * Starts a server program that must not outlive this process, however this process ends.
 *
 * A small shell stands between: it reads a pipe whose only writer is this process. When this process stops it, or dies by
 * SIGKILL, the pipe reaches its end and the shell signals the program. (Rejected: exit hooks, which SIGKILL skips; and
 * prctl's parent-death signal, which only Linux has and which a change of user clears.) The shell leads its own session,
 * so Ctrl-C in a terminal reaches only this process, which then stops things in order.
 *
 * Throws when the program cannot be started at all. A program that starts and ends at once resolves `exited`.
 */
export async function startGuarded(command: string, args: readonly string[], options: GuardedOptions): Promise<GuardedProcess> {
  const child = spawn('/bin/sh', ['-c', guardScript(options.stopSignal), command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  // The guard closes its end when it dies first; nothing is lost by that.
  child.stdin.on('error', () => {});
  const [, , , pidPipe] = child.stdio;
  if (pidPipe === null || pidPipe === undefined || !('setEncoding' in pidPipe)) throw new Error('no pipe to the guard');

  const exited = new Promise<number>((resolve) => {
    child.once('close', (code) => resolve(code ?? 1));
    child.once('error', () => resolve(127));
  });
  for (const from of ['stdout', 'stderr'] as const) {
    createInterface({ input: child[from] }).on('line', (line) => options.log?.(line, from));
  }

  const pid = await new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`cannot start ${command}: ${error.message}`, { cause: error })));
    createInterface({ input: pidPipe }).once('line', (line) => resolve(Number(line)));
    child.once('exit', () => reject(new Error(`${command} ended before it started`)));
  });

  async function stop(timeoutMs = 10_000): Promise<void> {
    child.stdin.end();
    const timer = setTimeout(() => signal('SIGKILL'), timeoutMs);
    await exited;
    clearTimeout(timer);
  }
  async function kill(): Promise<void> {
    signal('SIGKILL');
    await exited;
    child.stdin.destroy();
  }
  function signal(name: NodeJS.Signals): void {
    try {
      process.kill(pid, name);
    } catch {
      // it ended by itself
    }
  }
  return { pid, exited, stop, signal, kill };
}

/** Whether a process with this pid exists (also when it belongs to another user). */
export function processAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Waits until a process that is not our child has ended; false when it is still there after `timeoutMs`. */
export async function waitForExit(pid: number, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (processAlive(pid)) {
    if (performance.now() > end) return false;
    const timer = Promise.withResolvers<void>();
    setTimeout(timer.resolve, 50);
    await timer.promise;
  }
  return true;
}

/**
 * $0 is the program, $@ its arguments, stdin the pipe that ends with our starter, fd 3 takes the program's pid.
 * `wait` is interrupted by nothing: the shell ignores INT and TERM and lets the pipe decide.
 */
function guardScript(signal: 'INT' | 'TERM'): string {
  return `
    exec 4<&0
    (trap - INT TERM; exec "$0" "$@" </dev/null 3>&- 4<&-) &
    program=$!
    trap '' INT TERM
    echo "$program" >&3
    exec 3>&-
    (cat <&4 >/dev/null; kill -${signal} "$program" 2>/dev/null) >/dev/null 2>&1 &
    watcher=$!
    exec 4<&-
    wait "$program"
    code=$?
    kill -KILL "$watcher" 2>/dev/null
    exit "$code"`;
}
