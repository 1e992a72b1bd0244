/** Each alert is seen to fire, once, and to recover, once, at a Slack look-alike. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDatabaseWatch, evaluateAlerts, noteSelf } from '../../src/watch/alerts.ts';
import { JOBS } from '../../src/crons/all.ts';
import { aRun } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const USUAL = ['seconds', 'minute'] as const;

type Scenario = {
  name: string;
  set: (system: System) => Promise<unknown>;
  clear: (system: System) => Promise<unknown>;
  /** The message. */
  says: RegExp;
  urgent?: boolean;
  each?: Parameters<typeof evaluateAlerts>[1];
  /** Of the end nobody is told. */
  silentEnd?: boolean;
};

const sql = (statement: string) => (system: System) => system.query(statement);
const figures = (value: object) => sql(`update process_status set figures = '${JSON.stringify(value)}' where id = 'worker-host-1-abcdef'`);
const SOME_TURNS = (fields: string) =>
  `insert into turns (tenant_id, conversation_id, fence, lease_until, worker, inbound_seq, status, model, started_at, ended_at)
   select 'default', (select min(id) from conversations), n, now(), 'w', 0, ${fields} from generate_series(1, 20) n`;

const DEFER = (reason: string, seconds: number) =>
  sql(
    `update conversations set deferred_since = now() - interval '${seconds} seconds', deferred_until = now() + interval '1 minute', deferred_reason = '${reason}'`,
  );
const ANSWER = sql(`update conversations set deferred_since = null, deferred_until = null, deferred_reason = null`);
const claudeIs = (state: string, model: string) =>
  sql(
    `select record_transition('{"breaker": "claude", "instance": "${model}", "process": "worker-host-1-abcdef", "state": "${state}", "reason": "overloaded"}')`,
  );
const MINUTES_PASS = sql(`update circuit_transitions set created_at = created_at - interval '2 minutes'`);

