/** From the webhook to the send of the answer on an idle system, against f2. */
import { openDesk, probe } from './answers.ts';
import { openConnection } from './load.ts';
import { phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH } from './messages.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { percentile } from './statistics.ts';

const CONTACTS = 20;
const WARM_UP = 15;

export async function measureLatency(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const floorApi = await stand.floorAnswer('api');
  const programs = [floorApi, await stand.floorAnswer('worker')];
  const systems = [{ name: 'floor', group: 30, port: floorApi.port, times: [] as number[], failed: 0 }];
  for (const [index, queue] of queues.entries()) {
    const databaseUrl = await stand.database();
    const api = await stand.product('api', databaseUrl, queue === 'redis');
    programs.push(api, await stand.product('worker', databaseUrl, queue === 'redis'));
    systems.push({ name: queue, group: 31 + index, port: api.port, times: [], failed: 0 });
  }
  const desk = openDesk(stand.simulator);
  const lines = await Promise.all(systems.map((system) => openConnection(system.port, WEBHOOK_PATH, WEBHOOK_HEADERS)));
  // one message at a time, to each system in turn
  for (let index = -WARM_UP; index < size.probes; index++) {
    for (const [at, system] of systems.entries()) {
      const line = lines[at];
      const took = line === undefined ? null : await probe(desk, line, phoneOf(system.group, (index + WARM_UP) % CONTACTS));
      if (took === null) system.failed += 1;
      else if (index >= 0) system.times.push(took);
    }
    if (index > 0 && index % 50 === 0) stand.say(`latency ${index}/${size.probes}`);
  }
  desk.close();
  for (const line of lines) line.close();
  for (const program of programs.toReversed()) await program.stop(5_000);
  const [floor, ...products] = systems;
  return products.map((system) => rowOf(system, floor?.times ?? [], floor?.failed ?? 0));
}

function rowOf(system: { name: string; times: number[]; failed: number }, floorTimes: number[], floorFailed: number): Row {
  const product = percentile(system.times, 50);
  const floor = percentile(floorTimes, 50);
  return {
    figure: 'latency',
    name: `idle latency webhook -> send, p50, queue on ${system.name === 'redis' ? 'Redis' : 'Postgres'}`,
    unit: 'ms',
    product,
    floor,
    floorName: 'f2',
    compared: 'ratio',
    ratio: product / floor,
    bar: system.name === 'redis' ? { atMost: 2 } : null,
    failed: system.failed + floorFailed,
    samples: { product: system.times, floor: floorTimes },
  };
}
