/** The command line of the bench. */
import path from 'node:path';
import { parseArgs } from 'node:util';

import { dataDirectory } from '../scripts/lib/tools.ts';

export const FIGURES = ['start', 'accept', 'answered', 'latency', 'places', 'hour', 'history', 'memory', 'cache', 'knowledge'] as const;
export type FigureName = (typeof FIGURES)[number];
export type QueueKind = 'redis' | 'postgres';

/** How much is measured. Durations in milliseconds. */
export type Size = {
  /** Times that floor and product are measured in turn. */
  rounds: number;
  acceptMs: number;
  answeredMs: number;
  /** Single messages to an idle system. */
  probes: number;
  /** Rows of `messages` in the large database. */
  storedMessages: number;
  /** Answers within the hour before the next ones are measured. */
  hourAnswers: number;
  /** Messages answered before the memory is read. */
  memoryMessages: number;
  /** Of the four floors of models' caches that many, the lowest first. */
  floors: number;
  /** The whole run ends by then, come what may. */
  limitMs: number;
  /** How long the load of a soak lasts. */
  soakMinutes: number;
};

const FULL: Size = {
  rounds: 5,
  acceptMs: 3_000,
  answeredMs: 4_000,
  probes: 200,
  storedMessages: 1_000_000,
  hourAnswers: 20_000,
  memoryMessages: 3_000,
  floors: 4,
  limitMs: 30 * 60_000,
  soakMinutes: 10,
};
const QUICK: Size = {
  rounds: 1,
  acceptMs: 1_000,
  answeredMs: 1_500,
  probes: 15,
  storedMessages: 5_000,
  hourAnswers: 100,
  memoryMessages: 30,
  floors: 1,
  limitMs: 5 * 60_000,
  soakMinutes: 0.1,
};

export type Options = {
  only: ReadonlySet<FigureName>;
  queues: readonly QueueKind[];
  quick: boolean;
  /** A commit that is measured beside this version; null: none. */
  against: string | null;
  /** The memory is watched, and no figure is measured. */
  soak: boolean;
  size: Size;
  json: string;
  writeDocs: boolean;
  help: boolean;
};

/** For starting, for the last answers and for the end. */
const AROUND_SOAK_MS = 5 * 60_000;
const MOST_SOAK_MINUTES = 24 * 60;

export const HELP = `Usage: npm run bench -- [--quick] [--only LIST] [--queue redis|postgres|both] [--against COMMIT] [--json FILE] [--write-docs]
       npm run bench -- --soak [--minutes N] [--queue redis|postgres|both] [--json FILE] [--write-docs]

Measures this version on this machine and prints one table. Each figure stands beside a floor that was measured in the same run, in turn
with it: (f1) Hono and one INSERT per request, (f2) Hono, BullMQ on Redis, one model call and one send per message, (f3) the same with Postgres
and three commits an answer, which is the least that loses nothing and answers nothing twice.
The share of the model's cache has a bar of its own and no floor.
Everything is real but WhatsApp and the model, runs on 127.0.0.1 and is gone afterwards. Takes some 10 minutes; Ctrl-C ends it.

With --soak it keeps a steady, moderate load on api, worker and scheduler instead, on both queues side by side, reads the memory of each
process, and tells of each whether it stays flat or GROWS.

  --quick        small counts, some 40 s on an idle machine: shows that the bench works, its figures mean little
  --soak         the memory over ten minutes; a tenth of a minute with --quick
  --minutes N    how long the load of the soak lasts: a longer one finds a smaller leak; less than 5 is too short to judge
  --only LIST    some of: ${FIGURES.join(', ')} (separated by commas)
  --queue KIND   where the queue lives: redis, postgres or both (default both; what has a bar runs on Redis when it may)
  --against COMMIT
                 also an earlier version, in turn with this one: ratios of answered, accept, latency and places. Its files are checked out below .data
  --json FILE    where the figures go (default .data/bench.json, .data/soak.json)
  --write-docs   also writes docs/bench.md, or docs/soak.md
  --help         this text

Exit code 0 when everything was measured (whether or not a bar was met), 1 when a request failed or something did not start, 2 for a wrong
command line, 130 after Ctrl-C. Of a soak: 1 also when an answer was lost or doubled, a process ended, or the memory of one GROWS.
`;

export class WrongUsage extends Error {}

/** Throws WrongUsage. */
export function parseOptions(args: string[]): Options {
  const { values } = parse(args);
  const quick = values.quick ?? false;
  const soak = values.soak ?? false;
  if (soak && values.only !== undefined) throw new WrongUsage('--only: a soak measures none of the figures');
  if (soak && values.against !== undefined) throw new WrongUsage('--against: a soak measures one version');
  if (!soak && values.minutes !== undefined) throw new WrongUsage('--minutes: belongs to --soak');
  const size = quick ? QUICK : FULL;
  const soakMinutes = values.minutes === undefined ? size.soakMinutes : minutesOf(values.minutes);
  return {
    only: new Set(values.only === undefined ? FIGURES : values.only.split(',').map((name) => oneOf(FIGURES, name.trim(), '--only'))),
    queues: queuesOf(values.queue ?? 'both'),
    quick,
    against: values.against ?? null,
    soak,
    size: { ...size, soakMinutes, limitMs: soak ? soakMinutes * 60_000 + AROUND_SOAK_MS : size.limitMs },
    json: path.resolve(values.json ?? path.join(dataDirectory, soak ? 'soak.json' : 'bench.json')),
    writeDocs: values['write-docs'] ?? false,
    help: values.help ?? false,
  };
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string' },
        soak: { type: 'boolean' },
        minutes: { type: 'string' },
        queue: { type: 'string' },
        against: { type: 'string' },
        json: { type: 'string' },
        'write-docs': { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new WrongUsage(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function queuesOf(value: string): QueueKind[] {
  return value === 'both' ? ['redis', 'postgres'] : [oneOf(['redis', 'postgres'] as const, value, '--queue')];
}

function minutesOf(value: string): number {
  const minutes = Number(value);
  if (!(minutes > 0 && minutes <= MOST_SOAK_MINUTES))
    throw new WrongUsage(`--minutes: ${value} is not a number above 0, at most ${MOST_SOAK_MINUTES}`);
  return minutes;
}

function oneOf<T extends string>(known: readonly T[], value: string, option: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw new WrongUsage(`${option}: ${value} is none of ${known.join(', ')}`);
  return found;
}
