import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The project's root: where package.json is. */
export const projectRoot = path.resolve(import.meta.dirname, '../..');

/** Where everything lies that runs produce and that may be deleted: databases, downloaded tools, pid files. */
export const dataDirectory = path.join(projectRoot, '.data');

/** Programs that were downloaded because the machine lacks them. */
export function toolsDirectory(): string {
  return path.join(dataDirectory, 'tools');
}

/** The full path of a program on PATH; null when there is none. */
export function findOnPath(name: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // not here
    }
  }
  return null;
}

/** `apt-get install` of packages without recommendations; only as root. Throws with apt's last lines. */
export async function installPackages(...names: string[]): Promise<void> {
  if (userInfo().uid !== 0) throw new Error('only root may install packages');
  const quiet = ['-o', 'Dpkg::Use-Pty=0', '-qq', '-y', '--no-install-recommends'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env });
  await run('apt-get', ['install', ...quiet, ...names], { env, maxBuffer: 64 * 1024 * 1024 });
}

/**
 * The packages that installing `name` would add to this machine, and a way to download them. Needs no root: apt's lists and
 * caches are kept in `.data/tools/apt`, so a machine whose own lists are empty or old works too. Throws where there is no apt.
 */
export async function missingPackages(name: string): Promise<{ names: string[]; download(folder: string): Promise<void> }> {
  const state = path.join(toolsDirectory(), 'apt');
  await mkdir(path.join(state, 'lists/partial'), { recursive: true });
  await mkdir(path.join(state, 'cache/archives/partial'), { recursive: true });
  const own = [
    `Dir::State=${state}`,
    `Dir::State::lists=${state}/lists`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${state}/cache`,
    'Debug::NoLocking=1',
    // as root apt would download as another user, who may not enter our directory
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  await run('apt-get', [...own, 'update', '-qq']);
  const { stdout } = await run('apt-get', [...own, 'install', '-s', '--no-install-recommends', name]);
  const names = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, found = '']) => found);
  return { names, download: async (folder) => void (await run('apt-get', [...own, 'download', '-qq', ...names], { cwd: folder })) };
}

export type Program = { command: string; env: NodeJS.ProcessEnv };

/**
 * Downloads the packages that installing `name` would add and unpacks them into `.data/tools/<place>`, where `finish` may complete them. Works as root and as a
 * user, and starts no service, which installing would. Safe to call in several processes: the directory appears at once, complete.
 */
export async function unpackPackages(
  name: string,
  place: string,
  finish: (folder: string) => Promise<void> = async () => {},
): Promise<void> {
  const folder = path.join(toolsDirectory(), place);
  const half = `${folder}.${process.pid}`;
  await mkdir(half, { recursive: true });
  try {
    await (await missingPackages(name)).download(half);
    for (const file of await readdir(half)) if (file.endsWith('.deb')) await run('dpkg', ['-x', path.join(half, file), half]);
    await finish(half);
    await rename(half, folder).catch((error: unknown) => {
      // another process was quicker: use its copy
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(half, { recursive: true, force: true });
  }
}

/** A program that was unpacked, with its libraries; null when it was not. */
export async function unpackedProgram(place: string, file: string): Promise<Program | null> {
  const root = path.join(toolsDirectory(), place);
  const command = path.join(root, file);
  if (!existsSync(command)) return null;
  return { command, env: { ...process.env, LD_LIBRARY_PATH: await libraryPath(root) } };
}

async function libraryPath(root: string): Promise<string> {
  const folders: string[] = [];
  for (const base of ['usr/lib', 'lib']) {
    const folder = path.join(root, base);
    if (!existsSync(folder)) continue;
    folders.push(folder);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('-linux-')) folders.push(path.join(folder, entry.name));
    }
  }
  return [...folders, process.env['LD_LIBRARY_PATH'] ?? ''].filter(Boolean).join(':');
}
