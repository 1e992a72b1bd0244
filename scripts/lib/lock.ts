import { link, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';

import { processAlive } from './guarded-process.ts';

/**
 * Puts our pid into the lock file, in one step of the file system. False when a living process holds it; a dead one's lock is
 * taken over. The directory must exist. Release it with `releaseLock`.
 */
export async function takeLock(file: string): Promise<boolean> {
  const mine = `${file}.${process.pid}`;
  await writeFile(mine, `${process.pid} ${await startOf(process.pid)}`);
  try {
    for (;;) {
      try {
        await link(mine, file);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      if ((await lockHolder(file)) !== null) return false;
      // its holder is dead: move it away (of several that do so, one succeeds) and try again
      await rename(file, `${mine}.stale`).catch(() => {});
      await rm(`${mine}.stale`, { force: true });
    }
  } finally {
    await unlink(mine);
  }
}

/** Only for the process that took it. */
export async function releaseLock(file: string): Promise<void> {
  await rm(file, { force: true });
}

/** The pid of the living process that holds the lock; null when nobody does. */
export async function lockHolder(file: string): Promise<number | null> {
  const [pid = 0, start] = (await readFile(file, 'utf8').catch(() => '')).split(' ').map(Number);
  if (pid <= 0 || !processAlive(pid)) return null;
  // After a restart of the machine or the container the same number may belong to another program.
  return start === (await startOf(pid)) ? pid : null;
}

/** When a process started, in clock ticks since the machine did; 0 where /proc does not say, so that there only the pid counts. */
async function startOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // the second field, the program's name in brackets, may hold spaces; the start is the 22nd
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 0);
}
