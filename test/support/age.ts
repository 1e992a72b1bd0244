/** `age`: on PATH, or unpacked from Debian's package. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { findOnPath, missingPackages, toolsDirectory } from '../../scripts/lib/tools.ts';

const run = promisify(execFile);

/** The program, or why there is none. */
export async function findAge(): Promise<{ program: string } | { missing: string }> {
  const installed = findOnPath('age');
  if (installed !== null) return { program: installed };
  const place = path.join(toolsDirectory(), 'age');
  const program = path.join(place, 'usr/bin/age');
  if (existsSync(program)) return { program };
  const half = `${place}.${process.pid}`;
  try {
    await mkdir(half, { recursive: true });
    await (await missingPackages('age')).download(half);
    for (const file of await readdir(half)) await run('dpkg', ['-x', path.join(half, file), half]);
    await rename(half, place).catch((error: unknown) => {
      if (!existsSync(program)) throw error; // another process was quicker
    });
    return { program };
  } catch (error) {
    return { missing: `there is no age on this machine, and getting it failed: ${String(error).slice(0, 300)}` };
  } finally {
    await rm(half, { recursive: true, force: true });
  }
}
