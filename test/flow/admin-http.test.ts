/** /admin and the timelines over HTTP: who may, what they answer, and that the same table stands behind them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { COMMANDS } from '../../src/admin/all.ts';
import { apiRoutes } from '../../src/api.ts';
import { createApp } from '../../src/routes/http.ts';
import type { Process } from '../../src/routes/ops.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const KEY = new TextEncoder().encode(JWT_SECRET);

async function tokenOf(claims: Record<string, unknown>, options: { key?: Uint8Array; expires?: string } = {}): Promise<string> {
  const jwt = new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(options.expires ?? '5 minutes');
  return jwt.sign(options.key ?? KEY);
}

type Answer = { status: number; body: Body };
/** What the answers of these tests hold, each its part. */
type Body = {
  error: { code: string; message: string };
  id: number;
  text: string;
  dead_letters: { id: number; status: string; because: string }[];
  entries: { what: string; at: unknown; says: unknown; why: string }[];
  conclusion: string;
};

/** Calls the api as `role`; null: without a token. */
async function call(
  system: System,
  method: string,
  path: string,
  role: string | null,
  body?: unknown,
  tenant = 'default',
): Promise<Answer> {
  const token = role === null ? null : await tokenOf({ sub: 'ana', role, tenant });
  const response = await fetch(`${system.url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body };
}

/** What anybody may ask; the console's pages ask for a session of their own (console-access.test.ts). */
const PUBLIC = /^\/$|^\/(console|health|ready|healthz|metrics|docs|api\/docs|api\/health|openapi\.json|api\/events\/schemas|webhook)(\/|$)/;

test('H16 every route that is not health, ready, metrics, docs or a webhook answers 401 without credentials', async (t) => {
  // more calls than one address may make in a minute
  const system = await startSystem(t, { workers: 0, env: { API_RATE_LIMIT: '0' } });
  const state: Process = { config: system.config, context: system.ctx, stopping: false };
  const app = createApp(state, system.ctx.log, (routes) => apiRoutes(routes, state));
  const routes = [
    ...new Map(app.routes.filter((route) => route.method !== 'ALL').map((route) => [`${route.method} ${route.path}`, route])).values(),
  ];
  const guarded = routes.filter((route) => !PUBLIC.test(route.path));
  assert.ok(guarded.length >= COMMANDS.length * 1.5, 'the walk finds the routes');
  for (const name of [
    'POST /admin/pause',
    'POST /admin/dlq/:id{[0-9]{1,15}}/retry',
    'GET /admin/dlq',
    'GET /api/conversations/:id{[0-9]{1,15}}/timeline',
    'POST /api/messages',
  ])
    assert.ok(
      guarded.some((route) => `${route.method} ${route.path}` === name),
      name,
    );

  const credentials: Record<string, string | null> = {
    none: null,
    'another key': `Bearer ${await tokenOf({ sub: 'eve', role: 'admin' }, { key: new TextEncoder().encode('another-key-of-32-bytes-0123456789') })}`,
    expired: `Bearer ${await tokenOf({ sub: 'ana', role: 'admin' }, { expires: '1 minute ago' })}`,
    'no algorithm': `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"eve","role":"admin","exp":9999999999}').toString('base64url')}.`,
    'without role': `Bearer ${await tokenOf({ sub: 'ana' })}`,
    basic: `Basic ${Buffer.from('admin:admin').toString('base64')}`,
  };
  for (const { method, path } of guarded) {
    const address = path.replaceAll(/:\w+(\{[^/]*\})?/g, '1').replaceAll('*', 'x');
    for (const [name, authorization] of Object.entries(credentials)) {
      const response = await app.request(address, { method, ...(authorization === null ? {} : { headers: { authorization } }) });
      assert.equal(response.status, 401, `${method} ${address} with credentials: ${name}`);
      assert.equal(((await response.json()) as Body).error.code, 'unauthorized');
    }
  }
  assert.equal((await app.request('/admin/anything')).status, 401, 'nobody learns which admin routes exist');
  assert.deepEqual(await system.query('select id from julia_status'), []);
});

test('H16 no switch of the environment turns authentication off: without a key nobody comes in', async (t) => {
  const system = await startSystem(t, {
    workers: 0,
    env: { JWT_SECRET_KEY: '', MVP_AUTH_BYPASS: 'true', AUTH_BYPASS: 'true', DEBUG: 'true' },
  });
  for (const path of ['/admin/status', '/admin/dlq']) {
    assert.equal((await call(system, 'GET', path, null)).status, 401);
    assert.equal((await call(system, 'GET', path, 'admin')).status, 401);
  }
});

