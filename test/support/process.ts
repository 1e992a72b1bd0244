/** The product as real processes: `node src/main.ts` and the command line tools, with their output as lines and ended by pid. */
import { EventEmitter, once } from 'node:events';
import path from 'node:path';
import { startGuarded } from '../../scripts/lib/guarded-process.ts';
import type { GuardedProcess, Log } from '../../scripts/lib/guarded-process.ts';
import { dataDirectory, projectRoot } from '../../scripts/lib/tools.ts';
import type { LogLine } from './system.ts';

type TestHooks = { after(hook: () => Promise<void>): void };

export type Program = {
  /** Resolves when it has a pid; rejects when it cannot be started. */
  started: Promise<GuardedProcess>;
  /** 0 before `started`. */
  readonly pid: number;
  /** Lines of standard output as they came. */
  stdout: string[];
  stderr: string[];
  /** Standard output as log lines; throws when one is no JSON. */
  lines(): LogLine[];
  /** The first log line that fits, now or later. Rejects when the program ends without it. */
  line(fits: string | ((line: LogLine) => boolean)): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** Called after each line and at the end. */
  onChange(listener: () => void): void;
  /** Resolves with the exit code, 128 + n when signal n ended it. */
  ended: Promise<number>;
};

/** How a shell tells that SIGKILL has ended it. */
export const SIGKILLED = 128 + 9;

/** A program that takes longer has failed. Generous: the machine is shared. Milliseconds. */
const PATIENCE_MS = 90_000;

/** It halves the work of a start, and tests start many. */
export const COMPILE_CACHE = { NODE_COMPILE_CACHE: path.join(dataDirectory, 'compile-cache') };

/**
 * Starts `node FILE ARGS` in the project's root with this environment and nothing of ours (but PATH). What still runs when the test ends is killed.
 */
export function startProgram(t: TestHooks, file: string, options: { args?: string[]; env?: Record<string, string> } = {}): Program {
  return start(t, process.execPath, [path.resolve(projectRoot, file), ...(options.args ?? [])], options.env);
}

/** As startProgram, for a script that says itself what runs it. */
export function startScript(t: TestHooks, file: string, options: { args?: string[]; env?: Record<string, string> } = {}): Program {
  return start(t, path.join(projectRoot, file), options.args ?? [], options.env);
}

function start(t: TestHooks, command: string, args: string[], env: Record<string, string> = {}): Program {
  const shared = { PATH: process.env['PATH'] ?? '', ...COMPILE_CACHE };
  return watch(t, (log) => startGuarded(command, args, { stopSignal: 'TERM', cwd: projectRoot, env: { ...shared, ...env }, log }));
}

/** What a process says and how it ends, whichever test starts it. `start` is called once. */
export function watch(t: TestHooks, start: (log: Log) => Promise<GuardedProcess>): Program {
  const changes = new EventEmitter().setMaxListeners(0);
  const lines = { stdout: [] as string[], stderr: [] as string[] };
  const { stdout, stderr } = lines;
  let running: GuardedProcess | null = null;
  let over = false;
  const started = start((line, from) => {
    lines[from].push(line);
    changes.emit('change');
  });
  const ended = started.then(async (found) => {
    running = found;
    const code = await found.exited;
    over = true;
    changes.emit('change');
    return code;
  });
  t.after(async () => {
    await started.then((found) => (over ? null : found.kill()));
    await ended;
  });
  const program: Program = {
    started,
    get pid() {
      return running?.pid ?? 0;
    },
    stdout,
    stderr,
    lines: () => stdout.map((line) => JSON.parse(line) as LogLine),
    async line(fits) {
      const timeout = AbortSignal.timeout(PATIENCE_MS);
      for (;;) {
        const found = program.lines().find((line) => (typeof fits === 'string' ? line.message === fits : fits(line)));
        if (found) return found;
        if (over || timeout.aborted)
          throw new Error(
            `${over ? 'ended' : 'waited too long'} without ${String(fits)}:\n${[...stdout, ...stderr]
              .slice(-8)
              .map((each) => each.slice(0, 300))
              .join('\n')}`,
          );
        await once(changes, 'change', { signal: timeout }).catch(() => null);
      }
    },
    signal(name) {
      if (running === null) void started.then(() => program.signal(name));
      else if (!over) running.signal(name);
    },
    onChange: (listener) => void changes.on('change', listener),
    ended,
  };
  return program;
}
