/** GET /metrics of the processes of one conversation: what rises, by how much, and that it is the text that Prometheus reads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics, measureInstallation } from '../../src/metrics.ts';
import { startWorker } from '../../src/worker.ts';
import type { Context } from '../../src/context.ts';
import { startSystem } from '../support/system.ts';

/** Sum of a metric over the processes; null when no process has it. */
async function total(contexts: Context[], name: string, label = ''): Promise<number | null> {
  let sum: number | null = null;
  for (const { events } of contexts) {
    for (const line of (await events.registry.metrics()).split('\n')) {
      const found = /^(\w+)(?:\{([^}]*)\})? ([-+\d.eE]+)$/.exec(line);
      if (found?.[1] === name && (found[2] ?? '').includes(label)) sum = (sum ?? 0) + Number(found[3]);
    }
  }
  return sum;
}

test('H7 received rises by one and the answer time by one observation for each answered inbound; repeats, acks and echoes count nothing', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const worker = await system.openContext('worker');
  const running = await startWorker(worker);
  t.after(() => running.stop(1_000));
  const contexts = [system.ctx, worker];
  const figures = async () => ({
    received: await total(contexts, 'julia_mensagens_recebidas_total'),
    answered: await total(contexts, 'julia_tempo_resposta_segundos_count'),
    sent: await total(contexts, 'julia_envios_total', 'outcome="sent"'),
  });
  // They are there before anything has happened: an alert on a missing series would fire.
  assert.deepEqual(await figures(), { received: 0, answered: 0, sent: null });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  // Three parts are one answer.
  system.simulator.script([{ text: 'Uma.\n\nDuas.\n\nTrês.' }, { text: 'Sim.', repeat: true }]);
  const settled = (count: number) =>
    system.until(
      async () =>
        (await system.dump()).filter((line) => line.startsWith('in contact answered')).length === count &&
        (await system.dump()).every((line) => /^(in contact answered|out agent delivered)/.test(line)),
      `${count} answered`,
    );
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await settled(1);
  await system.until(async () => (await figures()).answered === 1, 'one observation');
  assert.equal((await figures()).received, 1);
  assert.ok(((await total(contexts, 'julia_tempo_resposta_segundos_sum')) ?? 0) > 0);

  await system.simulator.repeatWebhook({ times: 3 });
  system.simulator.read({ contactId: maria.id });
  system.simulator.inbound({ contactId: maria.id, text: 'Mais uma?' });
  await system.until(async () => (await figures()).answered === 2, 'two observations');
  assert.equal((await figures()).received, 2);
  assert.equal((await figures()).sent, (await system.query(`select 1 from messages where direction = 'out'`)).length);
});

test('H7 a burst is one answer: one observation', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { DEBOUNCE_MS: '300', DEBOUNCE_MAX_MS: '5000' } });
  const worker = await system.openContext('worker');
  const running = await startWorker(worker);
  t.after(() => running.stop(1_000));
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Sim.', repeat: true }]);
  for (const text of ['Oi', 'tudo', 'bem?']) system.simulator.inbound({ contactId: maria.id, text });
  await system.until(
    async () => (await system.dump()).filter((line) => line.startsWith('in contact answered')).length === 3,
    'all answered',
  );
  await system.until(
    async () => (await system.query(`select 1 from messages where direction = 'out' and status in ('queued', 'sending')`)).length === 0,
    'an empty lane',
  );
  assert.equal(await total([system.ctx], 'julia_mensagens_recebidas_total'), 3);
  const answers = (await system.query(`select distinct turn_id from messages where direction = 'out' and status <> 'cancelled'`)).length; // one may have been withdrawn
  assert.equal(await total([worker], 'julia_tempo_resposta_segundos_count'), answers);
});

