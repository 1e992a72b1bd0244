/** An earlier version beside this one: its files in a worktree of their own, for as long as the bench runs. */
import { execFile } from 'node:child_process';
import { readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { projectRoot } from '../scripts/lib/tools.ts';
import { WrongUsage } from './options.ts';

const run = promisify(execFile);
const LOCK = 'package-lock.json';

export type Earlier = AsyncDisposable & { /** the short name of the commit */ name: string; /** where its files lie */ root: string };

/** Throws WrongUsage when there is no such commit. `root` is made, and must be no one else's: what an ended run left there goes. */
export async function checkOut(commit: string, root: string): Promise<Earlier> {
  const { stdout } = await git('rev-parse', '--short', '--verify', '--quiet', `${commit}^{commit}`).catch(() => {
    throw new WrongUsage(`--against: there is no commit ${commit} here`);
  });
  const name = stdout.trim();
  const remove = async () => {
    await git('worktree', 'remove', '--force', root).catch(() => {});
    await rm(root, { recursive: true, force: true });
    await git('worktree', 'prune');
  };
  await remove();
  await git('worktree', 'add', '--detach', '--force', root, name);
  try {
    await bringPackages(root);
  } catch (error) {
    await remove();
    throw error;
  }
  return { name, root, [Symbol.asyncDispose]: remove };
}

/** Those of this version when they are the same, else its own. */
async function bringPackages(root: string): Promise<void> {
  const [ours, its] = await Promise.all([projectRoot, root].map((folder) => readFile(path.join(folder, LOCK), 'utf8')));
  if (ours === its) await symlink(path.join(projectRoot, 'node_modules'), path.join(root, 'node_modules'));
  else await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root });
}

/** Gives a database its schema, as its own migrations make it. */
export async function migrateEarlier({ root }: Pick<Earlier, 'root'>, databaseUrl: string): Promise<void> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', DATABASE_URL: databaseUrl };
  await run(process.execPath, ['src/migrate.ts'], { cwd: root, env });
}

function git(...args: string[]): Promise<{ stdout: string }> {
  return run('git', args, { cwd: projectRoot });
}
