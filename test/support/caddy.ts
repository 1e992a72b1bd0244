/** A Caddy as new as the one of docker-compose.prod.yml: on PATH, or unpacked from Debian's backports. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { startGuarded } from '../../scripts/lib/guarded-process.ts';
import { freePort } from '../../scripts/lib/ports.ts';
import { dataDirectory, findOnPath, projectRoot, toolsDirectory } from '../../scripts/lib/tools.ts';

const run = promisify(execFile);

type TestHooks = { after(hook: () => Promise<void>): void };

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

/** A Caddy that runs: `outside` is SITE_ADDRESS, `inside` what Evolution posts to. */
export type RunningCaddy = { inside: string; outside: string; pid: number };

/** docker/Caddyfile, but for addresses of this machine and for `changes`, each of which must be there at least once. */
export async function startCaddy(
  t: TestHooks,
  caddy: string,
  ports: { names: number; api: number },
  changes: readonly (readonly [from: string, to: string])[] = [],
): Promise<RunningCaddy> {
  const listen = await freePort();
  const outside = await freePort();
  let text = await readFile(path.join(projectRoot, 'docker/Caddyfile'), 'utf8');
  for (const [from, to] of [
    ['resolvers udp/127.0.0.11:53', `resolvers udp/127.0.0.1:${ports.names}`],
    ['port 8000', `port ${ports.api}`],
    ['http://:8000 {', `http://127.0.0.1:${listen} {`],
    ['{$SITE_ADDRESS::80} {', `http://127.0.0.1:${outside} {`],
    ['admin localhost:2019', 'admin off'],
    ...changes,
  ] as const) {
    assert.ok(text.includes(from), from);
    text = text.replaceAll(from, to);
  }
  const folder = path.join(dataDirectory, 'caddy', String(listen));
  await mkdir(folder, { recursive: true });
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(path.join(folder, 'Caddyfile'), text);
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const ready = Promise.withResolvers<void>();
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
    if (line.includes('serving initial configuration')) ready.resolve();
  };
  const server = await startGuarded(caddy, ['run', '--config', path.join(folder, 'Caddyfile')], { stopSignal: 'TERM', env, log });
  t.after(() => server.stop());
  await Promise.race([ready.promise, server.exited.then((code) => assert.fail(`caddy ended with ${code}\n${lines.slice(-5).join('\n')}`))]);
  return { inside: `http://127.0.0.1:${listen}`, outside: `http://127.0.0.1:${outside}`, pid: server.pid };
}

/** Docker's name server, which lists each copy from its start to its end: answers every question for an IPv4 address with all that are listed. */
export async function startNames(t: TestHooks): Promise<{ port: number; add(address: string): void; remove(address: string): void }> {
  const addresses = new Set<string>();
  const socket = createSocket('udp4');
  socket.on('message', (question, { address, port }) => {
    const end = question.indexOf(0, 12) + 5; // the name ends with a zero, then type and class
    const wanted = question.readUInt16BE(end - 4) === 1 ? [...addresses] : [];
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(wanted.length, 6);
    head.writeUInt32BE(0, 8);
    const answers = wanted.map((each) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...each.split('.').map(Number)]));
    socket.send(Buffer.concat([head, question.subarray(12, end), ...answers]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  t.after(async () => void socket.close());
  return { port: socket.address().port, add: (address) => addresses.add(address), remove: (address) => addresses.delete(address) };
}
