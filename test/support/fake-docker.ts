/** A `docker` for PATH that keeps containers of one service in a file, for scripts/deploy/roll-compose.sh. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

type FakeContainer = { id: string; health: string };
export type FakeDocker = {
  env: Record<string, string>;
  /** containers and what was done, oldest first */
  state(): Promise<{ containers: FakeContainer[]; done: string[] }>;
};

type TestHooks = { after(hook: () => Promise<void>): void };

/** `healths` are the answers to the looks at a new container, the last one for ever. */
export async function fakeDocker(t: TestHooks, running: number, healths: string[]): Promise<FakeDocker> {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'state.json');
  const containers = Array.from({ length: running }, (_, index) => ({ id: `old${index + 1}`, health: 'healthy' }));
  await writeFile(file, JSON.stringify({ containers, done: [], healths, made: 0 }));
  await writeFile(path.join(folder, 'docker'), `#!${process.execPath}\n${PROGRAM}`);
  await chmod(path.join(folder, 'docker'), 0o755);
  return {
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}`, FAKE_DOCKER: file },
    state: async () => JSON.parse(await readFile(file, 'utf8')) as { containers: FakeContainer[]; done: string[] },
  };
}

const PROGRAM = `
const { readFileSync, writeFileSync } = require('node:fs');
const args = process.argv.slice(2);
const file = process.env.FAKE_DOCKER;
const state = JSON.parse(readFileSync(file, 'utf8'));
const say = (text) => process.stdout.write(text + '\\n');
const drop = (id) => { state.containers = state.containers.filter((each) => each.id !== id); };
if (args[0] === 'compose' && args.includes('ps')) for (const { id } of state.containers) say(id);
else if (args[0] === 'compose' && args.includes('up')) {
  const wanted = Number(args.find((arg) => arg.startsWith('api=')).slice(4));
  state.done.push('up ' + wanted);
  while (state.containers.length < wanted) state.containers.push({ id: 'new' + ++state.made, health: 'starting' });
} else if (args[0] === 'inspect') {
  const found = state.containers.find((each) => each.id === args.at(-1));
  if (found.health !== 'healthy') found.health = state.healths.length > 1 ? state.healths.shift() : state.healths[0];
  say(found.health);
} else if (args[0] === 'stop') state.done.push('stop ' + args.at(-1));
else if (args[0] === 'rm') { const ids = args.slice(1).filter((arg) => !arg.startsWith('-')); ids.forEach(drop); state.done.push('rm ' + ids.join(' ')); }
else if (args[0] === 'logs') say('its last line');
else { process.stderr.write('unknown: ' + args.join(' ') + '\\n'); process.exitCode = 1; }
writeFileSync(file, JSON.stringify(state));
`;
