/** Every query of the dashboard and of the alert rules asks for metrics that exist, with labels and values that they have. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parser } from '@prometheus-io/lezer-promql';
import type { MetricObject } from 'prom-client';
import { parse } from 'yaml';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { createMetrics, measureInstallation } from '../../src/metrics.ts';
import { CONDITIONS } from '../../src/watch/alert-conditions.ts';

type Rule = { alert: string; expr: string; labels: { severity: string }; annotations: { summary: string } };
type Panel = { type: string; title: string; targets?: { expr: string; legendFormat: string }[]; datasource?: { uid: string } };

const rules = (parse(read('observability/alerts.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);
const panels = (JSON.parse(read('observability/grafana/dashboards/julia.json')) as { panels: Panel[] }).panels;
const queries = [
  ...rules.map((rule) => ({ from: rule.alert, expr: rule.expr })),
  ...panels.flatMap((panel) => (panel.targets ?? []).map((target) => ({ from: panel.title, expr: target.expr }))),
];

/** Labels that Prometheus gives itself, and those that it adds to every series of a target. */
const OF_PROMETHEUS = ['job', 'instance'];

/** Name of each series that a process can show, with its labels. */
async function series(): Promise<Map<string, Set<string>>> {
  const metrics = createMetrics('api');
  const away = { call: () => Promise.reject(new Error('away')), close: async () => {} };
  measureInstallation(metrics.registry, { db: away, queues: { counts: async () => ({ turn: {}, send: {} }) } });
  await metrics.registry.metrics();
  const known = new Map<string, Set<string>>([['up', new Set()]]);
  for (const metric of metrics.registry.getMetricsAsArray() as (MetricObject & { labelNames?: string[] })[]) {
    const labels = new Set(['mode', ...(metric.labelNames ?? [])]);
    for (const own of ['job', 'instance']) assert.ok(!labels.has(own), `${metric.name}: Prometheus would rename the label ${own}`);
    if (String(metric.type) === 'histogram') labels.add('le');
    const names = String(metric.type) === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => metric.name + end) : [metric.name];
    for (const name of names) known.set(name, labels);
  }
  return known;
}

/** The nodes of an expression: `of` gives the texts of a kind. */
function parsed(expr: string) {
  const found: { kind: string; text: string }[] = [];
  parser.parse(expr).iterate({ enter: (node) => void found.push({ kind: node.name, text: expr.slice(node.from, node.to) }) });
  return { found, of: (kind: string) => found.filter((each) => each.kind === kind).map((each) => each.text) };
}

test('E8 observability: every query is PromQL and asks for a metric that exists, with labels that it has', async () => {
  const known = await series();
  assert.ok(queries.length > 40);
  for (const { from, expr } of queries) {
    const { of } = parsed(expr);
    assert.deepEqual(of('⚠'), [], `${from}: ${expr}`);
    const names = of('Identifier').filter((each) => known.has(each) || /^(julia|process|nodejs)_/.test(each));
    assert.ok(names.length > 0, `${from}: ${expr}`);
    const labels = new Set(OF_PROMETHEUS);
    for (const name of names) {
      const own = known.get(name);
      assert.ok(own, `${from}: there is no metric ${name}`);
      for (const label of own) labels.add(label);
    }
    for (const label of of('LabelName')) assert.ok(labels.has(label), `${from}: ${names.join(', ')} has no label ${label}`);
  }
});

test('E8 observability: every metric of ours is on the dashboard or in a rule', async () => {
  const asked = queries.map(({ expr }) => expr).join('\n');
  const ours = [...(await series()).keys()].filter((name) => name.startsWith('julia_') && !/_(bucket|sum)$/.test(name));
  assert.deepEqual(
    ours.filter((name) => !asked.includes(name.replace(/_count$/, ''))),
    [],
  );
});

test('E8 observability: values of labels that the queries name are written somewhere in the product', () => {
  const product = ['src/events.ts', 'src/metrics.ts', 'src/outbox/send.ts', 'src/config.ts', 'src/queues.ts'].map(read).join('\n');
  const words = new Set(
    queries.flatMap(({ expr }) =>
      [...expr.matchAll(/\b(?!job|status)(\w+)=~?"([\w|]+)"/g)].flatMap(([, , value = '']) => value.split('|')),
    ),
  );
  assert.ok(words.size >= 8);
  for (const word of words) assert.match(product, new RegExp(`'${word}'`), word);
});

test('E8 observability: rules have a severity and a sentence, panels a title and the data source that is provisioned', () => {
  assert.equal(new Set(rules.map((rule) => rule.alert)).size, rules.length);
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(critical|warning)$/, alert);
    assert.ok(annotations.summary.length > 20, alert);
  }
  const { datasources } = parse(read('observability/grafana/datasources/prometheus.yml')) as { datasources: { uid: string }[] };
  for (const panel of panels.filter((each) => each.type !== 'row'))
    assert.ok(
      datasources.some(({ uid }) => uid === panel.datasource?.uid),
      panel.title,
    );
  const { scrape_configs: scrapes, rule_files: files } = parse(read('observability/prometheus.yml')) as {
    scrape_configs: { metrics_path: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    rule_files: string[];
  };
  assert.deepEqual(
    files.map((file) => path.basename(file)),
    ['alerts.yml'],
  );
  const compose = parse(read('docker-compose.prod.yml')) as { services: Record<string, { environment?: { PORT?: string } }> };
  for (const { names, port } of scrapes.flatMap((each) => each.dns_sd_configs))
    for (const name of names) assert.equal(compose.services[name] !== undefined && port, 8000, name);
});

function read(file: string): string {
  return readFileSync(path.join(projectRoot, file), 'utf8');
}

test('E8 D9 observability: every metric, every alert and every rule has its line on docs/metrics.md, and the page names no other', async () => {
  const page = read('docs/metrics.md');
  const named = new Set([...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name));
  const metrics = [...(await series()).keys()]
    .filter((name) => name.startsWith('julia_') && !/_(bucket|sum)$/.test(name))
    .map((name) => name.replace(/(?<=_segundos)_count$/, ''));
  const all = [...metrics, ...CONDITIONS.map(({ name }) => name), ...rules.map(({ alert }) => alert)];
  assert.deepEqual([...named].toSorted(), [...new Set(all)].toSorted());
});