const SCENARIOS: Scenario[] = [
  {
    name: 'C6 one model away, the other answers',
    set: claudeIs('open', 'claude-haiku-5-5'),
    clear: async (system) => {
      await MINUTES_PASS(system);
      await claudeIs('closed', 'claude-haiku-5-5')(system);
    },
    says: /Disjuntor aberto: claude \(claude-haiku-5-5\)\. Motivo: overloaded\. O outro modelo responde/,
    urgent: true,
  },
  {
    name: 'L15 I14 somebody waits for the model',
    set: DEFER('model_overloaded', 61),
    clear: ANSWER,
    says: /O modelo não responde: 1 conversa espera\. Motivo: overloaded\. Quem espera ouve uma frase/,
    urgent: true,
  },
  {
    name: 'L15 I14 the key is wrong: told at once',
    set: DEFER('model_unauthorized', 0),
    clear: ANSWER,
    says: /O modelo recusa a chave \(ANTHROPIC_API_KEY\): 1 conversa espera/,
    urgent: true,
  },
  {
    name: 'E1 P12 no worker',
    set: sql(`update process_status set seen_at = now() - interval '61 seconds' where mode = 'worker'`),
    clear: sql(`update process_status set seen_at = now()`),
    says: /Nenhum worker está rodando/,
    urgent: true,
  },
  {
    name: 'E1 C6 breaker open, with its name and reason',
    set: sql(
      `select record_transition('{"breaker": "evolution", "instance": "julia-dev", "process": "worker-host-1-abcdef", "state": "open", "reason": "timeout"}')`,
    ),
    clear: async (system) => {
      await system.query(`update circuit_transitions set created_at = created_at - interval '2 minutes'`);
      await system.query(
        `select record_transition('{"breaker": "evolution", "instance": "julia-dev", "process": "worker-host-1-abcdef", "state": "closed"}')`,
      );
    },
    says: /Disjuntor aberto: evolution \(número julia-dev\)\. Motivo: timeout\./,
    urgent: true,
  },
  {
    name: 'E2 number disconnected',
    set: sql(`update instances set status = 'close', status_at = now()`),
    clear: sql(`update instances set status = 'open'`),
    says: /número julia-dev está desconectado do WhatsApp/,
    urgent: true,
  },
  {
    name: 'I17 a number that WhatsApp banned is not to be paired again',
    set: sql(`update instances set status = 'close', status_reason = 403, status_at = now()`),
    clear: sql(`update instances set status = 'open'`),
    says: /desconectado do WhatsApp \(close\)\. 403: o WhatsApp baniu ou restringiu o número\. Não pareie de novo.*pause instance julia-dev/,
    urgent: true,
  },
  {
    name: 'E1 health failing three times',
    set: sql(
      `create or replace function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20200101000000'::text) $$`,
    ),
    clear: sql(
      `create or replace function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20991231000000'::text) $$`,
    ),
    says: /falhou três vezes seguidas: o esquema do banco está atrasado/,
    urgent: true,
  },
  {
    name: 'E2 inbound without a reply for 30 min',
    set: sql(
      `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, created_at)
       select 'default', instance_id, id, 900, 'in', 'contact', 'received', 'oi', now(), now() - interval '31 minutes' from conversations limit 1`,
    ),
    clear: sql(`delete from messages`),
    says: /1 mensagens sem resposta, a mais antiga há 31 min/,
    urgent: true,
  },
  {
    name: 'E2 queue oldest beyond 60 min',
    set: sql(
      `select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "x", "kind": "notification"}'); update messages set due_at = now() - interval '61 minutes' where status = 'queued'`,
    ),
    clear: sql(`update messages set status = 'expired' where status = 'queued'`),
    says: /deveria ter saído há 61 min/,
  },
  {
    name: 'E2 backlog beyond 50 for 30 min',
    set: sql(
      `select enqueue_message(jsonb_build_object('instance', 'julia-dev', 'phone', '5511912345678', 'text', 'x', 'kind', 'notification')) from generate_series(1, 51)`,
    ),
    clear: sql(`update messages set status = 'expired' where status = 'queued'`),
    says: /Fila cheia há 30 min: 51 envios vencidos/,
  },
  {
    name: 'E1 error rate beyond 5 %',
    set: sql(SOME_TURNS(`case when n <= 2 then 'failed' else 'committed' end, 'm', now() - interval '1 second', now()`)),
    clear: sql(`update turns set ended_at = now() - interval '16 minutes', started_at = now() - interval '16 minutes'`),
    says: /Taxa de erro de 10 % em 15 min \(2 respostas e 0 envios falharam\)/,
  },
  {
    name: 'E1 latency beyond 5 s',
    set: sql(SOME_TURNS(`'committed', 'm', now() - interval '6500 milliseconds', now()`)),
    clear: sql(`delete from turns`),
    says: /metade leva mais de 6,5 s para ser gerada/,
  },
  {
    name: 'R7 E1 rate limit of the hour beyond 90 %',
    set: sql(
      `update instances set cap_hour = 10;
       insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, kind, slot_at)
       select 'default', instance_id, id, 1000 + n, 'out', 'system', 'sent', 'x', now(), 'notification', now() from conversations, generate_series(1, 10) n`,
    ),
    clear: sql(`update messages set slot_at = slot_at - interval '4 days'; delete from messages`),
    says: /julia-dev usou 10 de 10 mensagens da hora \(mais de 90 %\)/,
    silentEnd: true,
  },
  {
    name: 'R7 rate limit of the day beyond 90 %',
    set: sql(
      `update instances set cap_day = 20;
       insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, kind, slot_at)
       select 'default', instance_id, id, 1000 + n, 'out', 'system', 'sent', 'x', now(), 'notification', now() - interval '2 hours' from conversations, generate_series(1, 19) n`,
    ),
    clear: sql(`update messages set slot_at = slot_at - interval '4 days'; delete from messages`),
    says: /julia-dev usou 19 de 20 mensagens do dia \(mais de 90 %\)/,
    silentEnd: true,
  },
  {
    name: 'E2 job stale',
    set: sql(
      `delete from job_runs; insert into job_runs (job, tick, worker, status, ended_at) values ('sweep_turns', now() - interval '10 minutes', 'w', 'done', now() - interval '10 minutes')`,
    ),
    clear: sql(`insert into job_runs (job, tick, worker, status, ended_at) values ('sweep_turns', now(), 'w', 'done', now())`),
    says: /O job sweep_turns não termina bem há mais de 3 min/,
  },
  {
    name: 'E1 CPU beyond 80 %',
    set: figures({ cpu: 0.81 }),
    clear: figures({ cpu: 0.5 }),
    says: /CPU em 81 % há 5 min \(worker-host-1-abcdef\)/,
  },
  {
    name: 'E10 one thread busy on a machine of two cores',
    set: figures({ cpu: 0.49, core: 0.97 }),
    clear: figures({ cpu: 0.2, core: 0.4 }),
    says: /a sua única thread está ocupada em 97 % do tempo há 5 min \(worker-host-1-abcdef\)/,
  },
  {
    name: 'W9 webhooks that find no place: a shape has changed, and messages may be in them',
    set: async (system) => {
      const body = { event: 'messages.received', instance: 'julia-dev', data: { text: 'oi' } };
      for (let times = 0; times < 5; times++) assert.equal((await system.webhook(body)).status, 200);
      const group = { event: 'messages.upsert', instance: 'julia-dev', data: { key: { remoteJid: '1203@g.us', id: 'A' } } };
      for (let times = 0; times < 9; times++) await system.webhook(group);
      for (let times = 0; times < 4; times++) await system.webhook({ ...body, event: 'messages.upsert', data: null });
    },
    clear: sql(`update webhook_events set received_at = received_at - interval '15 minutes'`),
    says: /5 webhooks em 15 min do número julia-dev não têm lugar \(unknown_event\): se há mensagens neles, ninguém é respondido.*ignored list --reason unknown_event/,
    urgent: true,
  },
  {
    name: 'X9 80 % of the money of a day',
    set: sql(`select add_spend('default', 'model', null, 8.2, 1, 0, 0, now())`),
    clear: sql(`delete from spend_days`),
    says: /default: US\$ 8,20 dos US\$ 10,00 do dia \(MAX_USD_DIA\) já foram gastos \(82 %\)/,
  },
  { name: 'E1 memory beyond 90 %', set: figures({ memory: 0.95 }), clear: figures({}), says: /Memória em 95 %/ },
  {
    name: 'E1 disk below 10 %',
    set: figures({ disk_free: 0.051 }),
    clear: figures({ disk_free: 0.2 }),
    says: /Disco quase cheio: 5,1 % livre/,
  },
  {
    name: 'E1 API beyond 5 s',
    set: figures({ http: { count: 40, slow: 3, errors: 0 } }),
    clear: figures({ http: { count: 40, slow: 0, errors: 0 } }),
    says: /API lenta: 3 de 40 requisições levaram mais de 5 s/,
  },
  {
    name: 'E1 L10 suspicion of a robot beyond 5 %',
    each: ['quarter'],
    set: sql(
      `select enqueue_message(jsonb_build_object('instance', 'julia-dev', 'phone', '55119123450' || (10 + n), 'text', 'x', 'kind', 'notification')) from generate_series(1, 30) n;
       update conversations set last_inbound_at = now();
       insert into bot_suspicions (tenant_id, conversation_id, message_id) select 'default', conversation_id, id from messages limit 2`,
    ),
    clear: sql(`delete from bot_suspicions`),
    says: /Suspeita de robô em 6,\d+ % das conversas de 7 dias \(2 de 3\d\)/,
  },
  {
    name: 'E7 the SLA is used up too fast',
    each: ['quarter'],
    set: sql(
      `insert into sla_minutes (minute, up) select date_trunc('minute', now()) - n * interval '1 minute', false from generate_series(1, 30) n on conflict (minute) do update set up = false`,
    ),
    clear: sql(`update sla_minutes set up = true`),
    says: /SLA em risco: disponibilidade em 0,00 % na última hora \(meta 99,50 %\)/,
  },
];

