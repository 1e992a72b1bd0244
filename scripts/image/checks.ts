/** What the image must do: each function checks, prints its lines, and throws at the first thing that is not so. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installationEnvironment, modeEnvironment } from '../lib/installation.ts';
import type { Mode } from '../lib/installation.ts';
import { projectRoot } from '../lib/tools.ts';
import type { Simulator } from '../../simulator/index.ts';
import { runInside, startContainer } from './container.ts';
import type { Container, Launcher } from './container.ts';
import type { Image } from './image.ts';

export const INSTANCE = 'julia-check';
const MODES = ['scheduler', 'worker', 'api'] as const;

export type Site = {
  databaseUrl: string;
  redisUrl: string;
  simulator: Simulator;
  ports: Record<Mode, number>;
  image: Image;
  identity: { gitSha: string; buildTime: string };
  signal: AbortSignal;
  say: (name: string, text: string) => void;
};

/** P1 and P2: the refusal takes at most so many starts of a node that does nothing, side by side in the same container; one of some tries is enough. */
const REFUSAL_STARTS = 4;
/** Idle is a process that has settled after its start. Milliseconds. */
const SETTLE_MS = 3_000;
/** The least that the manuals give a container. Megabytes. */
const MEMORY_LIMIT = 512;

/** P1, P2: no mode, no start. */
export async function checkRefusals(site: Site, launch: Launcher): Promise<void> {
  const wrong: [string, Record<string, string>, string][] = [
    ['P1 no mode', {}, 'RUN_MODE environment variable is required!'],
    ['P2 RUN_MODE=foo', { RUN_MODE: 'foo' }, 'ERROR: Invalid RUN_MODE: foo'],
    ['P2 RUN_MODE=API', { RUN_MODE: 'API' }, 'ERROR: Invalid RUN_MODE: API'],
  ];
  for (const [name, env, text] of wrong) {
    // Side by side, and some times: the machine's speed changes from one second to the next.
    let took = Infinity;
    let nothing = 0;
    for (let tries = 0; tries < MOST_TRIES && took >= nothing * REFUSAL_STARTS; tries++) {
      nothing = await timeOf(() => runInside(launch, ['node', '-e', '0'], {}, site.signal));
      took = await timeOf(async () => {
        const { code, stdout } = await runInside(launch, site.image.entrypoint, env, site.signal);
        must(code === 1 && stdout.includes(text), `${name}: code ${code}, ${stdout}`);
      });
    }
    must(took < nothing * REFUSAL_STARTS, `${name}: took ${Math.round(took)} ms, a node that does nothing ${Math.round(nothing)} ms`);
    site.say(name, `"${text}", code 1, ${Math.round(took)} ms`);
  }
}

const MOST_TRIES = 8;

