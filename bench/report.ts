/** The table that the bench prints, the JSON that it leaves, and docs/bench.md. */
import { cpus, totalmem } from 'node:os';

import type { FigureName, Options } from './options.ts';

export type Row = {
  figure: FigureName;
  /** In words, with what it ran on. */
  name: string;
  unit: string;
  product: number;
  /** The floor's figure; null where the bar is absolute and no floor was measured. */
  floor: number | null;
  floorName: string | null;
  /** What the bar speaks of: product to floor, or the figure itself. */
  compared: 'ratio' | 'value';
  ratio: number | null;
  /** Null: told for information, there is no bar. */
  bar: { atLeast: number } | { atMost: number } | null;
  /** Requests, or sends, or answers that failed. */
  failed: number;
  /** The single measurements, in the order in which they were made. */
  samples: { product: number[]; floor: number[] };
};

/** When and on what. */
export type Machine = { at: string; node: string; cpus: number; cpu: string; memoryGb: number };

export type Report = Machine & {
  quick: boolean;
  seconds: number;
  failed: number;
  rows: Row[];
};

export function createReport(options: Options, rows: Row[], seconds: number): Report {
  return {
    ...machine(),
    quick: options.quick,
    seconds: Math.round(seconds),
    failed: rows.reduce((sum, row) => sum + row.failed, 0),
    rows,
  };
}

export function machine(): Machine {
  return {
    at: new Date().toISOString(),
    node: process.version,
    cpus: cpus().length,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
  };
}

/** Whether the bar is met; null without one. */
export function isMet(row: Row): boolean | null {
  if (row.bar === null) return null;
  const value = row.compared === 'ratio' ? row.ratio : row.product;
  if (value === null || Number.isNaN(value)) return false;
  return 'atLeast' in row.bar ? value >= row.bar.atLeast : value <= row.bar.atMost;
}

const HEADINGS = ['figure', 'product', 'floor', 'ratio', 'bar', ''] as const;

export function tableOf(rows: readonly Row[]): string {
  return columns(HEADINGS, rows.map(cells), 1);
}

/** Cells before `firstFigure` begin at the left, the others end at the right. */
export function columns(headings: readonly string[], lines: readonly (readonly string[])[], firstFigure: number): string {
  const widths = headings.map((heading, column) => Math.max(heading.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const print = (line: readonly string[]) =>
    line
      .map((cell, column) => (column < firstFigure ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [print(headings), print(widths.map((width) => '-'.repeat(width))), ...lines.map(print)].join('\n');
}

function cells(row: Row): string[] {
  const met = isMet(row);
  return [
    row.name,
    `${round(row.product)} ${row.unit}`,
    row.floor === null ? '-' : `${round(row.floor)} ${row.unit} (${row.floorName ?? ''})`,
    row.ratio === null ? '-' : row.ratio.toFixed(2),
    row.bar === null ? '-' : barOf(row),
    met === null ? '' : met ? 'met' : 'MISSED',
  ];
}

function barOf(row: Row): string {
  if (row.bar === null) return '-';
  const [sign, value] = 'atLeast' in row.bar ? ['>=', row.bar.atLeast] : ['<=', row.bar.atMost];
  return row.compared === 'ratio' ? `${sign} ${value.toFixed(2)} x` : `${sign} ${value} ${row.unit}`;
}

/** Three digits that matter. */
function round(value: number): string {
  if (!Number.isFinite(value)) return '?';
  if (value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function docsOf(report: Report): string {
  return `# Measured

\`npm run bench -- --write-docs\` wrote this page on ${report.at.slice(0, 10)}: Node ${report.node}, ${report.cpus} x ${report.cpu}, ${report.memoryGb} GB. Postgres with
\`fsync\`, Redis, the simulator, the load and what is measured shared these cores, so the absolute figures say little; the ratios compare with floors
that ran in turn with the product, and a ratio is the median of the pairs.

| ${HEADINGS.slice(0, 5).join(' | ')} | |
| --- | ---: | ---: | ---: | ---: | --- |
${report.rows.map((row) => `| ${cells(row).join(' | ')} |`).join('\n')}

Failed requests: ${report.failed}.

- f1: Hono and one INSERT per request (\`bench/floor-accept.ts\`). f2: Hono, BullMQ on Redis, one model call and one send per message
  (\`bench/floor-answer.ts\`), with nothing kept, ordered, limited or repeated. f3: the same with Postgres and three commits an answer
  (\`bench/floor-durable.ts\`), the least that loses no message and answers none twice. The model and WhatsApp are the simulator, for all.
- Accepted: 50 connections, each posts the next webhook when the last was answered; only the api runs.
- Answered: 64 contacts wait at once, all three modes run, and the echo, the delivery and the reading of each send are posted as Evolution does; model 0 ms,
  DEBOUNCE_MS=0, HUMAN_DELAY=false, ABUSE_GATES=false. f3 answers the last three with 200 and does nothing with them.
- CPU: what /proc says that each process took while it answered, over the answers of that time. Postgres is one server for all, and the others rest meanwhile.
- Updates that are HOT: those that had to write no index, of pg_stat_user_tables, over everything that was answered. Under way are inbox, outbox and what
  else holds a row only for as long as something is to be done.
- Places: as answered, with a model that takes half a second and 256 contacts who wait, on this version with one worker, with four, and over 100 numbers.
- Hour: one installation has answered so many within the hour; one whose hour is empty is measured in turn with it.
- Idle latency: one message at a time, from the first byte of the webhook to the moment at which the answer leaves.
- Stored messages: the same, in turn in two databases. Both hold the contacts who write, half of them with 20 earlier messages; one holds
  1,000,000 messages of other conversations over a year beside them.
- Cache: one conversation with the agent's own words longer than the floor below which a model caches nothing; a new hour, a new fact about the contact and a
  handoff lie in between. The share is that of \`model_calls\`, over all prompts that are longer than the floor.
- Memory: VmRSS after a load of answered messages. Start: from the start of the process to its first 200 on /ready, the database being there.
`;
}
