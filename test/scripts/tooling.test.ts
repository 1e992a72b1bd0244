import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import pg from 'pg';

import { removePostgresData, startPostgres } from '../../scripts/lib/embedded-postgres.ts';
import { processAlive, startGuarded, waitForExit } from '../../scripts/lib/guarded-process.ts';
import { installationEnvironment, startMode } from '../../scripts/lib/installation.ts';
import { lockHolder, releaseLock, takeLock } from '../../scripts/lib/lock.ts';
import { freePort, portNear, portTaken } from '../../scripts/lib/ports.ts';
import { startRedis } from '../../scripts/lib/redis.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { emptyDatabase, testDatabase } from '../support/database.ts';

const run = promisify(execFile);

test('postgres: keeps its data over a second start, a crash and a restart, and refuses a second server on the same data', async () => {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await postgresDirectory(cleanup);
  const first = await startPostgres({ dataDir, durable: false });
  await query(first.url, 'create table kept (n int)');
  await query(first.url, 'insert into kept values (7)');
  await first.stop();
  assert.equal(await first.exited(), 0);

  const second = await startPostgres({ dataDir, durable: false });
  cleanup.defer(() => second.stop());
  assert.deepEqual(await query(second.url, 'select n from kept'), [{ n: 7 }]);
  const encoding = `select pg_encoding_to_char(encoding) as encoding, datcollate from pg_database where datname = 'postgres'`;
  assert.deepEqual(await query(second.url, encoding), [{ encoding: 'UTF8', datcollate: 'C' }]);

  await second.kill();
  await second.restart();
  assert.deepEqual(await query(second.url, 'select n from kept'), [{ n: 7 }]);

  const rival = node(`
    import { startPostgres } from ${JSON.stringify(module('embedded-postgres.ts'))};
    await startPostgres({ dataDir: ${JSON.stringify(dataDir)} }).then((server) => server.stop(), (error) => console.log(error.message));
  `);
  assert.match(await firstLine(rival), /already runs on/);
  assert.deepEqual(await query(second.url, 'select n from kept'), [{ n: 7 }]);
});

test('postgres: SIGKILL of its starter ends the server, and the next start finds the data', async () => {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await postgresDirectory(cleanup);
  const starter = node(`
    import { startPostgres } from ${JSON.stringify(module('embedded-postgres.ts'))};
    const server = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, durable: false });
    console.log(server.pid() + ' ' + server.url);
  `);
  const [pid, url = ''] = (await firstLine(starter)).split(' ');
  await query(url, 'create table kept as select 7 as n');
  await killHard(starter);
  assert.equal(await waitForExit(Number(pid), 10_000), true, 'the server outlived its starter');

  const next = await startPostgres({ dataDir, durable: false });
  cleanup.defer(() => next.stop());
  assert.deepEqual(await query(next.url, 'select n from kept'), [{ n: 7 }]);
});

test('postgres: a server whose starter and guard were both killed is stopped by the next start', async () => {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await postgresDirectory(cleanup);
  const starter = node(`
    import { startPostgres } from ${JSON.stringify(module('embedded-postgres.ts'))};
    const server = await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, durable: false });
    console.log(server.pid());
  `);
  const orphan = Number(await firstLine(starter));
  // the guard is the server's parent and leads its own process group: the shell and its watcher, and the server itself
  const guard = Number((await readFile(`/proc/${orphan}/stat`, 'utf8')).split(' ')[3]);
  // In one look: the server's own children come and go, and none of them is meant.
  const group = (await run('ps', ['-o', 'pid=,ppid=', '-g', String(guard)])).stdout.trim().split('\n');
  const guards = group.map((line) => line.trim().split(/\s+/).map(Number)).filter(([pid, parent]) => pid !== orphan && parent !== orphan);
  // The guard last: at its end the starter closes the pipe, and a watcher that still lives stops the server in order.
  for (const [pid = 0] of guards.toSorted(([a], [b]) => Number(a === guard) - Number(b === guard)))
    if (processAlive(pid)) process.kill(pid, 'SIGKILL');
  await killHard(starter);
  assert.equal(processAlive(orphan), true, 'the test needs an orphan');

  const lines: string[] = [];
  const next = await startPostgres({ dataDir, durable: false, log: (line) => lines.push(line) });
  cleanup.defer(() => next.stop());
  assert.equal(processAlive(orphan), false);
  assert.ok(lines.some((line) => line.includes(`earlier run left (pid ${orphan})`)));
});

