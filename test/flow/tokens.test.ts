/** Tokens of /api and /admin: an id, a longest life, a list, and an end that holds at once everywhere. And what each role and tenant may. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { apiRoutes } from '../../src/api.ts';
import { tokenCommands } from '../../src/admin/token.ts';
import { createApp } from '../../src/routes/http.ts';
import type { Process } from '../../src/routes/ops.ts';
import { admin, adminDone } from '../support/admin.ts';
import { JWT_SECRET, startSystem, testEnvironment } from '../support/system.ts';
import type { System } from '../support/system.ts';

const DAY = 86_400;
const KEY = new TextEncoder().encode(JWT_SECRET);
const seconds = (): number => Math.floor(Date.now() / 1000);

function signed(claims: { exp: number; iat?: number; jti?: string; role?: string; sub?: string; tenant?: string }): Promise<string> {
  return new SignJWT({ sub: 'ana', role: 'admin', ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(KEY);
}

async function status(url: string, token: string, path = '/admin/status'): Promise<number> {
  return (await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })).status;
}

/** The command line's `token`, with the environment of this system. */
async function issue(
  system: System,
  args: Record<string, unknown>,
): Promise<{ ok: boolean; result: { token: string; id: string }; message: string }> {
  const [command] = tokenCommands;
  assert.ok(command);
  const env = testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: null, simulator: system.simulator });
  const parsed = command.args.parse(args);
  return (await command.run({ ...env, USER: 'ana' }, parsed)) as never; // the shape is what this test is about
}

test('Z10 tokens: one that is made is listed, and from its revocation on refused by every process', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const { result } = await issue(system, { role: 'operator', sub: 'bia', days: 90 });
  assert.match(result.id, /^[0-9a-f-]{36}$/);
  // Two more processes of the api, on their own contexts.
  const others = await Promise.all([system.openContext('api'), system.openContext('api')]);
  const apps = others.map((context) => {
    const process: Process = { config: system.config, context, stopping: false };
    return createApp(process, context.log, (routes) => apiRoutes(routes, process));
  });
  const everywhere = async (): Promise<number[]> => [
    await status(system.url, result.token),
    ...(await Promise.all(
      apps.map(async (app) => (await app.request('/admin/status', { headers: { authorization: `Bearer ${result.token}` } })).status),
    )),
  ];
  assert.deepEqual(await everywhere(), [200, 200, 200]);
  const listed = await adminDone<{ tokens: Record<string, unknown>[] }>(system.ctx, 'token list');
  assert.deepEqual(
    listed.tokens.map(({ id, sub, role, issued_by }) => ({ id, sub, role, issued_by })),
    [{ id: result.id, sub: 'bia', role: 'operator', issued_by: 'cli:ana' }],
  );
  assert.ok(listed.tokens[0]?.['used_at'], 'its use is seen');
  await adminDone(system.ctx, 'token revoke', { id: result.id, reason: 'perdeu o notebook' });
  assert.deepEqual(await everywhere(), [401, 401, 401]);
  const again = await admin(system.ctx, 'token revoke', { id: result.id });
  assert.equal(again.ok ? null : again.kind, 'conflict');
  assert.deepEqual(await adminDone(system.ctx, 'token list'), { tokens: [] });
  const audit = await system.query(`select actor, action, subject from audit_log where action like 'token.%' order by id`);
  assert.deepEqual(audit, [
    { actor: 'cli:ana', action: 'token.issue', subject: result.id },
    { actor: 'cli:ana', action: 'token.revoke', subject: result.id },
  ]);
  const rows = JSON.stringify(await system.query('select * from tokens'));
  assert.ok(!rows.includes(result.token.slice(-20)), 'the token itself is stored nowhere');
});

