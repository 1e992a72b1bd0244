/** The product's processes in a simulation: the real context, workers, sweeps and `receive`, with doors that the schedule opens. */
import { JWT_SECRET, WEBHOOK_SECRET } from '../scripts/lib/installation.ts';
import type { Core } from '../simulator/core.ts';
import { loadConfig } from '../src/config.ts';
import type { Config } from '../src/config.ts';
import { openContext } from '../src/context.ts';
import type { Context } from '../src/context.ts';
import { sweepSendsJob } from '../src/crons/sweep-sends.ts';
import { sweepTurnsJob } from '../src/crons/sweep-turns.ts';
import type { Door } from '../src/db/door.ts';
import { DatabaseAway } from '../src/db/failures.ts';
import { receive } from '../src/inbox/receive.ts';
import { createLogger } from '../src/process/log.ts';
import { tryTick } from '../src/schedule/run-job.ts';
import { createGatewayWatch } from '../src/watch/gateway.ts';
import { startWorker } from '../src/worker.ts';
import type { SimulatedDatabase } from './database.ts';
import { createModelLookAlike, evolutionCalls, EVOLUTION_URL, INSTANCE } from './outside.ts';
import type { Asked, Unruly } from './outside.ts';
import type { QueueStore } from './queues.ts';
import type { Actor, Schedule } from './schedule.ts';
import { within } from './time.ts';

export const CAP_HOUR = 2;
export const TAKEOVER_MS = 30 * 60_000;

type Mode = 'api' | 'worker' | 'scheduler';

export type Watch = {
  /** A call of the database has had its effect. */
  called(name: string, args: Record<string, unknown>, result: unknown): Promise<void> | void;
  sent(): void;
  asked(what: Asked): void;
  /** What nothing has caught, or what the product calls impossible. */
  broken(what: string): void;
};

export type Parts = { schedule: Schedule; database: SimulatedDatabase; queues: QueueStore; evolution: Core; watch: Watch; unruly: Unruly };

export type Process = { mode: Mode; actor: Actor; ctx: Context | null };

/** What somebody could have forgotten outside of SQL. */
export type CodeChange = { noSweep?: boolean };

/** The calls between which something is true that nobody else knows yet. */
const WEIGHTY: ReadonlySet<string> = new Set([
  'claim_turns',
  'complete_turns',
  'claim_sends',
  'record_sends',
  'record_inbound',
  'settle_send',
]);
/** A statement ends or fails within this. Milliseconds; STATEMENT_MS of the door. */
const STATEMENT_MS = 30_000;
const TICK_MS = 60_000;
const SILENT = createLogger({ level: 'CRITICAL', service: 'simulation', pretty: false, destination: { write: () => {} } });

export function simulatedDoor(
  { schedule, database, watch }: Pick<Parts, 'schedule' | 'database' | 'watch'>,
  actor: Actor,
  risk?: number,
): Door {
  return {
    call: (name, args) =>
      schedule.call<unknown>({
        actor,
        label: name,
        takesMs: schedule.between(0, 3),
        limitMs: STATEMENT_MS,
        risk: risk ?? (WEIGHTY.has(name) ? 3 : 0.7),
        effect: async () => {
          await database.setNow(schedule.now());
          const result = await database.door.call(name, args);
          await watch.called(name, args, result);
          return result;
        },
        gone: () => ({ error: new DatabaseAway(name, 'simulated') }),
      }),
    close: () => Promise.resolve(),
  };
}

/** Starts a process; it comes up in the course of the steps. */
export function startProcess(parts: Parts, mode: Mode, name: string, change: CodeChange = {}): Process {
  const { schedule, queues, evolution, watch, unruly } = parts;
  const actor = schedule.actor(name);
  const process: Process = { mode, actor, ctx: null };
  schedule.note(`${name} starts`);
  within(actor.clockwork, async () => {
    const ctx = await openContext(configOf(mode), SILENT, {
      overrides: {
        db: simulatedDoor(parts, actor),
        queues: queues.open(actor),
        llm: createModelLookAlike(schedule, actor, (what) => watch.asked(what)),
        http: evolutionCalls(schedule, actor, evolution, { ...unruly, sent: () => watch.sent() }),
        random: () => actor.clockwork.random(),
      },
    });
    process.ctx = ctx;
    if (mode === 'worker') await startWorker(ctx);
    if (mode === 'scheduler') startSweeps(ctx, schedule, change);
  }).catch((error: unknown) => watch.broken(`${name} did not start: ${String(error)}`));
  return process;
}

/** The two jobs that find what was forgotten, and the look at Evolution, each minute. */
function startSweeps(ctx: Context, schedule: Schedule, { noSweep = false }: CodeChange): void {
  const { signal } = new AbortController();
  // Every four seconds in the product. Here webhooks that overtake each other are repaired a little later.
  const look = createGatewayWatch(ctx);
  const tick = (): void => {
    const at = new Date(Math.floor(schedule.now() / TICK_MS) * TICK_MS);
    ctx.background.run('watch Evolution', look, 1);
    if (noSweep) return;
    for (const job of [sweepTurnsJob, sweepSendsJob])
      ctx.background.run(job.name, () => tryTick(ctx, job, at, { again: false, stop: signal }));
  };
  setInterval(tick, TICK_MS);
  tick();
}

/** Posts a webhook to this api, as its route does. Resolves with the status; null: the api died over it. */
export function post(process: Process, body: string, no: number): Promise<number | null> {
  const { ctx, actor } = process;
  if (ctx === null || !actor.alive) return Promise.resolve(null);
  return within(actor.clockwork, () =>
    receive(ctx, { requestId: `webhook-${no}`, body: JSON.parse(body), suffix: null, from: { tenant: 'default' } }).then(
      () => 200,
      () => 503,
    ),
  );
}

const configs = new Map<Mode, Config>();

function configOf(mode: Mode): Config {
  const known = configs.get(mode);
  if (known !== undefined) return known;
  const result = loadConfig({
    RUN_MODE: mode,
    ENVIRONMENT: 'test',
    DATABASE_URL: 'postgres://simulation.invalid/simulation',
    REDIS_URL: 'redis://simulation.invalid',
    EVOLUTION_API_URL: EVOLUTION_URL,
    EVOLUTION_API_KEY: 'simulator-key',
    EVOLUTION_INSTANCE: INSTANCE,
    EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
    JWT_SECRET_KEY: JWT_SECRET,
    ANTHROPIC_API_KEY: 'sk-simulator',
    OUTBOUND_ALLOWLIST: '*',
    MAX_MSGS_POR_HORA: String(CAP_HOUR),
    RATE_LIMIT_INTERVALO_MIN: '1',
    RATE_LIMIT_INTERVALO_MAX: '3',
    MAX_USD_DIA: '50',
    HORARIO_INICIO: '00:00',
    HORARIO_FIM: '23:59',
    HORARIO_DIAS: 'dom-sab',
    HORARIO_FERIADOS: 'true',
    PIPELINE_MAX_CONCURRENT: '4',
    TAKEOVER_MINUTES: String(TAKEOVER_MS / 60_000),
  });
  if (!result.ok) throw new Error(`the configuration of the simulation: ${JSON.stringify(result)}`);
  configs.set(mode, result.config);
  return result.config;
}
