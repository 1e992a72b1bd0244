/** The jobs of a day: reports with figures from SQL, counters, snapshots, what ends by itself, and what does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WEBHOOK_EVENTS } from '../../src/whatsapp/webhook-setting.ts';
import { evaluateAlerts } from '../../src/watch/alerts.ts';
import { JOBS } from '../../src/crons/all.ts';
import type { CronJob } from '../../src/schedule/job.ts';
import { runTick } from '../../src/schedule/run-job.ts';
import { aRun } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

function jobOf(name: string): CronJob {
  const job = JOBS.find((each) => each.name === name);
  assert.ok(job, name);
  return job;
}

async function run(system: System, name: string, tick = new Date()) {
  return jobOf(name).run(system.ctx, aRun(tick));
}

test('S4 the catalogue has what the manuals name, at their times', () => {
  const cron = (name: string) => jobOf(name).cron;
  assert.deepEqual(
    [
      'follow_ups',
      'expire_held',
      'sync_briefings',
      'sync_templates',
      'sync_numbers',
      'evaluate_trust',
      'report_morning',
      'report_evening',
      'report_weekly',
      'count_days',
      'snapshot_numbers',
    ].map(cron),
    [
      '0 10 * * *',
      '0 6 * * *',
      '30 * * * *',
      '0 6 * * *',
      '*/5 * * * *',
      '*/15 * * * *',
      '0 10 * * *',
      '0 20 * * *',
      '0 9 * * 1',
      '5 0 * * *',
      '55 23 * * *',
    ],
  );
  for (const name of ['sweep_turns', 'sweep_sends', 'sweep_notices', 'check_instances', 'handoffs', 'evaluate_alerts'])
    assert.equal(cron(name), '* * * * *');
});

test('S4 P6 sync_briefings is registered, is skipped, says why, and is no failure', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const end = await runTick(system.ctx, jobOf('sync_briefings'), new Date());
  assert.equal(end?.status, 'skipped');
  assert.match(end?.error ?? '', /^not configured: /);
  assert.ok(system.lines.some(({ message }) => message === 'Job executed: sync_briefings'));
  assert.deepEqual(await system.query('select status from job_runs'), [{ status: 'skipped' }]);
});

test('S4 E7 a report has the figures of the day, is told to Slack once, and is skipped without Slack', async (t) => {
  // A zone in which it is not midnight just now.
  const zone = new Date().getUTCHours() === 23 ? 'America/Sao_Paulo' : 'UTC';
  const system = await startSystem(t, { slack: 'webhook', env: { TZ: zone } });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Olá!' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.dump()).some((line) => line === 'out agent delivered: Olá!'), 'the answer');
  const tick = new Date();
  tick.setUTCSeconds(0, 0);
  const evening = new Date(tick.getTime() + 60_000);
  await Promise.all([run(system, 'report_evening', evening), run(system, 'report_evening', evening)]);
  await system.ctx.background.drain(5_000);
  const [text = '', ...rest] = system.simulator.slackTexts();
  assert.deepEqual(rest, []);
  assert.match(
    text,
    /^📊 Relatório de hoje \(\d\d\/\d\d\)\nRecebidas: 1 mensagens em 1 conversas, 1 contatos novos\.\nRespondidas: 1 turnos; 0 passados a pessoas; 0 falharam\./,
  );
  assert.match(text, /Tempo até a resposta: metade em até \d+ s/);
  assert.match(text, /Enviadas: 1 \(1 respostas\); 0 falharam\./);
  assert.match(text, /Modelo: [1-9]\d* tokens, US\$ \d/);
  assert.match(text, /SLA de 30 dias: ✅ disponibilidade/);
  assert.equal(await run(system, 'report_morning'), 1, 'yesterday was quiet');
  assert.equal(await run(system, 'report_weekly'), 1);
  const without = await startSystem(t, { workers: 0 });
  assert.match(JSON.stringify(await run(without, 'report_morning')), /not configured: set SLACK_WEBHOOK_URL/);
});

