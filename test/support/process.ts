/** The product as real processes: `node src/main.ts` and the command line tools, with their output as lines and ended by pid. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { dataDirectory, projectRoot } from '../../scripts/lib/tools.ts';
import type { LogLine } from './system.ts';

type TestHooks = { after(hook: () => Promise<void>): void };

export type Program = {
  pid: number;
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
  /** Resolves with the exit code, or the name of the signal that ended it. */
  ended: Promise<number | NodeJS.Signals>;
};

/** A program that takes longer has failed. Generous: the machine is shared. Milliseconds. */
const PATIENCE_MS = 90_000;

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
  const child: ChildProcess = spawn(command, args, {
    cwd: projectRoot,
    // The cache halves the work of a start, and tests start many.
    env: { PATH: process.env['PATH'] ?? '', NODE_COMPILE_CACHE: path.join(dataDirectory, 'compile-cache'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const changes = new EventEmitter().setMaxListeners(0);
  const stdout = collect(child.stdout, changes);
  const stderr = collect(child.stderr, changes);
  let over = false;
  const ended = once(child, 'close').then(([code, signal]) => {
    over = true;
    changes.emit('change');
    return (code ?? signal) as number | NodeJS.Signals;
  });
  t.after(async () => {
    if (!over) child.kill('SIGKILL');
    await ended;
  });
  const program: Program = {
    pid: child.pid ?? 0,
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
    signal: (name) => void child.kill(name),
    onChange: (listener) => void changes.on('change', listener),
    ended,
  };
  return program;
}

function collect(stream: NodeJS.ReadableStream | null, changes: EventEmitter): string[] {
  const lines: string[] = [];
  if (stream) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      changes.emit('change');
    });
  }
  return lines;
}
