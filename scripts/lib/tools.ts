import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
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