test('S4 counters and snapshots: each day that is over once, each number as it is', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`update tenants set created_at = now() - interval '3 days 1 hour'`);
  await system.query(`
    select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "x", "kind": "notification"}');
    update messages set status = 'sent', created_at = now() - interval '1 day', slot_at = now()`);
  const first = Number(await run(system, 'count_days'));
  assert.ok(first === 3 || first === 4, String(first));
  const sent = await system.query<{ n: number }>(`select sum((counts -> 'sent' ->> 'notification')::int)::int as n from daily_counts`);
  assert.deepEqual(sent, [{ n: 1 }]);
  await system.query('delete from messages');
  assert.equal(await run(system, 'count_days'), 0, 'what was counted stays, although its rows are gone');
  assert.deepEqual(await Promise.all([run(system, 'snapshot_numbers'), run(system, 'snapshot_numbers')]), [1, 1]);
  const days = await system.query<{ status: string; trust: number }>(
    `select figures ->> 'status' as status, (figures ->> 'trust')::int as trust from number_days`,
  );
  assert.deepEqual(days, [{ status: 'unknown', trust: 100 }]);
});

test('A1 S4 a pause does not end by itself: still there after 24 hours of ticks; deadlines and takeovers that are over end', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'à mão', 'manual')`);
  await system.query(`
    select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "velha", "kind": "notification"}');
    select enqueue_message('{"instance": "julia-dev", "phone": "5511912345679", "text": "nova", "kind": "notification"}');
    update messages set expires_at = now() - interval '1 second' where text = 'velha';
    update conversations set takeover_since = now() - interval '3 days', takeover_until = now() - interval '2 days' where id = (select min(id) from conversations);
    update conversations set takeover_since = now(), takeover_until = now() + interval '30 minutes' where id = (select max(id) from conversations)`);
  const start = Date.UTC(2026, 10, 27, 3, 0);
  for (let hour = 0; hour < 24; hour++)
    for (const job of JOBS.filter(({ name }) => !name.startsWith('report') && name !== 'backup'))
      await runTick(system.ctx, hour % 8 === 0 ? job : { ...job, run: async () => 0 }, new Date(start + hour * 3_600_000));
  assert.deepEqual(await system.query('select status, motivo, alterado_via from julia_status'), [
    { status: 'pausado', motivo: 'à mão', alterado_via: 'manual' },
  ]);
  assert.deepEqual(await system.dump(), ['out system expired(expired): velha', 'out system queued: nova']);
  const takeovers = await system.query<{ held: boolean }>('select takeover_until is not null as held from conversations order by id');
  assert.deepEqual(
    takeovers.map(({ held }) => held),
    [false, true],
  );
});

test('S4 follow_ups wakes lanes whose follow-up is due, and no paused one', async (t) => {
  const system = await startSystem(t, { workers: 1 });
  for (const [n, after] of [
    [0, '2020-01-01T00:00:00Z'],
    [1, '2090-01-01T00:00:00Z'],
  ] as const)
    await system.query(
      `select enqueue_message(jsonb_build_object('instance', 'julia-dev', 'phone', '551191234567' || ${n}, 'text', 'tudo bem?', 'kind', 'follow_up', 'send_after', '${after}'))`,
    );
  await system.query(`insert into julia_status (status, scope, target) values ('pausado', 'instance', 'julia-dev')`);
  assert.equal(await run(system, 'follow_ups'), 0);
  await system.query(`insert into julia_status (status, scope, target) values ('ativo', 'instance', 'julia-dev')`);
  assert.equal(await run(system, 'follow_ups'), 1);
  await system.until(
    async () => (await system.dump()).some((line) => /^out system (sent|delivered): tudo bem/.test(line)),
    'the follow-up',
  );
});

test('S4 E2 sync_numbers: a webhook that was changed at Evolution is told, once, and its mending', async (t) => {
  const system = await startSystem(t, { workers: 0, slack: 'webhook' });
  const told = async () => {
    await system.ctx.background.drain(5_000);
    return system.simulator.slackTexts();
  };
  assert.equal(await run(system, 'sync_numbers'), 1);
  assert.deepEqual(await told(), []);
  system.simulator.setWebhook(`${system.url}/webhook/evolution`, 'another-secret-of-tests', WEBHOOK_EVENTS);
  await Promise.all([run(system, 'sync_numbers'), run(system, 'sync_numbers')]);
  await evaluateAlerts(system.ctx, ['minute']);
  assert.equal((await told()).length, 1);
  assert.match(
    (await told())[0] ?? '',
    /🚨 O webhook do número julia-dev na Evolution está errado.*another secret than EVOLUTION_WEBHOOK_SECRET/,
  );
  system.simulator.setWebhook(`${system.url}/webhook/evolution`, system.config.webhook.secret ?? undefined, WEBHOOK_EVENTS);
  await run(system, 'sync_numbers');
  assert.deepEqual((await told()).slice(1), ['Resolvido: o webhook do número julia-dev está certo.']);
});
