/** How often, from where, and what is told: limits of webhooks and of the API, browsers, errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { apiRoutes } from '../../src/api.ts';
import { createApp } from '../../src/routes/http.ts';
import type { Process } from '../../src/routes/ops.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type ErrorBody = { error: { code: string; message: string; request_id: string } };

async function tokenOf(sub: string): Promise<string> {
  const jwt = new SignJWT({ role: 'operator' }).setProtectedHeader({ alg: 'HS256' }).setSubject(sub).setExpirationTime('5 minutes');
  return jwt.sign(new TextEncoder().encode(JWT_SECRET));
}

function message(id: string) {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: '5511912345678@s.whatsapp.net', fromMe: false, id },
      message: { conversation: `mensagem ${id}` },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
}

async function get(system: System, path: string, headers: Record<string, string> = {}) {
  return fetch(`${system.url}${path}`, { headers });
}

test('H13 webhooks beyond the limit of a source get 429 with Retry-After, and everything that was accepted is stored', async (t) => {
  // Few: a busy machine must take all of them well within the window. That the limit is exact is proven with a clock (test/unit/rate-limit.test.ts).
  const system = await startSystem(t, { workers: 0, env: { WEBHOOK_RATE_LIMIT: '6' } });
  const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => system.webhook(message(`A${index}`))));
  const accepted = answers.flatMap((answer, index) => (answer.status === 200 ? [`mensagem A${index}`] : []));
  assert.equal(accepted.length, 6);
  for (const answer of answers.filter((each) => each.status !== 200)) {
    assert.equal(answer.status, 429, 'Evolution repeats a 429, and drops a 401, 403, 404 or 422');
    assert.ok(Number(answer.headers.get('retry-after')) >= 1 && Number(answer.headers.get('retry-after')) <= 10);
    assert.equal(((await answer.json()) as ErrorBody).error.code, 'too_many');
  }
  const stored = await system.query<{ text: string }>(`select text from messages where direction = 'in'`);
  assert.deepEqual(stored.map((row) => row.text).toSorted(), accepted.toSorted());
  const metrics = await (await get(system, '/metrics')).text();
  assert.match(metrics, /julia_webhooks_total\{[^}]*outcome="too_many"[^}]*\} 4/);
});

test('H13 H11 an Evolution with the right secret is not limited unless told so: what it would have to keep stays nowhere else', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => system.webhook(message(`B${index}`))));
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
});

test('H13 H12 posts without the secret are refused at their own limit: whatever they claim to come from, and Evolution is let in meanwhile', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { WEBHOOK_REFUSED_RATE_LIMIT: '3', WEBHOOK_RATE_LIMIT: '60' } });
  const statuses: number[] = [];
  for (let index = 0; index < 6; index++) {
    const answer = await fetch(`${system.url}/webhook/evolution`, {
      method: 'POST',
      headers: { authorization: 'Bearer wrong', 'x-forwarded-for': `198.51.100.${index}`, 'x-real-ip': `198.51.100.${index}` },
      body: '{}',
    });
    statuses.push(answer.status);
  }
  assert.deepEqual(statuses, [401, 401, 401, 429, 429, 429]);
  assert.equal((await system.webhook(message('C1'))).status, 200);
  assert.deepEqual(await system.dump(), ['in contact received: mensagem C1']);
});

test('H13 behind a proxy of ours the limit goes by the address that it saw', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { WEBHOOK_REFUSED_RATE_LIMIT: '1', TRUSTED_PROXY_HOPS: '1' } });
  const post = async (forwarded: string) =>
    (await fetch(`${system.url}/webhook/evolution`, { method: 'POST', headers: { 'x-forwarded-for': forwarded }, body: '{}' })).status;
  assert.deepEqual([await post('198.51.100.1'), await post('forged, 198.51.100.1'), await post('198.51.100.2')], [401, 429, 401]);
});

test('R9 Z9 the API refuses a caller who comes too often, by the owner of the token, and no load balancer', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { API_RATE_LIMIT: '3', METRICS_TOKEN: 'a-metrics-token-of-tests' } });
  const [ana, bia] = await Promise.all([tokenOf('ana'), tokenOf('bia')]);
  const ask = async (token: string) => (await get(system, '/admin/status', { authorization: `Bearer ${token}` })).status;
  assert.deepEqual([await ask(ana), await ask(ana), await ask(ana), await ask(ana)], [200, 200, 200, 429]);
  const refused = await get(system, '/api/messages/1', { authorization: `Bearer ${ana}` });
  assert.equal(refused.status, 429, 'one limit for all of it');
  const wait = Number(refused.headers.get('retry-after'));
  assert.ok(wait >= 1 && wait <= 60, String(wait));
  assert.equal(await ask(bia), 200);
  const strangers = [];
  for (let count = 0; count < 4; count++) strangers.push((await get(system, '/admin/status', { authorization: 'Bearer x' })).status);
  assert.deepEqual(strangers, [401, 401, 401, 429]);
  for (const path of ['/health', '/ready', '/health/ready'])
    for (let count = 0; count < 5; count++) assert.equal((await get(system, path)).status, 200, path);
  assert.equal((await get(system, '/metrics')).status, 429, 'a collector that comes often shows METRICS_TOKEN');
  for (let count = 0; count < 5; count++)
    assert.equal((await get(system, '/metrics', { authorization: 'Bearer a-metrics-token-of-tests' })).status, 200);
  assert.equal((await get(system, '/health/queue')).status, 429, 'it asks the database, and everybody may');
});

test('H16 CORS: only pages of CORS_ORIGINS may read answers, none may post webhooks', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { CORS_ORIGINS: 'https://console.example.com' } });
  const preflight = async (path: string, origin: string) =>
    fetch(`${system.url}${path}`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization, content-type' },
    });
  const ours = await preflight('/api/messages', 'https://console.example.com');
  assert.equal(ours.status, 204);
  assert.equal(ours.headers.get('access-control-allow-origin'), 'https://console.example.com');
  assert.match(ours.headers.get('access-control-allow-headers') ?? '', /authorization/i);
  assert.equal(ours.headers.get('access-control-allow-credentials'), null, 'no cookies: tokens only');
  assert.equal((await preflight('/api/messages', 'https://evil.example.com')).headers.get('access-control-allow-origin'), null);
  assert.equal((await preflight('/webhook/evolution', 'https://console.example.com')).headers.get('access-control-allow-origin'), null);
  const read = await get(system, '/health/queue', { origin: 'https://console.example.com' });
  assert.equal(read.headers.get('access-control-allow-origin'), 'https://console.example.com');
});

test('H16 security headers on every answer, also on errors', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  for (const path of ['/health', '/docs', '/admin/status', '/nothing']) {
    const { headers } = await get(system, path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
    assert.equal(headers.get('x-frame-options'), 'DENY', path);
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/, path);
    assert.match(headers.get('strict-transport-security') ?? '', /max-age=\d+/, path);
    assert.equal(headers.get('x-powered-by'), null, path);
  }
  const guarded = await get(system, '/admin/status', { authorization: `Bearer ${await tokenOf('ana')}` });
  assert.equal(guarded.headers.get('cache-control'), 'no-store');
});

test('H17 an unexpected error tells the request id and nothing else; the log has the rest under it', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const broken: Process = {
    config: system.config,
    context: {
      ...system.ctx,
      db: {
        ...system.ctx.db,
        call: async () => {
          throw new Error('password of 5511912345678 is "segredo" at /srv/app/door.ts:12');
        },
      },
    },
    stopping: false,
  };
  const app = createApp(broken, system.ctx.log, (routes) => apiRoutes(routes, broken));
  const headers = {
    authorization: `Bearer ${await tokenOf('ana')}`,
    'x-request-id': 'seen-by-the-caller',
    'content-type': 'application/json',
  };
  const asks: [string, string, string?][] = [
    ['GET', '/api/messages/1'],
    ['GET', '/admin/status'],
    ['GET', '/health/queue'],
    ['POST', '/api/messages', JSON.stringify({ to: '5511912345678', text: 'oi' })],
    ['GET', '/api/conversations/1/timeline'],
  ];
  for (const [method, path, body] of asks) {
    const answer = await app.request(path, { method, headers, ...(body === undefined ? {} : { body }) });
    assert.equal(answer.status, 500, path);
    const text = await answer.text();
    assert.deepEqual(JSON.parse(text), {
      error: {
        code: 'internal',
        message: 'something went wrong; the log has the details under this request_id',
        request_id: 'seen-by-the-caller',
      },
    });
  }
  assert.ok(system.lines.some((line) => line.message === 'Request failed' && line.context['request_id'] === 'seen-by-the-caller'));
});
