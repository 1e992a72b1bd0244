/** What a shop's program asks for over /api/notices, from the request to the customer's phone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { evaluateAlerts } from '../../src/watch/alerts.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { clocked } from '../support/sends.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Shown = {
  id: number;
  status: string;
  reason: string | null;
  text: string;
  says: string;
  message_id: number | null;
  duplicate_of: number | null;
  provider_message_id: string | null;
  provider_error: { code: string } | null;
};
type Answer = { status: number; body: Record<string, unknown> & { error?: { message: string } } };

async function api(system: System, role = 'admin'): Promise<(method: string, path: string, body?: unknown) => Promise<Answer>> {
  const token = await new SignJWT({ role, tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('loja')
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(JWT_SECRET));
  return async (method, path, body) => {
    const answer = await fetch(system.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Answer['body'] };
  };
}
const shown = (answer: Answer): Shown => {
  assert.ok(answer.status === 200 || answer.status === 202, JSON.stringify(answer));
  return answer.body as unknown as Shown;
};
const notices = (answer: Answer): Shown[] => answer.body['notices'] as Shown[];

const PHONE = '+55 11 91234-5678';
const SHIPPED = {
  type: 'order_shipped',
  to: PHONE,
  reference: 'pedido-1001',
  data: { nome: 'Maria', codigo: '1001', rastreio: 'BR1', link_rastreio: 'https://example.com/r' },
};

test("T9 T10 Flowlog's checklist: created, paid, shipped, delivered, each with the words of its moment; the log shows sent; a changed order changes nothing that was said", async (t) => {
  const system = await startSystem(t, { workers: 1, env: { NOME_EMPRESA: 'Loja Pitanga', MAX_AVISOS_POR_HORA: '100000' } });
  system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  const ask = await api(system);
  const order = { nome: 'Maria', codigo: '1001', valor: 129.9 };
  for (const [type, data] of [
    ['order_created', order],
    ['payment_received', { ...order, valor: 'R$ 99,00' }],
    ['order_shipped', SHIPPED.data],
    ['order_delivered', order],
  ] as const)
    assert.equal(shown(await ask('POST', '/api/notices', { ...SHIPPED, type, data })).status, 'queued');
  const told = await system.until(async () => {
    const all = notices(await ask('GET', '/api/notices?reference=pedido-1001'));
    return all.length === 4 && all.every(({ status }) => status === 'delivered') ? all : null;
  }, 'all four to arrive');
  assert.deepEqual(told.map(({ text }) => text).toReversed(), [
    'Olá, Maria! A Loja Pitanga recebeu o seu pedido 1001, no valor de R$ 129,90. Avisamos por aqui a cada passo.',
    'Maria, recebemos o pagamento de R$ 99,00 do seu pedido 1001. Obrigado!',
    'Maria, o seu pedido 1001 está a caminho! Código de rastreio: BR1\nAcompanhe: https://example.com/r',
    'Maria, o seu pedido 1001 foi entregue. Se algo não estiver certo, é só responder por aqui.',
  ]);
  assert.deepEqual(
    system.simulator.sends().map(({ text }) => text),
    told.map(({ text }) => text).toReversed(),
    'in the order in which they were asked for',
  );
  for (const each of told) {
    assert.ok(each.provider_message_id);
    assert.equal(each.says, 'arrived');
  }
  assert.equal(notices(await ask('GET', '/api/notices?type=order_shipped&status=delivered&to=5511912345678')).length, 1);
  assert.equal(notices(await ask('GET', '/api/notices?status=failed')).length, 0);
  const page = await ask('GET', '/api/notices?limit=3');
  assert.equal(notices(page).length, 3);
  assert.equal(notices(await ask('GET', `/api/notices?limit=3&cursor=${String(page.body['next_cursor'])}`)).length, 1);
});

test('T10 what is missing, wrong, off or repeated is told, and what WhatsApp refused stands in the log', async (t) => {
  const system = await startSystem(t, { workers: 1, env: { MAX_AVISOS_POR_HORA: '100000' } });
  const ask = await api(system);
  const { rastreio: _, ...without } = SHIPPED.data;
  const missing = await ask('POST', '/api/notices', { ...SHIPPED, data: without });
  assert.equal(missing.status, 400);
  assert.match(missing.body.error?.message ?? '', /\{rastreio\}/);
  for (const wrong of [
    {},
    { ...SHIPPED, type: 'order_lost' },
    { ...SHIPPED, to: '123' },
    { ...SHIPPED, reference: '' },
    { ...SHIPPED, data: { nome: { a: 1 } } },
    { ...SHIPPED, data: { ...SHIPPED.data, nome: 'a\u0000' } },
    { ...SHIPPED, data: { ...SHIPPED.data, nome: 'x'.repeat(1_001) } },
    { ...SHIPPED, expires_at: '2020-01-01T00:00:00Z' },
    { ...SHIPPED, text: 'meu texto' },
    { ...SHIPPED, instance: 'nobody' },
  ])
    assert.equal((await ask('POST', '/api/notices', wrong)).status, 400, JSON.stringify(wrong).slice(0, 200));
  assert.deepEqual(notices(await ask('GET', '/api/notices')), []);

  const bad = await ask('PUT', '/api/notice-templates/order_shipped', { text: 'Oi {cliente}' });
  assert.equal(bad.status, 400);
  assert.match(bad.body.error?.message ?? '', /\{cliente\}/);
  assert.equal((await ask('PUT', '/api/notice-templates/order_lost', { enabled: false })).status, 404);
  assert.equal((await ask('PUT', '/api/notice-templates/order_shipped', { text: 'Saiu, {nome}!', enabled: false })).status, 200);
  const off = shown(await ask('POST', '/api/notices', SHIPPED));
  assert.deepEqual([off.status, off.reason, off.text], ['blocked', 'type_disabled', 'Saiu, Maria!']);
  await ask('PUT', '/api/notice-templates/order_shipped', { enabled: true });
  const fault = system.simulator.fault({ target: 'send', kind: 'status', times: null, status: 422 });
  const first = shown(await ask('POST', '/api/notices', { ...SHIPPED, to: '+55 11 91234-5699' }));
  const again = shown(await ask('POST', '/api/notices', { ...SHIPPED, to: '11 91234-5699' }));
  assert.deepEqual([again.status, again.reason, again.duplicate_of], ['deduped', 'duplicate', first.id]);

  const failed = await system.until(async () => {
    const notice = shown(await ask('GET', `/api/notices/${first.id}`));
    return notice.status === 'failed' ? notice : null;
  }, 'the refusal');
  assert.match(failed.says, /did not leave because/);
  system.simulator.clearFaults(fault.id);
  assert.equal((await ask('POST', `/api/notices/${again.id}/resend`, {})).status, 409);
  assert.equal((await ask('POST', '/api/notices/99999/resend', {})).status, 404);
  const resent = shown(await ask('POST', `/api/notices/${first.id}/resend`, {}));
  await system.until(async () => shown(await ask('GET', `/api/notices/${resent.id}`)).status === 'delivered', 'the second try');
  assert.equal(shown(await ask('GET', `/api/notices/${first.id}`)).status, 'failed');
  assert.equal((await (await api(system, 'sender'))('PUT', '/api/notice-templates/expired', { enabled: false })).status, 403);
});

test('T10 T11 the queue unavailable and no worker for an hour: notices are accepted, people are told within three minutes, and all leave after', async (t) => {
  const system = await startSystem(t, { workers: 0, queue: 'redis', slack: 'webhook', env: { MAX_AVISOS_POR_HORA: '3600' } });
  const ask = await api(system);
  const start = Date.now();
  const minutes = (n: number) => new Date(start + n * 60_000);
  await system.query(
    `insert into process_status (id, mode, version, started_at, seen_at) select m, m, '1', now(), now() + interval '1 hour' from unnest(array['api', 'scheduler']) m`,
  );
  await system.redis?.kill();
  for (let n = 0; n < 12; n++)
    assert.equal(
      shown(await ask('POST', '/api/notices', { ...SHIPPED, to: `+55 11 91234-56${10 + (n % 4)}`, reference: `pedido-${n}` })).status,
      'queued',
    );
  await system.redis?.restart();
  // Two looks of the scheduler, 45 s apart.
  await evaluateAlerts(system.ctx, ['seconds']);
  await system.query(`update alerts set since = since - interval '45 seconds'`);
  await evaluateAlerts(system.ctx, ['seconds']);
  await system.until(() => system.simulator.slackTexts().some((text) => text.includes('Nenhum worker está rodando')), 'the alert');

  const clock = { now: minutes(60) };
  const worker = clocked(await system.openContext('worker'), clock);
  for (let step = 0; step < 60; step++) {
    const due = await system.query<{ id: number }>(
      `select distinct conversation_id::int as id from messages where status in ('queued', 'sending') order by 1`,
    );
    if (due.length === 0) break;
    for (const { id } of due) await sendNext(worker, id);
    clock.now = new Date(clock.now.getTime() + 1_000);
  }
  assert.equal(system.simulator.sends().length, 12);
  const told = notices(await ask('GET', '/api/notices'));
  assert.equal(new Set(told.map(({ text }) => text)).size, 1, 'the words of then');
  assert.deepEqual(
    told.filter(({ status }) => !['sent', 'delivered'].includes(status)),
    [],
  );
});
