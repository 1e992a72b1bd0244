/** From the webhook to the send of the answer on an idle system, against f2 and f3. */
import { openDesk, probe } from './answers.ts';
import { openConnection } from './load.ts';
import { phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH } from './messages.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { median } from './statistics.ts';

const CONTACTS = 20;
const WARM_UP = 15;

export async function measureLatency(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const f2 = sideOf('f2', 30, { api: await stand.floorAnswer('api'), worker: await stand.floorAnswer('worker') });
  const f3 = sideOf('f3', 33, await openPair((mode, databaseUrl) => stand.floorDurable(mode, databaseUrl), await stand.emptyDatabase()));
  const products: Side[] = [];
  for (const [index, queue] of queues.entries()) {
    const start: Start = (mode, databaseUrl) => stand.product(mode, databaseUrl, queue === 'redis');
    products.push(sideOf(queue, 31 + index, await openPair(start, await stand.database())));
  }
  const { earlier } = stand;
  const onRedis = queues.includes('redis');
  const itsStart: Start | null = earlier && ((mode, databaseUrl) => earlier.product(mode, databaseUrl, onRedis, 1));
  const before = earlier && itsStart && sideOf(earlier.name, 34, await openPair(itsStart, await earlier.database()));
  const sides = [f2, f3, ...products, ...(before === null ? [] : [before])];
  const desk = openDesk(stand.simulator);
  const lines = await Promise.all(sides.map(({ api }) => openConnection(api.port, WEBHOOK_PATH, WEBHOOK_HEADERS)));
  // one message at a time, to each side in turn
  for (let index = -WARM_UP; index < size.probes; index++) {
    for (const [at, side] of sides.entries()) {
      const line = lines[at];
      const took = line === undefined ? null : await probe(desk, line, phoneOf(side.group, (index + WARM_UP) % CONTACTS));
      if (took === null) side.failed += 1;
      else if (index >= 0) side.times.push(took);
    }
    if (index > 0 && index % 50 === 0) stand.say(`latency ${index}/${size.probes}`);
  }
  desk.close();
  for (const line of lines) line.close();
  for (const { api, worker } of sides) for (const program of [worker, api]) await program.stop(5_000);
  return products.flatMap((product) => [
    rowOf(product, f3, product.name === 'redis' ? { atMost: 2 } : null),
    rowOf(product, f2, null),
    ...(before !== null && product === products[0] ? [rowOf(product, before, null)] : []),
  ]);
}

type Pair = { api: Program; worker: Program };
type Side = Pair & { name: string; group: number; times: number[]; failed: number };
type Start = (mode: 'api' | 'worker', databaseUrl: string) => Promise<Program>;

async function openPair(start: Start, databaseUrl: string): Promise<Pair> {
  const api = await start('api', databaseUrl);
  return { api, worker: await start('worker', databaseUrl) };
}

function sideOf(name: string, group: number, pair: Pair): Side {
  return { name, group, ...pair, times: [], failed: 0 };
}

/** The ratio is that of the two medians: of two single messages, one may have met a moment in which the machine was busy. */
function rowOf(side: Side, beside: Side, bar: Row['bar']): Row {
  const product = median(side.times);
  const floor = median(beside.times);
  return {
    figure: 'latency',
    name: `idle latency webhook -> send, p50, queue on ${side.name === 'redis' ? 'Redis' : 'Postgres'}`,
    unit: 'ms',
    product,
    floor,
    floorName: beside.name,
    compared: 'ratio',
    ratio: product / floor,
    bar,
    failed: side.failed + beside.failed,
    samples: { product: side.times, floor: beside.times },
  };
}
