/** Z5: docker/Caddyfile in a real Caddy, before real api processes, while strangers hold uploads, hang up and dawdle. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { freePort } from '../../scripts/lib/ports.ts';
import { findCaddy, startCaddy, startNames } from '../support/caddy.ts';
import type { RunningCaddy } from '../support/caddy.ts';
import { readCompose } from '../support/compose.ts';
import { testDatabase } from '../support/database.ts';
import { head, hold, memory, resetPeak } from '../support/held.ts';
import { startProgram } from '../support/process.ts';
import type { Program } from '../support/process.ts';
import { WEBHOOK_SECRET } from '../support/system.ts';
import { startWebhookLoad } from '../support/webhook-load.ts';

type TestHooks = { after(hook: () => Promise<void>): void };

const MB = 1_048_576;
/** Everything that a stranger may find. */
const PATHS = [
  '/webhook/evolution',
  '/webhook/evolution/messages-upsert',
  '/webhook/slack',
  '/api/messages',
  '/admin/pause',
  '/health',
  '/',
  '/nothing',
];

type Entrance = { caddy: RunningCaddy; apis: Program[]; names: Awaited<ReturnType<typeof startNames>>; port: number };

/** The balancer before two apis; null: there is no Caddy on this machine. */
async function open(
  t: TestHooks & { skip(why: string): void },
  changes: readonly (readonly [string, string])[] = [],
): Promise<Entrance | null> {
  const found = await findCaddy();
  if ('missing' in found) return (t.skip(found.missing), null);
  const database = await testDatabase();
  t.after(() => database.close());
  const names = await startNames(t);
  const port = await freePort();
  const caddy = await startCaddy(t, found.program, { names: names.port, api: port }, changes);
  const apis = ['127.0.1.1', '127.0.1.2'].map((address) => {
    names.add(address);
    const env = {
      RUN_MODE: 'api',
      ENVIRONMENT: 'test',
      DATABASE_URL: database.url,
      EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
      TRUSTED_PROXY_HOPS: '1',
      BIND_HOST: address,
      PORT: String(port),
    };
    return startProgram(t, 'src/main.ts', { env });
  });
  for (const api of apis) await api.line('api ready');
  return { caddy, apis, names, port };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** Bytes of the container's limit in docker-compose.prod.yml. */
function limitOfCaddy(): number {
  const memory = readCompose().services['caddy']?.deploy?.resources.limits.memory ?? '';
  return Number(/^(\d+)M$/.exec(memory)?.[1]) * MB;
}

test('Z5 held uploads of 59 MB on every path, from outside and inside, with a secret and without: the balancer stays below half of its memory, webhooks flow', async (t) => {
  const entrance = await open(t);
  if (entrance === null) return;
  const { caddy } = entrance;
  const load = startWebhookLoad(t, caddy.inside);
  await load.answered(20);
  const idle = memory(caddy.pid, 'VmRSS');
  resetPeak(caddy.pid);
  const bearer = { authorization: `Bearer ${WEBHOOK_SECRET}` };
  const held = [caddy.inside, caddy.outside].flatMap((url) =>
    PATHS.flatMap((path) =>
      [{}, bearer].flatMap((headers) =>
        [false, true].flatMap((chunked) => [1, 2].map(() => hold(t, portOf(url), { path, headers, bytes: 59 * MB, chunked }))),
      ),
    ),
  );
  // Below what the api takes: these are read to their last byte but one, and held.
  const inMeanwhile = Array.from({ length: 16 }, () =>
    hold(t, portOf(caddy.outside), { path: '/webhook/evolution', headers: bearer, bytes: 15 * MB }),
  );
  const waiting = new Set(held);
  for (const each of held) void each.answered.then(() => waiting.delete(each));
  // Looked at meanwhile: a balancer that takes all of it would take the machine with it.
  while (waiting.size > 0) {
    await load.answered(1);
    const now = memory(caddy.pid, 'VmHWM');
    assert.ok(now < limitOfCaddy() / 2, `${(now / MB).toFixed(0)} MB`);
  }
  await load.answered(40);
  const most = memory(caddy.pid, 'VmHWM');
  t.diagnostic(
    `${held.length + inMeanwhile.length} held: ${(most / MB).toFixed(0)} MB, idle ${(idle / MB).toFixed(0)} MB, limit ${limitOfCaddy() / MB} MB`,
  );
  const answers = await load.stop();
  assert.ok(most < limitOfCaddy() / 2, `${(most / MB).toFixed(0)} MB`);
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
});

test('Z5 strangers who post too much, or hang up in the middle of a post, take no copy of the api out of service, and none of their posts is tried again', async (t) => {
  // Who is out of service for a moment only is found here.
  const entrance = await open(t, [['lb_try_duration 15s', 'lb_try_duration 300ms']]);
  if (entrance === null) return;
  const { caddy, apis } = entrance;
  const load = startWebhookLoad(t, caddy.inside);
  await load.answered(10);
  const rounds = 10;
  for (let round = 0; round < rounds; round++) {
    const gone = [1_000, 200_000, 1_000_000].flatMap((bytes) => PATHS.map((path) => hold(t, portOf(caddy.outside), { path, bytes })));
    for (const each of gone) each.hangUp();
    await Promise.all(gone.map((each) => each.closed));
    for (const path of PATHS.filter((each) => !each.startsWith('/webhook')))
      await fetch(`${caddy.outside}${path}`, { method: 'POST', body: 'x'.repeat(70_000) }).then((answer) => answer.text());
    await load.answered(3);
  }
  const answers = await load.stop();
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const refused = apis.flatMap((api) => api.lines()).filter((line) => line.message === 'Webhook refused');
  assert.ok(refused.length <= rounds * 3 * 3, `${refused.length} attempts of ${rounds * 3 * 3} posts at webhooks`);
});

test('Z5 P10 a copy that breaks off: a webhook that was held whole is sent again to another one; one that was not, or whose sender is gone, is not', async (t) => {
  const entrance = await open(t);
  if (entrance === null) return;
  const { caddy, names, port } = entrance;
  let connections = 0;
  const broken = createServer((socket) => {
    connections++;
    // As a copy that is killed: something of the request was there, and what it became of nobody knows. Earlier it would be a connection that was never made.
    socket.once('data', () => socket.resetAndDestroy());
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => broken.listen(port, '127.0.1.3', resolve));
  t.after(async () => void broken.close());
  names.add('127.0.1.3');
  const bearer = { authorization: `Bearer ${WEBHOOK_SECRET}` };
  const webhook = (bytes: number) => JSON.stringify({ event: 'presence.update', instance: 'julia-dev', data: { id: 'x'.repeat(bytes) } });
  const post = async (path: string, body: string) => {
    const before = connections;
    const answer = await fetch(`${caddy.inside}${path}`, { method: 'POST', headers: bearer, body });
    await answer.text();
    return { status: answer.status, broken: connections - before };
  };
  /** Until one has met the broken copy, which is one of three. */
  const meet = async (path: string, body: string) => {
    for (;;) {
      const met = await post(path, body);
      if (met.broken > 0) return met;
    }
  };
  for (const bytes of [10, 1_000, 200_000]) assert.equal((await meet('/webhook/evolution', webhook(bytes))).status, 200, String(bytes));
  assert.deepEqual(await meet('/webhook/evolution', webhook(2_000_000)), { status: 502, broken: 1 }, 'Evolution comes again');
  assert.deepEqual(await meet('/api/messages', '{}'), { status: 502, broken: 1 }, 'it may have been taken');
  const before = connections;
  const gone = Array.from({ length: 30 }, () => hold(t, portOf(caddy.inside), { path: '/webhook/evolution', bytes: 10_000 }));
  for (const each of gone) each.hangUp();
  await Promise.all(gone.map((each) => each.closed));
  assert.ok(connections - before <= gone.length, `${connections - before} attempts for ${gone.length} posts`);
});

test('Z5 a body of more than 64 kB is refused by the balancer on every path but the webhooks, in the form of all errors', async (t) => {
  const entrance = await open(t);
  if (entrance === null) return;
  const { caddy } = entrance;
  const post = async (path: string, bytes: number, headers: Record<string, string> = {}) =>
    fetch(`${caddy.outside}${path}`, { method: 'POST', headers, body: 'x'.repeat(bytes) });
  for (const path of ['/api/messages', '/admin/pause', '/', '/webhook']) {
    // The api, which takes no such body, may say no before the balancer has seen too much of it.
    let large = await post(path, 100_000);
    for (let tries = 1; tries < 20 && large.status !== 413; tries++) large = await post(path, 100_000);
    assert.equal(large.status, 413, path);
    const { error } = (await large.json()) as { error: Record<string, string> };
    assert.equal(error['code'], 'too_large', path);
    assert.match(error['request_id'] ?? '', /^[0-9a-f-]{36}$/, path);
    assert.notEqual((await post(path, 1_000)).status, 413, path);
  }
  const bearer = { authorization: `Bearer ${WEBHOOK_SECRET}` };
  const webhook = { event: 'presence.update', instance: 'julia-dev', data: { id: 'x'.repeat(3 * MB) } };
  const large = await fetch(`${caddy.outside}/webhook/evolution`, { method: 'POST', headers: bearer, body: JSON.stringify(webhook) });
  assert.equal(large.status, 200);
  // By the api: MAX_WEBHOOK_MB. It reads on for half a second; where the balancer still posts then, it sees the connection cut and says so.
  assert.ok([413, 502].includes((await post('/webhook/evolution', 20 * MB, bearer)).status));
});

test('Z5 a head or a body that never ends is cut off by the balancer, and webhooks flow', async (t) => {
  const entrance = await open(t, [
    ['read_header 10s', 'read_header 300ms'],
    ['read_body 60s', 'read_body 600ms'],
  ]);
  if (entrance === null) return;
  const { caddy } = entrance;
  const load = startWebhookLoad(t, caddy.inside);
  await load.answered(5);
  const bearer = { authorization: `Bearer ${WEBHOOK_SECRET}` };
  const slow = [
    head(t, portOf(caddy.outside), 'POST /webhook/evolution HTTP/1.1\r\nhost: 127.0.0.1\r\nx-never: '),
    ...PATHS.flatMap((path) => [1_000, 1_000_000].map((bytes) => hold(t, portOf(caddy.outside), { path, headers: bearer, bytes }))),
  ];
  await Promise.all(slow.map((each) => each.closed));
  await load.answered(5);
  assert.deepEqual([...new Set((await load.stop()).map(({ status }) => status))], [200]);
});
