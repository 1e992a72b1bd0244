/** How soon each mode is ready, and how much memory it holds after a load. */
import type { Mode } from '../scripts/lib/installation.ts';
import { MODES } from '../src/process/liveness.ts';
import { answerLoad } from './answers.ts';
import { residentMegabytes } from './programs.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { median } from './statistics.ts';

const START_BAR_SECONDS = 1.5;
const MEMORY_BAR_MB = 150;
/** A slow machine answers fewer messages before the memory is read; the row says how many. Milliseconds. */
const LOAD_LIMIT_MS = 60_000;

/** The floor here is f1's start: the runtime, a web server and one connection to the database. */
export async function measureStart(stand: Stand): Promise<Row[]> {
  const databaseUrl = await stand.database();
  const floorUrl = await stand.database();
  const onRedis = stand.options.queues.includes('redis');
  const seconds: Record<Mode | 'floor', number[]> = { api: [], worker: [], scheduler: [], floor: [] };
  for (let round = 1; round <= stand.options.size.rounds; round++) {
    seconds.floor.push(await timed(stand.floorAccept(floorUrl)));
    for (const mode of MODES) seconds[mode].push(await timed(stand.product(mode, databaseUrl, onRedis)));
    stand.say(
      `start ${round}/${stand.options.size.rounds}: ${MODES.map((mode) => `${mode} ${seconds[mode].at(-1)?.toFixed(2)} s`).join(', ')}`,
    );
  }
  return MODES.map((mode) =>
    valueRow('start', `start of ${mode} to its first 200 on /ready`, 's', seconds[mode], seconds.floor, START_BAR_SECONDS, 0),
  );
}

async function timed(starting: Promise<Program>): Promise<number> {
  const program = await starting;
  await program.stop(5_000);
  return program.readyMs / 1000;
}

export async function measureMemory(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const databaseUrl = await stand.database();
  const onRedis = queues.includes('redis');
  const floor = await stand.floorAccept(await stand.database());
  const api = await stand.product('api', databaseUrl, onRedis);
  const worker = await stand.product('worker', databaseUrl, onRedis);
  const scheduler = await stand.product('scheduler', databaseUrl, onRedis);
  const programs = Object.entries({ api, worker, scheduler });
  let answered = 0;
  let failed = 0;
  const end = performance.now() + LOAD_LIMIT_MS;
  while (answered < size.memoryMessages && failed === 0 && performance.now() < end) {
    const load = await answerLoad(stand.simulator, { port: api.port, group: 40, durationMs: 1_000 });
    answered += load.answered;
    failed += load.failed;
    stand.say(`memory: ${answered}/${size.memoryMessages} answered`);
  }
  const floorMb = [await residentMegabytes(floor)];
  const rows: Row[] = [];
  for (const [mode, program] of programs) {
    const megabytes = [await residentMegabytes(program)];
    rows.push(
      valueRow(
        'memory',
        `resident memory of ${mode} after ${answered} answers`,
        'MB',
        megabytes,
        floorMb,
        MEMORY_BAR_MB,
        mode === 'api' ? failed : 0,
      ),
    );
  }
  for (const program of [floor, scheduler, worker, api]) await program.stop(5_000);
  return rows;
}

function valueRow(
  figure: 'start' | 'memory',
  name: string,
  unit: string,
  product: number[],
  floor: number[],
  bar: number,
  failed: number,
): Row {
  const floorName = figure === 'start' ? 'f1' : 'f1, idle';
  const ratio = median(product) / median(floor);
  return {
    figure,
    name,
    unit,
    product: median(product),
    floor: median(floor),
    floorName,
    compared: 'value',
    ratio,
    bar: { atMost: bar },
    failed,
    samples: { product, floor },
  };
}