test('postgres: a stale postmaster.pid with the number of a foreign process is no obstacle', async () => {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await postgresDirectory(cleanup);
  const first = await startPostgres({ dataDir, durable: false });
  const pidFile = path.join(dataDir, 'cluster/postmaster.pid');
  const content = await readFile(pidFile, 'utf8');
  await first.stop();
  // Postgres itself sees through a process of another account; one of its own account it takes for a server.
  const { uid, gid } = await stat(path.join(dataDir, 'cluster/'));
  const foreign = await startGuarded('/bin/sleep', ['1000'], { stopSignal: 'TERM', uid, gid });
  cleanup.defer(() => foreign.stop());
  await writeFile(pidFile, content.replace(/^\d+/, String(foreign.pid)));
  await chown(pidFile, uid, gid);

  const second = await startPostgres({ dataDir, durable: false });
  cleanup.defer(() => second.stop());
  assert.deepEqual(await query(second.url, 'select 1 as one'), [{ one: 1 }]);
});

test('database: each test gets a migrated one of its own, or an empty one, and it is gone afterwards', async () => {
  const tables = `select count(*)::int as n from pg_tables where schemaname = 'public'`;
  const [first, second, empty] = await Promise.all([testDatabase(), testDatabase(), emptyDatabase()]);
  assert.notEqual(first.url, second.url);
  await query(first.url, 'create table only_here ()');
  const migrated = ((await query(second.url, tables)) as { n: number }[])[0]?.n ?? 0;
  assert.ok(migrated > 0);
  assert.deepEqual(await query(first.url, tables), [{ n: migrated + 1 }]);
  assert.deepEqual(await query(empty.url, tables), [{ n: 0 }]);

  await Promise.all([first.close(), second.close(), empty.close()]);
  await first.close();
  await assert.rejects(query(first.url, 'select 1'), /does not exist/);
});

test('redis: answers, flushes, restarts empty or with its data, and refuses a taken port', async () => {
  await using cleanup = new AsyncDisposableStack();
  const dir = await temporaryDirectory(cleanup);
  const server = await startRedis({ dir, persistent: true });
  cleanup.defer(() => server.stop());
  assert.equal(await redis(server.url, (client) => client.set('key', 'value')), 'OK');
  await server.restart();
  assert.equal(await redis(server.url, (client) => client.get('key')), 'value');
  await server.flush();
  assert.equal(await redis(server.url, (client) => client.get('key')), null);

  await server.kill();
  assert.equal(await portTaken(server.port), false);
  await server.restart();
  await assert.rejects(startRedis({ dir: path.join(dir, 'second'), port: server.port }), /did not start on port/);

  const forgetful = await startRedis({ dir: path.join(dir, 'forgetful') });
  cleanup.defer(() => forgetful.stop());
  await redis(forgetful.url, (client) => client.set('key', 'value'));
  await forgetful.restart();
  assert.equal(await redis(forgetful.url, (client) => client.get('key')), null);
});

test('guard: passes on lines and exit codes, and stops with the wished signal', async () => {
  const lines: string[] = [];
  const failing = await startGuarded('/bin/sh', ['-c', 'echo out; echo err >&2; exit 3'], {
    stopSignal: 'TERM',
    log: (line) => lines.push(line),
  });
  assert.equal(await failing.exited, 3);
  assert.deepEqual(lines.sort(), ['err', 'out']);

  const ready = Promise.withResolvers<void>();
  const program = `process.on('SIGTERM', () => process.exit(42)); setInterval(() => {}, 1e6); console.log('ready')`;
  const stopped = await startGuarded(process.execPath, ['-e', program], { stopSignal: 'TERM', log: () => ready.resolve() });
  await ready.promise;
  await stopped.stop();
  assert.equal(await stopped.exited, 42);
});

