/** Events that are posted: signed, in order, again until they are taken, never to a private address. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { admin } from '../support/admin.ts';
import { claimPush, recordPush } from '../../src/feed/push-calls.ts';
import { pushEvents } from '../../src/feed/push.ts';
import { PATIENCE_MS } from '../../src/feed/push-words.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Posted = { id: string; n: unknown; headers: IncomingHttpHeaders; body: string };
type Subscriber = { url: string; host: string; posts: Posted[]; answer: (response: ServerResponse, n: number) => void };

async function startSubscriber(t: TestContext): Promise<Subscriber> {
  const subscriber: Subscriber = { url: '', host: '', posts: [], answer: (response) => response.writeHead(204).end() };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const event = JSON.parse(body) as { id: string; payload: { n?: unknown } };
      assert.equal(request.headers['webhook-id'], event.id);
      subscriber.posts.push({ id: event.id, n: event.payload.n, headers: request.headers, body });
      subscriber.answer(response, subscriber.posts.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve(undefined));
        server.closeAllConnections();
      }),
  );
  subscriber.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  subscriber.url = `http://${subscriber.host}/hook`;
  return subscriber;
}

type Stage = { system: System; subscriber: Subscriber; push: () => Promise<number>; emit: (...ns: number[]) => Promise<void>; run: Run };
type Run = (
  name: string,
  args: Record<string, unknown>,
  tenant?: string,
) => Promise<{ ok: boolean; result?: Record<string, unknown>; message?: string }>;

async function open(t: TestContext): Promise<Stage> {
  const subscriber = await startSubscriber(t);
  const system = await startSystem(t, {
    workers: 0,
    env: { HTTP_ALLOW_PRIVATE: subscriber.host, SECRETS_KEY: 'a-key-of-tests-0123456789abcdef-0123456789' },
  });
  return {
    system,
    subscriber,
    push: () => pushEvents(system.ctx, new AbortController().signal),
    emit: async (...ns) => {
      for (const n of ns)
        await system.query(
          `select emit_event('default', 'lead.created', $1, '{}', jsonb_build_object('contact_id', 1, 'n', $2::int), null, null, null)`,
          [String(n), n],
        );
    },
    run: async (name, args, tenant) => (await admin(system.ctx, name, args, tenant)) as Awaited<ReturnType<Run>>,
  };
}

const ns = ({ posts }: Subscriber): unknown[] => posts.map(({ n }) => n);
const signed = (secret: string, { id, headers, body }: Posted): string =>
  `v1,${createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64'))
    .update(`${id}.${String(headers['webhook-timestamp'])}.${body}`)
    .digest('base64')}`;

test('T8 a subscriber that answers 500 and is away for ten minutes misses nothing: each event in order, and the same id again', async (t) => {
  const { system, subscriber, push, emit, run } = await open(t);
  const { result } = await run('subscription add', { url: subscriber.url, types: 'lead.created' });
  assert.match(String(result?.['secret']), /^whsec_[A-Za-z0-9+/]{43}=$/);
  await system.query(`update instances set status = 'open'`);
  await emit(1, 2, 3, 4);
  subscriber.answer = (response, n) => response.writeHead(n === 2 ? 500 : 204).end();
  await Promise.all([push(), push()]);
  assert.deepEqual(ns(subscriber), [1, 2], 'what comes after a refused one waits');
  await push();
  assert.deepEqual(ns(subscriber), [1, 2], 'and is not posted before its time');
  await system.query(`update subscriptions set due_at = now() - interval '10 minutes'`);
  const pushed = await Promise.all([push(), push(), push()]);
  assert.equal(
    pushed.reduce((sum, n) => sum + n, 0),
    3,
    'two workers do not post the same twice',
  );
  assert.deepEqual(ns(subscriber), [1, 2, 2, 3, 4]);
  assert.equal(subscriber.posts[1]?.id, subscriber.posts[2]?.id);
  for (const posted of subscriber.posts) assert.equal(posted.headers['webhook-signature'], signed(String(result?.['secret']), posted));
});

test('T8 a process that dies between a post and its record: the event is posted again, and the dead one changes nothing any more', async (t) => {
  const { system, subscriber, push, emit, run } = await open(t);
  await run('subscription add', { url: subscriber.url });
  await emit(1, 2);
  const dead = await claimPush(system.ctx.db, 'dead', 30_000, 10);
  assert.equal(dead?.events.length, 2);
  assert.equal(await push(), 0, 'it is with one process at a time');
  await system.query(`update subscriptions set lease_until = now() - interval '1 second'`);
  assert.equal(await push(), 2);
  const end = { seq: 1, fault: null, waitMs: 0, patienceMs: PATIENCE_MS, leaseMs: 30_000, last: true };
  assert.deepEqual(await recordPush(system.ctx.db, dead ?? { id: 0, claim: 0 }, end), { recorded: false, disabled: false });
  await run('subscription replay', { id: '1', after: '1' });
  assert.equal(await push(), 1);
  assert.deepEqual(ns(subscriber), [1, 2, 2]);
  assert.equal(subscriber.posts[1]?.id, subscriber.posts[2]?.id, 'a replay has the same ids');
});

test('T8 three days of failures disable a subscription, people are told once, and a replay brings what waited', async (t) => {
  const { system, subscriber, push, emit, run } = await open(t);
  await run('subscription add', { url: subscriber.url });
  await emit(1, 2);
  subscriber.answer = (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
  await push();
  await system.query(`update subscriptions set due_at = now(), failing_since = now() - interval '71 hours'`);
  await push();
  const status = async () => (await system.query('select status, last_fault from subscriptions'))[0];
  assert.deepEqual(await status(), { status: 'active', last_fault: 'it answered 302' });
  await system.query(`update subscriptions set due_at = now(), failing_since = now() - interval '72 hours'`);
  await push();
  await push();
  assert.equal((await status())?.['status'], 'disabled');
  assert.equal((await system.query(`select from notices where text like '%assinatura de eventos 1%'`)).length, 1);
  subscriber.answer = (response) => response.writeHead(204).end();
  assert.equal(await push(), 0);
  await run('subscription replay', { id: '1' });
  assert.equal(await push(), 2);
  assert.deepEqual(ns(subscriber), [1, 1, 1, 1, 2]);
});

test('T8 Z2 a private address is refused when it is saved and at each post, and a tenant reaches only its own subscriptions', async (t) => {
  const { system, subscriber, push, emit, run } = await open(t);
  for (const url of [
    'https://127.0.0.1/x',
    'https://[::1]/x',
    'http://example.com/x',
    'https://localhost/x',
    'file:///etc/passwd',
    'https://a:b@example.com/',
    'x',
  ])
    assert.equal((await run('subscription add', { url })).ok, false, url);
  await run('subscription add', { url: subscriber.url });
  // what was public when it was saved leads elsewhere now
  await system.query(`update subscriptions set url = 'https://localhost/x'`);
  await emit(1);
  await push();
  assert.equal((await system.query('select last_fault from subscriptions'))[0]?.['last_fault'], 'it leads to a private address');
  await system.query(`insert into tenants (id, name) values ('outra', 'Outra')`);
  for (const name of ['test', 'replay', 'rotate', 'remove'])
    assert.equal((await run(`subscription ${name}`, { id: '1' }, 'outra')).ok, false, name);
  assert.deepEqual((await run('subscription list', {}, 'outra')).result, { subscriptions: [] });
  assert.equal((await run('subscription remove', { id: '1' })).ok, true);
  assert.deepEqual(await system.query(`select name from tenant_secrets`), []);
});

test('T8 a rotated secret signs with the one before for a day; a test is signed too', async (t) => {
  const { system, subscriber, push, emit, run } = await open(t);
  const before = String((await run('subscription add', { url: subscriber.url })).result?.['secret']);
  const after = String((await run('subscription rotate', { id: '1' })).result?.['secret']);
  assert.equal((await run('subscription test', { id: '1' })).result?.['arrived'], true);
  await emit(1);
  await push();
  await system.query(`update subscriptions set previous_until = now()`);
  await emit(2);
  await push();
  const [tested, both, one] = subscriber.posts;
  assert.ok(tested && both && one);
  for (const posted of [tested, both])
    assert.equal(posted.headers['webhook-signature'], `${signed(after, posted)} ${signed(before, posted)}`);
  assert.equal(one.headers['webhook-signature'], signed(after, one));
});
