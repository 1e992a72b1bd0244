/** Z7: what one number's own secret posts costs that number its time, and none of the others theirs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminDone } from '../support/admin.ts';
import { INSTANCE, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

type TestHooks = { after(hook: () => Promise<void>): void };

const SECRETS_KEY = 'a-secrets-key-of-tests-0123456789abcdef';
/** So many events of one poster at most go before a message of another: what is under way, and what came while the test looked. */
const MOST = 600;

/** A number of another tenant, whose secret somebody has. */
async function withPoster(t: TestHooks): Promise<{ system: System; post: (body: unknown) => Promise<number> }> {
  const system = await startSystem(t, {
    workers: 0,
    env: { SECRETS_KEY, APP_BASE_URL: 'http://127.0.0.1:9' },
    simulator: { instances: [INSTANCE, 'padaria'] },
  });
  await system.query(`insert into tenants (id, name) values ('b', 'B'); insert into instances (tenant_id, name) values ('b', 'padaria')`);
  await adminDone(system.ctx, 'instance secret', { name: 'padaria' }, 'b');
  const { evolutionUrl, apiKey: apikey } = system.simulator;
  const found = (await (await fetch(`${evolutionUrl}/webhook/find/padaria`, { headers: { apikey } })).json()) as {
    headers: Record<string, string>;
  };
  const secret = found.headers['jwt_key'] ?? '';
  assert.notEqual(secret, WEBHOOK_SECRET);
  return { system, post: async (body) => (await system.webhook(body, { authorization: `Bearer ${secret}` })).status };
}

/** How many events bodies hold. */
const events = (bodies: { data: unknown }[]): number => bodies.reduce((sum, { data }) => sum + listOf(data).length, 0);
const listOf = (data: unknown): readonly unknown[] =>
  Array.isArray(data) ? data : ((data as { messages?: unknown[] }).messages ?? [data]);

let ids = 0;
const message = (phone: string) => ({
  key: { remoteJid: `${phone}@s.whatsapp.net`, fromMe: false, id: `M${++ids}` },
  message: { conversation: 'oi' },
  messageTimestamp: Math.floor(Date.now() / 1000),
});
const stranger = () => message(`55119${10_000_000 + ids}`);

/** Events of the poster that are durable. */
async function recorded(system: System): Promise<number> {
  const [row] = await system.query<{ n: number }>(
    `select coalesce(sum(jsonb_array_length(results)), 0)::int as n from webhook_events where posted_by ? 'instance'`,
  );
  return row?.n ?? 0;
}

for (const [what, bodies] of Object.entries({
  'one list of 1,500 strangers': () => [{ event: 'messages.upsert', instance: 'padaria', data: Array.from({ length: 1_500 }, stranger) }],
  'the same as Baileys lists them': () => [
    { event: 'messages.upsert', instance: 'padaria', data: { messages: Array.from({ length: 1_500 }, stranger), type: 'append' } },
  ],
  '20 lists of 200 at once': () =>
    Array.from({ length: 20 }, () => ({ event: 'messages.upsert', instance: 'padaria', data: Array.from({ length: 200 }, stranger) })),
  '1,500 of one message at once': () =>
    Array.from({ length: 1_500 }, () => ({ event: 'messages.upsert', instance: 'padaria', data: stranger() })),
  '4 lists of 1,500 in the name of another number': () =>
    Array.from({ length: 4 }, () => ({ event: 'messages.upsert', instance: INSTANCE, data: Array.from({ length: 1_500 }, stranger) })),
}))
  test(`Z7 who has a number's own secret keeps no other number waiting: ${what}`, async (t) => {
    const { system, post } = await withPoster(t);
    await post({ event: 'messages.upsert', instance: 'padaria', data: stranger() });
    await system.webhook({ event: 'messages.upsert', instance: INSTANCE, data: message('5511988887777') });
    const posted = bodies();
    const flood = posted.map((body) => post(body));
    const already = await system.until(async () => {
      const n = await recorded(system);
      return n > 1 && n;
    }, 'the flood');
    const answer = await system.webhook({ event: 'messages.upsert', instance: INSTANCE, data: message('5511988887777') });
    const before = await recorded(system);
    assert.equal(answer.status, 200);
    t.diagnostic(`${before} of ${1 + events(posted)} events before it, ${already} of them before it was posted`);
    assert.ok(before <= MOST, `${before} events of the other number went before`);
    assert.deepEqual([...new Set(await Promise.all(flood))], [200], 'nothing of it is lost');
    assert.equal(await recorded(system), 1 + events(posted));
  });

test("Z7 who types costs no connection of the others: presence in thousands, by a number's own secret", async (t) => {
  const { system, post } = await withPoster(t);
  let most = 0;
  let looks = 0;
  const call = system.ctx.db.call.bind(system.ctx.db);
  let underWay = 0;
  system.ctx.db.call = async (name, args) => {
    if (name !== 'pending_since') return call(name, args);
    looks++;
    most = Math.max(most, ++underWay);
    return call(name, args).finally(() => underWay--);
  };
  const typing = { id: '5511988887777@s.whatsapp.net', presences: { a: { lastKnownPresence: 'composing' } } };
  const list = Array.from({ length: 8 }, () => ({
    event: 'presence.update',
    instance: 'padaria',
    data: Array.from({ length: 1_500 }, () => typing),
  }));
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 6 }, () => post(list)))), new Set([200]));
  assert.ok(looks > 0 && looks <= 48, `${looks} looks`);
  assert.ok(most <= 2, `${most} at once`);
});

test('Z7 nobody waits for a large body to be looked through for who was erased: it is not kept, and what it brought is', async (t) => {
  const { system, post } = await withPoster(t);
  const words = Array.from({ length: 10_000 }, () => '5511900000000 5511911111111 5511922222222 5511933333333 5511944444444');
  const group = { ...message('5511912345678'), key: { remoteJid: '123-456@g.us', fromMe: false, id: 'G1' }, words };
  assert.equal(await post({ event: 'messages.upsert', instance: 'padaria', data: [message('5511912345678'), group] }), 200);
  assert.deepEqual(await system.query(`select body, ignored from webhook_events`), [{ body: { left_out: 'large' }, ignored: ['group'] }]);
  assert.deepEqual(await system.dump(), ['in contact received: oi']);
});
