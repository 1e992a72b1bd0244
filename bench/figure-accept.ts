/** Webhooks accepted durably per second, and how long the answer takes, against f1. */
import { runLoad } from './load.ts';
import type { LoadResult } from './load.ts';
import { phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from './messages.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { median, medianRatio } from './statistics.ts';

const CONNECTIONS = 50;
const CONTACTS = 1_000;

export async function measureAccept(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const onRedis = queues.includes('redis');
  const productDatabase = await stand.database();
  const floor = await stand.floorAccept(await stand.database());
  const product = await stand.product('api', productDatabase, onRedis);
  // so that both run compiled code, with open connections
  await load(floor, Math.min(1_500, size.acceptMs));
  await load(product, Math.min(1_500, size.acceptMs));
  const floors: LoadResult[] = [];
  const products: LoadResult[] = [];
  for (let round = 1; round <= size.rounds; round++) {
    floors.push(await load(floor, size.acceptMs));
    products.push(await load(product, size.acceptMs));
    stand.say(
      `accept ${round}/${size.rounds}: product ${products.at(-1)?.perSecond.toFixed(0)}/s, floor ${floors.at(-1)?.perSecond.toFixed(0)}/s`,
    );
  }
  await floor.stop(3_000);
  await product.stop(3_000);
  const lost = await missing(stand, productDatabase, products);
  const failed = [...floors, ...products].reduce((sum, run) => sum + run.failed, 0) + lost;
  const samples = (of: (run: LoadResult) => number) => ({ product: products.map(of), floor: floors.map(of) });
  return [
    row(
      `webhooks accepted per second, ${CONNECTIONS} connections`,
      '/s',
      samples((run) => run.perSecond),
      { atLeast: 1 },
      failed,
    ),
    row(
      'p99 of their answer',
      'ms',
      samples((run) => run.p99Ms),
      { atMost: 1 },
      0,
    ),
  ];
}

let written = 0;

function load(program: Program, durationMs: number): Promise<LoadResult> {
  return runLoad({
    port: program.port,
    path: WEBHOOK_PATH,
    headers: WEBHOOK_HEADERS,
    connections: CONNECTIONS,
    durationMs,
    next: () => webhookBody(phoneOf(10, (written += 1) % CONTACTS)),
  });
}

/** What was answered with 200 and is not in the database: must be 0. The warm-up is not counted, so at least so many must be there. */
async function missing(stand: Stand, databaseUrl: string, runs: readonly LoadResult[]): Promise<number> {
  const [stored] = await stand.query<{ count: number }>(databaseUrl, `select count(*)::int from messages where direction = 'in'`);
  return Math.max(0, runs.reduce((sum, run) => sum + run.accepted, 0) - (stored?.count ?? 0));
}

function row(name: string, unit: string, samples: Row['samples'], bar: NonNullable<Row['bar']>, failed: number): Row {
  return {
    figure: 'accept',
    name,
    unit,
    product: median(samples.product),
    floor: median(samples.floor),
    floorName: 'f1',
    compared: 'ratio',
    ratio: medianRatio(samples.product, samples.floor),
    bar,
    failed,
    samples,
  };
}
