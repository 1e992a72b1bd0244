// npm run bench: measures this version against floors in the same run and prints one table. `--help` tells the rest.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { projectRoot } from '../lib/tools.ts';
import { measureAccept } from './figure-accept.ts';
import { measureAnswered } from './figure-answered.ts';
import { measureHistory } from './figure-history.ts';
import { measureLatency } from './figure-latency.ts';
import { measureMemory, measureStart } from './figure-resources.ts';
import { HELP, parseOptions, WrongUsage } from './options.ts';
import type { FigureName, Options } from './options.ts';
import { createReport, docsOf, tableOf } from './report.ts';
import type { Row } from './report.ts';
import { openStand } from './stand.ts';
import type { Stand } from './stand.ts';

const MEASURES: Record<FigureName, (stand: Stand) => Promise<Row[]>> = {
  start: measureStart,
  accept: measureAccept,
  answered: measureAnswered,
  latency: measureLatency,
  history: measureHistory,
  memory: measureMemory,
};

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const started = performance.now();
  const say = (line: string) =>
    process.stderr.write(`${String(Math.round((performance.now() - started) / 1000)).padStart(4)} s  ${line}\n`);
  const rows = await Promise.race([measureAll(options, say), stopped(options.size.limitMs)]);
  if (typeof rows === 'number') {
    say(rows === 130 ? 'stopped' : `gave up after ${options.size.limitMs / 1000} s`);
    return rows;
  }
  const report = createReport(options, rows, (performance.now() - started) / 1000);
  await writeText(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.writeDocs) await writeText(path.join(projectRoot, 'docs/bench.md'), docsOf(report));
  process.stdout.write(
    `\n${tableOf(rows)}\n\nfailed requests: ${report.failed}; ${report.seconds} s; ${path.relative(process.cwd(), options.json)}\n`,
  );
  return report.failed === 0 ? 0 : 1;
}

async function measureAll(options: Options, say: (line: string) => void): Promise<Row[]> {
  await using stand = await openStand(options, say);
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (!options.only.has(name as FigureName)) continue; // the record's keys are the figures
    say(name);
    rows.push(...(await measure(stand)));
  }
  return rows;
}

/** 130 after Ctrl-C, 1 when the time is over. What runs is guarded: it ends with this process, in order. */
function stopped(limitMs: number): Promise<number> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(1), limitMs).unref();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(130));
  });
}

async function writeText(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}

let code = 2;
try {
  code = await main();
} catch (error) {
  code = error instanceof WrongUsage ? 2 : 1;
  process.stderr.write(`${error instanceof Error ? (error instanceof WrongUsage ? error.message : error.stack) : String(error)}\n`);
}
// what a stopped run left under way is ended by its guards
process.exit(code);
