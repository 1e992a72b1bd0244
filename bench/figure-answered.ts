/** Messages answered end to end per second, against f2. */
import { answerLoad } from './answers.ts';
import type { QueueKind } from './options.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { median, medianRatio } from './statistics.ts';

const BAR = { atLeast: 0.5 };

export async function measureAnswered(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const floor = { group: 20, api: await stand.floorAnswer('api'), programs: [] as Program[], perSecond: [] as number[], failed: 0 };
  floor.programs.push(floor.api, await stand.floorAnswer('worker'));
  const systems = [];
  for (const [index, queue] of queues.entries()) systems.push(await openSystem(stand, queue, 21 + index));
  const all = [floor, ...systems];
  for (const system of all) await answerLoad(stand.simulator, system.api.port, system.group, Math.min(2_000, size.answeredMs));
  for (let round = 1; round <= size.rounds; round++) {
    for (const system of all) {
      const { perSecond, failed } = await answerLoad(stand.simulator, system.api.port, system.group, size.answeredMs);
      system.perSecond.push(perSecond);
      system.failed += failed;
    }
    const said = systems.map((system) => `${system.queue} ${system.perSecond.at(-1)?.toFixed(0)}/s`);
    stand.say(`answered ${round}/${size.rounds}: product on ${said.join(', ')}, floor ${floor.perSecond.at(-1)?.toFixed(0)}/s`);
  }
  for (const system of all) for (const program of system.programs.toReversed()) await program.stop(5_000);
  return systems.map((system) => ({
    figure: 'answered' as const,
    name: `answered end to end per second, queue on ${system.queue === 'redis' ? 'Redis' : 'Postgres'}`,
    unit: '/s',
    product: median(system.perSecond),
    floor: median(floor.perSecond),
    floorName: 'f2',
    compared: 'ratio' as const,
    ratio: medianRatio(system.perSecond, floor.perSecond),
    bar: system.queue === 'redis' ? BAR : null,
    failed: system.failed + floor.failed,
    samples: { product: system.perSecond, floor: floor.perSecond },
  }));
}

async function openSystem(stand: Stand, queue: QueueKind, group: number) {
  const databaseUrl = await stand.database();
  const api = await stand.product('api', databaseUrl, queue === 'redis');
  const worker = await stand.product('worker', databaseUrl, queue === 'redis');
  return { queue, group, api, programs: [api, worker], perSecond: [] as number[], failed: 0 };
}
