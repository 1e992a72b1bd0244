/** What somebody without a token reads of an installation at work, and what a token opens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gauge } from 'prom-client';
import { SignJWT } from 'jose';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const DETAILED = [
  '/health/deep',
  '/health/rate',
  '/health/circuit',
  '/health/queue',
  '/health/chips',
  '/health/whatsapp',
  '/health/alerts',
  '/health/score',
];
const PUBLIC = ['/health', '/ready', '/health/ready', '/healthz', '/health/jobs', ...DETAILED];
const METRICS = 'a-metrics-token-of-tests';

async function token(tenant: string): Promise<string> {
  return new SignJWT({ sub: 'ana', role: 'sender', tenant })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('5 minutes')
    .sign(new TextEncoder().encode(JWT_SECRET));
}

async function read(system: System, path: string, bearer?: string): Promise<{ status: number; text: string }> {
  const headers: Record<string, string> = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const answer = await fetch(`${system.url}${path}`, { headers });
  return { status: answer.status, text: await answer.text() };
}

/** Two tenants, a number that is away, messages that wait, an alert that fires, money spent. */
async function busy(system: System): Promise<void> {
  await system.query(`insert into tenants (id, name) values ('clinica-z', 'clinica-z')`);
  await system.query(
    `insert into instances (tenant_id, name, status) values ('clinica-z', 'numero-z', 'close'), ('default', 'numero-d', 'close')`,
  );
  for (let n = 0; n < 123; n++)
    await system.query(
      `select enqueue_message(jsonb_build_object('tenant', 'default', 'instance', 'numero-d', 'phone', '5511950000001', 'text', 'x', 'kind', 'manual', 'idempotency_key', $1::text))`,
      [`k${n}`],
    );
  await system.query(
    `insert into alerts (key, name, subject, status, urgent, text, since, seen_at) values ('number_down:numero-d', 'number_down', 'numero-d', 'firing', true, 'O número numero-d caiu', now(), now())`,
  );
}

test('Z13 without a token: status codes and shapes, and neither a name nor a volume nor the words of an alert', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'token', METRICS_TOKEN: METRICS } });
  await busy(system);
  const other = await token('clinica-z');
  for (const bearer of [undefined, other, `${other}x`, METRICS])
    for (const path of PUBLIC) {
      const { status, text } = await read(system, path, bearer);
      assert.equal(status, 200, path);
      assert.doesNotMatch(text, /numero-|clinica|julia-dev|123|caiu/, `${path} ${text}`);
    }
  const deep = JSON.parse((await read(system, '/health/deep')).text) as { status: string; reasons: string[]; checks: object };
  assert.deepEqual([deep.status, Object.keys(deep.checks)], ['degraded', ['redis', 'supabase', 'migrations', 'project']]);
  assert.ok(
    deep.reasons.includes('a number is not at work') && deep.reasons.includes('too many messages wait in the queue'),
    deep.reasons.join(),
  );

  const own = await token('default');
  for (const path of DETAILED.filter((each) => !each.endsWith('/score')))
    assert.match((await read(system, path, own)).text, /numero-d|julia-dev|123/, path);
});

test('Z13 /metrics: 200 for everybody, names and money for METRICS_TOKEN alone', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'token', METRICS_TOKEN: METRICS } });
  await busy(system);
  for (const bearer of [undefined, 'wrong-token-of-tests', await token('clinica-z'), '']) {
    const { status, text } = await read(system, '/metrics', bearer);
    assert.equal(status, 200);
    assert.doesNotMatch(text, /numero-|clinica|julia-dev|tenant=|number=|usd/);
    assert.match(text, /^julia_mensagens_recebidas_total\{mode="api"\} 0$/m);
    assert.match(text, /^julia_numero_conectado\{mode="api"\} 0$/m);
  }
  const all = (await read(system, '/metrics', METRICS)).text;
  assert.match(all, /number="numero-z"/);
  assert.match(all, /julia_custo_24h_usd/);
});

test('Z13 without METRICS_TOKEN nobody reads names there; HEALTH_DETAILS=public opens all of it', async (t) => {
  const closed = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'token' } });
  assert.doesNotMatch((await read(closed, '/metrics', '')).text, /julia-dev/);
  assert.doesNotMatch((await read(closed, '/metrics', await token('default'))).text, /julia-dev/);
  const open = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'public' } });
  assert.match((await read(open, '/metrics')).text, /number="julia-dev"/);
  assert.match((await read(open, '/health/chips')).text, /julia-dev/);
});

test('Z13 a revoked token opens nothing', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'token' } });
  const bearer = await token('default');
  assert.match((await read(system, '/health/chips', bearer)).text, /julia-dev/);
  await system.query('update tokens set revoked_at = now()');
  assert.doesNotMatch((await read(system, '/health/chips', bearer)).text, /julia-dev/);
});

test('Z9 Z13 who asks in a loop has nothing worked out anew: /metrics, /ready and /health/deep', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'token', API_RATE_LIMIT: '0' } });
  let rendered = 0;
  const gauge = new Gauge({ name: 'rendered', help: 'how often', registers: [], collect: () => void rendered++ });
  system.ctx.events.registry.registerMetric(gauge);
  await system.query(
    `create sequence looks; grant usage on sequence looks to public;
     create or replace function schema_version() returns jsonb language sql as $$ select nextval('looks'); select to_jsonb('20991231000000'::text) $$`,
  );
  const looks = async () =>
    Number((await system.query<{ n: string }>(`select case when is_called then last_value else 0 end as n from looks`))[0]?.n);
  for (const [path, made] of [
    ['/metrics', () => Promise.resolve(rendered)],
    ['/ready', looks],
    ['/health/deep', looks],
  ] as const) {
    const before = await made();
    const began = performance.now();
    for (let round = 0; round < 5; round++)
      for (const { status } of await Promise.all(Array.from({ length: 40 }, () => read(system, path)))) assert.equal(status, 200, path);
    const seconds = (performance.now() - began) / 1000;
    const worked = (await made()) - before;
    // However slow this machine is: so many in each second that it took.
    assert.ok(
      worked >= 1 && worked <= 21 * (Math.ceil(seconds) + 1) && worked <= 100,
      `${path}: ${worked} times for 200 askers in ${seconds} s`,
    );
  }
});

test('Z13 /health/jobs tells strangers what is stale, and not how much was done', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { HEALTH_DETAILS: 'token' } });
  await system.query(
    `insert into job_runs (job, tick, status, worker, started_at, ended_at, count) values ('purge_old', now(), 'done', 'w', now(), now(), 4711)`,
  );
  assert.doesNotMatch((await read(system, '/health/jobs')).text, /4711/);
  assert.match((await read(system, '/health/jobs', await token('default'))).text, /4711/);
});
