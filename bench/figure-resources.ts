/** How soon each mode is ready, and how much memory it holds after a load. */
import type { Mode, RunMode } from '../scripts/lib/installation.ts';
import { MODES } from '../src/process/liveness.ts';
import { answerLoad } from './answers.ts';
import { residentMegabytes } from './programs.ts';
import type { Program } from './programs.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { median } from './statistics.ts';

const START_BAR_SECONDS = 1.5;
const MEMORY_BAR_MB = 150;
/** Of all modes in one process. */
const ALL_MEMORY_BAR_MB = 180;
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

/** Three processes, and all of it in one: each on a database of its own, after the same load. */
export async function measureMemory(stand: Stand): Promise<Row[]> {
  const floor = await stand.floorAccept(await stand.database());
  const rows: Row[] = [];
  for (const [index, modes] of [MODES, ['all'] as const].entries()) {
    const programs = await startModes(stand, modes, index);
    const { answered, failed } = await answerMany(stand, programs[0]?.program.port ?? 0, 40 + index);
    for (const [place, { mode, program }] of programs.entries())
      rows.push(
        valueRow(
          'memory',
          `resident memory of ${mode} after ${answered} answers`,
          'MB',
          [await residentMegabytes(program)],
          [await residentMegabytes(floor)],
          mode === 'all' ? ALL_MEMORY_BAR_MB : MEMORY_BAR_MB,
          place === 0 ? failed : 0,
        ),
      );
    for (const { program } of programs.toReversed()) await program.stop(5_000);
  }
  await floor.stop(5_000);
  return rows;
}

async function startModes(stand: Stand, modes: readonly RunMode[], space: number): Promise<{ mode: RunMode; program: Program }[]> {
  const databaseUrl = await stand.database();
  const onRedis = stand.options.queues.includes('redis');
  const started = [];
  for (const mode of modes) started.push({ mode, program: await stand.product(mode, databaseUrl, onRedis, space) });
  return started;
}

/** As many answers as the size asks for, or as there is time for. */
async function answerMany(stand: Stand, port: number, group: number) {
  const { size } = stand.options;
  let answered = 0;
  let failed = 0;
  const end = performance.now() + LOAD_LIMIT_MS;
  while (answered < size.memoryMessages && failed === 0 && performance.now() < end) {
    const load = await answerLoad(stand.simulator, { port, group, durationMs: 1_000 });
    answered += load.answered;
    failed += load.failed;
    stand.say(`memory: ${answered}/${size.memoryMessages} answered`);
  }
  return { answered, failed };
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
