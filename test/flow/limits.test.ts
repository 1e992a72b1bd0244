/** Caps, their reset, the levels of what nobody asked for, and the search over messages: by API, by command line, with a real worker. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignJWT } from 'jose';
import { startProgram } from '../support/process.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Answer = { status: number; body: Record<string, unknown> };

const hooks: (() => Promise<void>)[] = [];
let system: System;
before(async () => {
  const shared = { after: (hook: () => Promise<void>) => void hooks.unshift(hook) };
  system = await startSystem(shared, { env: { MAX_MSGS_POR_HORA: '2', MAX_MSGS_POR_DIA: '50' } });
});
after(async () => {
  for (const hook of hooks) await hook();
});

async function call(method: 'GET' | 'POST', path: string, body?: unknown, role = 'admin'): Promise<Answer> {
  const token = await new SignJWT({ role, tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ana')
    .setExpirationTime('5m')
    .sign(new TextEncoder().encode(JWT_SECRET));
  const response = await fetch(system.url + path, {
    method,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function post(to: string, extra: Record<string, unknown> = {}): Promise<number> {
  const answer = await call('POST', '/api/messages', { to, text: `Pedido de ${to}`, ...extra });
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  return Number(answer.body['id']);
}

const status = async (id: number) => (await call('GET', `/api/messages/${id}`)).body;
const sent = (id: number) =>
  system.until(async () => ['sent', 'delivered'].includes(String((await status(id))['status'])), `message ${id} is sent`);
const heldFor = (id: number, reason: string) =>
  system.until(async () => {
    const message = await status(id);
    return message['reason'] === reason ? message : null;
  }, `message ${id} is held because of ${reason}`);

/** Nothing waits, and nothing is used. */
async function fresh(): Promise<void> {
  await system.query(`update messages set status = 'cancelled' where status = 'queued'`);
  await call('POST', '/admin/rate/reset');
}

async function cli(...args: string[]): Promise<{ code: unknown; out: string }> {
  const env = {
    USER: 'ana',
    DATABASE_URL: system.databaseUrl,
    EVOLUTION_API_URL: system.simulator.evolutionUrl,
    EVOLUTION_API_KEY: system.simulator.apiKey,
    EVOLUTION_INSTANCE: INSTANCE,
    MAX_MSGS_POR_HORA: '2',
    HORARIO_INICIO: '00:00',
    HORARIO_FIM: '23:59',
  };
  const program = startProgram({ after: (hook) => void hooks.unshift(hook) }, 'src/admin/cli.ts', { args, env });
  return { code: await program.ended, out: [...program.stdout, ...program.stderr].join('\n') };
}

test('R5 X4 reset: what is held says why and when in words; rate reset by HTTP and by command line lets the next one go, and is audited', async () => {
  await sent(await post('11 98200-0001'));
  await sent(await post('11 98200-0002'));
  const third = await post('11 98200-0003');
  const held = await heldFor(third, 'cap_hour');
  assert.match(
    String(held['says']),
    /^held because the number used its cap of proactive messages for 60 minutes .*, goes at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d at the earliest$/,
  );

  const rate = await call('GET', '/health/rate');
  assert.equal((rate.body['hour'] as { used: number }).used, 2);
  const number = (rate.body['instances'] as Record<string, { held: Record<string, number>; next_slot_at: string }>)[INSTANCE];
  assert.deepEqual(number?.held, { cap_hour: 1 });
  const goesAt = new Date(String(held['goes_at'])).toISOString();
  assert.equal(number.next_slot_at, goesAt, 'when the next slot is free');
  assert.equal(rate.body['next_slot_at'], goesAt);
  assert.match(
    (await cli('rate')).out,
    /2 of 2 in 60 minutes, 2 of 100 in 24 hours\n {2}order notices: 0 of 300 in 60 minutes\n {2}inside its hours; [^\n]*\n {2}1 held because the number used its cap/,
  );

  const reset = await call('POST', '/admin/rate/reset', { window: 'hour', reason: 'conferido' });
  assert.deepEqual(reset.body, { window: 'hour', instances: [INSTANCE], released: 1, woken: true });
  await sent(third);
  assert.equal(((await call('GET', '/health/rate')).body['hour'] as { used: number }).used, 1, 'counted from the reset on');
  assert.equal(((await call('GET', '/health/rate')).body['day'] as { used: number }).used, 3, 'the day goes on');

  await sent(await post('11 98200-0004'));
  const fifth = await post('11 98200-0005');
  await heldFor(fifth, 'cap_hour');
  const byHand = await cli('rate', 'reset', 'hour', '--instance', INSTANCE);
  assert.equal(byHand.code, 0, byHand.out);
  assert.equal(byHand.out, `The caps of the hour count from now on: ${INSTANCE}. 1 conversations go on.`);
  await sent(fifth);
  assert.deepEqual(
    await system.query(`select actor, subject, details ->> 'reason' as reason from audit_log where action = 'rate.reset' order by id`),
    [
      { actor: 'api:ana', subject: 'hour', reason: 'conferido' },
      { actor: 'cli:ana', subject: 'hour', reason: null },
    ],
  );
  assert.equal((await call('POST', '/admin/rate/reset', { window: 'hour' }, 'operator')).status, 403);
  assert.equal((await call('POST', '/admin/rate/reset', { window: 'week' })).status, 400);
  assert.equal((await call('POST', '/admin/rate/reset', { instance: 'nobody' })).status, 404);
  assert.equal((await call('POST', '/admin/rate/reset')).status, 200, 'both, without a word');
});