/** A system at rest: all modes are there, one conversation, nothing to complain of. */
async function atRest(t: Parameters<typeof startSystem>[0]): Promise<System> {
  const system = await startSystem(t, { workers: 0, slack: 'webhook', env: { MAX_USD_DIA: '10' } });
  await system.query(`
    insert into process_status (id, mode, version, started_at, seen_at) select m || '-host-1-abcdef', m, '1', now(), now() + interval '1 hour' from unnest(array['api', 'worker', 'scheduler']) m;
    update instances set status = 'open';
    select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "x", "kind": "notification"}');
    delete from messages`);
  return system;
}

/** Two schedulers look at the same moment. */
async function evaluate(system: System, each: Parameters<typeof evaluateAlerts>[1] = USUAL): Promise<void> {
  await Promise.all([evaluateAlerts(system.ctx, each, JOBS), evaluateAlerts(system.ctx, each, JOBS)]);
}

/** As if what holds had held for long, and as if what was told had been told long ago. */
const longAgo = sql(`update alerts set since = since - interval '1 day', told_at = told_at - interval '2 days' where status = 'pending'`);

async function told(system: System): Promise<string[]> {
  await system.ctx.background.drain(10_000);
  return system.simulator.slackTexts();
}

test('E3 nothing to complain of: nobody is told anything', async (t) => {
  const system = await atRest(t);
  await evaluate(system);
  await longAgo(system);
  await evaluate(system);
  assert.deepEqual(await told(system), []);
});

