/** What was accepted is kept: over kills of the api, in every state of a conversation, in a burst. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort } from '../../scripts/lib/ports.ts';
import { sweepTurns } from '../../src/turns/calls.ts';
import { SIGKILLED, startProgram } from '../support/process.ts';
import type { Program } from '../support/process.ts';
import { INSTANCE, startSystem, testEnvironment, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

test('I1 durable inbox: the api is killed right after a 200: the message is answered once somebody is back', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const api = await startApi(t, system, await freePort());
  const response = await post(api.url, upsert('A', 'Oi'));
  api.program.signal('SIGKILL');
  assert.equal(response.status, 200);
  assert.equal(await api.program.ended, SIGKILLED);
  await system.addWorker();
  await sweep(system);
  await system.until(async () => (await system.dump()).includes('in contact answered: Oi'), 'the answer');
  await system.until(() => system.simulator.sends({ sent: true }).length === 1, 'the send');
});

test('W15 the start of an api compares at once: what came while none was there is answered, once, although two start and the webhook comes after all', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  await system.query(`update instances set status = 'open', created_at = now() - interval '1 day'`);
  const ana = system.simulator.addContact({ name: 'Ana', phone: '5511912340001' });
  system.simulator.setWebhook(null);
  const { id } = system.simulator.inbound({ contactId: ana.id, text: 'tem alguém?', ageMs: 60_000 });
  const [api] = await Promise.all([startApi(t, system, await freePort()), startApi(t, system, await freePort())]);
  await system.until(async () => (await system.dump()).includes('in contact answered: tem alguém?'), 'found and answered');
  assert.equal((await post(api.url, upsert(id, 'tem alguém?', '5511912340001@s.whatsapp.net'))).status, 200);
  await system.until(() => system.simulator.sends({ sent: true }).length === 1, 'the answer');
  assert.equal((await system.dump()).filter((line) => line.startsWith('in ')).length, 1);
});

test('I1 durable inbox: 40 messages of 20 people while the api is killed twice: all stored once, all answered', async (t) => {
  const system = await startSystem(t, { workers: 1, simulator: { timeScale: 20 } });
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const port = await freePort();
  let { program, url } = await startApi(t, system, port);
  system.simulator.setWebhook(`${url}/webhook/evolution`, WEBHOOK_SECRET);
  const people = Array.from({ length: 20 }, (_, index) =>
    system.simulator.addContact({ name: `P${index}`, phone: `55119123${45_000 + index}` }),
  );
  for (let round = 0; round < 2; round++) {
    for (const person of people) system.simulator.inbound({ contactId: person.id, text: `mensagem ${round}` });
    await system.simulator.waitFor(
      (wire) => wire.webhooks.filter((webhook) => webhook.event === 'messages.upsert' && webhook.status === 200).length > round * 20 + 5,
      20_000,
    );
    program.signal('SIGKILL');
    await program.ended;
    ({ program, url } = await startApi(t, system, port));
  }
  await system.simulator.waitFor(
    (wire) =>
      new Set(
        wire.webhooks
          .filter((webhook) => webhook.event === 'messages.upsert' && webhook.status === 200)
          .map((webhook) => webhook.messageId),
      ).size === 40,
    25_000,
  );
  await sweep(system);
  await system.until(
    async () => (await system.query(`select 1 from messages where direction = 'in' and status <> 'answered'`)).length === 0,
    'all answered',
  );
  assert.deepEqual(
    await system.query(`select count(*)::int as n, count(distinct provider_id)::int as ids from messages where direction = 'in'`),
    [{ n: 40, ids: 40 }],
  );
  assert.deepEqual(
    await system.query(
      'select a.id from turns a join turns b on a.conversation_id = b.conversation_id and a.id < b.id where a.ended_at is null or b.started_at < a.ended_at',
    ),
    [],
  );
});

test('W9 durable: of two apis one is killed among messages of a group: whatever got a 200 has its entry, and Evolution comes again with the rest', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const api = await startApi(t, system, await freePort());
  const accepted = new Set<string>();
  const ids = Array.from({ length: 120 }, (_, index) => `G${index}`);
  await Promise.all(
    ids.map(async (id, index) => {
      const response = await post(index % 2 === 0 ? api.url : system.url, upsert(id, 'no grupo', '120363043111111111@g.us')).catch(
        () => null,
      );
      if (response?.status === 200) accepted.add(id);
      if (accepted.size === 30) api.program.signal('SIGKILL');
    }),
  );
  await api.program.ended;
  const entries = async () =>
    (
      await system.query<{ id: string }>(
        `select distinct w.results -> 0 ->> 'provider_id' as id from webhook_events w where w.ignored = '{group}' order by 1`,
      )
    ).map(({ id }) => id);
  const kept = new Set(await entries());
  assert.deepEqual(
    [...accepted].filter((id) => !kept.has(id)),
    [],
  );
  for (const id of ids.filter((each) => !accepted.has(each))) await post(system.url, upsert(id, 'no grupo', '120363043111111111@g.us'));
  assert.deepEqual(await entries(), ids.toSorted());
  assert.deepEqual(await system.dump(), []);
});

test('I13 always saved: model down, paused, with a person, opted out, handed over, too old: the row is there in every case, with its reason', async (t) => {
  const system = await startSystem(t);
  const phone = (n: number) => `551191234500${n}@s.whatsapp.net`;
  const arrives = async (n: number, text: string, at?: number) =>
    assert.equal((await system.webhook(upsert(`${n}${text}`, text, phone(n), at))).status, 200);
  const until = (line: string) => system.until(async () => (await system.dump()).includes(line), line);
  system.simulator.script([
    { match: 'humano', tools: [{ name: 'handoff_to_human', input: { reason: 'pediu', summary: 'quer falar com alguém' } }] },
    { match: 'humano', text: 'Já chamo alguém.' },
    { text: 'Certo!', repeat: true },
  ]);

  await arrives(1, 'quero um humano');
  await until('in contact answered: quero um humano');
  await arrives(1, 'alguém aí?');
  await until('in contact handed_over(human): alguém aí?');

  await arrives(2, 'pare');
  await until('in contact answered: pare');
  await system.query(`select add_opt_out(contact_id, 'test') from conversations where jid = $1`, [phone(2)]);
  await arrives(2, 'depois de sair');
  await until('in contact answered: depois de sair');

  await arrives(3, 'de ontem', Math.floor(Date.now() / 1000) - 86_400);
  await until('in contact skipped(too_old): de ontem');

  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'manual')`);
  const calls = system.simulator.wire().claude.length;
  await arrives(4, 'durante a pausa');
  await system.query(
    `insert into julia_status (status, motivo, alterado_via, scope, target) values ('pausado', 'teste', 'manual', 'conversation', (select id::text from conversations where jid = $1))`,
    [phone(4)],
  );
  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('ativo', 'teste', 'manual')`);

  system.simulator.fault({ target: 'claude', kind: 'status', status: 500, times: null });
  await arrives(5, 'modelo fora');
  await system.until(
    () => system.lines.some((line) => line.message === 'Turn ended' && line.context['outcome'] === 'deferred'),
    'a turn that is put off',
  );
  const dump = await system.dump();
  assert.ok(dump.includes('in contact received: durante a pausa') && dump.includes('in contact received: modelo fora'), dump.join('\n'));
  assert.ok(!JSON.stringify(system.simulator.wire().claude.slice(calls)).includes('durante a pausa'));
});

test('I16 acks: delivered and read on the contact’s phone show on our message, and a repeat of the older one does not take it back', async (t) => {
  const system = await startSystem(t);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.dump()).includes('out agent delivered: Certo!'), 'delivered');
  system.simulator.read({ contactId: maria.id });
  await system.until(async () => (await system.dump()).includes('out agent read: Certo!'), 'read');
  const [sent] = system.simulator.sends({ sent: true });
  for (const status of ['DELIVERY_ACK', 'SERVER_ACK', 'PENDING', 'ERROR']) {
    const data = { keyId: sent?.id, remoteJid: sent?.jid, fromMe: true, status };
    assert.equal((await system.webhook({ event: 'messages.update', instance: INSTANCE, data })).status, 200);
  }
  assert.ok((await system.dump()).includes('out agent read: Certo!'));
  const [times] = await system.query<{ ok: boolean }>(`select delivered_at <= read_at as ok from messages where direction = 'out'`);
  assert.equal(times?.ok, true);
});

test('I18 burst: 200 webhooks at once: none lost, each person answered, and never more turns at work than WORKER_CONCURRENCY', async (t) => {
  const system = await startSystem(t, { env: { WORKER_CONCURRENCY: '3', DEBOUNCE_MS: '1000', DEBOUNCE_MAX_MS: '5000' } });
  system.simulator.script([{ text: 'Certo!', repeat: true, delayMs: 20 }]);
  const bodies = Array.from({ length: 200 }, (_, index) =>
    upsert(`M${index}`, `mensagem ${index}`, `55119123${45_000 + (index % 20)}@s.whatsapp.net`),
  );
  const statuses = await Promise.all(bodies.map(async (body) => (await system.webhook(body)).status));
  assert.deepEqual(new Set(statuses), new Set([200]));
  assert.deepEqual(await system.query('select count(*)::int as n from messages where direction = $1', ['in']), [{ n: 200 }]);
  await system.until(
    async () => (await system.query(`select 1 from messages where direction = 'in' and status <> 'answered'`)).length === 0,
    'all answered',
  );
  assert.deepEqual(await system.query(`select count(distinct conversation_id)::int as n from messages where author = 'agent'`), [
    { n: 20 },
  ]);
  const [most] = await system.query<{ n: number }>(
    'select max(n)::int as n from (select (select count(*) from turns b where b.started_at <= a.started_at and b.ended_at > a.started_at) as n from turns a) together',
  );
  assert.ok((most?.n ?? 0) > 1 && (most?.n ?? 0) <= 3, `${most?.n} turns at once`);
});

function upsert(
  id: string,
  text: string,
  remoteJid = '5511912345678@s.whatsapp.net',
  at = Math.floor(Date.now() / 1000),
): Record<string, unknown> {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: { key: { remoteJid, fromMe: false, id }, message: { conversation: text }, messageType: 'conversation', messageTimestamp: at },
  };
}

/** A real api process on the system's database and queue. */
async function startApi(
  t: { after(hook: () => Promise<void>): void },
  system: System,
  port: number,
): Promise<{ program: Program; url: string }> {
  const env = testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: null, simulator: system.simulator });
  const program = startProgram(t, 'src/main.ts', { env: { ...env, RUN_MODE: 'api', PORT: String(port), LOG_LEVEL: 'INFO' } });
  await program.line((line) => line.message === 'api ready');
  return { program, url: `http://127.0.0.1:${port}` };
}

function post(url: string, body: unknown): Promise<Response> {
  return fetch(`${url}/webhook/evolution`, {
    method: 'POST',
    headers: { authorization: `Bearer ${WEBHOOK_SECRET}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** What the scheduler does each minute, for messages of any age. */
async function sweep(system: System): Promise<void> {
  for (const conversation of await sweepTurns(system.ctx.db, 0, 500)) await system.ctx.queues.wakeTurn(conversation, 0);
}
