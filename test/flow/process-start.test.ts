/** How a process begins: by mode, with or without what it needs. Real processes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { startProgram } from '../support/process.ts';
import { startSite } from '../support/site.ts';

/** Says each connection that the program tries to make. */
const TELL_CONNECTIONS = `--import=data:text/javascript,${encodeURIComponent(
  `import net from 'node:net'; const real = net.Socket.prototype.connect;
   net.Socket.prototype.connect = function (...args) { console.error('CONNECTS'); return real.apply(this, args); };`,
)}`;
const COMPLETE = {
  ENVIRONMENT: 'test',
  DATABASE_URL: 'postgres://nobody:a-password@127.0.0.1:1/none',
  REDIS_URL: 'redis://:redis-password@127.0.0.1:1',
  EVOLUTION_API_URL: 'http://127.0.0.1:1',
  EVOLUTION_API_KEY: 'an-evolution-key',
  EVOLUTION_INSTANCE: 'julia-dev',
  ANTHROPIC_API_KEY: 'an-anthropic-key',
};

async function ends(t: TestContext, env: Record<string, string>) {
  const program = startProgram(t, 'src/main.ts', { env });
  const code = await program.ended;
  return { code, lines: program.lines(), stderr: program.stderr, stdout: program.stdout.join('\n') };
}

test('P1 without RUN_MODE it says so, ends with 1 and opens no connection', async (t) => {
  for (const env of [{}, { RUN_MODE: '' }]) {
    const { code, lines, stderr } = await ends(t, { ...COMPLETE, ...env, NODE_OPTIONS: TELL_CONNECTIONS });
    assert.equal(code, 1);
    assert.deepEqual(
      lines.map(({ level, message }) => [level, message]),
      [['CRITICAL', 'RUN_MODE environment variable is required!']],
    );
    assert.deepEqual(stderr, []);
  }
  // The same preload does tell: a mode that starts does connect.
  const worker = startProgram(t, 'src/main.ts', { env: { ...COMPLETE, RUN_MODE: 'worker', NODE_OPTIONS: TELL_CONNECTIONS } });
  await worker.line('Waiting for the database');
  worker.signal('SIGKILL');
  await worker.ended;
  assert.ok(worker.stderr.includes('CONNECTS'));
});

test('P1 a missing mode is told at once: in some starts of node, not in some seconds', async (t) => {
  const time = async (file: string, args: string[]) => {
    const took = [];
    for (let round = 0; round < 3; round++) {
      const started = performance.now();
      await startProgram(t, file, { args }).ended;
      took.push(performance.now() - started);
    }
    return Math.min(...took);
  };
  const floor = await time('test/fixtures/nothing.js', []);
  const ratio = (await time('src/main.ts', [])) / floor;
  // 2 s on a machine on which node starts in 0.1 s
  assert.ok(ratio < 20, `${ratio.toFixed(1)} starts of node`);
});

test('P2 a wrong mode is told exactly, whatever looks like one', async (t) => {
  const modes = ['foo', 'API', ' api', 'worker ', 'admin'];
  const runs = await Promise.all(modes.map((mode) => ends(t, { ...COMPLETE, RUN_MODE: mode, NODE_OPTIONS: TELL_CONNECTIONS })));
  for (const [index, { code, lines, stderr }] of runs.entries()) {
    const mode = modes[index] ?? '';
    assert.equal(code, 1, mode);
    assert.equal(lines[0]?.message, `ERROR: Invalid RUN_MODE: ${mode}`);
    assert.deepEqual(stderr, []);
  }
});

test('P7 all that is wrong is listed at once, by name, without a value', async (t) => {
  const { code, lines, stdout, stderr } = await ends(t, {
    RUN_MODE: 'api',
    ENVIRONMENT: 'production',
    PORT: 'port-value',
    DATABASE_URL: 'mysql://user:database-password@host/x',
    EVOLUTION_API_URL: 'evolution-value',
    EVOLUTION_WEBHOOK_SECRET: 'short-value',
    JWT_SECRET_KEY: 'jwt-value',
    SUPABASE_URL: 'https://project.example.com',
    DEBOUNCE_MS: 'debounce-value',
  });
  assert.equal(code, 1);
  assert.equal(lines.length, 1);
  for (const name of [
    'PORT',
    'DATABASE_URL',
    'EVOLUTION_API_URL',
    'EVOLUTION_API_KEY',
    'EVOLUTION_INSTANCE',
    'EVOLUTION_WEBHOOK_SECRET',
    'JWT_SECRET_KEY',
    'SUPABASE_SERVICE_KEY',
    'DEBOUNCE_MS',
  ]) {
    assert.match(lines[0]?.message ?? '', new RegExp(`(^|[\\n ,])${name}\\b`), name);
  }
  assert.ok(!/-value|database-password|project\.example/.test(stdout), stdout);
  assert.deepEqual(stderr, []);
});

test('P7 in production no default leads to this machine', async (t) => {
  const { lines } = await ends(t, { RUN_MODE: 'worker', ENVIRONMENT: 'production' });
  assert.match(lines[0]?.message ?? '', /DATABASE_URL.*EVOLUTION_API_URL/s);
  assert.ok(!/localhost|127\.0\.0\.1/.test(lines[0]?.message ?? ''));
});

