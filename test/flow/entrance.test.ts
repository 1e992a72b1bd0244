/** Z9: what somebody without a secret can make the api read, hold and wait for. Real processes, real sockets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { SignJWT } from 'jose';
import { freePort } from '../../scripts/lib/ports.ts';
import { apiRoutes } from '../../src/api.ts';
import { reconcile } from '../../src/crons/reconcile-inbox.ts';
import { createBodies } from '../../src/routes/body.ts';
import { createApp, listen } from '../../src/routes/http.ts';
import type { Env } from '../../src/routes/http.ts';
import { slackSignature } from '../../src/routes/slack.ts';
import { LONGEST_WORDS } from '../../src/words/cut.ts';
import { testDatabase } from '../support/database.ts';
import { head, hold, memory, resetPeak } from '../support/held.ts';
import type { HeldPost, Post } from '../support/held.ts';
import { startProgram } from '../support/process.ts';
import { loggedIn } from '../support/console.ts';
import { INSTANCE, JWT_SECRET, SLACK_SECRET, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

type TestHooks = { after(hook: () => Promise<void>): void };

const MB = 1_048_576;
/** As the row says it: 16 of them at once. */
const HELD = 16;
const MOST_BYTES = 20 * 1_000_000;

type Api = { port: number; pid: number };

async function startApi(t: TestHooks, env: Record<string, string> = {}): Promise<Api> {
  const database = await testDatabase();
  t.after(() => database.close());
  const port = await freePort();
  const program = startProgram(t, 'src/main.ts', {
    env: {
      RUN_MODE: 'api',
      ENVIRONMENT: 'test',
      DATABASE_URL: database.url,
      BIND_HOST: '127.0.0.1',
      PORT: String(port),
      EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
      JWT_SECRET_KEY: JWT_SECRET,
      SLACK_CHANNEL: '#julia',
      SLACK_BOT_TOKEN: 'xoxb-a-bot-token-of-tests',
      SLACK_SIGNING_SECRET: SLACK_SECRET,
      ...env,
    },
  });
  await program.line('api ready');
  return { port, pid: program.pid };
}