test('P3 installation: a mode gets its map, its mode and its port, and nothing of the caller but the search path; the map stands in one file', async () => {
  process.env['EVOLUTION_API_KEY'] = 'the key of a real installation';
  const parts = { databaseUrl: 'postgres://of/none', redisUrl: 'redis://of/none', simulator: { url: 'http://sim', apiKey: 'its-key' } };
  const map = installationEnvironment({ environment: 'test', instance: 'a-number', ...parts });
  const inPostgres = installationEnvironment({ environment: 'production', instance: 'a-number', ...parts, redisUrl: null });
  assert.deepEqual(
    Object.keys(map).filter((name) => !(name in inPostgres)),
    ['REDIS_URL', 'OUTBOUND_ALLOWLIST'],
  );
  const told = Promise.withResolvers<Record<string, string>>();
  const mode = await startMode(
    'worker',
    { ...map, OWN: '1' },
    {
      port: 9001,
      command: [process.execPath, '-p', 'JSON.stringify(process.env)'],
      log: (line) => told.resolve(JSON.parse(line) as Record<string, string>),
    },
  );
  delete process.env['EVOLUTION_API_KEY'];
  // the guard's shell has its own
  const { PATH, PWD: _, SHLVL: _level, OLDPWD: _old, ...rest } = await told.promise;
  assert.equal(await mode.exited, 0);
  assert.equal(PATH?.split(':')[0], path.dirname(process.execPath));
  assert.deepEqual(rest, { ...map, OWN: '1', RUN_MODE: 'worker', PORT: '9001' });

  const { stdout } = await run('git', ['grep', '-l', 'EVOLUTION_API_URL:', '--', 'bench', 'chaos', 'scripts', 'test/support'], {
    cwd: projectRoot,
  });
  // support/config.ts: an environment that is read and never started
  assert.deepEqual(stdout.trim().split('\n'), ['scripts/lib/installation.ts', 'test/support/config.ts']);
});

test('lock: one holder at a time; a dead holder, or a foreign process with its number, does not count', async () => {
  await using cleanup = new AsyncDisposableStack();
  const file = path.join(await temporaryDirectory(cleanup), 'lock');
  assert.equal(await takeLock(file), true);
  assert.equal(await lockHolder(file), process.pid);
  assert.equal(await takeLock(file), false);
  await releaseLock(file);

  // pid 1 lives, but did not start at this tick
  await writeFile(file, '1 123456789');
  assert.equal(await lockHolder(file), null);
  assert.equal(await takeLock(file), true);
});

test('ports: the next free one is found when the wished one is taken', async () => {
  const wished = await freePort();
  assert.equal(await portNear(wished), wished);
  assert.notEqual(await portNear(wished, new Set([wished])), wished);
});

test('lint: every import rule of the tiers rejects a planted import, and allows what it should', async () => {
  await using cleanup = new AsyncDisposableStack();
  const reports = await lint(cleanup, {
    'src/telemetry.ts': 'export const telemetry = 1;',
    'src/process/errors.ts': `export const home = process.env['HOME'];`,
    'src/config.ts': `export const home = process.env['HOME'];`,
    'src/context.ts': `import { telemetry } from './telemetry.ts';\nexport type Context = typeof telemetry;\nexport const context = telemetry;`,
    'src/turns/agent.ts': `import { send } from '../outbox/send.ts';\nexport const agent = send;`,
    'src/turns/turn.ts': `import { agent } from './agent.ts';\nimport type { Context } from '../context.ts';\nexport const turn = (context: Context) => [agent, context];`,
    'src/inbox/receive.ts': `import { turn } from '../turns/turn.ts';\nexport const receive = turn;`,
    'src/inbox/rows.ts': `import { home } from '../config.ts';\nimport { context } from '../context.ts';\nexport const rows = [context, home];`,
    'src/outbox/send.ts': `import { alerts } from '../watch/alerts.ts';\nexport const send = alerts;`,
    'src/watch/alerts.ts': `import { door } from '../db/door.ts';\nexport const alerts = door;`,
    'src/people/users.ts': `import { post } from '../routes/post.ts';\nexport const users = post;`,
    'src/routes/post.ts': `import { turn } from '../turns/turn.ts';\nexport const post = turn;`,
    'src/db/door.ts': `import type { Users } from '../people/users.ts';\nimport { a } from '../words/a.ts';\nexport const door = (users: Users) => [users, a];`,
    'src/words/a.ts': `import { z } from 'zod';\nimport { b } from './b.ts';\nexport const a = [z, b];`,
    'src/words/b.ts': 'export const b = 1;',
    'src/helpers/c.ts': `import { b } from '../words/b.ts';\nexport const c = b;`,
    'src/backup/load.ts': `export const load = () => import('../crons/backup.ts');`,
    'src/crons/backup.ts': `import { rows } from '../inbox/rows.ts';\nexport const backup = rows;`,
  });
  assert.deepEqual(reports.get('tiers'), [
    'src/backup/load.ts',
    'src/context.ts',
    'src/db/door.ts',
    'src/helpers/c.ts',
    'src/inbox/receive.ts',
    'src/inbox/rows.ts',
    'src/outbox/send.ts',
    'src/people/users.ts',
    'src/turns/agent.ts',
  ]);
  assert.deepEqual(reports.get('no-process-env'), ['src/process/errors.ts']);
});

