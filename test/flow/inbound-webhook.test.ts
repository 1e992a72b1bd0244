/** The webhook's front door: who may post, what is refused, what is counted, what is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateKeyPair, SignJWT } from 'jose';
import { INSTANCE, JWT_SECRET, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

const PREVIOUS_SECRET = 'the-webhook-secret-before';
const MARIA = '5511912345678@s.whatsapp.net';

test('H11 durable: 200 only for what is stored; each repeat of it is 200 too and changes nothing', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const response = await system.webhook(upsert('IN1', 'Oi'));
  assert.equal(response.status, 200);
  assert.deepEqual(await system.dump(), ['in contact received: Oi']);
  assert.equal((await system.webhook(upsert('IN1', 'Oi'))).status, 200);
  assert.deepEqual(await system.dump(), ['in contact received: Oi']);
  assert.deepEqual(await system.query(`select results -> 0 ->> 'outcome' as outcome from webhook_events order by id`), [
    { outcome: 'stored' },
    { outcome: 'duplicate' },
  ]);
});

test('H11 malformed: what is no JSON is 400 with a request id, and nothing is stored', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const nest = '['.repeat(500_000) + ']'.repeat(500_000);
  for (const body of ['', '{', 'oi', '{"event":"messages.upsert"', '\u0000', 'undefined', "{'a':1}", nest]) {
    const response = await system.webhook(body);
    assert.equal(response.status, 400, body.slice(0, 40));
    const { error } = (await response.json()) as { error: { code: string; message: string; request_id: string } }; // the shape of all errors
    assert.deepEqual(
      [error.code, error.message, error.request_id],
      ['bad_request', 'the body is not JSON, or of far more values than a webhook has', response.headers.get('x-request-id')],
    );
  }
  await nothingStored(system);
  assert.equal(await counted(system, 'malformed'), 8);
});

test('H11 W9 unknown: what holds no event of Evolution is 400 in words, and nothing is stored', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const bodies: unknown[] = [
    'null',
    'true',
    '7',
    '"text"',
    [],
    {},
    [null],
    [[]],
    { instance: INSTANCE, data: upsert('A', 'oi').data },
    upsert('A', 'oi').data,
    { event: { a: 1 }, instance: [], data: { key: 1 } },
    { headers: {}, body: {} },
    { body: upsert('A', 'oi'), payload: upsert('B', 'oi') },
  ];
  for (const body of bodies) {
    const response = await system.webhook(body);
    assert.equal(response.status, 400, JSON.stringify(body));
    const { error } = (await response.json()) as { error: { message: string } }; // the shape of all errors
    assert.match(error.message, /\(expected: \{"event": "messages.upsert", "instance": NAME, "data": \{\.\.\.\}\}, a list of these, or/);
  }
  await nothingStored(system);
  assert.equal(await counted(system, 'malformed'), bodies.length);
  assert.equal((await system.webhook({}, { suffix: 'messages-upsert' })).status, 400, 'the address alone is no event');
});

test('H11 W9 unknown: events, kinds and shapes that nobody knows are 200, counted, and leave an entry with the reason', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const bodies: [reason: string, body: unknown][] = [
    ['unknown_event', { event: 'no.such.event', instance: INSTANCE, data: {} }],
    ['empty', { event: 'messages.upsert', instance: INSTANCE, data: null }],
    ['empty', { event: 'messages.upsert', instance: INSTANCE }],
    ['empty', { event: 'messages.upsert', instance: INSTANCE, data: [] }],
    ['unknown_chat', { event: 'messages.upsert', instance: INSTANCE, data: 'text' }],
    ['empty', { event: 'messages.update', instance: INSTANCE, data: null }],
    ['unknown_status', { event: 'messages.update', instance: INSTANCE, data: { keyId: 'X', status: 'NO_SUCH_STATUS' } }],
    ['no_id', { event: 'messages.delete', instance: INSTANCE, data: [[]] }],
    ['unknown_state', { event: 'connection.update', instance: INSTANCE, data: { state: 'dreaming' } }],
    ['no_instance', { event: 'messages.upsert', data: { key: { id: 'K2', remoteJid: MARIA }, message: { conversation: 'para quem?' } } }],
  ];
  for (const [, body] of bodies) assert.equal((await system.webhook(body)).status, 200, JSON.stringify(body));
  assert.deepEqual(
    await system.query('select ignored[1] as reason, body from webhook_events order by id'),
    bodies.map(([reason, body]) => ({ reason, body: JSON.parse(JSON.stringify(body)) as unknown })),
  );
  assert.equal(await counted(system, 'ignored'), bodies.length);
  assert.deepEqual(await system.dump(), []);
  // An unknown kind of message is a message all the same.
  await system.webhook({
    event: 'messages.upsert',
    instance: INSTANCE,
    data: { key: { id: 'K1', remoteJid: MARIA }, message: { quantumMessage: {} } },
  });
  assert.deepEqual(await system.dump(), ['in contact received: [mensagem de tipo não suportado: quantumMessage]']);
});

test('H11 shapes: lists where one is usual, one where lists are usual, and several envelopes in one body', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const one = upsert('A', 'um');
  assert.equal((await system.webhook({ ...one, data: [one.data, upsert('B', 'dois').data] })).status, 200);
  assert.equal((await system.webhook({ ...one, data: { messages: [upsert('C', 'três').data], type: 'notify' } })).status, 200);
  assert.equal((await system.webhook([upsert('D', 'quatro'), { event: 'nonsense' }, upsert('E', 'cinco')])).status, 200);
  const acks = [{ keyId: 'OUT1', remoteJid: MARIA, fromMe: true, status: 'READ' }];
  assert.equal((await system.webhook({ event: 'messages.update', instance: INSTANCE, data: acks })).status, 200);
  assert.deepEqual(
    await system.dump(),
    ['um', 'dois', 'três', 'quatro', 'cinco'].map((text) => `in contact received: ${text}`),
  );
  assert.deepEqual(await system.query('select provider_id from early_updates'), [{ provider_id: 'OUT1' }]);
  const kept = await system.query<{ said: string | null }>(
    `select body #>> '{data,message,conversation}' as said from webhook_events where event is distinct from 'messages.update' order by id desc limit 3`,
  );
  assert.deepEqual(
    kept.toReversed().map(({ said }) => said),
    ['quatro', null, 'cinco'],
    'each of a list by itself, for a replay',
  );
});

test('H11 suffix: the event may be told by the address alone, also after an address that ends in a slash', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const { event: _, ...unnamed } = upsert('A', 'um');
  assert.equal((await system.webhook(unnamed, { suffix: 'messages-upsert' })).status, 200);
  assert.equal((await system.webhook(upsert('B', 'dois'), { suffix: '' })).status, 200);
  assert.equal((await system.webhook({ ...upsert('C', 'três'), event: undefined }, { suffix: '/messages-upsert' })).status, 200);
  assert.equal((await system.webhook(upsert('D', 'quatro'), { suffix: 'no-such-event' })).status, 200, 'the body wins');
  assert.equal((await system.webhook(unnamed, { suffix: '%00%ff' })).status, 200);
  assert.deepEqual(
    await system.dump(),
    ['um', 'dois', 'três', 'quatro'].map((text) => `in contact received: ${text}`),
  );
});

test('H11 too large: more than MAX_WEBHOOK_MB is 413 in clear words, with and without a length, and counted', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { MAX_WEBHOOK_MB: '1' } });
  const large = JSON.stringify(upsert('A', 'x'.repeat(1_200_000)));
  const streamed = new ReadableStream({
    start(controller) {
      for (let start = 0; start < large.length; start += 100_000)
        controller.enqueue(new TextEncoder().encode(large.slice(start, start + 100_000)));
      controller.close();
    },
  });
  for (const body of [large, streamed]) {
    const response = await fetch(`${system.url}/webhook/evolution`, {
      method: 'POST',
      headers: { authorization: `Bearer ${WEBHOOK_SECRET}`, 'content-type': 'application/json' },
      body,
      ...(typeof body === 'string' ? {} : { duplex: 'half' }),
    });
    assert.equal(response.status, 413);
    const { error } = (await response.json()) as { error: { code: string; message: string } }; // the shape of all errors
    assert.deepEqual(error.code, 'too_large');
    assert.match(error.message, /larger than 1 MB \(MAX_WEBHOOK_MB\)/);
  }
  await nothingStored(system);
  assert.equal(await counted(system, 'too_large'), 2);
  assert.equal((await system.webhook(upsert('B', 'y'.repeat(900_000)))).status, 200);
});

test('H12 secret: missing, wrong, half or misplaced is 401 and nothing is stored, whatever else the client says of itself', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const wrong = [
    null,
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${WEBHOOK_SECRET}x`,
    `Bearer ${WEBHOOK_SECRET.slice(0, -1)}`,
    WEBHOOK_SECRET,
    `Basic ${WEBHOOK_SECRET}`,
    'Bearer a.b.c',
    'Bearer ..',
    `Bearer ${JWT_SECRET}`,
  ];
  for (const authorization of wrong) {
    const response = await system.webhook(upsert('A', 'Oi'), { authorization });
    assert.equal(response.status, 401, String(authorization));
    assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'unauthorized');
  }
  const trusting = {
    'x-forwarded-for': '127.0.0.1',
    'x-real-ip': '127.0.0.1',
    forwarded: 'for=127.0.0.1',
    apikey: WEBHOOK_SECRET,
    'x-tenant-id': 'default',
    'content-type': 'application/json',
  };
  const response = await fetch(`${system.url}/webhook/evolution?token=${WEBHOOK_SECRET}`, {
    method: 'POST',
    headers: trusting,
    body: JSON.stringify({ ...upsert('A', 'Oi'), apikey: WEBHOOK_SECRET }),
  });
  assert.equal(response.status, 401);
  assert.equal((await system.webhook('{', { authorization: null })).status, 401, 'before the body is looked at');
  await nothingStored(system);
  assert.equal(await counted(system, 'unauthorized'), wrong.length + 2);
  const told = JSON.stringify(system.lines);
  assert.ok(!told.includes(WEBHOOK_SECRET.slice(0, -1)) && !told.includes(JWT_SECRET), 'what was tried is not logged');
});

test('H12 secret: during a rotation both secrets count, as bearer and as jwt_key, and afterwards the old one does not', async (t) => {
  const both = await startSystem(t, { workers: 0, env: { EVOLUTION_WEBHOOK_SECRET_PREVIOUS: PREVIOUS_SECRET } });
  const one = await startSystem(t, { workers: 0 });
  for (const secret of [WEBHOOK_SECRET, PREVIOUS_SECRET]) {
    for (const authorization of [`Bearer ${secret}`, `bearer ${secret}`, `Bearer ${await evolutionToken(secret)}`]) {
      assert.equal((await both.webhook(upsert('A', 'Oi'), { authorization })).status, 200);
      assert.equal((await one.webhook(upsert('A', 'Oi'), { authorization })).status, secret === WEBHOOK_SECRET ? 200 : 401);
    }
  }
});

test('H12 token: Evolution uses one token over all its retries, so it counts until 45 minutes after its end and not longer', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const status = async (secondsAgo: number) =>
    (await system.webhook(upsert('A', 'Oi'), { authorization: `Bearer ${await evolutionToken(WEBHOOK_SECRET, secondsAgo)}` })).status;
  assert.equal(await status(-600), 200, 'fresh');
  assert.equal(await status(44 * 60), 200, 'ended 44 minutes ago');
  assert.equal(await status(46 * 60), 401, 'ended 46 minutes ago');
});

test('H12 token: no signature, another key, another algorithm, a changed payload are 401', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const good = await evolutionToken(WEBHOOK_SECRET);
  const [head, payload, signature] = good.split('.');
  const rsa = await generateKeyPair('RS256');
  const unsigned = (alg: string) => `${encoded({ alg, typ: 'JWT' })}.${payload}`;
  const tokens = {
    'alg none': `${unsigned('none')}.`,
    'alg none with the signature': `${unsigned('none')}.${signature}`,
    'alg nOnE': `${unsigned('nOnE')}.`,
    'another key': await evolutionToken('another-secret'),
    'empty key': await evolutionToken('\u0000'),
    RS256: await new SignJWT({ app: 'evolution' }).setProtectedHeader({ alg: 'RS256' }).setExpirationTime('10m').sign(rsa.privateKey),
    HS512: await evolutionToken(WEBHOOK_SECRET, -600, 'HS512'),
    'head that says RS256': `${unsigned('RS256')}.${signature}`,
    'changed payload': `${head}.${encoded({ exp: 4_000_000_000 })}.${signature}`,
    'unknown crit': `${encoded({ alg: 'HS256', crit: ['x'], x: 1 })}.${payload}.${signature}`,
    'signature cut': good.slice(0, -4),
  };
  for (const [name, token] of Object.entries(tokens)) {
    assert.equal((await system.webhook(upsert('A', 'Oi'), { authorization: `Bearer ${token}` })).status, 401, name);
  }
  await nothingStored(system);
  assert.equal((await system.webhook(upsert('A', 'Oi'), { authorization: `Bearer ${good}` })).status, 200);
});

test('H17 errors: a 500 names a request id, in the body as in the log, and says nothing of what went wrong', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query('alter table webhook_events add constraint broken check (event is null) not valid');
  const response = await system.webhook(upsert('A', 'segredo'));
  assert.equal(response.status, 500);
  const text = await response.text();
  const { error } = JSON.parse(text) as { error: { code: string; message: string; request_id: string } }; // the shape of all errors
  assert.equal(error.code, 'internal');
  assert.equal(error.request_id, response.headers.get('x-request-id'));
  assert.doesNotMatch(text, /broken|constraint|webhook_events|record_inbound|segredo|23514|at .*\.ts/);
  const logged = system.lines.find((line) => line.message === 'Request failed');
  assert.equal(logged?.context['request_id'], error.request_id);
  assert.ok(!JSON.stringify(logged).includes('segredo'), 'the text of a message is not logged');
  await nothingStored(system);
  await system.query('alter table webhook_events drop constraint broken');
  assert.equal((await system.webhook(upsert('A', 'segredo'))).status, 200, 'and what Evolution repeats is taken');
});

type Upsert = { event: string; instance: string; data: Record<string, unknown>; apikey: string };

function upsert(id: string, text: string): Upsert {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid: MARIA, fromMe: false, id },
      pushName: 'Maria',
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
    apikey: 'instance-token',
  };
}

/** As Evolution makes it: `{iat, exp, app, action}`, ended so many seconds ago. */
async function evolutionToken(secret: string, endedSecondsAgo = -600, alg = 'HS256'): Promise<string> {
  const exp = Math.floor(Date.now() / 1000) - endedSecondsAgo;
  return new SignJWT({ app: 'evolution', action: 'webhook', iat: exp - 600, exp })
    .setProtectedHeader({ alg, typ: 'JWT' })
    .sign(new TextEncoder().encode(secret));
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

async function nothingStored(system: System): Promise<void> {
  const [row] = await system.query<{ n: number }>(
    'select ((select count(*) from webhook_events) + (select count(*) from messages) + (select count(*) from contacts) + (select count(*) from early_updates))::int as n',
  );
  assert.equal(row?.n, 0);
}

/** julia_webhooks_total of this outcome. */
async function counted(system: System, outcome: string): Promise<number> {
  const metrics = await (await fetch(`${system.url}/metrics`)).text();
  const line = metrics
    .split('\n')
    .find((candidate) => candidate.startsWith('julia_webhooks_total') && candidate.includes(`outcome="${outcome}"`));
  return Number(line?.split(' ').at(-1) ?? 0);
}