async function alive(port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/health`);
  assert.equal(response.status, 200);
  await response.text();
}

const slackHeaders = { 'x-slack-request-timestamp': String(Math.floor(Date.now() / 1000)), 'x-slack-signature': `v0=${'0'.repeat(64)}` };

test(`Z9 held posts: ${HELD} of 59 MB to each door, with a length and without, raise the api by at most 20 MB and are answered at once`, async (t) => {
  const api = await startApi(t, { WEBHOOK_REFUSED_RATE_LIMIT: '0', API_RATE_LIMIT: '0' });
  const doors: Record<string, { post: Omit<Post, 'bytes'>; status: RegExp }> = {
    evolution: { post: { path: '/webhook/evolution' }, status: /^HTTP\/1.1 401 / },
    'evolution, wrong secret': {
      post: { path: '/webhook/evolution/messages-upsert', headers: { authorization: 'Bearer no' } },
      status: /^HTTP\/1.1 401 /,
    },
    'slack, unsigned': { post: { path: '/webhook/slack' }, status: /^HTTP\/1.1 401 / },
    'slack, signed by a stranger': { post: { path: '/webhook/slack', headers: slackHeaders }, status: /^HTTP\/1.1 (?:413|429) / },
    api: { post: { path: '/api/messages' }, status: /^HTTP\/1.1 401 / },
    admin: { post: { path: '/admin/status' }, status: /^HTTP\/1.1 401 / },
    nothing: { post: { path: '/nothing/here' }, status: /^HTTP\/1.1 404 / },
    health: { post: { path: '/health' }, status: /^HTTP\/1.1 404 / },
  };
  await alive(api.port);
  for (const [door, { post, status }] of Object.entries(doors))
    for (const { bytes, chunked } of [
      { bytes: 59 * MB, chunked: false },
      { bytes: 59 * MB, chunked: true },
      { bytes: 15 * MB, chunked: false },
      { bytes: 15 * MB, chunked: true },
    ]) {
      const what = `${door}, ${bytes / MB} MB${chunked ? ', chunked' : ''}`;
      resetPeak(api.pid);
      const before = memory(api.pid, 'VmRSS');
      const held = Array.from({ length: HELD }, () => hold(t, api.port, { ...post, bytes, chunked }));
      await Promise.all(held.map((each) => each.answered));
      await Promise.all(held.map((each) => each.closed));
      const raised = memory(api.pid, 'VmHWM') - before;
      t.diagnostic(`${what}: ${(raised / 1e6).toFixed(1)} MB`);
      for (const each of held) assert.match(each.text(), status, what);
      assert.ok(raised <= MOST_BYTES, `${what}: ${(raised / 1e6).toFixed(1)} MB`);
      await alive(api.port);
    }
});

test(`Z9 Slack, whose signature is over the body: ${HELD} held posts of one stranger cost as little, end by themselves, and keep nobody else waiting`, async (t) => {
  const api = await startApi(t, { API_RATE_LIMIT: '0', TRUSTED_PROXY_HOPS: '1' });
  await alive(api.port);
  resetPeak(api.pid);
  const before = memory(api.pid, 'VmRSS');
  const stranger = { path: '/webhook/slack', headers: { ...slackHeaders, 'x-forwarded-for': '198.51.100.1' }, bytes: 500_000 };
  const held = Array.from({ length: HELD }, (_, index) => hold(t, api.port, { ...stranger, chunked: index % 2 === 0 }));
  await slackIsAnswered(api.port);
  await Promise.all(held.map((each) => each.closed));
  const raised = memory(api.pid, 'VmHWM') - before;
  t.diagnostic(`${(raised / 1e6).toFixed(1)} MB`);
  assert.ok(raised <= MOST_BYTES, `${(raised / 1e6).toFixed(1)} MB`);
  const statuses = held.map((each) => each.text().slice(9, 12));
  assert.deepEqual([...new Set(statuses)].toSorted(), ['408', '429']);
  for (const each of held) assert.match(each.text(), /\{"error":\{"code":"(?:timeout|too_many)","message":"/);
});

test('Z9 Slack: strangers from 40 places who hold half a body each keep no signed command out', async (t) => {
  const api = await startApi(t, { API_RATE_LIMIT: '0', TRUSTED_PROXY_HOPS: '1' });
  await alive(api.port);
  const held = Array.from({ length: 40 }, (_, index) =>
    hold(t, api.port, {
      path: '/webhook/slack',
      headers: { ...slackHeaders, 'x-forwarded-for': `198.51.100.${index + 1}` },
      bytes: 1_000,
      chunked: index % 2 === 0,
    }),
  );
  await alive(api.port);
  await slackIsAnswered(api.port);
  await Promise.all(held.map((each) => each.closed));
});

/** What Slack signs is answered, from an address of its own. */
async function slackIsAnswered(port: number): Promise<void> {
  const body = JSON.stringify({ type: 'url_verification', challenge: 'of Slack' });
  const at = String(Math.floor(Date.now() / 1000));
  const response = await fetch(`http://127.0.0.1:${port}/webhook/slack`, {
    method: 'POST',
    headers: {
      'x-slack-request-timestamp': at,
      'x-slack-signature': slackSignature(SLACK_SECRET, at, body),
      'x-forwarded-for': '203.0.113.9',
    },
    body,
  });
  assert.deepEqual([response.status, await response.json()], [200, { challenge: 'of Slack' }]);
}

/** A second server of the api whose patience ends soon. */
async function impatient(t: TestHooks, system: System): Promise<number> {
  const state = { config: system.config, context: system.ctx, stopping: false };
  const app = createApp(state, system.ctx.log, (routes) => apiRoutes(routes, state));
  const server = await listen(app, '127.0.0.1', 0, { headMs: 200, requestMs: 400, checkMs: 20 });
  t.after(() => server.close());
  return server.port;
}

