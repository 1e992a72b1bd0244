/** buildah with a storage of its own below .data: nothing of the machine's images is touched, and the next run finds the base again. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { dataDirectory } from '../lib/tools.ts';
import { mustRun, runCommand } from './command.ts';
import type { Ended } from './command.ts';

export const IMAGE_DIRECTORY = path.join(dataDirectory, 'image');
const STORE = path.join(IMAGE_DIRECTORY, 'store');
const RUN = path.join(IMAGE_DIRECTORY, 'run');
/** vfs copies whole directories: slow for many layers, but it needs nothing of the kernel. */
export const STORE_ARGS = ['--storage-driver', 'vfs', '--root', STORE, '--runroot', RUN] as const;

export async function openStore(): Promise<void> {
  await mkdir(STORE, { recursive: true });
  await mkdir(RUN, { recursive: true });
}

export async function buildah(what: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return (await mustRun(what, 'buildah', [...STORE_ARGS, ...args], { signal })).trim();
}

export function tryBuildah(args: readonly string[], signal: AbortSignal): Promise<Ended> {
  return runCommand('buildah', [...STORE_ARGS, ...args], { signal });
}
