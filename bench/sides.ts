/** What answers messages and is measured in turn with others of its kind: a floor, this version on one of its queues, an earlier version. */
import { answerLoad } from './answers.ts';
import type { AnswerLoad } from './answers.ts';
import { cpuMs } from './cpu.ts';
import { INSTANCE, SIDE_INSTANCES } from './messages.ts';
import type { QueueKind } from './options.ts';
import type { Program } from './programs.ts';
import type { Source, Stand } from './stand.ts';

export type Side = {
  /** As the table calls it. */
  name: string;
  databaseUrl: string;
  api: Program;
  programs: Readonly<Record<string, Program>>;
  /** The servers that work for it alone. Postgres works for all, so it is counted while the others are at rest. */
  servers: readonly ('postgres' | 'redis' | 'floorRedis')[];
  load: Omit<AnswerLoad, 'durationMs' | 'receipts'>;
  rounds: Round[];
};

/** What one round came to. `cpu`: milliseconds of a core an answer, by process. */
export type Round = { perSecond: number; failed: number; cpu: Readonly<Record<string, number>> };

export async function openFloorAnswer(stand: Stand, group: number): Promise<Side> {
  const api = await stand.floorAnswer('api');
  return sideOf('f2', '', { api, worker: await stand.floorAnswer('worker') }, ['floorRedis'], group, INSTANCE);
}

export async function openFloorDurable(stand: Stand, group: number): Promise<Side> {
  const databaseUrl = await stand.emptyDatabase();
  const api = await stand.floorDurable('api', databaseUrl);
  const worker = await stand.floorDurable('worker', databaseUrl);
  return sideOf('f3', databaseUrl, { api, worker }, ['postgres', 'floorRedis'], group, INSTANCE);
}

/** All three modes, on a number of its own. `space`: in which database of Redis its queue lives, where more than one installation has it there. */
export async function openInstallation(
  source: Source,
  queue: QueueKind,
  group: number,
  {
    instance = source.isEarlier ? SIDE_INSTANCES.before : SIDE_INSTANCES[queue],
    space = source.isEarlier ? 1 : 0,
    workers = 1,
  }: {
    instance?: string;
    space?: number;
    workers?: number;
  } = {},
): Promise<Side> {
  const databaseUrl = await source.database();
  const own = { EVOLUTION_INSTANCE: instance };
  const start = (mode: 'api' | 'worker' | 'scheduler') => source.product(mode, databaseUrl, queue === 'redis', space, own);
  const programs: { api: Program } & Record<string, Program> = { api: await start('api') };
  for (let worker = 1; worker <= workers; worker++) programs[worker === 1 ? 'worker' : `worker ${worker}`] = await start('worker');
  programs['scheduler'] = await start('scheduler');
  const servers = queue === 'redis' ? (['postgres', 'redis'] as const) : (['postgres'] as const);
  return sideOf(source.isEarlier ? source.name : queue, databaseUrl, programs, servers, group, instance);
}

function sideOf(
  name: string,
  databaseUrl: string,
  programs: { api: Program } & Record<string, Program>,
  servers: Side['servers'],
  group: number,
  instance: string,
): Side {
  const { api } = programs;
  return { name, databaseUrl, api, programs, servers, load: { port: api.port, group, instances: [instance] }, rounds: [] };
}

/** One round of load, kept with the others. */
export async function runRound(stand: Stand, side: Side, durationMs: number): Promise<Round> {
  const before = await cpuOf(stand, side);
  const { all, failed, perSecond } = await answerLoad(stand.simulator, { ...side.load, durationMs, receipts: true });
  const after = await cpuOf(stand, side);
  const cpu = Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, (ms - (before[name] ?? 0)) / all]));
  const round = { perSecond, failed, cpu };
  side.rounds.push(round);
  return round;
}

export function cpuOfAll({ cpu }: Round): number {
  return Object.values(cpu).reduce((sum, ms) => sum + ms, 0);
}

export function failedOf(side: Side): number {
  return side.rounds.reduce((sum, { failed }) => sum + failed, 0);
}

export async function endSide(side: Side): Promise<void> {
  for (const program of Object.values(side.programs).toReversed()) await program.stop(5_000);
}

const SERVER_NAMES = { postgres: 'Postgres', redis: 'Redis', floorRedis: 'Redis' } as const;

async function cpuOf(stand: Stand, side: Side): Promise<Record<string, number>> {
  const taken: Record<string, number> = {};
  for (const [name, { pid }] of Object.entries(side.programs)) taken[name] = await cpuMs(pid);
  for (const server of side.servers) taken[SERVER_NAMES[server]] = await stand.cpuOf(server);
  return taken;
}