test('A11 H16 roles: an operator may not replay, a token without a role of ours may nothing under /admin', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  for (const command of COMMANDS) {
    const path = `/admin/${command.name.replaceAll(' ', '/')}`;
    const stranger = await call(system, 'POST', path, 'campaigns', {});
    assert.equal(stranger.status, 403, path);
    assert.match(stranger.body.error.message, new RegExp(`needs the role ${command.role}; this token has the role campaigns`));
    const operator = await call(system, 'POST', path, 'operator', { nonsense: 1 });
    assert.equal(operator.status, command.role === 'admin' ? 403 : 400, path);
    assert.equal((await call(system, 'POST', path, 'admin', { nonsense: 1 })).status, 400, `${path} tells unknown arguments`);
    assert.equal((await call(system, 'GET', path, 'admin')).status === 404, !command.readOnly, `${path} by GET`);
  }
  assert.equal((await call(system, 'POST', '/admin/pause', 'admin', [1])).status, 400);
});

test('O4 O15 the dead letter over HTTP: listed with words, retried once, discarded; actor and reason are in the audit', async (t) => {
  const system = await startSystem(t);
  const fault = system.simulator.fault({ target: 'send', kind: 'status', times: null, status: 422 });
  const ask = (text: string) => call(system, 'POST', '/api/messages', 'admin', { to: '5511912345678', text });
  const [first, second] = [await ask('um'), await ask('dois')].map((answer) => answer.body.id);
  await system.until(async () => (await system.dump()).filter((line) => line.includes('failed')).length === 2, 'both to fail');
  system.simulator.clearFaults(fault.id);

  const { body } = await call(system, 'GET', '/admin/dlq?limit=10', 'operator');
  assert.deepEqual(
    body.dead_letters.map((each) => [each.id, each.status, each.because]),
    [
      [second, 'failed', 'Evolution refused the request as invalid'],
      [first, 'failed', 'Evolution refused the request as invalid'],
    ],
  );
  assert.equal((await call(system, 'GET', `/admin/dlq/${first}`, 'operator')).body.text, 'um');

  const retries = await Promise.all(
    [1, 2].map(() => call(system, 'POST', `/admin/dlq/${first}/retry`, 'operator', { reason: 'era o número errado' })),
  );
  assert.deepEqual(retries.map((each) => String(each.status)).toSorted(), ['200', '409']);
  await system.until(async () => (await system.dump()).includes('out system delivered: um'), 'the retried message');
  const again = await call(system, 'POST', `/admin/dlq/${first}/retry`, 'operator');
  assert.equal(again.status, 409);
  assert.match(again.body.error.message, /no dead letter, it is delivered; nothing was changed/);
  assert.equal(system.simulator.wire().sends.filter((send) => send.text === 'um' && send.id !== null).length, 1);

  assert.equal((await call(system, 'POST', `/admin/dlq/${second}/discard`, 'operator', { reason: 'não precisa mais' })).status, 200);
  assert.equal((await call(system, 'POST', `/admin/dlq/${second}/retry`, 'operator')).status, 409);
  assert.equal((await call(system, 'POST', '/admin/dlq/999999/retry', 'operator')).status, 404);
  assert.deepEqual(await system.query(`select actor, action, subject, details ->> 'reason' as reason from audit_log order by id`), [
    { actor: 'api:ana', action: 'dlq.retry', subject: String(first), reason: 'era o número errado' },
    { actor: 'api:ana', action: 'dlq.discard', subject: String(second), reason: 'não precisa mais' },
  ]);
});

test('X11 a conversation and a message explain themselves over HTTP, only to their own tenant', async (t) => {
  const system = await startSystem(t);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ match: 'preço', text: 'Custa dez reais.' }]);
  const { id: key } = system.simulator.inbound({ contactId: maria.id, text: 'Qual o preço?' });
  await system.until(async () => (await system.dump()).some((line) => line.includes('delivered')), 'the ack');
  const [row] = await system.query<{ id: number; conversation: number }>(
    `select id::int, conversation_id::int as conversation from messages where direction = 'in'`,
  );

  const asked = await call(system, 'GET', `/api/messages/${row?.id}/timeline`, 'operator');
  assert.equal(asked.status, 200);
  assert.match(asked.body.conclusion, /^answered in [\d.]+ s$/);
  const entries = asked.body.entries;
  assert.deepEqual(
    entries.map((entry) => entry.what),
    ['message', 'webhook', 'turn', 'model_call', 'message'],
  );
  assert.ok(entries.every((entry) => typeof entry.at === 'string' && typeof entry.says === 'string'));
  assert.match(entries[3]?.why ?? '', /^\d+.* tokens in, \d+ out, US\$ \d/);
  for (const path of [
    `/api/conversations/${row?.conversation}/timeline`,
    `/admin/why?id=${key}`,
    `/admin/why?id=conversation:${row?.conversation}`,
  ]) {
    const { status, body } = await call(system, 'GET', path, 'operator');
    assert.equal(status, 200, path);
    assert.match(body.conclusion, /^answered in /, path);
    assert.equal((await call(system, 'GET', path, 'operator', undefined, 'outra')).status, 404, `${path} for another tenant`);
  }
});