test('Z9 slow posts: a head or a body that never ends is answered with 408 in the form of all errors, and is no error of ours in the log', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const port = await impatient(t, system);
  const bearer = { authorization: `Bearer ${WEBHOOK_SECRET}` };
  const token = { authorization: `Bearer ${await tokenOf('admin')}` };
  const posts: Record<string, HeldPost> = {
    webhook: hold(t, port, { path: '/webhook/evolution', headers: bearer, bytes: 1000 }),
    'webhook, chunked': hold(t, port, { path: '/webhook/evolution', headers: bearer, bytes: 1000, chunked: true }),
    message: hold(t, port, { path: '/api/messages', headers: token, bytes: 1000 }),
    command: hold(t, port, { path: '/admin/status', headers: token, bytes: 1000, chunked: true }),
    head: head(t, port, 'POST /webhook/evolution HTTP/1.1\r\nhost: api\r\nx-never: '),
    silence: head(t, port, 'P'),
  };
  await Promise.all(Object.values(posts).map((each) => each.closed));
  for (const [name, post] of Object.entries(posts)) {
    assert.match(post.text(), /^HTTP\/1\.1 408 Request Timeout\r\n/, name);
    const { error } = JSON.parse(post.text().split('\r\n\r\n')[1] ?? '') as { error: Record<string, string> };
    assert.equal(error['code'], 'timeout', name);
    assert.match(error['request_id'] ?? '', /^[0-9a-f-]{36}$/, name);
  }
  // Who hangs up in the middle of a body: told to nobody, counted.
  const refused = () => system.lines.filter((line) => line.message === 'Webhook refused' && line.context['reason'] === 'incomplete').length;
  const leaver = () => hold(t, port, { path: '/webhook/evolution', headers: bearer, bytes: 100_000 });
  let gone = leaver();
  await system.until(() => {
    if (refused() > 2) return true;
    // A busy machine may not have read the head of the one that has just come: the next one has had longer.
    gone.hangUp();
    gone = leaver();
    return false;
  }, 'three');
  gone.hangUp();
  assert.deepEqual(
    system.lines.filter((line) => ['ERROR', 'CRITICAL'].includes(line.level)),
    [],
  );
});

test('Z9 bodies under way: who has the secret and never ends what it posts holds no more than twice MAX_WEBHOOK_MB; the rest is 503, and nobody else waits', async (t) => {
  const api = await startApi(t);
  const authorization = `Bearer ${WEBHOOK_SECRET}`;
  const noise = JSON.stringify({ event: 'contacts.update', instance: INSTANCE, data: [] });
  const post = (headers: Record<string, string>, path: string, body: string) =>
    fetch(`http://127.0.0.1:${api.port}${path}`, { method: 'POST', headers, body });
  await alive(api.port);
  resetPeak(api.pid);
  const before = memory(api.pid, 'VmRSS');
  const held = Array.from({ length: 40 }, (_, index) =>
    hold(t, api.port, { path: '/webhook/evolution', headers: { authorization }, bytes: 15 * MB, chunked: index % 2 === 0 }),
  );
  const most = Promise.withResolvers<void>();
  let answered = 0;
  for (const each of held) void each.answered.then(() => ++answered === 38 && most.resolve());
  await most.promise;
  for (const each of held.filter((one) => one.text() !== '')) {
    assert.match(each.text(), /^HTTP\/1\.1 503 [\s\S]*"code":"unavailable"/);
    assert.match(each.text(), /\r\nretry-after: \d/i);
  }
  const raised = memory(api.pid, 'VmHWM') - before;
  t.diagnostic(`${(raised / 1e6).toFixed(1)} MB`);
  // 600 were posted. Two are held, and what was refused goes when the collector comes: 70 to 126 were seen.
  assert.ok(raised <= 180_000_000, `${(raised / 1e6).toFixed(1)} MB`);
  const token = await tokenOf('admin');
  assert.notEqual((await post({ authorization: `Bearer ${token}` }, '/admin/status', '{}')).status, 503, 'somebody else has room');
  for (const each of held) each.hangUp();
  await Promise.all(held.map((each) => each.closed));
  assert.equal((await post({ authorization }, '/webhook/evolution', noise)).status, 200, 'and so has the same again');
});

test('Z9 bodies under way: one that brings nothing for a while is 408, and its room is free again', async (t) => {
  const bodies = createBodies({ each: 1500, all: 1500, idleMs: 50 });
  const app = new Hono<Env>();
  app.onError((error, c) => c.text(error.message, error instanceof HTTPException ? error.status : 500));
  app.post(
    '/any',
    bodies.guard(() => 'one'),
    async (c) => c.text(await c.req.text()),
  );
  const server = await listen(app, '127.0.0.1', 0);
  t.after(() => server.close());
  const whole = (text: string) => fetch(`http://127.0.0.1:${server.port}/any`, { method: 'POST', body: text });
  for (const chunked of [false, true]) {
    const held = hold(t, server.port, { path: '/any', bytes: 1000, chunked });
    await held.closed;
    assert.match(held.text(), /^HTTP\/1\.1 408 /);
    for (const text of ['x'.repeat(1500), 'y'.repeat(1500)]) assert.equal(await (await whole(text)).text(), text);
    assert.equal((await whole('x'.repeat(1501))).status, 503);
  }
});