test('Z10 tokens: one that was signed elsewhere is known by its first use, and revoked under any spelling of its signature', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const token = await signed({ exp: seconds() + 600, sub: 'loja' });
  assert.equal(await status(system.url, token), 200);
  const [known] = await system.query<{ id: string; issued_by: string | null }>('select id, issued_by from tokens');
  assert.ok(known);
  assert.equal(known.issued_by, null);
  await adminDone(system.ctx, 'token revoke', { id: known.id });
  assert.equal(await status(system.url, token), 401);
  // base64url of 32 bytes leaves two bits over: four spellings, one signature
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token.at(-1) ?? '');
  for (const spare of [0, 1, 2, 3]) assert.equal(await status(system.url, token.slice(0, -1) + alphabet[(last & ~3) | spare]), 401);
  assert.equal(await status(system.url, await signed({ exp: seconds() + 601, sub: 'loja' })), 200, 'another token of the same owner');
});

test('Z10 tokens: none lives for longer than TOKEN_MAX_DAYS, whoever signed it and whatever it says of its beginning', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const now = seconds();
  assert.equal(await status(system.url, await signed({ exp: now + 90 * DAY })), 200);
  assert.equal(await status(system.url, await signed({ iat: now, exp: now + 90 * DAY })), 200);
  assert.equal(await status(system.url, await signed({ exp: now + 92 * DAY })), 401);
  assert.equal(await status(system.url, await signed({ iat: now, exp: now + 92 * DAY })), 401);
  assert.equal(await status(system.url, await signed({ iat: now + 5 * DAY, exp: now + 92 * DAY })), 401, 'a beginning that has not come');
  assert.equal(await status(system.url, await signed({ iat: now - 100 * DAY, exp: now + 600 })), 401, 'near its end, of 100 days');
  const refused = await issue(system, { role: 'sender', sub: 'loja', days: 91 });
  assert.deepEqual([refused.ok, refused.message.includes('TOKEN_MAX_DAYS')], [false, true]);
  const longer = await startSystem(t, { workers: 0, env: { TOKEN_MAX_DAYS: '365' } });
  assert.equal(await status(longer.url, await signed({ iat: now, exp: now + 365 * DAY })), 200);
});

test('Z10 tokens: a tenant lists and revokes its own only; one that nobody can write down is not made', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`insert into tenants (id, name) values ('outra', 'outra')`);
  const { result } = await issue(system, { role: 'admin', sub: 'bia', tenant: 'outra' });
  const mine = await signed({ exp: seconds() + 600 });
  assert.equal(await status(system.url, mine), 200);
  const ask = async (token: string, path: string, body?: object) => {
    const answer = await fetch(`${system.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as { tokens: { sub: string; id: string }[] } };
  };
  assert.deepEqual(
    (await ask(result.token, '/admin/token/list')).body.tokens.map(({ sub }) => sub),
    ['bia'],
  );
  const [own] = (await ask(mine, '/admin/token/list')).body.tokens;
  assert.equal((await ask(result.token, '/admin/token/revoke', { id: own?.id })).status, 404);
  assert.equal(await status(system.url, mine), 200);
  assert.deepEqual((await issue(system, { role: 'admin', sub: 'bia', tenant: 'nenhuma' })).ok, false);
});

test('Z10 roles: a message of kind manual needs an operator, with a reason to pass over the rules and without', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const post = async (role: string, body: object) => {
    const token = await signed({ exp: seconds() + 600, role, sub: role });
    const answer = await fetch(`${system.url}/api/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ to: '11 91234-5678', text: 'Oi', ...body }),
    });
    return answer.status;
  };
  for (const body of [{ kind: 'manual' }, { kind: 'manual', bypass_reason: 'cliente na loja' }]) {
    for (const role of ['sender', 'integration', 'Operator', '']) assert.ok([401, 403].includes(await post(role, body)), role);
    for (const role of ['operator', 'admin']) assert.equal(await post(role, body), 202, role);
  }
  assert.equal(await post('sender', { kind: 'notification' }), 202);
});

