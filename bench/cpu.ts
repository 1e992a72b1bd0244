/** Milliseconds of a core that processes have taken since they began, as Linux counts them: in ticks of 10 ms, so that a second of load is the least. */
import { readdir, readFile } from 'node:fs/promises';

/** Linux tells user programs hundredths of a second, whatever its own clock does. */
const TICK_MS = 10;

/** Of one process, with all its threads. */
export async function cpuMs(pid: number): Promise<number> {
  const { user, system } = await timesOf(pid);
  return (user + system) * TICK_MS;
}

/** Of a server that starts a process for each connection: with those that run, and those that it has seen end. */
export async function familyCpuMs(pid: number): Promise<number> {
  const own = await timesOf(pid);
  let ticks = own.user + own.system + own.childrenUser + own.childrenSystem;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const child = await timesOf(Number(name)).catch(() => null); // it has ended since it was listed
    if (child?.parent === pid) ticks += child.user + child.system;
  }
  return ticks * TICK_MS;
}

type Times = { parent: number; user: number; system: number; childrenUser: number; childrenSystem: number };

/** In ticks. proc_pid_stat(5); the name in parentheses may hold anything, also spaces and parentheses. */
async function timesOf(pid: number): Promise<Times> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [parent, user, system, childrenUser, childrenSystem] = [1, 11, 12, 13, 14].map((index) => Number(fields[index]));
  if (childrenSystem === undefined || Number.isNaN(childrenSystem)) throw new Error('/proc does not tell what a process has taken');
  return { parent: parent ?? NaN, user: user ?? NaN, system: system ?? NaN, childrenUser: childrenUser ?? NaN, childrenSystem };
}
