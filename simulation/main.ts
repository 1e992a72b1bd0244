/** `npm run sim`: a whole installation in one process, broken as a seed says. A seed that fails is one line to repeat. */
import { parseArgs } from 'node:util';
import { openSimulatedDatabase } from './database.ts';
import { PLANTS } from './plants.ts';
import { runSeed } from './run.ts';
import type { Outcome } from './run.ts';

const HELP = `Usage: npm run sim -- [options]

Runs the api, two workers and the sweeps of a scheduler in one process, on a real Postgres with a clock of its own, against look-alikes of Evolution,
of the model and of the queue. At each call the seed chooses who goes on, and what fails: a call that is not done, or done and not told, an answer that
is late, a process that dies or stands still, a job that is lost or comes twice, a webhook that comes again, clocks that jump. After each step it is
asked whether anything is wrong: lost, twice, over a cap, after an opt-out, in a pause, over a person, kept of somebody erased, shown and not said.

  --seed N       the first seed, or with --trace the one to show; default 1
  --seeds N      how many, one after the other; default 1
  --plant NAME   with a bug that somebody could make; exit code 0 when it is found. NAME \`all\`: each of them, within --seeds (100)
  --trace        prints every step
  --help         this text

Bugs to plant: ${Object.keys(PLANTS).join(', ')}.
Exit code 1: a seed went wrong, or a planted bug was not found.`;

type Options = { seed: number; seeds: number; plant: string | null; trace: boolean };

async function main(): Promise<number> {
  const options = readOptions();
  if (options === null) return say(HELP);
  if (options.plant === null) return (await search(options)).length === 0 ? 0 : 1;
  const names = options.plant === 'all' ? Object.keys(PLANTS) : [options.plant];
  let missed = 0;
  for (const name of names) {
    const [found] = await search({ ...options, plant: name });
    say(
      found === undefined ? `${name}: NOT FOUND within ${options.seeds} seeds` : `${name}: found by seed ${found.seed}: ${found.wrong[0]}`,
    );
    if (found === undefined) missed += 1;
  }
  return missed === 0 ? 0 : 1;
}

/** The outcomes that went wrong; with a planted bug the first one is enough. */
async function search({ seed: first, seeds, plant, trace }: Options): Promise<Outcome[]> {
  const bug = plant === null ? null : PLANTS[plant];
  if (bug === undefined) throw new Error(`no bug of this name to plant: ${plant}`);
  const database = await openSimulatedDatabase();
  try {
    await database.change(bug?.sql ?? []);
    const failed: Outcome[] = [];
    const began = performance.now();
    for (let seed = first; seed < first + seeds; seed++) {
      const outcome = await runSeed(database, seed, bug?.code);
      if (trace) for (const line of outcome.trace) say(line);
      if (bug === null && outcome.wrong.length > 0) {
        say(`seed ${seed} went wrong: ${outcome.wrong.join('; ')}`);
        say(`  repeat it: npm run sim -- --seed ${seed} --trace`);
      }
      if (outcome.wrong.length > 0) failed.push(outcome);
      if (bug !== null && failed.length > 0) break;
      const done = seed - first + 1;
      if (bug === null && (done % 50 === 0 || done === seeds)) {
        const seconds = (performance.now() - began) / 1000;
        say(`${done} of ${seeds} seeds in ${seconds.toFixed(1)} s, ${failed.length} went wrong; the last: ${line(outcome)}`);
      }
    }
    return failed;
  } finally {
    await database.close();
  }
}

function line({ seed, steps, calls, kills, written, sent, hash }: Outcome): string {
  return `seed ${seed}, ${steps} steps, ${calls} calls of the database, ${kills} kills, ${written} messages in, ${sent} out, trace ${hash}`;
}

function readOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string' },
      plant: { type: 'string' },
      trace: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const plant = values.plant ?? null;
  const [seed, seeds] = [Number(values.seed), Number(values.seeds ?? (plant === null ? 1 : 100))];
  if (!Number.isInteger(seed) || !Number.isInteger(seeds) || seeds < 1) throw new Error('--seed and --seeds want whole numbers');
  if (plant !== null && plant !== 'all' && !Object.hasOwn(PLANTS, plant)) throw new Error(`no bug of this name to plant: ${plant}`);
  return { seed, seeds, plant, trace: values.trace };
}

function say(text: string): 0 {
  process.stdout.write(`${text}\n`);
  return 0;
}

process.exitCode = await main();
