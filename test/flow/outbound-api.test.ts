/** POST /api/messages, GET /api/messages/:id, GET /health/rate. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignJWT } from 'jose';
import { sendNext } from '../../src/outbox/send.ts';
import { queueReplies } from '../support/sends.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

let system: System;
let bearer: string;
before(async () => {
  system = await startSystem({ after: () => {} }, { workers: 1, env: { MAX_MSGS_POR_HORA: '5', MAX_MSGS_POR_DIA: '50' } });
  bearer = `Bearer ${await token({ role: 'admin', tenant: 'default' })}`;
});
after(() => system.close());

function token(claims: Record<string, string>, options: { secret?: string; expires?: string } = {}): Promise<string> {
  const jwt = new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setSubject('test');
  if (options.expires !== 'never') jwt.setExpirationTime(options.expires ?? '5m');
  return jwt.sign(new TextEncoder().encode(options.secret ?? JWT_SECRET));
}

type Answer = { status: number; body: Record<string, unknown> };
async function request(
  method: string,
  path: string,
  options: { body?: unknown; authorization?: string | null; key?: string } = {},
): Promise<Answer> {
  const { body, authorization = bearer, key } = options;
  const response = await fetch(system.url + path, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(authorization === null ? {} : { authorization }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const post = (body: unknown, options: { authorization?: string | null; key?: string } = {}) =>
  request('POST', '/api/messages', { body, ...options });
const count = async () => Number((await system.query(`select count(*)::int as n from messages`))[0]?.['n']);
const errorOf = (answer: Answer) => answer.body['error'] as { code: string; message: string; request_id: string };

test('H16 without a valid token nothing is stored', async () => {
  const before = await count();
  const wrong = [
    null,
    'Bearer x',
    'Basic abc',
    `Bearer ${await token({ role: 'admin' }, { secret: 'f'.repeat(32) })}`,
    `Bearer ${await token({ role: 'admin' }, { expires: '1 minute ago' })}`,
    `Bearer ${await token({ role: 'admin' }, { expires: 'never' })}`,
    `Bearer ${await token({})}`,
    // alg none
    `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"x","role":"admin","exp":9999999999}').toString('base64url')}.`,
  ];
  for (const authorization of wrong) {
    const answer = await post({ to: '11 98100-0001', text: 'x' }, { authorization });
    assert.equal(answer.status, 401, String(authorization));
    assert.equal(errorOf(answer).code, 'unauthorized');
    assert.equal((await request('GET', '/api/messages/1', { authorization })).status, 401);
  }
  assert.equal(await count(), before);
});

test('O6 request: what cannot be sent is refused with words, and nothing is stored', async () => {
  const before = await count();
  const good = { to: '11 98100-0002', text: 'Oi' };
  const bad: unknown[] = [
    'not json',
    '',
    [],
    null,
    {},
    { to: good.to },
    { text: 'Oi' },
    { ...good, to: 'abc' },
    { ...good, to: '123' },
    { ...good, to: '120363043111111111@g.us' },
    { ...good, to: 5511981000002 },
    { ...good, text: '' },
    { ...good, text: ' \n ' },
    { ...good, text: 'x'.repeat(4_001) },
    { ...good, text: 'a\u0000b' },
    { ...good, text: 'a\ud83d' },
    { ...good, kind: 'reply' },
    { ...good, kind: 'spam' },
    { ...good, send_after: 'tomorrow' },
    { ...good, send_after: '2026-12-01T09:00:00' },
    { ...good, expires_at: 5 },
    { ...good, unknown: 1 },
    { ...good, campaign_id: 'a\u0000' },
    { ...good, instance: '' },
    { ...good, instance: 'nobody' },
  ];
  for (const body of bad) {
    const answer = await post(body);
    assert.equal(answer.status, 400, JSON.stringify(body));
    assert.equal(errorOf(answer).code, 'bad_request');
    assert.ok(errorOf(answer).message.length > 0 && errorOf(answer).request_id.length > 0);
  }
  assert.match(errorOf(await post({ ...good, instance: 'nobody' })).message, /there is no number nobody/);
  for (const key of ['x'.repeat(201), ' ']) assert.equal((await post(good, { key })).status, 400);
  assert.equal(await count(), before);
});

test('I12 all ways to write a number reach one contact', async () => {
  const ids: number[] = [];
  for (const to of ['11 98100-0003', '+55 (11) 98100-0003', '5511981000003', '551181000003', '011981000003']) {
    const answer = await post({ to, text: 'Oi', send_after: '2099-01-01T00:00:00Z' });
    assert.equal(answer.status, 202, to);
    ids.push(Number(answer.body['id']));
  }
  assert.deepEqual(await system.query(`select count(distinct conversation_id)::int as n from messages where id = any($1)`, [ids]), [
    { n: 1 },
  ]);
  assert.deepEqual(await system.query(`select address from contact_addresses where address like '%1000003'`), [
    { address: '5511981000003' },
  ]);
});

test('O6 idempotency: the same key gives the first result, also to twenty at once; another message under it is a conflict', async () => {
  const body = { to: '11 98100-0004', text: 'Pedido 1', send_after: '2099-01-01T00:00:00Z' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(body, { key: 'pedido-1' })));
  assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [202]);
  assert.equal(new Set(answers.map((answer) => answer.body['id'])).size, 1);
  for (const other of [
    { ...body, text: 'Pedido 2' },
    { ...body, to: '11 98100-0005' },
    { ...body, kind: 'campaign' },
  ]) {
    assert.equal((await post(other, { key: 'pedido-1' })).status, 409);
  }
  const [first, second] = await Promise.all([post(body, { key: 'pedido-2' }), post(body, { key: 'pedido-3' })]);
  assert.notEqual(first.body['id'], second.body['id'], 'two orders in one minute are two messages');
  await system.query(`update messages set created_at = created_at - interval '25 hours' where idempotency_key = 'pedido-1'`);
  const nextDay = await post({ ...body, text: 'Pedido 9' }, { key: 'pedido-1' });
  assert.equal(nextDay.status, 202);
  assert.notEqual(nextDay.body['id'], answers[0]?.body['id']);
});

test('R1 H3 status: sent, held with reason and time, and unknown', async () => {
  const sent: number[] = [];
  for (let index = 0; index < 5; index++) sent.push(Number((await post({ to: `11 98100-01${index}0`, text: 'Oi' })).body['id']));
  await system.simulator.waitFor((wire) => wire.sends.filter((send) => send.id !== null).length === 5, 30_000);
  const held = Number((await post({ to: '11 98100-0200', text: 'Sexta' })).body['id']);
  const status = await system.until(async () => {
    const { body } = await request('GET', `/api/messages/${held}`);
    return body['reason'] === null ? null : body;
  }, 'held');
  assert.deepEqual(
    {
      id: status['id'],
      status: status['status'],
      reason: status['reason'],
      provider_message_id: status['provider_message_id'],
      attempts: status['attempts'],
    },
    { id: held, status: 'queued', reason: 'cap_hour', provider_message_id: null, attempts: 0 },
  );
  const [oldest] = await system.query<{ at: Date }>(`select min(slot_at) as at from messages`);
  assert.equal(Date.parse(String(status['goes_at'])), (oldest?.at.getTime() ?? 0) + 3_600_000);

  const delivered = await system.until(async () => {
    const { body } = await request('GET', `/api/messages/${sent[0]}`);
    return body['status'] === 'delivered' ? body : null;
  }, 'delivered');
  assert.equal(delivered['provider_message_id'], system.simulator.sends().find((send) => send.jid === '5511981000100@s.whatsapp.net')?.id);
  for (const id of ['999999', 'abc', '0', '-1', '99999999999999999999'])
    assert.equal((await request('GET', `/api/messages/${id}`)).status, 404);
  const stranger = `Bearer ${await token({ role: 'admin', tenant: 'outro' })}`;
  assert.equal((await request('GET', `/api/messages/${sent[0]}`, { authorization: stranger })).status, 404, 'another tenant');
  assert.equal((await post({ to: '11 98100-0300', text: 'x' }, { authorization: stranger })).status, 400, 'a number of another tenant');

  for (const path of ['/health/rate', '/health/rate-limit']) {
    const rate = await request('GET', path, { authorization: null });
    assert.equal(rate.status, 200);
    const { hour, day, inside_hours: inside, instances } = rate.body as Record<string, Record<string, unknown>>;
    assert.deepEqual({ ...hour, resets_at: null }, { used: 5, limit: 5, remaining: 0, percent: 100, resets_at: null }, 'H3');
    assert.deepEqual({ ...day, resets_at: null }, { used: 5, limit: 50, remaining: 45, percent: 10, resets_at: null });
    assert.equal(Date.parse(String(hour?.['resets_at'])), (oldest?.at.getTime() ?? 0) + 3_600_000);
    assert.equal(typeof inside, 'boolean');
    assert.ok(instances?.[INSTANCE]);
  }
});

test('O16 provider errors: a message that the other side holds up keeps its number, and says the class of the error and what to do', async (t) => {
  const held = await startSystem(t, { workers: 0 });
  const ctx = await held.openContext('worker');
  const authorization = bearer;
  const ask = async (method: string, path: string): Promise<Answer> => {
    const response = await fetch(held.url + path, { method, headers: { authorization } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const errorAfter = async (phone: string, fault: Parameters<typeof held.simulator.fault>[0]) => {
    const { conversation, ids } = await queueReplies(held, phone, ['Seu pedido saiu']);
    held.simulator.fault(fault);
    await sendNext(ctx, conversation);
    const { body: told } = await ask('GET', `/api/messages/${ids[0]}`);
    assert.equal(told['id'], ids[0]);
    return told['provider_error'] as { status: number; code: string; hint: string } | null;
  };
  const disconnected = { status: 500, error: 'Internal Server Error', response: { message: 'Connection Closed' } };
  const seen = [
    await errorAfter('5511912340001', { target: 'send', kind: 'status', status: 500, body: disconnected }),
    await errorAfter('5511912340003', { target: 'send', kind: 'status', status: 503 }),
    await errorAfter('5511912340004', { target: 'send', kind: 'drop', sent: false }),
    await errorAfter('5511912340002', { target: 'send', kind: 'unauthorized' }),
  ];
  assert.deepEqual(
    seen.map((error) => error?.status),
    [409, 502, 502, 503],
  );
  for (const error of seen) assert.ok((error?.hint.length ?? 0) > 20);
});
