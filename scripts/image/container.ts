/** A container of the image: started, watched, measured, ended by process id. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { startGuarded } from '../lib/guarded-process.ts';
import type { GuardedProcess } from '../lib/guarded-process.ts';
import { untilAnswers } from '../lib/installation.ts';
import { projectRoot } from '../lib/tools.ts';
import { runCommand } from './command.ts';
import type { Ended } from './command.ts';
import type { Image } from './image.ts';
import { STORE_ARGS } from './store.ts';

/** How a container is started: the program and its arguments for a command inside the image with these variables. */
export type Launcher = (command: readonly string[], env: Record<string, string>) => { program: string; args: string[] };

export type Container = {
  name: string;
  /** of node, in the machine's numbers */
  pid: number;
  /** what stands between the launcher and node: nothing, when signals reach node */
  parent: string;
  lines: string[];
  exited: Promise<number>;
  line(message: string): Promise<void>;
  /** Resolves at the first 200; what the container said is told when there is none. */
  answers(url: string, signal: AbortSignal): Promise<void>;
  signal(name: NodeJS.Signals): void;
  residentMegabytes(): Promise<number>;
};

/** A container that said nothing for so long is not coming. Milliseconds. */
const PATIENCE_MS = 30_000;
const POLL_MS = 20;

/**
 * `buildah run` in the working container, with the network of this machine. Its isolation (chroot) shares the process numbers and leaves the root
 * writable to root, so what a container runtime adds is checked with `namespaces` below.
 */
export function buildahRun(container: string): Launcher {
  return (command, env) => ({
    program: 'buildah',
    args: [...STORE_ARGS, 'run', '--isolation', 'chroot', ...asOptions(env), container, '--', ...command],
  });
}

/**
 * What a container runtime does, by util-linux: process 1 of its own, the root read-only, /tmp in memory, no capabilities, no new privileges, the
 * image's user, one CPU. Only the network is this machine's.
 */
export function namespaces(root: string, image: Image): Launcher {
  const [uid = '', gid = ''] = image.user.split(':');
  return (command, env) => {
    const script = [
      `mount --bind "$1" "$1"`,
      `mount -o remount,bind,ro "$1"`,
      `mount -t tmpfs -o nosuid,nodev tmpfs "$1/tmp"`,
      `mount -t proc proc "$1/proc"`,
      `mount --rbind /dev "$1/dev"`,
      `root=$1; shift; exec taskset -c 0 chroot "$root" "$@"`,
    ].join(' && ');
    const inside = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--bounding-set=-all', '--no-new-privs'];
    const variables = [...image.env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
    const program = [...inside, 'env', '-i', `--chdir=${image.workdir}`, 'HOME=/home/node', ...variables, ...command];
    return {
      program: 'unshare',
      args: ['--mount', '--pid', '--fork', '--kill-child=KILL', '--', 'sh', '-c', script, 'sh', root, ...program],
    };
  };
}

/** Runs a command in the image to its end. */
export function runInside(launch: Launcher, command: readonly string[], env: Record<string, string>, signal: AbortSignal): Promise<Ended> {
  const { program, args } = launch(command, env);
  return runCommand(program, args, { signal });
}

/** Starts the image's entry point. What still runs when `stack` ends is killed. */
export async function startContainer(
  name: string,
  launch: Launcher,
  image: Image,
  { command = [], env }: { command?: readonly string[]; env: Record<string, string> },
  stack: AsyncDisposableStack,
): Promise<Container> {
  const lines: string[] = [];
  const { program, args } = launch([...image.entrypoint, ...command], env);
  const launcher = await startGuarded(program, args, { stopSignal: 'TERM', cwd: projectRoot, log: (line) => lines.push(line) });
  const found = await nodeBelow(launcher, name, lines);
  stack.defer(async () => {
    kill(found.pid, 'SIGKILL');
    await launcher.stop();
  });
  return {
    name,
    ...found,
    lines,
    exited: launcher.exited,
    line: (message) => until(`${name} said nothing of "${message}"`, lines, async () => lines.some((line) => messageOf(line) === message)),
    async answers(url, signal) {
      await untilAnswers(url, { signal }).catch((error: Error) => {
        throw new Error(`${name}: ${error.message}\n${lines.slice(-10).join('\n')}`, { cause: error });
      });
    },
    signal: (signal) => kill(found.pid, signal),
    residentMegabytes: async () => {
      const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${found.pid}/status`, 'utf8'))?.[1];
      return Number(kilobytes) / 1024;
    },
  };
}

/** Waits for `true`; throws with the last lines of the container. */
async function until(complaint: string, lines: readonly string[], good: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await good())) {
    if (performance.now() > end) throw new Error(`${complaint} within ${PATIENCE_MS / 1000} s\n${lines.slice(-10).join('\n')}`);
    await delay(POLL_MS);
  }
}

/** The product's process among the launcher's descendants. */
async function nodeBelow(launcher: GuardedProcess, name: string, lines: readonly string[]): Promise<{ pid: number; parent: string }> {
  const end = performance.now() + PATIENCE_MS;
  let over = false;
  void launcher.exited.then(() => (over = true));
  for (;;) {
    for (const [pid, parent] of await descendants(launcher.pid)) {
      const program = await readlink(`/proc/${pid}/exe`).catch(() => '');
      if (program.endsWith('/usr/local/bin/node')) return { pid, parent: await nameOf(parent) };
    }
    if (over || performance.now() > end) throw new Error(`${name} did not start:\n${lines.slice(-10).join('\n')}`);
    await delay(POLL_MS);
  }
}

/** [pid, its parent] of all processes below this one. */
async function descendants(root: number): Promise<[number, number][]> {
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    const stat = /^\d+$/.test(entry) ? await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '') : '';
    const parent = /\) \S (\d+)/.exec(stat)?.[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === root || isBelow(parent));
  };
  return [...parents].filter(([pid]) => isBelow(pid));
}

async function nameOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
}

function messageOf(line: string): unknown {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null && 'message' in parsed ? parsed.message : null;
  } catch {
    return null;
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended by itself
  }
}

function asOptions(env: Record<string, string>): string[] {
  return Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
}