test('H7 /metrics is Prometheus text with few label values, and addresses are patterns', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  for (const path of [
    '/5511912345678',
    '/api/messages/5511912345678',
    '/webhook/evolution/5511912345678',
    '/x?phone=5511912345678',
    '/health',
  ])
    await fetch(system.url + path);
  const answer = await fetch(`${system.url}/metrics`);
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain/);
  const lines = (await answer.text()).split('\n').filter((line) => line !== '');
  for (const line of lines) assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)*\})? (NaN|[-+]?(Inf|[\d.eE+-]+)))$/);
  for (const name of ['julia_mensagens_recebidas_total counter', 'julia_tempo_resposta_segundos histogram'])
    assert.ok(lines.includes(`# TYPE ${name}`), name);
  assert.ok(
    !lines.some((line) => /\d{8}/.test(line.replace(/ \S+$/, ''))),
    lines.find((line) => /\d{8}/.test(line.replace(/ \S+$/, ''))),
  );
  const routes = new Set(lines.flatMap((line) => /route="([^"]*)"/.exec(line)?.[1] ?? []));
  assert.ok(routes.has('/health') && routes.has('/*') && routes.size <= 6, [...routes].join(' '));
});

/** Series of /metrics with these names, as `name{labels} value`. */
function series(text: string, ...names: string[]): string[] {
  return text.split('\n').filter((line) => names.some((name) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)));
}

for (const queue of ['postgres', 'redis'] as const) {
  test(`E8 the api tells what waits in the database and in the queue on ${queue}, the worker what the model cost`, async (t) => {
    const system = await startSystem(t, { queue, workers: 0 });
    const worker = await system.openContext('worker');
    const running = await startWorker(worker);
    t.after(() => running.stop(1_000));
    const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
    system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
    await system.until(async () => (await system.dump()).some((line) => line.includes('delivered')), 'the answer');
    await system.until(async () => (await system.ctx.queues.counts()).turn['active'] === 0, 'the end of the job that sent it');
    await system.query(`insert into julia_status (status, motivo) values ('pausado', 'teste')`);
    const told = await (await fetch(`${system.url}/metrics`)).text();
    for (const expected of [
      'julia_sem_resposta{tenant="default",mode="api"} 0',
      'julia_fila_saida{tenant="default",state="queued",mode="api"} 0',
      'julia_fila_saida{tenant="default",state="dead",mode="api"} 0',
      'julia_conversas_respondidas_24h{tenant="default",mode="api"} 1',
      'julia_fila_jobs{queue="turn",state="active",mode="api"} 0',
      'julia_pausado{scope="all",mode="api"} 1',
    ])
      assert.ok(told.includes(`\n${expected}\n`), `${expected}\n${series(told, expected.split('{')[0] ?? '').join('\n')}`);
    assert.match(series(told, 'julia_custo_por_conversa_usd')[0] ?? '', / 0\.0\d+$/);
    assert.match(series(told, 'julia_uptime_segundos')[0] ?? '', / \d+\.\d+$/);
    const work = await worker.events.registry.metrics();
    assert.match(series(work, 'julia_modelo_segundos_count')[0] ?? '', /model="claude-[^"]+",outcome="end_turn".* 1$/);
    assert.match(series(work, 'julia_modelo_tokens_total').join('\n'), /tenant="default",type="input"/);
    assert.equal(series(work, 'julia_modelo_cache_acerto').length, 1);
    assert.deepEqual(series(work, 'julia_sem_resposta'), [], 'one mode tells it, or a sum over processes would count it twice');
  });
}

test('E8 a database that fails or hangs takes only its own series away, and many who ask cost one look', async () => {
  const metrics = createMetrics('api');
  let looks = 0;
  const db = {
    call: async () => {
      looks++;
      throw new Error('away');
    },
    close: async () => {},
  };
  measureInstallation(metrics.registry, { db, queues: { counts: async () => ({ turn: {}, send: {} }) } });
  const texts = await Promise.all([1, 2, 3].map(() => metrics.registry.metrics()));
  assert.equal(looks, 2, 'one of each function');
  for (const text of texts) {
    assert.ok(text.includes('julia_uptime_segundos'));
    assert.deepEqual(series(text, 'julia_sem_resposta', 'julia_pausado'), []);
  }
});

test('H7 the hundred and first tenant and all after it share the label overflow', () => {
  const { tenantLabel } = createMetrics('worker');
  const labels = Array.from({ length: 150 }, (_, index) => tenantLabel(`tenant-${index}`));
  assert.equal(new Set(labels).size, 101);
  assert.equal(labels.filter((label) => label === 'overflow').length, 50);
  assert.equal(tenantLabel('tenant-99'), 'tenant-99', 'who has a label keeps it');
});
