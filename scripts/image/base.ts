/**
 * A stand-in for the base image where no registry of images can be reached: the machine's own Debian (debootstrap), the Node of package-lock.json
 * (the npm package `node`), the machine's npm, and what it takes to reach a package registry from here (certificates, npm's settings).
 * What Docker's own image has besides (yarn, headers, docker-entrypoint.sh) nothing of ours uses.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { findOnPath, projectRoot } from '../lib/tools.ts';
import { mustRun } from './command.ts';
import { buildah, IMAGE_DIRECTORY, tryBuildah } from './store.ts';

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const KEY_LABEL = 'whats-agents.stand-in';

/** The name in the Dockerfile's `ARG NODE_IMAGE=`. */
export async function baseName(): Promise<string> {
  const found = /^ARG NODE_IMAGE=(\S+)$/m.exec(await readFile(path.join(projectRoot, 'Dockerfile'), 'utf8'))?.[1];
  if (found === undefined) throw new Error('the Dockerfile has no line ARG NODE_IMAGE=');
  return found;
}

/** Makes the stand-in under that name, when the store has none that is like this machine. True when it was there. */
export async function ensureBase(name: string, fresh: boolean, signal: AbortSignal): Promise<boolean> {
  const machine = await readMachine(signal);
  const key = createHash('sha256').update(JSON.stringify(machine)).digest('hex').slice(0, 16);
  const found = await tryBuildah(
    ['inspect', '--type', 'image', '--format', `{{index .Docker.Config.Labels "${KEY_LABEL}"}}`, name],
    signal,
  );
  if (!fresh && found.code === 0 && found.stdout.trim() === key) return true;

  const root = path.join(IMAGE_DIRECTORY, 'base');
  await rm(root, { recursive: true, force: true });
  await debootstrap(root, machine, signal);
  await addNode(root, machine, signal);

  const container = await buildah('starting from nothing', ['from', 'scratch'], signal);
  try {
    await buildah('adding the base', ['add', '-q', container, root, '/'], signal);
    const settings = [
      ['--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ['--env', `NODE_VERSION=${machine.node}`],
      ['--env', `NODE_EXTRA_CA_CERTS=${CERTIFICATES}`],
      ['--label', `${KEY_LABEL}=${key}`],
      ['--cmd', 'node'],
    ].flat();
    await buildah('configuring the base', ['config', ...settings, container], signal);
    await buildah('storing the base', ['commit', '-q', container, name], signal);
  } finally {
    await tryBuildah(['rm', container], AbortSignal.timeout(30_000));
  }
  await rm(root, { recursive: true, force: true });
  return false;
}

type Machine = { release: string; mirror: string; node: string; npm: string; npmHome: string; npmrc: string; certificates: string };

/** All that the stand-in depends on; read at run time, so that no address of a registry stands in the repository. */
async function readMachine(signal: AbortSignal): Promise<Machine> {
  const release = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  if (release === undefined) throw new Error('/etc/os-release does not name the release of Debian');
  const targets = await mustRun('reading the package sources', 'apt-get', ['indextargets', '--format', '$(SITE) $(RELEASE) $(COMPONENT)'], {
    signal,
  });
  const mirror = targets
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, of, component]) => of === release && component === 'main')?.[0];
  if (mirror === undefined) throw new Error(`apt knows no source of ${release} main`);
  const npm = findOnPath('npm');
  if (npm === null) throw new Error('there is no npm on this machine');
  const npmHome = path.resolve(await realpath(npm), '../..');
  // npm looks for its settings beside the Node that runs it: ours, from node_modules, has none.
  const env = {
    PATH: (process.env['PATH'] ?? '')
      .split(':')
      .filter((folder) => !folder.includes('node_modules'))
      .join(':'),
  };
  const settings = await Promise.all(
    ['registry', 'cafile'].map(async (name) => [
      name,
      (await mustRun('reading npm', npm, ['config', 'get', name], { env, signal })).trim(),
    ]),
  );
  return {
    release,
    mirror,
    node: process.versions.node,
    npm: await versionOf(npmHome),
    npmHome,
    npmrc: settings
      .filter(([, value]) => value !== 'null' && value !== '')
      .map(([name, value]) => `${name}=${name === 'cafile' ? CERTIFICATES : value}\n`)
      .join(''),
    certificates: existsSync(CERTIFICATES)
      ? createHash('sha256')
          .update(await readFile(CERTIFICATES))
          .digest('hex')
      : '',
  };
}

async function debootstrap(root: string, { release, mirror }: Machine, signal: AbortSignal): Promise<void> {
  const args = ['--variant=minbase', '--include=ca-certificates', release, root, mirror];
  await mustRun('making a small Debian', 'debootstrap', args, { signal });
  // as Debian's slim images have it
  for (const place of ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/doc', 'usr/share/man', 'usr/share/locale', 'var/log'])
    await rm(path.join(root, place), { recursive: true, force: true });
}

async function addNode(root: string, machine: Machine, signal: AbortSignal): Promise<void> {
  const local = path.join(root, 'usr/local');
  await cp(process.execPath, path.join(local, 'bin/node'));
  await cp(machine.npmHome, path.join(local, 'lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', path.join(local, 'bin/npm'));
  await mkdir(path.join(local, 'etc'), { recursive: true });
  await writeFile(path.join(local, 'etc/npmrc'), machine.npmrc);
  if (machine.certificates !== '') await cp(CERTIFICATES, path.join(root, CERTIFICATES));
  // under the same number as in Docker's image
  await mustRun('adding the user', 'chroot', [root, 'groupadd', '--gid', '1000', 'node'], { signal });
  const user = ['useradd', '--uid', '1000', '--gid', 'node', '--shell', '/bin/bash', '--create-home', 'node'];
  await mustRun('adding the user', 'chroot', [root, ...user], { signal });
}

async function versionOf(folder: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  return z.object({ version: z.string() }).parse(manifest).version;
}
