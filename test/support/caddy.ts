/** A Caddy as new as the one of docker-compose.prod.yml: on PATH, or unpacked from Debian's backports. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { findOnPath, toolsDirectory } from '../../scripts/lib/tools.ts';

const run = promisify(execFile);

/** Before 2.8 it could not send a request with a body a second time. */
const OLDEST = [2, 8];
/** The oldest release of Debian that has one; its program runs on older ones too. */
const RELEASE = 'trixie-backports';

/** The program, or why there is none. */
export async function findCaddy(): Promise<{ program: string } | { missing: string }> {
  const installed = findOnPath('caddy');
  if (installed !== null && (await newEnough(installed))) return { program: installed };
  const place = path.join(toolsDirectory(), 'caddy');
  const program = path.join(place, 'usr/bin/caddy');
  if (existsSync(program)) return { program };
  const half = `${place}.${process.pid}`;
  try {
    await unpack(half);
    await rename(half, place).catch((error: unknown) => {
      if (!existsSync(program)) throw error; // another process was quicker
    });
    return { program };
  } catch (error) {
    return { missing: `there is no caddy 2.8 on this machine, and getting one failed: ${String(error).slice(0, 300)}` };
  } finally {
    await rm(half, { recursive: true, force: true });
  }
}

async function newEnough(program: string): Promise<boolean> {
  const { stdout } = await run(program, ['version']);
  const [major = 0, minor = 0] = stdout.replace(/^v/, '').split('.').map(Number);
  return major > (OLDEST[0] ?? 0) || (major === OLDEST[0] && minor >= (OLDEST[1] ?? 0));
}

/** From the mirror that this machine's own apt uses, with lists and caches of its own, so that nothing of the machine changes. */
async function unpack(folder: string): Promise<void> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(SITE) $(LABEL)']);
  const site = stdout
    .split('\n')
    .find((line) => line.endsWith(' Debian'))
    ?.split(' ')[0];
  if (site === undefined) throw new Error('apt has no source of Debian');
  await mkdir(path.join(folder, 'lists/partial'), { recursive: true });
  await mkdir(path.join(folder, 'cache/archives/partial'), { recursive: true });
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';
  await writeFile(path.join(folder, 'sources.list'), `deb [signed-by=${keys}] ${site} ${RELEASE} main\n`);
  const own = [
    `Dir::State=${folder}`,
    `Dir::State::lists=${folder}/lists`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${folder}/cache`,
    `Dir::Etc::sourcelist=${folder}/sources.list`,
    'Dir::Etc::sourceparts=/dev/null',
    'Debug::NoLocking=1',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  await run('apt-get', [...own, 'update', '-qq']);
  await run('apt-get', [...own, 'download', '-qq', 'caddy'], { cwd: folder });
  const file = (await readdir(folder)).find((name) => name.startsWith('caddy_'));
  if (file === undefined) throw new Error('apt downloaded no caddy');
  await run('dpkg', ['-x', path.join(folder, file), folder]);
}