test('Z10 A5 pauses: a campaign is stopped for its tenant, whatever others call theirs', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(
    `insert into tenants (id, name) values ('outra', 'outra'); insert into instances (tenant_id, name) values ('outra', 'outra-1')`,
  );
  for (const [tenant, instance] of [
    ['default', 'julia-dev'],
    ['outra', 'outra-1'],
  ])
    await system.query(
      `select enqueue_message(jsonb_build_object('tenant', $1::text, 'instance', $2::text, 'phone', '5511912345678', 'text', 'Natal', 'kind', 'campaign', 'campaign_id', 'natal'))`,
      [tenant, instance],
    );
  await system.query(`select set_pause('outra', 'bia', 'pausado', 'campaign', 'natal', 'preço errado')`);
  const held = async () =>
    system.query(
      `select m.tenant_id as tenant, pause_reason(m.tenant_id, i.name, m.conversation_id, m.campaign_id) as paused, campaign_paused(m.tenant_id, m.campaign_id) as stopped
       from messages m join instances i on i.id = m.instance_id order by 1`,
    );
  assert.deepEqual(await held(), [
    { tenant: 'default', paused: null, stopped: false },
    { tenant: 'outra', paused: 'campaign', stopped: true },
  ]);
  const seen = async (tenant: string) =>
    (await system.query<{ pauses: { target: string }[] }>('select pauses($1) as pauses', [tenant]))[0]?.pauses.length;
  assert.deepEqual([await seen('default'), await seen('outra')], [0, 1]);
  await system.query(`select set_pause('default', 'ana', 'ativo', 'campaign', 'natal', null)`);
  assert.equal((await held())[1]?.['paused'], 'campaign', 'nobody else lets it go on');
});

test('Z10 lists: breakers of the installation and of others, and what jobs counted, are not for another tenant', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(
    `insert into tenants (id, name) values ('outra', 'outra'); insert into instances (tenant_id, name) values ('outra', 'outra-1')`,
  );
  await system.query(
    `insert into process_status (id, mode, version, started_at, seen_at, breakers) values ('worker-secret-host', 'worker', '1', now(), now() + interval '1 hour', $1)`,
    [
      JSON.stringify(
        [
          { name: 'claude', instance: null },
          { name: 'evolution', instance: 'julia-dev' },
          { name: 'evolution', instance: 'outra-1' },
        ].map((each) => ({
          ...each,
          state: 'open',
          failures: 5,
          timeouts: 0,
          reason: 'timeout',
          opened_at: null,
          next_probe_at: null,
          recovery_ms: 1,
          on_trial: false,
          follows: null,
        })),
      ),
    ],
  );
  await system.query(
    `insert into job_runs (job, tick, worker, status, count, error) values ('purge_old', now(), 'x', 'failed', 7, 'number julia-dev is away')`,
  );
  const token = await signed({ exp: seconds() + 600, tenant: 'outra', role: 'admin' });
  const ask = async (path: string, body?: object) =>
    fetch(`${system.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const breakers = ((await (await ask('/admin/breaker/list')).json()) as { breakers: { name: string; instance: string }[] }).breakers;
  assert.deepEqual(
    breakers.map(({ name, instance }) => `${name} ${instance}`),
    ['evolution outra-1', 'number outra-1'],
  );
  const jobs = await (await ask('/admin/job/list')).text();
  assert.ok(!jobs.includes('julia-dev') && !jobs.includes('"count":7'), jobs);
  for (const name of ['claude', 'database']) assert.equal((await ask('/admin/breaker/reset', { name })).status, 403);
  const reset = (await (await ask('/admin/breaker/reset', {})).json()) as { open: { instance: string | null }[] };
  assert.deepEqual(
    reset.open.map(({ instance }) => instance),
    ['outra-1'],
  );
  assert.deepEqual(await system.query('select breaker, instance from breaker_resets'), [{ breaker: null, instance: 'outra-1' }]);
});