for (const { name, set, clear, says, each, urgent = false, silentEnd = false } of SCENARIOS) {
  test(`${name}: one message, one at its end`, async (t) => {
    const system = await atRest(t);
    await set(system);
    await evaluate(system, each);
    await longAgo(system); // what must hold for a while does
    await evaluate(system, each);
    await evaluate(system, each);
    const first = await told(system);
    assert.equal(first.length, 1, first.join('\n'));
    assert.match(first[0] ?? '', says);
    assert.equal(first[0]?.startsWith('🚨'), urgent);
    await clear(system);
    await evaluate(system, each);
    await evaluate(system, each);
    const all = await told(system);
    if (silentEnd) assert.deepEqual(all, first);
    else {
      assert.equal(all.length, 2, all.join('\n'));
      assert.match(all[1] ?? '', /^Resolvido: /);
    }
    assert.deepEqual(await system.query(`select key from alerts where status <> 'ok'`), []);
    // It comes back within the cooldown: not told again before that is over.
    await set(system);
    await evaluate(system, each);
    assert.equal((await told(system)).length, all.length);
    await longAgo(system);
    await evaluate(system, each);
    assert.equal((await told(system)).length, all.length + 1);
  });
}

test('E3 a condition has to hold without a break', async (t) => {
  const system = await atRest(t);
  await system.query(`update process_status set figures = '{"cpu": 0.9}'`);
  await evaluate(system);
  // Nobody looked for an hour: what was seen then says nothing about now.
  await system.query(`update alerts set since = now() - interval '1 hour', seen_at = now() - interval '1 hour'`);
  await evaluate(system);
  assert.deepEqual(await told(system), []);
  await system.query(`update alerts set since = now() - interval '1 hour'`);
  await evaluate(system);
  assert.equal((await told(system)).length, 3, 'each process');
});

test('C6 a breaker that opened and closed between two looks is told too', async (t) => {
  const system = await atRest(t);
  for (const state of ['open', 'closed'])
    await system.query(
      `select record_transition('{"breaker": "evolution", "instance": "julia-dev", "process": "worker-host-1-abcdef", "state": "${state}", "reason": "timeout"}')`,
    );
  await evaluate(system);
  assert.match((await told(system)).join(), /Disjuntor aberto: evolution \(número julia-dev\)\. Motivo: timeout/);
});

