/** GET /metrics of the processes of one conversation: what rises, by how much, and that it is the text that Prometheus reads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
  await system.until(async () => ((await total([worker], 'julia_tempo_resposta_segundos_count')) ?? 0) > 0, 'the answer left');
  assert.equal(await total([system.ctx], 'julia_mensagens_recebidas_total'), 3);
  const answers = (await system.query(`select distinct turn_id from messages where direction = 'out' and status <> 'queued'`)).length;
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
