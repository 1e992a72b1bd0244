// npm run bench: measures this version against floors in the same run and prints one table. `--help` tells the rest.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { projectRoot } from '../scripts/lib/tools.ts';
import { measureAccept } from './figure-accept.ts';
import { measureAnswered } from './figure-answered.ts';
import { measureCache } from './figure-cache.ts';
import { measureHistory } from './figure-history.ts';
import { measureHour } from './figure-hour.ts';
import { measureKnowledge } from './figure-knowledge.ts';
import { measureLatency } from './figure-latency.ts';
import { measurePlaces } from './figure-places.ts';
import { measureMemory, measureStart } from './figure-resources.ts';
import { HELP, parseOptions, WrongUsage } from './options.ts';
import type { FigureName, Options } from './options.ts';
import { createReport, docsOf, tableOf } from './report.ts';
import type { Row } from './report.ts';
import { createSoakReport, isWell, soakDocsOf, soakTableOf } from './soak-report.ts';
import { runSoak } from './soak.ts';
import { openStand } from './stand.ts';
import type { Stand } from './stand.ts';

const MEASURES: Record<FigureName, (stand: Stand) => Promise<Row[]>> = {
  start: measureStart,
  accept: measureAccept,
  answered: measureAnswered,
  latency: measureLatency,
  places: measurePlaces,
  hour: measureHour,
  history: measureHistory,
  memory: measureMemory,
  cache: measureCache,
  knowledge: measureKnowledge,
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
  const seconds = () => (performance.now() - started) / 1000;
  const run = options.soak ? soak : measureAll;
  const told = await Promise.race([run(options, say, seconds), stopped(options.size.limitMs)]);
  if (typeof told === 'number') {
    say(told === 130 ? 'stopped' : `gave up after ${options.size.limitMs / 1000} s`);
    return told;
  }
  const { report, table, page, well } = told;
  await writeText(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.writeDocs) await writeText(path.join(projectRoot, 'docs', page.name), page.text);
  process.stdout.write(`\n${table}\n\nfailed: ${report.failed}; ${report.seconds} s; ${path.relative(process.cwd(), options.json)}\n`);
  return well ? 0 : 1;
}

type Told = { report: { failed: number; seconds: number }; table: string; page: { name: string; text: string }; well: boolean };

async function soak(options: Options, say: (line: string) => void, seconds: () => number): Promise<Told> {
  await using stand = await openStand(options, say);
  const { soakMinutes } = options.size;
  const { rows, totals } = await runSoak(stand, soakMinutes);
  const report = createSoakReport(soakMinutes, rows, totals, seconds());
  return { report, table: soakTableOf(report), page: { name: 'soak.md', text: soakDocsOf(report) }, well: isWell(report) };
}

async function measureAll(options: Options, say: (line: string) => void, seconds: () => number): Promise<Told> {
  await using stand = await openStand(options, say);
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (!options.only.has(name as FigureName)) continue; // the record's keys are the figures
    say(name);
    await stand.emptyQueues();
    rows.push(...(await measure(stand)));
  }
  const report = createReport(options, rows, seconds());
  return { report, table: tableOf(rows), page: { name: 'bench.md', text: docsOf(report) }, well: report.failed === 0 };
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