test('lint: what is pure by its name reads no clock, draws no random number, reaches no process', async () => {
  await using cleanup = new AsyncDisposableStack();
  const reports = await lint(cleanup, {
    'src/turns/decide.ts': 'export const now = [Date.now(), new Date(), Date()];',
    'src/words/pure.ts': 'export const pure = (ms: number) => [new Date(ms), Date.parse("2026-01-01"), Math.max(1, ms)];',
    'src/inbox/random-words.ts': 'export const random = Math.random();',
    'src/people/process-texts.ts': 'export const pid = process.pid;',
    'src/claude/prices.ts': `import { readFileSync } from 'node:fs';\nexport const prices = readFileSync;`,
    'src/words/kinds.ts': `import type { Door } from '../db/door.ts';\nimport { pure } from './pure.ts';\nexport const kinds = (door: Door) => [pure, door];`,
    'src/words/impure.ts': `import { door } from '../db/door.ts';\nexport const impure = door;`,
    'src/db/door.ts': 'export const door = 1;\nexport type Door = typeof door;',
    'src/shell.ts': 'export const now = [Date.now(), new Date(), Math.random()];',
  });
  assert.deepEqual(reports.get('no-clock'), ['src/turns/decide.ts', 'src/turns/decide.ts']);
  assert.deepEqual(reports.get('no-restricted-properties'), ['src/inbox/random-words.ts', 'src/turns/decide.ts']);
  assert.deepEqual(reports.get('no-restricted-globals'), ['src/people/process-texts.ts']);
  assert.deepEqual(reports.get('pure-imports'), ['src/claude/prices.ts', 'src/words/impure.ts']);
});

test('lint: floating promises, any and default exports are errors', async () => {
  await using cleanup = new AsyncDisposableStack();
  const reports = await lint(cleanup, {
    'src/floating.ts': 'export function go(): void {\n  Promise.resolve(1);\n}',
    'src/any.ts': 'export const value: any = 1;',
    'src/default.ts': 'const value = 1;\nexport default value;',
    'test/fine.test.ts': `import { test } from 'node:test';\ntest('a title', () => {});`,
  });
  assert.deepEqual(reports.get('no-floating-promises'), ['src/floating.ts']);
  assert.deepEqual(reports.get('no-explicit-any'), ['src/any.ts']);
  assert.deepEqual(reports.get('no-default-export'), ['src/default.ts']);
});

