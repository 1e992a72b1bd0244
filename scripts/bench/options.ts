/** The command line of the bench. */
import path from 'node:path';
import { parseArgs } from 'node:util';

import { dataDirectory } from '../lib/tools.ts';

export const FIGURES = ['start', 'accept', 'answered', 'latency', 'history', 'memory'] as const;
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
  /** Messages answered before the memory is read. */
  memoryMessages: number;
  /** The whole run ends by then, come what may. */
  limitMs: number;
};

const FULL: Size = {
  rounds: 5,
  acceptMs: 3_000,
  answeredMs: 4_000,
  probes: 200,
  storedMessages: 1_000_000,
  memoryMessages: 3_000,
  limitMs: 20 * 60_000,
};
const QUICK: Size = {
  rounds: 1,
  acceptMs: 1_000,
  answeredMs: 1_500,
  probes: 15,
  storedMessages: 5_000,
  memoryMessages: 30,
  limitMs: 5 * 60_000,
};

export type Options = {
  only: ReadonlySet<FigureName>;
  queues: readonly QueueKind[];
  quick: boolean;
  size: Size;
  json: string;
  writeDocs: boolean;
  help: boolean;
};

export const HELP = `Usage: npm run bench -- [--quick] [--only LIST] [--queue redis|postgres|both] [--json FILE] [--write-docs]

Measures this version on this machine and prints one table. Each figure stands beside a floor that was measured in the same run, in turn
with it: (f1) Hono and one INSERT per request, (f2) Hono, BullMQ on Redis, one model call and one send per message.
Everything is real but WhatsApp and the model, runs on 127.0.0.1 and is gone afterwards. Takes some 5 minutes; Ctrl-C ends it.

  --quick        small counts, some 30 s on an idle machine: shows that the bench works, its figures mean little
  --only LIST    some of: ${FIGURES.join(', ')} (separated by commas)
  --queue KIND   where the queue lives: redis, postgres or both (default both; what has a bar runs on Redis when it may)
  --json FILE    where the figures go (default .data/bench.json)
  --write-docs   also writes docs/bench.md
  --help         this text

Exit code 0 when everything was measured (whether or not a bar was met), 1 when a request failed or something did not start, 2 for a wrong
command line, 130 after Ctrl-C.
`;

export class WrongUsage extends Error {}

/** Throws WrongUsage. */
export function parseOptions(args: string[]): Options {
  const { values } = parse(args);
  const quick = values.quick ?? false;
  return {
    only: new Set(values.only === undefined ? FIGURES : values.only.split(',').map((name) => oneOf(FIGURES, name.trim(), '--only'))),
    queues: queuesOf(values.queue ?? 'both'),
    quick,
    size: quick ? QUICK : FULL,
    json: path.resolve(values.json ?? path.join(dataDirectory, 'bench.json')),
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
        queue: { type: 'string' },
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

function oneOf<T extends string>(known: readonly T[], value: string, option: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw new WrongUsage(`${option}: ${value} is none of ${known.join(', ')}`);
  return found;
}
