/**
 * A `railway` for PATH that answers as version 5 of Railway's command line does to the verbs of scripts/deploy, from a file of deployments.
 * Each look at a list brings what is under way one step further.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

type FakeDeployment = { id: string; status: string };
export type FakeState = {
  services: Record<string, FakeDeployment[]>;
  /** what becomes of the next deployments of a service; default SUCCESS */
  ends: Record<string, string>;
  /** services whose rollback is refused */
  keeps: string[];
  calls: string[];
  made: number;
};

export type FakeRailway = { env: Record<string, string>; state(): Promise<FakeState>; change(change: Partial<FakeState>): Promise<void> };

type TestHooks = { after(hook: () => Promise<void>): void };

export async function fakeRailway(t: TestHooks, services: FakeState['services']): Promise<FakeRailway> {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'state.json');
  const read = async (): Promise<FakeState> => JSON.parse(await readFile(file, 'utf8')) as FakeState;
  const write = (state: FakeState) => writeFile(file, JSON.stringify(state));
  await write({ services, ends: {}, keeps: [], calls: [], made: 0 });
  await writeFile(path.join(folder, 'railway'), `#!${process.execPath}\n${PROGRAM}`);
  await chmod(path.join(folder, 'railway'), 0o755);
  return {
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}`, FAKE_RAILWAY: file, RAILWAY_TOKEN: 'a-token-of-tests' },
    state: read,
    change: async (change) => write({ ...(await read()), ...change }),
  };
}

const PROGRAM = `
const { readFileSync, writeFileSync } = require('node:fs');
const args = process.argv.slice(2);
const file = process.env.FAKE_RAILWAY;
const state = JSON.parse(readFileSync(file, 'utf8'));
const option = (name) => args[args.indexOf(name) + 1];
const fail = (text) => { process.stderr.write(text + '\\n'); process.exitCode = 1; };
if (!process.env.RAILWAY_TOKEN) fail('Unauthorized. Please run railway login again.');
else {
  state.calls.push(args.join(' '));
  const service = option('--service');
  const list = state.services[service] ?? [];
  const add = (list) => { const id = 'made-' + ++state.made; list.unshift({ id, status: 'BUILDING' }); return id; };
  const settle = (name, list) => {
    const [newest] = list;
    if (newest?.status !== 'BUILDING') return;
    newest.status = state.ends[name] ?? 'SUCCESS';
    if (newest.status === 'SUCCESS') for (const old of list.slice(1)) if (old.status === 'SUCCESS') old.status = 'REMOVED';
  };
  switch (args.slice(0, 2).join(' ')) {
    case 'deployment list':
      process.stdout.write(JSON.stringify(list.map((each) => ({ ...each, createdAt: '2026-11-27T00:00:00Z', meta: null }))));
      settle(service, list);
      break;
    case 'variable set':
      break;
    case 'up --detach':
      process.stdout.write(JSON.stringify({ deploymentId: add(list), logsUrl: 'https://example.com/logs' }) + '\\n');
      break;
    default: {
      if (args[0] !== 'api') { fail('error: unrecognized subcommand ' + args[0]); break; }
      if (/\\{ id status \\}/.test(args[1])) { fail('Field "deploymentRollback" must not have a selection'); break; }
      const id = option('--raw-var').replace('id=', '');
      const [name, of] = Object.entries(state.services).find(([, all]) => all.some((each) => each.id === id)) ?? [];
      if (!name || state.keeps.includes(name)) fail('This deployment cannot be rolled back to');
      else { add(of); process.stdout.write(JSON.stringify({ data: { deploymentRollback: true } })); }
    }
  }
  writeFileSync(file, JSON.stringify(state));
}
`;
