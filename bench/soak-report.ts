/** The table of the soak, the JSON that it leaves, and docs/soak.md. */
import type { Mode } from '../scripts/lib/installation.ts';
import type { QueueKind } from './options.ts';
import { columns, machine } from './report.ts';
import type { Machine } from './report.ts';
import { ANSWERS_PER_SECOND, ORDERS_PER_SECOND, SCRAPE_MS } from './soak-load.ts';
import type { Counts } from './soak-load.ts';
import type { Course, Sample } from './soak-verdict.ts';

export type SoakRow = Course & { mode: Mode; queue: QueueKind; samples: Sample[] };
export type SoakTotals = Counts & { queue: QueueKind; failures: Record<string, number> };

export type SoakReport = Machine & {
  /** How long the load lasted, and the whole run. */
  minutes: number;
  seconds: number;
  /** What was lost, doubled or refused. */
  failed: number;
  rows: SoakRow[];
  totals: SoakTotals[];
};

export function createSoakReport(minutes: number, rows: SoakRow[], totals: SoakTotals[], seconds: number): SoakReport {
  const failed = totals.reduce((sum, each) => sum + each.failed + each.lost + each.doubled, 0);
  return { ...machine(), minutes, seconds: Math.round(seconds), failed, rows, totals };
}

/** Nothing failed and nothing grows. */
export function isWell({ failed, rows }: SoakReport): boolean {
  return failed === 0 && rows.every(({ verdict }) => verdict !== 'GROWS');
}

const HEADINGS = ['mode', 'queue', 'warmed up', 'end', 'most', 'slope', 'floor rises', 'verdict'] as const;
const FIRST_FIGURE = 2;

export function soakTableOf({ rows, totals }: SoakReport): string {
  return [columns(HEADINGS, rows.map(cells), FIRST_FIGURE), '', ...totals.map(totalsInWords)].join('\n');
}

function cells(row: SoakRow): string[] {
  const { mode, queue, warm, end, most, slope, rise, verdict } = row;
  const megabytes = [warm, end, most].map((value) => `${value.toFixed(0)} MB`);
  return [mode, queue, ...megabytes, `${slope.toFixed(2)} MB/min`, `${rise.toFixed(1)} MB`, verdict];
}

function totalsInWords(totals: SoakTotals): string {
  const number = (value: number) => value.toLocaleString('en-US');
  const { queue, asked, answered, ordered, arrived, lost, doubled, webhooks, scrapes, failed, failures } = totals;
  const what = Object.entries(failures).map(([name, times]) => `${times} x ${name}`);
  return (
    `${queue}: ${number(answered)} of ${number(asked)} questions answered, ${number(arrived)} of ${number(ordered)} proactive messages arrived, ${lost} lost, ` +
    `${doubled} doubled; ${number(webhooks)} webhooks, ${number(scrapes)} scrapes, ${failed} failed${what.length === 0 ? '' : ` (${what.join('; ')})`}`
  );
}

export function soakDocsOf(report: SoakReport): string {
  const { at, node, cpus, cpu, memoryGb, minutes } = report;
  const queues = report.totals.map(({ queue }) => queue);
  const options = `${minutes === 10 ? '' : ` --minutes ${minutes}`}${queues.length > 1 ? '' : ` --queue ${queues.join()}`}`;
  return `# Memory over ${minutes} minutes

\`npm run bench -- --soak${options} --write-docs\` wrote this page on ${at.slice(0, 10)}: Node ${node}, ${cpus} x ${cpu}, ${memoryGb} GB. api, worker and scheduler ran as
production starts them, one installation on each queue (${queues.join(', ')}), side by side, each under a steady load: ${ANSWERS_PER_SECOND} questions a second from contacts who come back and new
ones, what Evolution posts around each answer (typing, chats, contacts, the echo, receipts), each tenth webhook twice, ${ORDERS_PER_SECOND} proactive messages a second over
\`POST /api/messages\`, and each ${SCRAPE_MS / 1000} s the routes of health and metrics. The debounce and "typing" were on.

| ${HEADINGS.join(' | ')} |
| --- | --- |${' ---: |'.repeat(5)} --- |
${report.rows.map((row) => `| ${cells(row).join(' | ')} |`).join('\n')}

${report.totals.map((totals) => `- ${totalsInWords(totals)}`).join('\n')}

- warmed up: median of the second minute. end: median of the last tenth. All are VmRSS.
- slope: of the second half, by Theil and Sen over all samples; it swings with the collector and decides nothing.
- floor rises, which decides: the time after the first fifth is cut into four parts, the floor of a part is its 10th percentile, and the steps from floor to floor are
  summed without the largest one. More than 2 MB GROWS, or more than 15 MB with the largest one (\`bench/soak-verdict.ts\` says why).
`;
}
