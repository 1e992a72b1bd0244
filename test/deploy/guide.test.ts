/** docs/docker.md, docs/railway.md, docs/migration-from-python.md: every command is looked up, and what can be run here is run. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { SERVICES } from '../../scripts/deploy/railway.ts';
import { COMMANDS } from '../../src/admin/all.ts';
import { LOCAL_COMMANDS } from '../../src/admin/local.ts';
import { migrate } from '../../src/db/migrate.ts';
import { emptyDatabase, testDatabase } from '../support/database.ts';
import { readCompose, readProject } from '../support/compose.ts';
import { fakeDocker } from '../support/fake-docker.ts';

const GUIDES = ['docs/docker.md', 'docs/railway.md', 'docs/migration-from-python.md'] as const;
const compose = readCompose();
const containers = new Set(Object.values(compose.services).flatMap(({ container_name: name }) => name ?? []));

/** Programs of the guides besides docker and railway; what stands in front of them is the shell's. */
const OTHERS = new Set(['cp', 'curl', 'git', 'node', 'npm', 'openssl', './scripts/deploy/roll-compose.sh', './scripts/smoke.sh']);

const FILE = 'docker compose -f docker-compose.prod.yml';

/** Verb -> its options; a value follows where there is a `=`. After the manual of compose v2 and of Docker 28. */
const COMPOSE_VERBS: Record<string, string[]> = {
  up: ['-d', '--detach', '--no-build', '--no-deps', '--no-recreate', '--scale='],
  run: ['--rm'],
  exec: ['-T'],
  logs: ['-f', '--tail='],
  ps: [],
  pull: [],
  restart: [],
  config: ['--quiet'],
};
const DOCKER_VERBS = new Set(['build', 'tag', 'push', 'logs', 'exec', 'cp', 'restart', 'events', 'network']);
/** After the source of Railway's command line, 5.43. */
const RAILWAY_VERBS: Record<string, string[]> = {
  login: [],
  init: ['--name='],
  link: [],
  connect: [],
  up: ['--detach', '--service='],
  domain: ['--service='],
  logs: ['--service=', '--lines='],
  restart: ['--service=', '--yes'],
  ssh: ['--service=', '--'],
  'variable list': ['--service='],
  'deployment list': ['--service='],
  'config plan': [],
  'config apply': [],
  api: ['--raw-var='],
};

for (const guide of GUIDES) {
  test(`section 14 guide: every command of ${guide} is one that exists, about things that exist`, () => {
    const blocks = codeBlocks(guide, 'bash');
    for (const block of blocks) assert.equal(spawnSync('bash', ['-n'], { input: block }).status, 0, block);
    for (const line of blocks.flatMap((block) => block.split('\n').filter((each) => each !== ''))) check(line);
  });
}

test('section 14 guide: the compose commands of the workflow and of roll-compose.sh exist as well', () => {
  const workflow = readProject('.github/workflows/ci.yml').matchAll(/^ +(?:run: )?(docker compose .*)$/gm);
  const script = readProject('scripts/deploy/roll-compose.sh').matchAll(/\$compose (up .*)$/gm);
  const lines = [
    ...[...workflow].map(([, line = '']) => line.replaceAll(/ --profile \S+/g, '')),
    ...[...script].map(([, line]) => `${FILE} ${line}`),
  ];
  assert.ok(lines.length > 4);
  for (const line of lines) check(line.replace(/"\$service=.*" "\$service"$/, 'api=4 api'));
});

test("section 14 guide: the manuals' commands are all there", () => {
  const docker = codeBlocks('docs/docker.md', 'bash').join('\n');
  const railway = codeBlocks('docs/railway.md', 'bash').join('\n');
  assert.ok(readProject('docs/railway.md').includes('`railway link`'));
  for (const part of [
    'docker build -t',
    'docker tag',
    'docker push',
    'up -d\n',
    'logs -f',
    'pull',
    'up -d --no-deps',
    '--scale api=3',
    ' ps\n',
    'restart worker',
  ])
    assert.ok(docker.includes(part), part);
  for (const part of [
    'docker logs',
    'docker events',
    'docker network inspect',
    'docker restart',
    'redis-cli BGSAVE',
    'docker cp',
    'openssl rand -hex 32',
  ])
    assert.ok(docker.includes(part), part);
  for (const service of SERVICES) assert.ok(railway.includes(`railway up --detach --service ${service}`), service);
  for (const part of [
    'npm install -g @railway/cli',
    'railway login',
    'railway init --name whats-agents',
    'railway logs',
    'railway restart',
    'railway variable',
    'railway deployment list',
  ])
    assert.ok(railway.includes(part), part);
});

test('section 14 migration: the statements for who opted out run, and a database with the old tables is left as it is', async () => {
  await using stack = new AsyncDisposableStack();
  const fresh = await testDatabase();
  stack.defer(() => fresh.close());
  const statements = codeBlocks('docs/migration-from-python.md', 'sql').join('\n');
  for (let times = 0; times < 2; times += 1) await query(fresh.url, statements);
  const opted = `select a.address, o.source from opt_outs o join contact_addresses a on a.contact_id = o.contact_id`;
  assert.deepEqual(await query(fresh.url, opted), [{ address: '5511912345678', source: 'operator' }]);

  const old = await emptyDatabase();
  stack.defer(() => old.close());
  await query(old.url, `create table conversations (id uuid primary key, controlled_by text)`);
  await assert.rejects(migrate(old.url, { log: () => 0, queue: false }), /conversations/);
  const tables = `select table_name from information_schema.tables where table_schema = 'public' and table_name <> 'schema_migrations'`;
  assert.deepEqual(await query(old.url, tables), [{ table_name: 'conversations' }]);
});

