/** What /health and /ready say when parts are away, behind, or wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openContext } from '../../src/context.ts';
import { deepHealth } from '../../src/watch/health.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { EventEmitter } from 'node:events';
import { queueReplies, states } from '../support/sends.ts';
import { startSite } from '../support/site.ts';
import { configOf, startSystem, testEnvironment, testLogger } from '../support/system.ts';

type Body = Record<string, unknown> & { checks: Record<string, string>; reasons: string[] };

async function get(url: string): Promise<{ status: number; body: Body }> {
  const answer = await fetch(url);
  return { status: answer.status, body: (await answer.json()) as Body };
}

async function setVersion(system: { query(sql: string): Promise<unknown> }, version: string): Promise<void> {
  await system.query(
    `create or replace function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('${version}'::text) $$`,
  );
}

test('H1 H2 H5 with everything there: healthy and ready, with the keys that others read', async (t) => {
  const system = await startSystem(t, { workers: 0, queue: 'redis', env: { GIT_SHA: 'abc1234' } });
  await system.query(
    `insert into process_status (id, mode, version, started_at, seen_at) values ('w', 'worker', '1', now(), now()), ('s', 'scheduler', '1', now(), now())`,
  );
  const deep = await get(`${system.url}/health/deep`);
  assert.equal(deep.status, 200);
  const { version, build_time, ...rest } = deep.body;
  assert.match(String(version), /^\d+\.\d+\.\d+/);
  assert.equal(build_time, null);
  assert.deepEqual(rest, {
    status: 'healthy',
    service: 'Agente Julia',
    environment: 'test',
    git_sha: 'abc1234',
    checks: { redis: 'ok', supabase: 'ok', migrations: 'ok', project: 'ok' },
    reasons: [],
  });
  for (const path of ['/ready', '/health/ready']) {
    assert.deepEqual(await get(system.url + path), {
      status: 200,
      body: { ready: true, checks: { db: 'ok', redis: 'ok', queue: 'ok', migrations: 'ok' } },
    });
  }
  assert.equal((await get(`${system.url}/health`)).body['status'], 'healthy');
});

test('H2 H5 Redis goes away: /health stays, /ready and /health/deep say 503 and redis, and come back by themselves', async (t) => {
  const system = await startSystem(t, { workers: 0, queue: 'redis' });
  await system.redis?.kill();
  assert.equal((await get(`${system.url}/health`)).status, 200);
  const ready = await get(`${system.url}/ready`);
  assert.deepEqual([ready.status, ready.body['ready'], ready.body.checks['redis'], ready.body.checks['db']], [503, false, 'down', 'ok']);
  const deep = await get(`${system.url}/health/deep`);
  assert.deepEqual(
    [deep.status, deep.body['status'], deep.body.checks['redis'], deep.body.checks['supabase']],
    [503, 'unhealthy', 'down', 'ok'],
  );
  assert.match(deep.body.reasons[0] ?? '', /Redis/);
  await system.redis?.restart();
  await system.until(
    async () =>
      (await get(`${system.url}/ready`)).status === 200 || (setImmediate(() => system.simulator.addContact({ name: 'again' })), null),
    'ready again',
  );
});

test('H1 H2 H5 Postgres goes away: /health stays, the others say 503 without an exception text, and come back by themselves', async (t) => {
  const site = await startSite(t);
  const api = await site.startReady('api');
  await site.databaseDoor(false);
  assert.equal((await get(`${api.url}/health`)).status, 200);
  const ready = await get(`${api.url}/ready`);
  assert.deepEqual(
    [ready.status, ready.body['ready'], ready.body.checks['db'], ready.body.checks['migrations']],
    [503, false, 'down', 'down'],
  );
  const deep = await get(`${api.url}/health/deep`);
  assert.deepEqual([deep.status, deep.body['status'], deep.body.checks['supabase']], [503, 'unhealthy', 'down']);
  assert.ok(!/ECONN|127\.0\.0\.1/.test(JSON.stringify(deep.body)), JSON.stringify(deep.body));
  for (const path of ['/health/rate', '/health/circuit', '/health/jobs', '/health/queue'])
    assert.equal((await get(api.url + path)).status, 503, path);
  await site.databaseDoor(true);
  await site.until(
    async () => (await get(`${api.url}/ready`)).status === 200 || (setImmediate(() => site.simulator.addContact({ name: 'again' })), null),
    'ready again',
  );
  api.signal('SIGTERM');
  assert.equal(await api.ended, 0);
});

test('H2 H5 a database that never answers is told as down, in bounded time', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`create or replace function schema_version() returns jsonb language sql as $$ select to_jsonb(pg_sleep(60)::text) $$`);
  const ready = await get(`${system.url}/ready`);
  assert.deepEqual([ready.status, ready.body.checks['db']], [503, 'down']);
  await system.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%schema_version%' and pid <> pg_backend_pid()`,
  );
});

test('D1 H5 older schema: not ready, says which command helps; a newer one (N-1 code on schema N) is ready and works', async (t) => {
  const system = await startSystem(t);
  await setVersion(system, '20200101000000');
  const behind = await get(`${system.url}/ready`);
  assert.deepEqual(
    [behind.status, behind.body['ready'], behind.body.checks['migrations'], behind.body.checks['db']],
    [503, false, 'behind', 'ok'],
  );
  const deep = await get(`${system.url}/health/deep`);
  assert.deepEqual([deep.status, deep.body.checks['migrations']], [503, 'behind']);
  assert.match(deep.body.reasons.join(), /npm run migrate/);

  // Schema N: a column, an argument with a default, a table more.
  await setVersion(system, '20991231000000');
  await system.query('alter table messages add column of_tomorrow text; create table of_tomorrow (tenant_id text)');
  assert.equal((await get(`${system.url}/ready`)).status, 200);
  assert.notEqual((await get(`${system.url}/health/deep`)).status, 503);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Olá!' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.dump()).some((line) => line === 'out agent delivered: Olá!'), 'an answer');
});

test('H2 what is wrong although all answers is told in words, and is degraded, not down', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const reasons = async () => {
    const { status, body } = await get(`${system.url}/health/deep`);
    assert.equal(status, 200);
    assert.equal(body['status'], body.reasons.length > 0 ? 'degraded' : 'healthy');
    return body.reasons.join('\n');
  };
  assert.match(await reasons(), /no worker.*\n.*no scheduler/);
  await system.query(
    `insert into process_status (id, mode, version, started_at, seen_at) values ('w', 'worker', '1', now(), now()), ('s', 'scheduler', '1', now(), now())`,
  );
  assert.equal(await reasons(), '');
  // P12: a worker that is silent for a minute is not there
  await system.query(`update process_status set seen_at = now() - interval '61 seconds' where id = 'w'`);
  assert.match(await reasons(), /no worker/);
  await system.query(`update process_status set seen_at = now() where id = 'w'`);
  await system.query(`update instances set status = 'close'`);
  assert.match(await reasons(), /julia-dev is disconnected/);
  await system.query(`update instances set status = 'open'`);
  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'teste')`);
  assert.match(await reasons(), /paused/);
  await system.query(`insert into julia_status (status) values ('ativo')`);
  assert.equal(await reasons(), '');
});

test('H5 a process that is stopping is not ready any more', async (t) => {
  const { createApp } = await import('../../src/routes/http.ts');
  const system = await startSystem(t, { workers: 0 });
  const state = { config: system.config, context: system.ctx, stopping: false };
  const app = createApp(state, system.ctx.log, () => {});
  assert.equal((await app.request('/ready')).status, 200);
  state.stopping = true;
  const answer = await app.request('/ready');
  assert.deepEqual([answer.status, ((await answer.json()) as { ready: boolean }).ready], [503, false]);
});

test('H2 a database of another project: nothing is written and nothing leaves, /health/deep says why, and it goes on once that is mended', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SUPABASE_PROJECT_REF: 'ours' } });
  const deep = async () => {
    const answer = await fetch(`${system.url}/health/deep`);
    return { status: answer.status, body: (await answer.json()) as { checks: { project: string }; reasons: string[] } };
  };
  assert.equal((await deep()).body.checks.project, 'ok');
  // While at work: no send.
  await system.query(`insert into installation (key, value) values ('project_ref', 'theirs')`);
  const { conversation, ids } = await queueReplies(system, '5511912345678', ['Certo!']);
  assert.equal((await sendNext(system.ctx, conversation)).kind, 'wait');
  assert.deepEqual(await states(system, ids), ['queued(wrong_project)']);
  const found = await deep();
  assert.deepEqual([found.status, found.body.checks.project], [503, 'wrong_project']);
  // At a start: it waits, and has written nothing.
  await system.query('delete from agents');
  const why = Promise.withResolvers<string>();
  const env = { ...testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: null, simulator: system.simulator }), RUN_MODE: 'worker' };
  const config = configOf({ ...env, SUPABASE_PROJECT_REF: 'ours' });
  const opening = openContext(config, testLogger([], new EventEmitter()), { onWait: why.resolve });
  const waiting = await why.promise;
  const told = await deepHealth(config, null, true, waiting);
  assert.deepEqual([told.status, told.checks.project, told.reasons], ['unhealthy', 'wrong_project', [waiting]]);
  assert.match(waiting, /SUPABASE_PROJECT_REF/);
  assert.deepEqual(await system.query('select 1 from agents'), []);
  await system.query(`update installation set value = 'ours'`);
  await (await opening)[Symbol.asyncDispose]();
});