test('Z9 what is no HTTP, or has endless headers, is refused in the form of all errors', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const port = await impatient(t, system);
  const refused: Record<string, [HeldPost, RegExp]> = {
    nonsense: [head(t, port, '\u0016\u0003\u0001 hello\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*"code":"bad_request"/],
    'two lengths': [
      head(t, port, 'POST /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx'),
      /^HTTP\/1\.1 400 /,
    ],
    'a length and chunks': [
      head(t, port, 'POST /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
      /^HTTP\/1\.1 400 /,
    ],
    headers: [
      head(t, port, `GET /health HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
      /^HTTP\/1\.1 431 [\s\S]*"code":"too_large"/,
    ],
  };
  for (const [name, [post, answer]] of Object.entries(refused)) {
    await post.closed;
    assert.match(post.text(), answer, name);
  }
});

test('Z9 every route that takes a post: more than 1 MB is 413 with a token and 401 without, whatever it is; only the webhook of Evolution takes more', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { API_RATE_LIMIT: '0' }, slack: 'bot' });
  const state = { config: system.config, context: system.ctx, stopping: false };
  const paths = new Map<string, string>();
  createApp(state, system.ctx.log, (routes) => {
    apiRoutes(routes, state);
    for (const { method, path, access } of routes.described)
      if (method !== 'get')
        paths.set(
          path
            .replaceAll(/:\w+\{(\w+)\|[^/]*\}/g, '$1')
            .replaceAll(/:\w+\{\[a-z[^/]*\}/g, 'x')
            .replaceAll(/:\w+(\{[^/]*\})?/g, '1')
            .replaceAll('*', 'x'),
          `${method} ${access}`,
        );
  });
  assert.ok(paths.size > 40, 'the walk finds the routes');
  const authorization = `Bearer ${await tokenOf('admin')}`;
  const cookie = (await loggedIn(system, 'chefe@example.com', { role: 'admin' })).cookie();
  const large = JSON.stringify({ event: 'contacts.update', text: 'x'.repeat(1_100_000) });
  for (const [path, kind] of paths) {
    const [method = '', access = ''] = kind.split(' ');
    const post = async (headers: Record<string, string>, body: string | ReadableStream) =>
      (await fetch(`${system.url}${path}`, { method, headers, body, ...(typeof body === 'string' ? {} : { duplex: 'half' }) })).status;
    if (path.startsWith('/webhook/evolution')) {
      assert.equal(await post({ authorization: `Bearer ${WEBHOOK_SECRET}` }, large), 200, path);
      assert.equal(await post({ authorization: `Bearer ${WEBHOOK_SECRET}` }, streamOf(large)), 200, path);
      continue;
    }
    const proof = path.startsWith('/console/') ? { cookie } : access === 'webhook' ? slackHeaders : { authorization };
    assert.equal(await post(proof, large), 413, path);
    assert.equal(await post(proof, streamOf(large)), 413, `${path}, chunked`);
    // who logs in has nothing to show yet
    assert.equal(await post({}, large), path === '/console/login' ? 413 : 401, path);
  }
});

test('Z9 a legitimate webhook that is too large is refused again and again, and its message is found by asking Evolution: nothing lost', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { MAX_WEBHOOK_MB: '1' } });
  await system.query(`update instances set created_at = now() - interval '1 day'`);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  const text = 'longa '.repeat(200_000);
  system.simulator.inbound({ contactId: ana.id, text, ageMs: 60_000 });
  await system.until(
    () => system.lines.some((line) => line.message === 'Webhook refused' && line.context['reason'] === 'too_large'),
    'refused',
  );
  assert.equal(await reconcile(system.ctx, INSTANCE), 1);
  // Twice of what a phone can send, and more of no message.
  const kept = text.slice(0, LONGEST_WORDS);
  assert.deepEqual(await system.query(`select text = $1 as whole from messages where direction = 'in'`, [kept]), [{ whole: true }]);
});

async function tokenOf(role: string): Promise<string> {
  const jwt = new SignJWT({ role }).setProtectedHeader({ alg: 'HS256' }).setSubject('ana').setExpirationTime('5 minutes');
  return jwt.sign(new TextEncoder().encode(JWT_SECRET));
}

function streamOf(text: string): ReadableStream {
  const bytes = new TextEncoder().encode(text);
  return ReadableStream.from([bytes.subarray(0, 500_000), bytes.subarray(500_000)]);
}
