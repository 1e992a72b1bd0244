/** Webhooks accepted durably per second, and how long the answer takes, against f1 and f3. */
import { runLoad } from './load.ts';
import type { LoadResult } from './load.ts';
import { phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from './messages.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import { pairedRow } from './rows.ts';
import type { Stand } from './stand.ts';

const CONNECTIONS = 50;
const CONTACTS = 1_000;

export async function measureAccept(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const onRedis = queues.includes('redis');
  const productDatabase = await stand.database();
  const product = sideOf('product', await stand.product('api', productDatabase, onRedis));
  const f1 = sideOf('f1', await stand.floorAccept(await stand.database()));
  const f3 = sideOf('f3', await stand.floorDurable('api', await stand.emptyDatabase()));
  const { earlier } = stand;
  const before = earlier === null ? null : sideOf(earlier.name, await earlier.product('api', await earlier.database(), onRedis, 1));
  const sides = [f1, f3, product, ...(before === null ? [] : [before])];
  // so that all run compiled code, with open connections
  for (const { program } of sides) await load(program, Math.min(1_500, size.acceptMs));
  for (let round = 1; round <= size.rounds; round++) {
    for (const { program, runs } of sides) runs.push(await load(program, size.acceptMs));
    stand.say(
      `accept ${round}/${size.rounds}: ${sides.map(({ name, runs }) => `${name} ${runs.at(-1)?.perSecond.toFixed(0)}/s`).join(', ')}`,
    );
  }
  for (const { program } of sides) await program.stop(3_000);
  const lost = await missing(stand, productDatabase, product.runs);
  const failed = sides.flatMap(({ runs }) => runs).reduce((sum, run) => sum + run.failed, 0) + lost;
  const compare = (name: string, unit: string, of: (run: LoadResult) => number, floor: Side, bar: Row['bar'], failed: number) =>
    pairedRow({
      figure: 'accept',
      name,
      unit,
      floorName: floor.name,
      samples: { product: product.runs.map(of), floor: floor.runs.map(of) },
      bar,
      failed,
    });
  const rate = `webhooks accepted per second, ${CONNECTIONS} connections`;
  const perSecond = (floor: Side, bar: Row['bar'], failed = 0) => compare(rate, '/s', (run) => run.perSecond, floor, bar, failed);
  const p99 = (floor: Side, bar: Row['bar']) => compare('p99 of their answer', 'ms', (run) => run.p99Ms, floor, bar, 0);
  const rows = [perSecond(f1, { atLeast: 0.65 }, failed), perSecond(f3, { atLeast: 0.9 }), p99(f1, { atMost: 2 }), p99(f3, null)];
  return before === null ? rows : [...rows, perSecond(before, null), p99(before, null)];
}

type Side = { name: string; program: Program; runs: LoadResult[] };

function sideOf(name: string, program: Program): Side {
  return { name, program, runs: [] };
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
