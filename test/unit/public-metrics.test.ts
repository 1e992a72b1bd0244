import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { publicMetrics } from '../../src/routes/public-metrics.ts';

test('Z13 metrics for everybody: no name of a number or tenant, no money; what differs in those only is one series', async () => {
  const registry = new Registry();
  registry.setDefaultLabels({ mode: 'api' });
  const registers = [registry];
  const received = new Counter({ name: 'julia_mensagens_recebidas_total', help: 'a\\b\nc', labelNames: ['tenant'], registers });
  received.inc({ tenant: 'clinica-a' }, 2);
  received.inc({ tenant: 'clinica-b' }, 3);
  new Counter({ name: 'julia_modelo_custo_usd_total', help: 'x', labelNames: ['tenant'], registers }).inc({ tenant: 'a' }, 1);
  new Gauge({ name: 'julia_custo_24h_usd', help: 'x', registers }).set(7);
  const oldest = new Gauge({ name: 'julia_sem_resposta_segundos', help: 'x', labelNames: ['tenant'], registers });
  oldest.set({ tenant: 'clinica-a' }, 900);
  oldest.set({ tenant: 'clinica-b' }, 4);
  const connected = new Gauge({ name: 'julia_numero_conectado', help: 'x', labelNames: ['number'], registers });
  connected.set({ number: 'julia-prod' }, 0);
  connected.set({ number: 'julia-2' }, 1);
  const breaker = new Gauge({ name: 'julia_disjuntor_aberto', help: 'x', labelNames: ['breaker', 'number'], registers });
  breaker.set({ breaker: 'evolution', number: 'julia-prod' }, 1);
  breaker.set({ breaker: 'evolution', number: 'julia-2' }, 0);
  const served = new Histogram({ name: 'julia_http_segundos', help: 'x', labelNames: ['route'], buckets: [1], registers });
  served.observe({ route: '/a"b\\c' }, 0.5);
  const told = publicMetrics(await registry.getMetricsAsJSON());
  assert.doesNotMatch(told, /clinica|julia-prod|julia-2|tenant|number=|usd|custo/);
  for (const line of [
    String.raw`# HELP julia_mensagens_recebidas_total a\\b\nc`,
    '# TYPE julia_mensagens_recebidas_total counter',
    'julia_mensagens_recebidas_total{mode="api"} 5',
    'julia_sem_resposta_segundos{mode="api"} 900',
    'julia_numero_conectado{mode="api"} 0',
    'julia_disjuntor_aberto{breaker="evolution",mode="api"} 1',
  ])
    assert.ok(told.split('\n').includes(line), `${line}\n${told}`);
  // What names nobody is as prom-client writes it.
  const all = (await registry.metrics()).split('\n').filter((line) => line.startsWith('julia_http_segundos'));
  const sorted = (lines: string[]) =>
    lines.map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => labels.split(',').toSorted().join())).toSorted();
  assert.deepEqual(sorted(told.split('\n').filter((line) => line.startsWith('julia_http_segundos'))), sorted(all));
});