for (const [command, expected] of [
  [
    'python -m app.workers.fila_worker',
    'node --max-semi-space-size=2 --heap-growing-percent=25 --import ./src/telemetry.ts src/main.ts RUN_MODE=worker',
  ],
  [
    'python -m app.workers fila',
    'node --max-semi-space-size=2 --heap-growing-percent=25 --import ./src/telemetry.ts src/main.ts RUN_MODE=worker',
  ],
  [
    'python -m app.workers.scheduler',
    'node --max-semi-space-size=2 --heap-growing-percent=25 --import ./src/telemetry.ts src/main.ts RUN_MODE=scheduler',
  ],
  [
    'python -m app.workers scheduler',
    'node --max-semi-space-size=2 --heap-growing-percent=25 --import ./src/telemetry.ts src/main.ts RUN_MODE=scheduler',
  ],
  [
    'uvicorn app.main:app --host 0.0.0.0 --port 8000',
    'node --max-semi-space-size=8 --heap-growing-percent=40 --import ./src/telemetry.ts src/main.ts RUN_MODE=api',
  ],
  ['', 'node --max-semi-space-size=2 --heap-growing-percent=25 --import ./src/telemetry.ts src/main.ts RUN_MODE=from-outside'],
  ['migrate --status', 'node src/migrate.ts --status RUN_MODE=from-outside'],
  ['admin pause reason', 'node src/admin/cli.ts pause reason RUN_MODE=from-outside'],
  ['node --version', 'node --version RUN_MODE=from-outside'],
] as const) {
  test(`P4 entrypoint: "${command}" runs ${expected}`, async () => {
    await using cleanup = new AsyncDisposableStack();
    const bin = await fakePrograms(cleanup);
    const env = { PATH: `${bin}:${process.env['PATH']}`, RUN_MODE: 'from-outside' };
    const { stdout } = await run(path.join(projectRoot, 'scripts/entrypoint.sh'), command === '' ? [] : command.split(' '), { env });
    assert.equal(stdout.trim(), expected);
  });
}

test('P1 entrypoint: without RUN_MODE none is invented', async () => {
  await using cleanup = new AsyncDisposableStack();
  const bin = await fakePrograms(cleanup);
  const { stdout } = await run(path.join(projectRoot, 'scripts/entrypoint.sh'), [], { env: { PATH: `${bin}:${process.env['PATH']}` } });
  assert.equal(
    stdout.trim(),
    'node --max-semi-space-size=2 --heap-growing-percent=25 --import ./src/telemetry.ts src/main.ts RUN_MODE=unset',
  );
});

async function temporaryDirectory(cleanup: AsyncDisposableStack): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'whats-agents-test-'));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Cleans up what lies outside of it too. */
async function postgresDirectory(cleanup: AsyncDisposableStack): Promise<string> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'whats-agents-test-'));
  // the server's account must be able to enter
  await chmod(dataDir, 0o755);
  cleanup.defer(() => removePostgresData(dataDir));
  return dataDir;
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

async function redis<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

function module(file: string): string {
  return path.join(projectRoot, 'scripts/lib', file);
}

function node(code: string): ChildProcess {
  return spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: projectRoot,
  });
}

function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const lines = createInterface({ input: child.stdout });
  return new Promise((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`ended with code ${code} before it said anything`)));
  });
}

async function killHard(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Runs the project's linter with the project's rules over a small tree. Returns the files of the reports by rule, sorted. */
async function lint(cleanup: AsyncDisposableStack, files: Record<string, string>): Promise<Map<string, string[]>> {
  const root = await temporaryDirectory(cleanup);
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json', 'scripts/lint/plugin.js']) {
    await cp(path.join(projectRoot, file), path.join(root, file), { recursive: true });
  }
  await symlink(path.join(projectRoot, 'node_modules'), path.join(root, 'node_modules'));
  for (const [file, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), `${text}\n`);
  }
  const oxlint = path.join(projectRoot, 'node_modules/.bin/oxlint');
  const { stdout } = await run(
    oxlint,
    ['-f', 'json', 'src', 'test'].filter((each) => each !== 'test' || 'test/fine.test.ts' in files),
    { cwd: root },
  ).catch(
    // it exits 1 when it reports something
    (error: { stdout: string }) => error,
  );
  const report: { diagnostics: { code: string; filename: string }[] } = JSON.parse(stdout);
  const byRule = new Map<string, string[]>();
  for (const { code, filename } of report.diagnostics) {
    const rule = /\((.*)\)/.exec(code)?.[1] ?? code;
    byRule.set(rule, [...(byRule.get(rule) ?? []), filename].sort());
  }
  return byRule;
}

/** `node` and `npm` that only say how they were called. */
async function fakePrograms(cleanup: AsyncDisposableStack): Promise<string> {
  const bin = await temporaryDirectory(cleanup);
  for (const name of ['node', 'npm']) {
    await writeFile(path.join(bin, name), `#!/bin/sh\necho "${name} $* RUN_MODE=\${RUN_MODE-unset}"\n`);
    await chmod(path.join(bin, name), 0o755);
  }
  return bin;
}
