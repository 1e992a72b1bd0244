/** `npm run chaos`: breaks everything at every point, with real processes, and counts what was lost, doubled or reordered. */
import { randomInt } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ensureRedisServer } from '../scripts/lib/redis.ts';
import { dataDirectory, projectRoot } from '../scripts/lib/tools.ts';
import { batches, cellName, matrix, shortMatrix, type Backend, type Batch } from './cells.ts';
import { runRandom } from './random.ts';
import { HEADER, line, markdown, problemsOf, totals } from './report.ts';
import { runBatch, type BatchOptions, type CellResult } from './run-batch.ts';
import { ownPostgres } from './stack.ts';

const HELP = `Usage: npm run chaos -- [options]

Runs the matrix {kill point} x {fault} with real processes, a real Postgres and a real Redis, and prints for each cell what was lost, doubled and
reordered, how many conversations a person was shown, and the seconds from the fault to the last answer. Exit code 0 when all of it is 0 / 0 / 0,
nine of ten conversations of each cell stood at their point, and only evolution-hang left something to a person.

  --queue redis|postgres|both   where the job queue lives; default both
  --n N          conversations a cell; default 20
  --cells A,B    only cells whose name (backend/point/fault) contains one of these
  --short        a dozen cells with n = 4 in under three minutes: for CI
  --random       instead of the matrix: --messages 1000 from a hundred contacts, and a blow each few seconds
  --messages N   of --random; default 1000
  --seed N       repeats what chance decided in an earlier run; printed by each run
  --parallel N   batches at the same time; default 8
  --write-docs   writes docs/chaos.md when every cell has run
  --help         this text

Figures go to .data/chaos.json (chaos-short.json, chaos-random.json), logs and evidence to .data/chaos/.`;

/** Whatever hangs, it ends. */
const LIMIT_MS = 60 * 60_000;
/** A job whose worker died is taken up again within 22.5 s: until then a second answer may still come. */
const WATCH_MS = 28_000;
const SHORT = { n: 4, watchMs: 15_000, parallel: 12 };

type Options = {
  backends: Backend[];
  n: number;
  cells: string[];
  short: boolean;
  random: boolean;
  messages: number;
  seed: number;
  parallel: number;
  writeDocs: boolean;
};

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) return say(HELP);
  say(`seed ${options.seed}`);
  const stop = stopSignal();
  const directory = path.join(dataDirectory, 'chaos', options.short ? 'short' : options.random ? 'random' : 'matrix');
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  if (options.backends.includes('redis')) await ensureRedisServer();
  await using stack = new AsyncDisposableStack();
  const postgres = await ownPostgres(path.join(directory, 'server'), stack);
  const base = { seed: options.seed, directory, postgres, signal: stop };
  if (options.random) return await runRandom({ ...base, backends: options.backends, messages: options.messages, say });

  const { results, failures } = await runMatrix(options, base);
  await writeFile(
    path.join(dataDirectory, options.short ? 'chaos-short.json' : 'chaos.json'),
    `${JSON.stringify({ seed: options.seed, results, failures }, null, 2)}\n`,
  );
  say(totals(results));
  for (const failure of failures) say(`did not run: ${failure}`);
  const problems = results.map((result) => ({ name: result.name, lines: problemsOf(result) })).filter(({ lines }) => lines.length > 0);
  for (const { name, lines } of problems) say(`\n${name}\n  ${lines.slice(0, 10).join('\n  ')}`);
  // Half a table would hide the other half.
  if (options.writeDocs && failures.length === 0) {
    await mkdir(path.join(projectRoot, 'docs'), { recursive: true });
    await writeFile(path.join(projectRoot, 'docs/chaos.md'), markdown(results, options.seed));
  }
  return failures.length === 0 && results.length > 0 && problems.length === 0 ? 0 : 1;
}

type Base = Pick<BatchOptions, 'seed' | 'directory' | 'postgres' | 'signal'>;

async function runMatrix(options: Options, base: Base): Promise<{ results: CellResult[]; failures: string[] }> {
  const cells = options.short ? shortMatrix(options.backends) : matrix(options.backends, options.cells);
  const waiting = batches(cells, options.short);
  const running = new Set<Batch>();
  const results: CellResult[] = [];
  const failures: string[] = [];
  let judged = 0;
  say(`${cells.length} cells with ${options.n} conversations each, in ${waiting.length} batches\n${HEADER}`);
  const started = performance.now();
  const progress = setInterval(() => {
    const names = [...running].map((batch) =>
      batch.cells.length === 1 ? batch.cells.map(cellName).join('') : `${batch.backend}/*/${batch.fault}`,
    );
    say(`... ${judged} of ${cells.length} cells after ${Math.round((performance.now() - started) / 1000)} s; running: ${names.join(', ')}`);
  }, 20_000);

  async function work(): Promise<void> {
    for (let batch = waiting.shift(); batch !== undefined && !base.signal.aborted; batch = waiting.shift()) {
      const current = batch;
      running.add(current);
      const name = current.cells.length === 1 ? current.cells.map(cellName).join('') : `${current.backend}/all/${current.fault}`;
      try {
        const ended = await runBatch(current, {
          ...base,
          n: options.n,
          watchMs: options.short ? SHORT.watchMs : WATCH_MS,
          directory: path.join(base.directory, name.replaceAll('/', '_')),
          onResult: (result) => {
            judged++;
            say(line(result));
          },
        });
        results.push(...ended);
      } catch (error) {
        if (!base.signal.aborted) failures.push(`${name}: ${String(error)}`);
      }
      running.delete(current);
    }
  }
  try {
    await Promise.all(Array.from({ length: options.short ? SHORT.parallel : options.parallel }, work));
  } finally {
    clearInterval(progress);
  }
  if (base.signal.aborted) failures.push('stopped');
  return { results: results.toSorted((a, b) => (a.name < b.name ? -1 : 1)), failures };
}

function readOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      queue: { type: 'string', default: 'both' },
      n: { type: 'string' },
      cells: { type: 'string', default: '' },
      short: { type: 'boolean', default: false },
      random: { type: 'boolean', default: false },
      messages: { type: 'string', default: '1000' },
      seed: { type: 'string' },
      parallel: { type: 'string', default: '8' },
      'write-docs': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  return {
    backends: backendsOf(values.queue),
    n: positive('n', values.n ?? String(values.short ? SHORT.n : 20), 400),
    cells: values.cells.split(',').filter((part) => part !== ''),
    short: values.short,
    random: values.random,
    messages: positive('messages', values.messages, 9_999),
    seed: values.seed === undefined ? randomInt(1, 2 ** 31) : positive('seed', values.seed, 2 ** 32),
    parallel: positive('parallel', values.parallel, 64),
    writeDocs: values['write-docs'],
  };
}

function backendsOf(queue: string): Backend[] {
  if (queue === 'both') return ['redis', 'postgres'];
  if (queue === 'redis' || queue === 'postgres') return [queue];
  throw new Error('--queue: redis, postgres or both');
}

function positive(name: string, value: string, most: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new Error(`--${name}: a whole number from 1 to ${most}`);
}

/** Ctrl-C, SIGTERM or the time limit: everything that was started is stopped, in order. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => {
      say('stopping ...');
      controller.abort();
    });
  setTimeout(() => controller.abort(), LIMIT_MS).unref();
  return controller.signal;
}

function say(text: string): 0 {
  process.stdout.write(`${text}\n`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