test('O10 levels: campaigns and everything else are held by one command and go on by it; a reply leaves meanwhile', async () => {
  await fresh();
  assert.equal((await call('POST', '/admin/proactive', { level: 'no_campaigns', reason: 'reclamações' })).status, 200);
  const campaign = await post('11 98200-0011', { kind: 'campaign', campaign_id: 'natal' });
  const held = await heldFor(campaign, 'campaigns_off');
  assert.equal(held['goes_at'], null);
  assert.equal(held['says'], 'held because campaigns are switched off (npm run admin -- proactive all); it goes when that ends');
  const why = await call('GET', `/admin/why?id=${campaign}`);
  assert.equal(why.body['conclusion'], 'held because campaigns are switched off (npm run admin -- proactive all)', 'no time is promised');
  const notice = await post('11 98200-0012');
  await sent(notice);
  const safe = await cli('proactive', 'none', '--reason', 'número em análise');
  assert.equal(safe.out, 'Safe mode: only replies and what a person writes leave.');
  await heldFor(await post('11 98200-0013'), 'safe_mode');
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511982000099' });
  system.simulator.script([{ match: 'preço', text: 'Custa dez reais.' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Qual o preço?' });
  await system.until(
    async () => (await system.dump()).some((line) => line.includes('Custa dez reais') && line.includes('delivered')),
    'the reply',
  );
  await call('POST', '/admin/rate/reset');
  await call('POST', '/admin/proactive', { level: 'all' });
  await sent(campaign);
});

test('O10 contact wait: a person is left alone until a time, and no longer when it is taken back', async () => {
  await fresh();
  await sent(await post('11 98200-0021'));
  const until = '2099-01-01T12:00:00Z';
  const wait = { phone: '11 98200-0021', until, reason: 'pediu para falar depois' };
  assert.equal((await call('POST', '/admin/contact/wait', wait)).status, 200);
  const message = await post('11 98200-0021', { text: 'Oi' });
  const held = await heldFor(message, 'next_allowed');
  assert.equal(Date.parse(String(held['goes_at'])), Date.parse(until));
  for (const wrong of [
    { ...wait, phone: 'abc' },
    { ...wait, until: 'amanhã' },
    { phone: wait.phone, until },
  ])
    assert.equal((await call('POST', '/admin/contact/wait', wrong)).status, 400);
  assert.equal((await call('POST', '/admin/contact/wait', { ...wait, phone: '11 91111-1111' })).status, 404);
  const free = await cli('contact', 'wait', '5511982000021', '--reason', 'já falou');
  assert.equal(free.out, 'The contact waits no longer.');
  await system.ctx.queues.wakeSend(Number(held['conversation_id']));
  await sent(message);
});

test('O15 bypass: needs a person’s reason, the kind manual and the role of an operator', async () => {
  await fresh();
  const body = { to: '11 98200-0031', text: 'Oi', kind: 'manual', bypass_reason: 'cliente esperando na loja' };
  for (const wrong of [
    { ...body, bypass_reason: ' ' },
    { ...body, kind: 'campaign' },
    { ...body, kind: undefined },
  ])
    assert.equal((await call('POST', '/api/messages', wrong)).status, 400, JSON.stringify(wrong));
  assert.equal((await call('POST', '/api/messages', body, 'sender')).status, 403);
  for (const to of ['11 98200-0032', '11 98200-0033']) await sent(await post(to));
  await heldFor(await post('11 98200-0034'), 'cap_hour');
  const answer = await call('POST', '/api/messages', body, 'operator');
  assert.equal(answer.status, 202);
  await sent(Number(answer.body['id']));
  assert.equal((await status(Number(answer.body['id'])))['bypass_reason'], body.bypass_reason);
  assert.deepEqual(
    await system.query(`select actor, subject, details ->> 'reason' as reason from audit_log where action = 'send.bypass'`),
    [{ actor: 'api:ana', subject: String(answer.body['id']), reason: body.bypass_reason }],
  );
});

test('O6 two orders in one minute are two messages; the same order twice is one and a row that says duplicate; the text is the one of the request', async () => {
  await fresh();
  const order = (number: number, key: string) =>
    fetch(`${system.url}/api/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key, authorization: bearer },
      body: JSON.stringify({ to: '11 98200-0041', text: `Pedido ${number} enviado` }),
    }).then((response) => response.json() as Promise<{ id: number }>);
  const token = new SignJWT({ role: 'sender', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('loja')
    .setExpirationTime('5m');
  const bearer = `Bearer ${await token.sign(new TextEncoder().encode(JWT_SECRET))}`;
  const [one, two] = await Promise.all([order(1, 'pedido-1/enviado'), order(2, 'pedido-2/enviado')]);
  const again = await order(1, 'pedido-1/enviado');
  assert.equal(again.id, one.id);
  await Promise.all([sent(one.id), sent(two.id)]);
  const wire = system.simulator.sends().filter((send) => send.jid === '5511982000041@s.whatsapp.net');
  assert.deepEqual(wire.map((send) => send.text).toSorted(), ['Pedido 1 enviado', 'Pedido 2 enviado']);
  const { body } = await call('GET', '/api/messages?to=11982000041');
  const messages = body['messages'] as { status: string; reason: string | null; duplicate_of: number | null; text: string; says: string }[];
  assert.deepEqual(
    messages.map((message) => [message.text, message.status === 'deduped' ? message.reason : 'left', message.duplicate_of]),
    [
      ['Pedido 1 enviado', 'duplicate', one.id],
      ...[two.id, one.id].toSorted((a, b) => b - a).map((id) => [id === one.id ? 'Pedido 1 enviado' : 'Pedido 2 enviado', 'left', null]),
    ],
  );
});

test('O5 search: by status, kind, person, campaign and time, page by page', async () => {
  await system.query(`update messages set status = 'cancelled' where status = 'queued'`);
  const ids: number[] = [];
  for (let index = 0; index < 5; index++)
    ids.unshift(
      await post('11 98200-0051', { kind: 'campaign', campaign_id: 'pascoa', send_after: '2099-01-01T00:00:00Z', text: `Ovo ${index}` }),
    );
  const page = async (query: string) => {
    const { status: code, body } = await call('GET', `/api/messages?${query}`, undefined, 'sender');
    assert.equal(code, 200, JSON.stringify(body));
    return { ids: (body['messages'] as { id: number }[]).map(({ id }) => id), next: body['next_cursor'] as string | null };
  };
  const first = await page('campaign_id=pascoa&limit=2');
  assert.deepEqual(first.ids, ids.slice(0, 2));
  const second = await page(`campaign_id=pascoa&limit=2&cursor=${first.next}`);
  assert.deepEqual(second.ids, ids.slice(2, 4));
  const third = await page(`campaign_id=pascoa&limit=2&cursor=${second.next}`);
  assert.deepEqual(third, { ids: ids.slice(4), next: null });
  assert.deepEqual((await page('status=queued&kind=campaign&to=11+98200-0051')).ids, ids);
  assert.deepEqual((await page('status=queued&since=2098-01-01T00:00:00Z')).ids, []);
  assert.deepEqual((await page(`instance=${INSTANCE}&status=queued`)).ids, ids);
  assert.deepEqual((await page('instance=nobody')).ids, []);
  for (const wrong of ['status=maybe', 'kind=reply', 'to=abc', 'since=ontem', 'cursor=x', 'limit=0', 'limit=201', 'other=1']) {
    const answer = await call('GET', `/api/messages?${wrong}`);
    assert.equal(answer.status, 400, wrong);
    assert.match((answer.body['error'] as { message: string }).message, /must|Unrecognized/, wrong);
  }
});

test('O6 request: what is wrong with it is said with what to write instead', async () => {
  const good = { to: '11 98200-0061', text: 'Oi' };
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ ...good, to: 5511982000061 }, /phone number in quotes[\s\S]*at to/],
    [{ ...good, kind: 'reply' }, /must be one of notification, follow_up, campaign, prospecting, manual/],
    [{ ...good, expires_at: '2020-01-01T00:00:00Z' }, /expires_at: is in the past/],
    [{ ...good, send_after: '2099-01-02T00:00:00Z', expires_at: '2099-01-01T00:00:00Z' }, /must be later than send_after/],
    [{ ...good, text: 'x'.repeat(4_001) }, /at most 4000 characters; send it as several/],
  ];
  for (const [body, words] of wrong) {
    const answer = await call('POST', '/api/messages', body);
    assert.equal(answer.status, 400);
    assert.match((answer.body['error'] as { message: string }).message, words);
  }
});
