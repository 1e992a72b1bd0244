/**
 * Builds the image and runs it, on a machine that has no container engine: `./scripts/image-check --help`.
 * What is checked is one line each; the figures are the product's, the base is a stand-in.
 */
import { execFileSync } from 'node:child_process';
import { userInfo } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { removePostgresData, startPostgres } from '../lib/embedded-postgres.ts';
import { WEBHOOK_SECRET } from '../lib/installation.ts';
import { lockHolder, releaseLock, takeLock } from '../lib/lock.ts';
import { freePort } from '../lib/ports.ts';
import { withProgress } from '../lib/progress.ts';
import { startRedis } from '../lib/redis.ts';
import { findOnPath, installPackages, projectRoot } from '../lib/tools.ts';
import { startSimulator } from '../../simulator/index.ts';
import { baseName, ensureBase } from './base.ts';
import { checkHardened, checkModes, checkRefusals, checkStartCommands, INSTANCE } from './checks.ts';
import type { Site } from './checks.ts';
import { buildahRun, namespaces } from './container.ts';
import { buildImage, IMAGE } from './image.ts';
import { buildah, IMAGE_DIRECTORY, openStore, tryBuildah } from './store.ts';

const HELP = `Usage: ./scripts/image-check [--fresh-base] [--git-sha SHA]

Builds the unchanged Dockerfile with buildah and starts the result in all three modes, as the image's user, with a Postgres, a Redis and the
simulator on 127.0.0.1; then runs the smoke test from inside the image. Needs root and Debian's apt, and installs buildah and debootstrap where
they are missing. No registry of images is asked: the base is a stand-in, made of Debian and this project's Node and kept in .data/image.

  --fresh-base   make the stand-in again
  --git-sha SHA  the identity to build in (default: the one checked out)
  --help         this text

Exit code: 0 all well, 1 a check failed, 3 it cannot be run on this machine.
`;

/** The first run takes two minutes, others one; on a busy machine thrice that. A run that takes longer hangs. Milliseconds. */
const LIMIT_MS = 540_000;
const CANNOT_RUN = 3;
const LOCK = path.join(IMAGE_DIRECTORY, 'pid');
const DATABASE = path.join(IMAGE_DIRECTORY, 'postgres');

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { help: { type: 'boolean', short: 'h' }, 'fresh-base': { type: 'boolean' }, 'git-sha': { type: 'string' } },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (userInfo().uid !== 0 || findOnPath('apt-get') === null) {
    process.stderr.write(
      'image-check needs root and apt (Debian), to install buildah and to make a base; with a container engine use docker build\n',
    );
    return CANNOT_RUN;
  }
  await openStore();
  if (!(await takeLock(LOCK))) {
    process.stderr.write(`image-check already runs in this directory (pid ${await lockHolder(LOCK)})\n`);
    return 1;
  }
  const stop = AbortSignal.any([AbortSignal.timeout(LIMIT_MS), onSignals()]);
  try {
    await check({ fresh: values['fresh-base'] ?? false, gitSha: values['git-sha'] ?? checkedOut() }, stop);
    return 0;
  } finally {
    await releaseLock(LOCK);
  }
}

async function check({ fresh, gitSha }: { fresh: boolean; gitSha: string }, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const missing = ['buildah', 'debootstrap'].filter((name) => findOnPath(name) === null);
  if (missing.length > 0) await withProgress(`installing ${missing.join(' and ')}`, () => installPackages(...missing));
  await using stack = new AsyncDisposableStack();
  const surroundings = await withProgress('starting Postgres, Redis and the simulator', () => startSurroundings(stack));

  // what a run that was killed has left
  await tryBuildah(['rm', '--all'], signal);
  const base = await baseName();
  await timed(
    'base',
    () => ensureBase(base, fresh, signal),
    (found) => `${base}, a stand-in${found ? ', from the last run' : ''}`,
  );
  const identity = { gitSha, buildTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z') };
  const image = await timed(
    'build',
    () => buildImage(base, identity, signal),
    (built) => {
      return `${Math.round(built.megabytes)} MB, ${Math.round(built.ownMegabytes)} MB of it ours (uncompressed)`;
    },
  );
  const working = await buildah('making a container', ['from', '--pull-never', IMAGE], signal);
  stack.defer(async () => void (await tryBuildah(['rm', working], AbortSignal.timeout(30_000))));
  const root = await buildah('mounting the container', ['mount', working], signal);
  await tryBuildah(['rmi', '--prune'], signal); // the image of the run before

  const site: Site = { ...surroundings, image, identity, signal, say };
  await checkRefusals(site, buildahRun(working));
  await checkModes(site, buildahRun(working));
  await checkStartCommands(site, buildahRun(working));
  await checkHardened(site, namespaces(root, image));
  say('image-check', `all well in ${Math.round((performance.now() - started) / 1000)} s`);
}

async function startSurroundings(stack: AsyncDisposableStack): Promise<Pick<Site, 'databaseUrl' | 'redisUrl' | 'simulator' | 'ports'>> {
  await removePostgresData(DATABASE);
  const postgres = await startPostgres({ dataDir: DATABASE, durable: false });
  stack.defer(() => postgres.stop());
  const redis = await startRedis({ dir: path.join(IMAGE_DIRECTORY, 'redis') });
  stack.defer(() => redis.stop());
  const ports = { api: await freePort(), worker: await freePort(), scheduler: await freePort() };
  const simulator = await startSimulator({
    port: 0,
    instances: [INSTANCE],
    webhook: { url: `http://127.0.0.1:${ports.api}/webhook/evolution`, secret: WEBHOOK_SECRET },
  });
  stack.defer(() => simulator.close());
  return { databaseUrl: postgres.urlOf('postgres'), redisUrl: redis.url, simulator, ports };
}

async function timed<T>(name: string, work: () => Promise<T>, says: (result: T) => string): Promise<T> {
  const started = performance.now();
  const result = await work();
  say(name, `${says(result)}, in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return result;
}

function say(name: string, text: string): void {
  process.stdout.write(`ok      ${name.padEnd(16)} ${text}\n`);
}

/** HEAD, with `-dirty` when the work tree differs; `unknown` outside of git. */
function checkedOut(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: projectRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return `${git('rev-parse', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '-dirty'}`;
  } catch {
    return 'unknown';
  }
}

function onSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => controller.abort(new Error(`stopped by ${name}`)));
  return controller.signal;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stdout.write(`FAILED  ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