test('P3 P11 P14 H1 the api answers /health before its database is there, by its PORT, and tells which build it is', async (t) => {
  const site = await startSite(t);
  await site.databaseDoor(false);
  const api = await site.start('api', { GIT_SHA: 'abc1234', BUILD_TIME: '2026-11-23T08:00:00Z' });
  await api.line('Waiting for the database');
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  assert.deepEqual(await get(`${api.url}/health`), [200, { status: 'healthy', service: 'Agente Julia', version, environment: 'test' }]);
  const [readyStatus, ready] = await get(`${api.url}/ready`);
  assert.deepEqual([readyStatus, ready['ready']], [503, false]);
  const [deepStatus, deep] = await get(`${api.url}/health/deep`);
  assert.deepEqual(
    [
      deepStatus,
      deep['status'],
      deep['version'],
      deep['git_sha'],
      deep['build_time'],
      (deep['checks'] as Record<string, string>)['supabase'],
    ],
    [503, 'unhealthy', version, 'abc1234', '2026-11-23T08:00:00Z', 'down'],
  );
  // A webhook is not accepted before it can be kept: it waits for the start, for some seconds.
  const waiting = fetch(`${api.url}/webhook/evolution`, {
    method: 'POST',
    headers: { authorization: `Bearer ${site.env['EVOLUTION_WEBHOOK_SECRET']}` },
    body: JSON.stringify({ event: 'chats.update', instance: 'julia-dev', data: [] }),
  });
  await site.databaseDoor(true);
  assert.equal((await waiting).status, 200);
  await api.line('api ready');
  assert.equal((await get(`${api.url}/ready`))[0], 200);
  const built = await get(`${api.url}/health/deep`);
  assert.deepEqual([built[0], built[1]['git_sha'], (built[1]['checks'] as Record<string, string>)['supabase']], [200, 'abc1234', 'ok']);
});

for (const [mode, line] of [
  ['worker', 'Worker started'],
  ['scheduler', 'Scheduler started'],
] as const) {
  test(`P5 ${mode} waits for Postgres in words, without a stack, and says "${line}" when it is there, at LOG_LEVEL=WARNING too`, async (t) => {
    const site = await startSite(t, { env: { LOG_LEVEL: 'WARNING' } });
    await site.databaseDoor(false);
    const program = await site.start(mode);
    const waits = () => program.lines().filter(({ message }) => message === 'Waiting for the database');
    await site.until(() => waits().length >= 3, 'three tries');
    assert.ok(!program.lines().some(({ message }) => message === line));
    const [first, second, third] = waits().map(({ context }) => Number(context['retry_ms']));
    assert.ok(first !== undefined && second !== undefined && third !== undefined && first < second && second < third, 'the wait grows');
    assert.ok(!/\bat .*\(?.*:\d+:\d+/.test(program.stdout.join('\n')), 'no stack trace');
    assert.match(String(waits()[0]?.context['hint']), /ECONNREFUSED/);

    await site.databaseDoor(true);
    const started = await program.line(line);
    assert.equal(started.level, 'INFO');
    assert.ok(!program.lines().some(({ level }) => level === 'DEBUG'));
    assert.deepEqual(program.stderr, []);
    program.signal('SIGTERM');
    assert.equal(await program.ended, 0);
  });
}

test('P3 a PORT that is taken is told by name, and the process ends with 1', async (t) => {
  const site = await startSite(t);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise<void>((resolve) => taken.close(() => resolve())));
  const { port } = taken.address() as { port: number };
  const [api, worker] = await Promise.all([site.start('api', { PORT: String(port) }), site.start('worker', { OPS_PORT: String(port) })]);
  assert.deepEqual(await Promise.all([api.ended, worker.ended]), [1, 1]);
  const last = api.lines().at(-1);
  assert.equal(last?.level, 'CRITICAL');
  assert.match(last.message, new RegExp(`^PORT: ${port} is taken`));
  assert.match(worker.lines().at(-1)?.message ?? '', new RegExp(`${port} is taken`));
});

test('P5 a wrong password or database ends the process with one clear line', async (t) => {
  const site = await startSite(t);
  const wrong = async (part: 'password' | 'pathname', value: string) => {
    const url = new URL(site.env['DATABASE_URL'] ?? '');
    url[part] = value;
    const program = await site.start('worker', { DATABASE_URL: url.href });
    assert.equal(await program.ended, 1);
    assert.equal(program.lines().at(-1)?.level, 'CRITICAL');
    assert.match(program.lines().at(-1)?.message ?? '', /password|no_such_database/);
    assert.ok(!program.stdout.join('\n').includes('not-the-password'));
  };
  await Promise.all([wrong('password', 'not-the-password'), wrong('pathname', '/no_such_database')]);
});

async function get(url: string): Promise<[number, Record<string, unknown>]> {
  const answer = await fetch(url);
  return [answer.status, (await answer.json()) as Record<string, unknown>];
}