test('L15 an outage of both models is one message with the count of who waits, however it is found out, and one at its end', async (t) => {
  const system = await atRest(t);
  await claudeIs('open', 'claude-haiku-5-5')(system);
  await evaluate(system);
  assert.deepEqual(await told(system), [], 'the other model is about to be asked');
  await claudeIs('open', 'claude-sonnet-5-5')(system);
  await DEFER('model_breaker_open', 10)(system);
  for (let look = 0; look < 3; look++) await evaluate(system);
  const [first, ...more] = await told(system);
  assert.match(
    first ?? '',
    /O modelo não responde: 1 conversa espera\. Disjuntor aberto: claude \(claude-haiku-5-5, claude-sonnet-5-5\)\. Motivo: overloaded/,
  );
  assert.deepEqual(more, []);
  // 40 minutes on, and many more wait: still the same outage
  await system.query(
    `select enqueue_message(jsonb_build_object('instance', 'julia-dev', 'phone', '5511912345' || (600 + n), 'text', 'x', 'kind', 'notification')) from generate_series(1, 60) n`,
  );
  await system.query(`delete from messages`);
  await DEFER('model_breaker_open', 2_400)(system);
  await system.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, created_at)
       select 'default', instance_id, id, 900, 'in', 'contact', 'received', 'oi', now(), now() - interval '40 minutes' from conversations`,
  );
  await evaluate(system);
  await longAgo(system);
  await evaluate(system);
  assert.equal((await told(system)).length, 1, (await told(system)).join('\n'));
  // one model is back and answers; the other follows: one end
  await MINUTES_PASS(system);
  await claudeIs('closed', 'claude-sonnet-5-5')(system);
  await ANSWER(system);
  await system.query(`update messages set status = 'answered'`);
  await evaluate(system);
  assert.equal((await told(system)).length, 1);
  await claudeIs('closed', 'claude-haiku-5-5')(system);
  await evaluate(system);
  assert.deepEqual((await told(system)).slice(1), ['Resolvido: o modelo responde de novo, e quem esperava é respondido pelo agente.']);
});

test('L15 one model away was told; that conversations begin to wait is worse, and is told too, once', async (t) => {
  const system = await atRest(t);
  await claudeIs('open', 'claude-haiku-5-5')(system);
  await evaluate(system);
  await system.query(`update alerts set since = since - interval '25 seconds'`);
  await evaluate(system);
  assert.match((await told(system)).join(), /O outro modelo responde/);
  await claudeIs('open', 'claude-sonnet-5-5')(system);
  await DEFER('model_overloaded', 1)(system);
  for (let look = 0; look < 3; look++) await evaluate(system);
  assert.equal((await told(system)).length, 2);
  assert.match((await told(system))[1] ?? '', /1 conversa espera/);
});

test('C6 a breaker that a process really opened is told with its name and reason, and its end', async (t) => {
  const system = await atRest(t);
  const worker = await system.openContext('worker');
  await system.query(
    `insert into process_status (id, mode, version, started_at, seen_at) values ($1, 'worker', '1', now(), now() + interval '1 hour')`,
    [worker.process.id],
  );
  const breaker = worker.breakers.evolution('julia-dev');
  for (let call = 0; call < 5; call++)
    await breaker.run(
      async () => 'failed',
      () => 'provider_error',
    );
  await worker.background.drain(5_000);
  await Promise.all([evaluateAlerts(system.ctx, ['seconds']), evaluateAlerts(worker, ['seconds'])]);
  await worker.background.drain(5_000);
  const first = await told(system);
  assert.equal(first.length, 1, first.join('\n'));
  assert.match(first[0] ?? '', /🚨 Disjuntor aberto: evolution \(número julia-dev\)\. Motivo: provider_error\./);
  breaker.reset('by hand');
  await worker.background.drain(5_000);
  await system.query(`update circuit_transitions set created_at = created_at - interval '2 minutes'`);
  await evaluateAlerts(system.ctx, ['seconds']);
  assert.deepEqual((await told(system)).slice(1), ['Resolvido: o disjuntor evolution (número julia-dev) fechou.']);
});

test('E1 no scheduler: told by the process that notices it, once; whoever comes back ends it', async (t) => {
  const system = await atRest(t);
  await system.query(`delete from process_status where mode = 'scheduler'`);
  await noteSelf(system.ctx);
  assert.deepEqual(await system.query('select key from alerts'), [], 'a process that has just started does not complain');
  system.ctx.process.startedAt.setTime(Date.now() - 120_000);
  const other = await system.openContext('worker');
  other.process.startedAt.setTime(Date.now() - 120_000);
  await Promise.all([noteSelf(system.ctx), noteSelf(other)]);
  assert.deepEqual(await told(system), []);
  await system.query(`update alerts set since = since - interval '46 seconds'`);
  await Promise.all([noteSelf(system.ctx), noteSelf(other), noteSelf(other)]);
  await other.background.drain(10_000);
  assert.equal((await told(system)).length, 1);
  assert.match(system.simulator.slackTexts()[0] ?? '', /🚨 Nenhum scheduler está rodando/);
  await system.query(`insert into process_status (id, mode, version, started_at, seen_at) values ('s', 'scheduler', '1', now(), now())`);
  await evaluate(system);
  assert.deepEqual((await told(system)).slice(1), ['Resolvido: scheduler está rodando de novo.']);
});

test('E1 R3 the database is away: told to Slack directly after the second look, once, and that it is back', async (t) => {
  const system = await startSystem(t, { workers: 0, slack: 'webhook' });
  const watch = createDatabaseWatch(system.ctx);
  await watch(true);
  await watch(false);
  await watch(true);
  await watch(false);
  assert.deepEqual(system.simulator.slackTexts(), [], 'one failed look is nothing');
  system.simulator.fault({ target: 'slack', kind: 'status', status: 500 });
  for (const there of [false, false, false]) await watch(there);
  assert.equal(system.simulator.slackTexts().length, 1);
  assert.match(system.simulator.slackTexts()[0] ?? '', /O banco de dados não responde/);
  for (const there of [true, true]) await watch(there);
  assert.deepEqual(system.simulator.slackTexts().slice(1), ['Resolvido: o banco de dados responde de novo.']);
});

test('P12 acceptance 4: a worker that was never deployed: health says why, an alert leaves, and the worker that is started drains at the configured rate', async (t) => {
  const system = await startSystem(t, { workers: 0, slack: 'webhook', env: { MAX_MSGS_POR_HORA: '3' } });
  await system.query(
    `insert into process_status (id, mode, version, started_at, seen_at) select m, m, '1', now(), now() + interval '1 hour' from unnest(array['api', 'scheduler']) m`,
  );
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Olá!' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.dump()).length === 1, 'the message to be stored');
  for (let n = 0; n < 5; n++)
    await system.query(
      `select enqueue_message(jsonb_build_object('instance', 'julia-dev', 'phone', '551191234000' || ${n}, 'text', 'oferta', 'kind', 'notification'))`,
    );
  const deep = (await (await fetch(`${system.url}/health/deep`)).json()) as { status: string; reasons: string[] };
  assert.equal(deep.status, 'degraded');
  assert.match(deep.reasons.join(), /no worker is running/);
  // As the schedulers do each quarter of a minute: two looks, 45 s apart.
  await evaluateAlerts(system.ctx, ['seconds']);
  await system.query(`update alerts set since = since - interval '45 seconds'`);
  await evaluateAlerts(system.ctx, ['seconds']);
  const [alert = ''] = await told(system);
  assert.match(alert, /🚨 Nenhum worker está rodando.*Mensagens sem resposta agora: 1\./);

  await system.addWorker();
  for (const job of JOBS.filter(({ name }) => name === 'sweep_turns' || name === 'sweep_sends')) await job.run(system.ctx, aRun());
  for (const lane of await system.query<{ id: number }>(
    `select distinct conversation_id as id from messages where status in ('queued', 'received')`,
  )) {
    await system.ctx.queues.wakeSend(lane.id);
    await system.ctx.queues.wakeTurn(lane.id, 0);
  }
  await system.until(
    async () =>
      (await system.dump()).filter((line) => /^out system (sent|delivered): oferta/.test(line)).length === 3 &&
      (await system.dump()).filter((line) => line === 'out system queued(cap_hour): oferta').length === 2 &&
      (await system.dump()).some((line) => /^out agent (sent|delivered): Olá!/.test(line)),
    'the answer, and as many messages as the cap allows',
  );
  await system.query(`insert into process_status (id, mode, version, started_at, seen_at) values ('w', 'worker', '1', now(), now())`);
  await evaluateAlerts(system.ctx, ['seconds']);
  assert.deepEqual((await told(system)).slice(1), ['Resolvido: worker está rodando de novo.']);
});