/** Milliseconds. */
async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** P3, P11, P13, P14 and the smoke test. */
export async function checkModes(site: Site, launch: Launcher): Promise<void> {
  const { image, signal } = site;
  const user = (await runInside(launch, ['id', '-u'], {}, signal)).stdout.trim();
  must(user !== '' && user !== '0', `the image runs as uid ${user}`);
  const written = await runInside(launch, ['sh', '-c', 'touch /app/written || touch /written || touch /app/src/written'], {}, signal);
  must(written.code !== 0, 'the user of the image can write outside of /tmp');
  site.say('P13 user', `uid ${user}, who owns nothing of the image`);

  await using stack = new AsyncDisposableStack();
  const started = performance.now();
  const api = await startContainer('api', launch, image, { env: environmentOf(site, 'api') }, stack);
  await api.answers(`${addressOf(site, 'api')}/health`, signal);
  site.say('P14 start', `/health answers ${Math.round(performance.now() - started)} ms after the start, on an empty database`);

  const migrated = await runInside(launch, [...image.entrypoint, 'migrate'], environmentOf(site, 'api'), signal);
  must(migrated.code === 0, `migrate: ${migrated.stdout}${migrated.stderr}`);
  site.say('migrate', migrated.stdout.trim().split('\n').at(-1) ?? '');

  const containers: Record<Mode, Container> = {
    api,
    worker: await startContainer('worker', launch, image, { env: environmentOf(site, 'worker') }, stack),
    scheduler: await startContainer('scheduler', launch, image, { env: environmentOf(site, 'scheduler') }, stack),
  };
  for (const mode of MODES) {
    await containers[mode].answers(`${addressOf(site, mode)}/ready`, signal);
  }
  await containers.worker.line('Worker started');
  await containers.scheduler.line('Scheduler started');
  site.say('P3 modes', 'api, worker and scheduler are ready, from one image');

  for (const mode of MODES) await checkHealthcheck(site, launch, mode);
  site.say('P13 healthcheck', `${image.healthcheck.join(' ')}: 0 in all modes, 1 where nothing answers`);

  const deep: unknown = await (await fetch(`${addressOf(site, 'api')}/health/deep`, { signal })).json();
  const told = JSON.stringify(pick(deep, ['git_sha', 'build_time', 'version']));
  const { version } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const built = JSON.stringify({ git_sha: site.identity.gitSha, build_time: site.identity.buildTime, version });
  must(told === built, `/health/deep tells ${told}, built was ${built}`);
  site.say('P11 identity', told);

  await delay(SETTLE_MS, undefined, { signal });
  const memory = await Promise.all(MODES.map(async (mode) => [mode, Math.round(await containers[mode].residentMegabytes())] as const));
  for (const [mode, megabytes] of memory) must(megabytes < MEMORY_LIMIT, `${mode}: ${megabytes} MB resident`);
  site.say('P13 memory', `resident when idle: ${memory.map(([mode, megabytes]) => `${mode} ${megabytes} MB`).join(', ')}`);

  for (const command of [
    ['admin', 'status'],
    ['migrate', '--status'],
    ['smoke', '--help'],
  ]) {
    const { code, stdout, stderr } = await runInside(launch, command, environmentOf(site, 'api'), signal);
    must(code === 0, `${command.join(' ')}, as exec runs it: ${code}\n${stdout}${stderr}`);
  }
  site.say('commands', 'admin, migrate and smoke are programs inside the image');
  await smoke(site, launch, ['--round-trip', '5511900000001']);
  site.simulator.addContact({ name: 'Smoke', phone: '5511900000002' });
  await smoke(site, launch, ['--answer', '5511900000002']);

  for (const mode of [...MODES].reverse()) await stopOnSigterm(site, containers[mode]);
}

/** P4: the start commands of the Python image, as the container's command. */
export async function checkStartCommands(site: Site, launch: Launcher): Promise<void> {
  const commands: [string, Mode, string][] = [
    ['python -m app.workers.fila_worker', 'worker', 'Worker started'],
    ['python -m app.workers fila', 'worker', 'Worker started'],
    ['python -m app.workers.scheduler', 'scheduler', 'Scheduler started'],
    ['python -m app.workers scheduler', 'scheduler', 'Scheduler started'],
    ['uvicorn app.main:app --host 0.0.0.0 --port 8000', 'api', 'api ready'],
  ];
  for (const [command, mode, line] of commands) {
    await using stack = new AsyncDisposableStack();
    const { RUN_MODE: _, ...env } = environmentOf(site, mode);
    const container = await startContainer(command, launch, site.image, { command: command.split(' '), env }, stack);
    await container.line(line);
    container.signal('SIGTERM');
    const code = await container.exited;
    must(code === 0, `${command}: ended with ${code} after SIGTERM`);
    site.say('P4 command', `${command}: "${line}"`);
  }
}

