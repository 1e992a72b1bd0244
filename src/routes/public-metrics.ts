/**
 * What of the figures everybody may read: nothing of money, no label that names a number or a tenant. Series that differ in those labels only become one.
 * Pure; the text format of Prometheus, version 0.0.4.
 */

/** As prom-client's `getMetricsAsJSON` gives them. `metricName`: a histogram's series have names of their own. */
export type MetricJson = {
  name: string;
  help: string;
  type: unknown;
  values: readonly { value: number; labels: object; metricName?: string }[];
};

const NAMES = new Set(['tenant', 'number']);
const MONEY = /custo|usd/;

/** How values become one where they are no sums: the oldest message, the worst breaker, the number that is disconnected. */
const JOINED: Readonly<Record<string, (a: number, b: number) => number>> = {
  julia_sem_resposta_segundos: Math.max,
  julia_fila_saida_segundos: Math.max,
  julia_disjuntor_aberto: Math.max,
  julia_numero_conectado: Math.min,
};

const sum = (a: number, b: number): number => a + b;

export function publicMetrics(metrics: readonly MetricJson[]): string {
  return metrics
    .filter(({ name }) => !MONEY.test(name))
    .map((metric) => {
      const join = JOINED[metric.name] ?? sum;
      const series = new Map<string, number>();
      for (const { value, labels, metricName } of metric.values) {
        const key = `${metricName ?? metric.name}${shown(labels)}`;
        const known = series.get(key);
        series.set(key, known === undefined ? value : join(known, value));
      }
      const lines = [...series].map(([key, value]) => `${key} ${number(value)}`);
      return [`# HELP ${metric.name} ${escaped(metric.help)}`, `# TYPE ${metric.name} ${String(metric.type)}`, ...lines, ''].join('\n');
    })
    .join('\n');
}

function shown(labels: object): string {
  const kept = Object.entries(labels).filter(([name]) => !NAMES.has(name));
  if (kept.length === 0) return '';
  return `{${kept.map(([name, value]) => `${name}="${escaped(String(value)).replaceAll('"', String.raw`\"`)}"`).join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`);
}

function number(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}