test('P10 roll: new containers first, the old ones only when all new ones are healthy', async (t) => {
  const docker = await fakeDocker(t, 2, ['starting', 'healthy']);
  const { code, stdout } = await roll(docker.env);
  assert.equal(code, 0, stdout);
  const { containers: left, done } = await docker.state();
  assert.deepEqual(done, ['up 4', 'stop old1', 'rm old1', 'stop old2', 'rm old2']);
  assert.deepEqual(
    left.map(({ id }) => id),
    ['new1', 'new2'],
  );
});

test('P10 roll: one that does not become healthy takes the new ones away, and the old ones go on', async (t) => {
  const docker = await fakeDocker(t, 2, ['unhealthy']);
  const { code, stderr } = await roll({ ...docker.env, ROLL_PATIENCE: '2' });
  assert.equal(code, 1);
  assert.match(stderr, /not healthy.*\nits last line|not healthy/);
  const { containers: left, done } = await docker.state();
  assert.deepEqual(done, ['up 4', 'rm new1 new2']);
  assert.deepEqual(
    left.map(({ id }) => id),
    ['old1', 'old2'],
  );
});

function check(line: string): void {
  const words = line.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  const [program = '', ...rest] = words;
  if (program === 'docker') return checkDocker(rest, line);
  if (program === 'railway') return checkRailway(rest, line);
  assert.ok(OTHERS.has(program), line);
  if (program.startsWith('./')) assert.ok(existsSync(path.join(projectRoot, program)), line);
  if (program === 'cp' || program === 'node') assert.ok(existsSync(path.join(projectRoot, rest[0] ?? '')), line);
}

function checkDocker([verb = '', ...rest]: string[], line: string): void {
  if (verb !== 'compose') {
    assert.ok(DOCKER_VERBS.has(verb), line);
    if (['logs', 'exec', 'restart'].includes(verb))
      assert.ok(
        rest.some((word) => containers.has(word)),
        line,
      );
    if (verb === 'cp') assert.ok(containers.has(rest[0]?.split(':')[0] ?? ''), line);
    if (verb === 'network') assert.ok((rest[1] ?? '').replace(`${compose.name}_`, '') in compose.networks, line);
    return;
  }
  // each file after a flag of its own, and one at least
  const flags = rest.findIndex((word, index) => index % 2 === 0 && word !== '-f');
  assert.ok(flags >= 2, line);
  for (const file of rest.slice(0, flags).filter((word) => word !== '-f')) assert.ok(existsSync(path.join(projectRoot, file)), line);
  const [command = '', ...args] = rest.slice(flags);
  const options = COMPOSE_VERBS[command];
  assert.ok(options, line);
  const names = withoutOptions(args, options, line);
  const services = command === 'exec' || command === 'run' ? names.slice(0, 1) : names;
  for (const service of services) assert.ok(service in compose.services, `${line}: ${service}`);
  if (command === 'exec') checkInside(names.slice(1), line);
}

/** What is run in a container: our commands, or those of Redis and Postgres. */
function checkInside([program = '', ...args]: string[], line: string): void {
  if (program === 'redis-cli' || program === 'smoke' || program === 'psql') return;
  assert.equal(program, 'admin', line);
  assert.ok(
    [...COMMANDS, ...LOCAL_COMMANDS].some(({ name }) => args.join(' ').startsWith(name)),
    line,
  );
}

function checkRailway(words: string[], line: string): void {
  const verb = Object.keys(RAILWAY_VERBS).find((each) => words.join(' ').startsWith(each)) ?? '';
  const options = RAILWAY_VERBS[verb];
  assert.ok(options, line);
  for (const [index, word] of words.entries()) {
    if (word === '--') break;
    if (word.startsWith('-')) assert.ok(options.includes(word) || options.includes(`${word}=`), `${line}: ${word}`);
    if (word === '--service') assert.ok(([...SERVICES] as string[]).includes(words[index + 1] ?? ''), line);
  }
}

function withoutOptions(words: string[], options: string[], line: string): string[] {
  const names: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    // What follows the first name in exec belongs to the program inside.
    if (names.length > 0 || !word.startsWith('-')) names.push(word);
    else if (options.includes(`${word}=`)) index += 1;
    else assert.ok(options.includes(word), `${line}: ${word}`);
  }
  return names;
}

function codeBlocks(file: string, language: string): string[] {
  const found = readProject(file).matchAll(new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^\\1\`\`\`$`, 'gm'));
  return [...found].map(([, indent = '', code = '']) => code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function roll(env: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = { cwd: projectRoot, env: { ...env, ROLL_EVERY: '0' } };
    execFile(path.join(projectRoot, 'scripts/deploy/roll-compose.sh'), [], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}