/** P13 and P8 as a container runtime has it: process 1, read-only root, no capabilities, one CPU. */
export async function checkHardened(site: Site, launch: Launcher): Promise<void> {
  const probe = await runInside(
    launch,
    ['sh', '-c', 'echo $$; touch /app/written /written 2>/dev/null; touch /tmp/written && echo tmp'],
    {},
    site.signal,
  );
  if (probe.code !== 0) {
    site.say('hardened', `NOT CHECKED: this machine does not allow namespaces of one's own (${probe.stderr.trim().split('\n').at(-1)})`);
    return;
  }
  must(probe.stdout === '1\ntmp\n', `a read-only root with a writable /tmp: ${probe.stdout}${probe.stderr}`);
  await using stack = new AsyncDisposableStack();
  const containers: Container[] = [];
  for (const mode of MODES) {
    const container = await startContainer(mode, launch, site.image, { env: environmentOf(site, mode) }, stack);
    await container.answers(`${addressOf(site, mode)}/ready`, site.signal);
    await checkHealthcheck(site, launch, mode);
    containers.push(container);
  }
  await smoke(site, launch, []);
  for (const container of containers.reverse()) {
    const numbers = /^NSpid:\s+(.*)$/m.exec(await readFile(`/proc/${container.pid}/status`, 'utf8'))?.[1]?.split(/\s+/);
    must(numbers?.at(-1) === '1', `${container.name} is process ${numbers?.at(-1)}, not 1`);
    await stopOnSigterm(site, container);
  }
  site.say('P13 hardened', 'all modes run as process 1 with a read-only root, no capabilities, no new privileges, on one CPU');
}

/** The image's command in that container's place: 0 while the mode answers, 1 on a port where nobody does. */
async function checkHealthcheck(site: Site, launch: Launcher, mode: Mode): Promise<void> {
  const { code } = await runInside(launch, site.image.healthcheck, environmentOf(site, mode), site.signal);
  must(code === 0, `${mode}: the healthcheck ended with ${code}`);
  const nobody = { ...environmentOf(site, mode), PORT: '1', OPS_PORT: '1' };
  const { code: without } = await runInside(launch, site.image.healthcheck, nobody, site.signal);
  must(without === 1, `${mode}: the healthcheck ended with ${without} where nothing answers`);
}

async function smoke(site: Site, launch: Launcher, options: string[]): Promise<void> {
  const command = [...site.image.entrypoint, 'smoke', addressOf(site, 'api'), ...options];
  const { code, stdout, stderr } = await runInside(launch, command, environmentOf(site, 'api'), site.signal);
  must(code === 0, `smoke ${options.join(' ')}:\n${stdout}${stderr}`);
  const lines = stdout.trim().split('\n');
  if (options.length === 0) site.say('D7 smoke', `${lines.length - 1} checks`);
  else for (const line of lines) process.stdout.write(`        ${line}\n`);
}

/** SIGTERM to the process that a runtime would send it to: node itself, which says that it stops, and ends with 0. */
async function stopOnSigterm(site: Site, container: Container): Promise<void> {
  must(container.parent !== 'sh' && container.parent !== 'entrypoint.sh', `a shell stands between ${container.name} and its signals`);
  const started = performance.now();
  container.signal('SIGTERM');
  const code = await container.exited;
  const took = Math.round(performance.now() - started);
  must(code === 0, `${container.name} ended with ${code} after SIGTERM:\n${container.lines.slice(-5).join('\n')}`);
  await container.line('Stopped');
  site.say('P8 SIGTERM', `${container.name} (below ${container.parent}) ended with 0 after ${took} ms`);
}

/** As production, but that WhatsApp and Claude are the simulator's. The network is the machine's, so each mode needs a port of its own. */
function environmentOf(site: Site, mode: Mode): Record<string, string> {
  return {
    ...installationEnvironment({ environment: 'production', instance: INSTANCE, ...site }),
    ...modeEnvironment(mode, site.ports.api),
    OPS_PORT: String(site.ports[mode]),
    // what people should see is not what is checked here
    DEBOUNCE_MS: '300',
    HUMAN_DELAY: 'false',
  };
}

function addressOf(site: Site, mode: Mode): string {
  return `http://127.0.0.1:${site.ports[mode]}`;
}

function pick(value: unknown, names: string[]): Record<string, unknown> {
  const all = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  return Object.fromEntries(names.map((name) => [name, all[name]]));
}

function must(good: boolean, complaint: string): void {
  if (!good) throw new Error(complaint);
}
