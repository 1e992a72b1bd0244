/** One seed: an installation that is broken as the seed says, then left in peace, then judged. */
import type { SimulatedDatabase } from './database.ts';
import { createJudge } from './judge.ts';
import { createEvolutionLookAlike, INSTANCE } from './outside.ts';
import { post, simulatedDoor, startProcess } from './processes.ts';
import type { CodeChange, Parts, Process } from './processes.ts';
import { createQueueStore } from './queues.ts';
import { createSchedule } from './schedule.ts';
import { installTime, within } from './time.ts';
import { plan } from './world.ts';

export type Outcome = {
  seed: number;
  wrong: string[];
  steps: number;
  calls: number;
  kills: number;
  sent: number;
  written: number;
  hash: string;
  trace: string[];
};

/** A Tuesday at noon in São Paulo. */
const START = Date.parse('2026-12-01T15:00:00Z');
/** After the script everything must be settled within this. Milliseconds. */
const PEACE_MS = 50 * 60_000;
const LOOK_MS = 150_000;
/** A run that takes more steps goes round in circles. */
const MOST_STEPS = 60_000;

/** `database` is the run's alone; its rows are taken back first. */
export async function runSeed(database: SimulatedDatabase, seed: number, change: CodeChange = {}): Promise<Outcome> {
  installTime();
  await database.reset();
  // A run in five is one in which no process dies and no clock jumps.
  const deaths = seed % 5 !== 0;
  const schedule = createSchedule({ seed, start: START, mishaps: deaths ? 0.02 : 0 });
  const version = schedule.pick(['2.3.7', '2.4'] as const);
  await database.setNow(START);
  await database.query(`select set_config('simulation.now', $1, false)`, [new Date(START).toISOString()]);
  await database.query(`insert into instances (name, status, gateway_version) values ($1, 'open', $2)`, [
    INSTANCE,
    version === '2.4' ? '2.4.0' : version,
  ]);
  const processes: Process[] = [];
  let posts = 0;
  const evolution = createEvolutionLookAlike(schedule, version, async (body) => {
    const status = await deliver(body);
    if (schedule.chance(0.08) && !schedule.isCalm()) void deliver(body);
    return status;
  });
  const judge = createJudge({ schedule, query: database.query, evolution });
  const queues = createQueueStore(schedule, { doubles: 0.05 });
  let calls = 0;
  let kills = 0;
  const watch = {
    ...judge,
    called(name: string, args: Record<string, unknown>, result: unknown) {
      calls += 1;
      return judge.called(name, args, result);
    },
  };
  const parts: Parts = {
    schedule,
    database,
    queues,
    evolution,
    watch,
    unruly: { faults: deaths ? schedule.pick([0, 0.05, 0.2]) : 0.3, unseen: !deaths },
  };

  /** Evolution waits for an answer for 30 s, and one that dies gives none. */
  function deliver(body: string): Promise<number | null> {
    const apis = processes.filter(({ mode, actor, ctx }) => mode === 'api' && actor.alive && actor.until <= schedule.now() && ctx !== null);
    if (apis.length === 0) return Promise.resolve(null);
    const api = schedule.pick(apis);
    return new Promise((resolve) => {
      const end = schedule.add({ label: 'webhook ends', at: schedule.now() + 30_000, actor: null, run: () => resolve(null) });
      void post(api, body, ++posts).then((status) => {
        end();
        if (status === 200) judge.acked(body);
        schedule.note(`webhook: ${status}`);
        resolve(status);
      });
    });
  }

  const start = (mode: Process['mode'], name: string): void => void processes.push(startProcess(parts, mode, name, change));
  for (const [mode, name] of [
    ['api', 'api'],
    ['worker', 'worker 1'],
    ['worker', 'worker 2'],
    ['scheduler', 'scheduler'],
  ] as const)
    start(mode, name);
  schedule.onKill((actor) => {
    kills += 1;
    const dead = processes.find((each) => each.actor === actor);
    if (dead === undefined) return;
    processes.splice(processes.indexOf(dead), 1);
    schedule.add({
      label: `restart ${actor.name}`,
      at: schedule.now() + schedule.between(1_000, 10_000),
      actor: null,
      run: () => start(dead.mode, actor.name),
    });
  });
  const operator = schedule.actor('operator');
  const over = plan({
    schedule,
    look: (sql, values) =>
      schedule.call({
        actor: operator,
        label: 'look',
        takesMs: 1,
        limitMs: 60_000,
        risk: 0,
        effect: () => database.query(sql, values),
        gone: () => ({ value: [] }),
      }),
    evolution,
    judge,
    queues,
    operator: within(operator.clockwork, () => simulatedDoor(parts, operator, 0)),
    killOne: () => {
      if (deaths && processes.length > 0) schedule.kill(schedule.pick(processes).actor);
    },
    jump: (ms) => {
      if (deaths) schedule.jump(ms);
    },
  });

  const go = async (until: number): Promise<void> => {
    while (judge.wrong.length === 0 && schedule.now() < until) {
      if (!(await schedule.step())) return judge.broken('nothing can happen any more');
      if (schedule.steps() > MOST_STEPS) return judge.broken('more steps than a run can have');
    }
  };
  await go(over);
  schedule.calmDown();
  const peace = schedule.now() + PEACE_MS;
  do await go(schedule.now() + LOOK_MS);
  while (judge.wrong.length === 0 && schedule.now() < peace && (await judge.unsettled()) > 0);
  if (judge.wrong.length === 0) await judge.finish();
  const sent = evolution.wire.sends.filter(({ sentAt }) => sentAt !== null).length;
  return {
    seed,
    wrong: judge.wrong,
    steps: schedule.steps(),
    calls,
    kills,
    sent,
    written: judge.written.length,
    hash: schedule.hash(),
    trace: schedule.trace(),
  };
}
