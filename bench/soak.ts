/** The soak: a steady load on everything that an installation runs, on each queue side by side, and the memory of each process over the time. */
import { setTimeout as delay } from 'node:timers/promises';

import type { Mode } from '../scripts/lib/installation.ts';
import { MODES } from '../src/process/liveness.ts';
import { SIDE_INSTANCES } from './messages.ts';
import type { QueueKind } from './options.ts';
import { residentMegabytes } from './programs.ts';
import type { Installation, Load } from './soak-load.ts';
import { startLoad } from './soak-load.ts';
import type { SoakRow, SoakTotals } from './soak-report.ts';
import { courseOf } from './soak-verdict.ts';
import type { Sample } from './soak-verdict.ts';
import type { Stand } from './stand.ts';

/** Of the contacts' phones; 21 to 61 are those of the figures. */
const GROUPS: Record<QueueKind, number> = { redis: 71, postgres: 72 };

/** So often the memory is read. Milliseconds. A short soak has some readings too, and the slope of a day's is told in no time. */
const SAMPLE_MS = 3_000;
const LEAST_SAMPLES = 50;
const MOST_SAMPLES = 1_200;
/** A line of progress: often enough that nobody thinks it hangs. Milliseconds. */
const PROGRESS_MS = 30_000;

/** What people see of the waits is on, as in production: timers, jobs for later and "typing" hold memory too. Orders leave at any hour and pace. */
const ENVIRONMENT = {
  DEBOUNCE_MS: '3000',
  HUMAN_DELAY: 'true',
  HEALTH_DETAILS: 'public', // the whole of the routes is asked
  HORARIO_INICIO: '00:00',
  HORARIO_FIM: '23:59',
  RATE_LIMIT_INTERVALO_MIN: '0',
  RATE_LIMIT_INTERVALO_MAX: '0',
  MAX_MSGS_POR_HORA: '100000',
  MAX_MSGS_POR_DIA: '1000000',
};

type Installed = Installation & { queue: QueueKind; databaseUrl: string };
type System = Installed & { load: Load; samples: Record<Mode, Sample[]> };

/** Throws when a process ends by itself. */
export async function runSoak(stand: Stand, minutes: number): Promise<{ rows: SoakRow[]; totals: SoakTotals[] }> {
  await fillCompileCache(stand);
  const installed = [];
  for (const queue of stand.options.queues) installed.push(await install(stand, queue));
  const systems: System[] = [];
  for (const one of installed) {
    systems.push({ ...one, load: await startLoad(one, stand.simulator), samples: { api: [], worker: [], scheduler: [] } });
  }
  const ended = systems.flatMap(({ queue, programs }) =>
    MODES.map(async (mode): Promise<never> => {
      const code = await programs[mode].exited;
      throw new Error(`${mode} of the installation on ${queue} ended with code ${code}; its log is in .data`);
    }),
  );
  await Promise.race([watch(stand, systems, minutes), ...ended]);
  stand.say('soak: the last answers');
  const finished = Promise.all(systems.map(({ load }) => load.finish()));
  await Promise.race([finished, ...ended]);
  const totals = [];
  for (const system of systems) totals.push(await totalsOf(stand, system));
  for (const { programs } of systems) for (const mode of MODES.toReversed()) await programs[mode].stop(5_000);
  const rows = systems.flatMap(({ queue, samples }) =>
    MODES.map((mode) => ({ mode, queue, ...courseOf(samples[mode], minutes), samples: samples[mode] })),
  );
  return { rows, totals };
}

/** The image brings its cache of compiled code; without one a process keeps the compiler of TypeScript in memory. It is written when a process ends. */
async function fillCompileCache(stand: Stand): Promise<void> {
  const databaseUrl = await stand.database();
  for (const mode of MODES) await (await stand.product(mode, databaseUrl, true)).stop(5_000);
}

async function install(stand: Stand, queue: QueueKind): Promise<Installed> {
  const instance = SIDE_INSTANCES[queue];
  const databaseUrl = await stand.database();
  const start = (mode: Mode) => stand.product(mode, databaseUrl, queue === 'redis', 0, { ...ENVIRONMENT, EVOLUTION_INSTANCE: instance });
  const programs = { api: await start('api'), worker: await start('worker'), scheduler: await start('scheduler') };
  return { queue, instance, group: GROUPS[queue], databaseUrl, programs };
}

/** Reads the memory of all processes for so long, and tells how it goes. */
async function watch(stand: Stand, systems: readonly System[], minutes: number): Promise<void> {
  const started = performance.now();
  const end = minutes * 60_000;
  const each = Math.max(Math.min(SAMPLE_MS, end / LEAST_SAMPLES), end / MOST_SAMPLES);
  let told = 0;
  for (let at = each; at <= end; at += each) {
    await delay(Math.max(0, started + at - performance.now()));
    for (const { programs, samples } of systems) {
      for (const mode of MODES) samples[mode].push({ minute: at / 60_000, megabytes: await residentMegabytes(programs[mode]) });
    }
    if (at - told < PROGRESS_MS && at + each <= end) continue;
    told = at;
    stand.say(`soak ${(at / 60_000).toFixed(1)}/${minutes} min: ${systems.map(progressOf).join('; ')}`);
  }
}

function progressOf({ queue, samples, load }: System): string {
  const { asked, answered, failed } = load.counts();
  const memory = MODES.map((mode) => `${mode} ${samples[mode].at(-1)?.megabytes.toFixed(0)}`).join(', ');
  return `${queue} ${answered} of ${asked} answered${failed === 0 ? '' : `, ${failed} FAILED`}, MB: ${memory}`;
}

/** What the wire tells, and what the database adds: an answer too many that has not left, a receipt that was taken and not kept. */
async function totalsOf(stand: Stand, { queue, databaseUrl, load }: System): Promise<SoakTotals> {
  const counts = load.counts();
  const [stored] = await stand.query<{ asked: number; replies: number; unread: number }>(databaseUrl, STORED);
  const failures = Object.fromEntries(load.failures);
  if (stored === undefined) throw new Error('the database does not tell what it holds');
  if (stored.unread > 0) failures['message whose READ was accepted and is not stored'] = stored.unread;
  return {
    queue,
    ...counts,
    doubled: Math.max(counts.doubled, stored.asked - counts.asked, stored.replies - counts.asked),
    failed: counts.failed + stored.unread,
    failures,
  };
}

const STORED = `select count(*) filter (where direction = 'in')::int as asked, count(*) filter (where kind = 'reply')::int as replies,
  count(*) filter (where direction = 'out' and status not in ('read', 'deduped'))::int as unread from messages`;
