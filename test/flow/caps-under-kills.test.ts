/** The caps as the wire sees them, while workers are killed: three real processes, and hours that pass by moving every time in the database back. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { sweepSends } from '../../src/outbox/calls.ts';
import { startProgram } from '../support/process.ts';
import type { Program } from '../support/process.ts';
import { startSystem, testEnvironment } from '../support/system.ts';
import type { System } from '../support/system.ts';

const HOUR = 3_600_000;
const CAP_HOUR = 20;
const CAP_DAY = 50;

test('R1 R2 kills: 3 workers, 200 queued, kill -9 at random, Redis flushed each hour: the wire never sees more than 20 in 60 minutes and 50 in 24 hours, and no message twice', async (t) => {
  const system = await startSystem(t, { queue: 'redis', workers: 0, simulator: { ackMs: null } });
  system.simulator.setWebhook(null); // echoes have tests of their own, here they only take time
  const env = {
    ...testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: system.redis?.url ?? null, simulator: system.simulator }),
    RUN_MODE: 'worker',
    MAX_MSGS_POR_HORA: String(CAP_HOUR),
    MAX_MSGS_POR_DIA: String(CAP_DAY),
  };
  await system.query(
    `select enqueue_message(jsonb_build_object('instance', $1::text, 'phone', '55119' || (80000000 + g), 'text', 'oferta ' || g, 'kind', 'campaign'))
     from generate_series(1, 200) g`,
    [system.config.evolution?.instance],
  );

  const skips: { at: number; ms: number }[] = [];
  // Three hours to the cap of the day, and the next day. (20 and 100 over two days in SQL: test/sql/caps.test.ts.)
  for (const [index, skipMs] of [0, HOUR, HOUR, 22 * HOUR].entries()) {
    await moveTime(system, skipMs);
    skips.push({ at: Date.now(), ms: skipMs });
    await oneHour(system, index, () => startProgram(t, 'src/main.ts', { env }));
  }
  const wire = system.simulator.sends({ sent: true });
  /** On a clock that goes on while the hours are skipped. */
  const times = wire.map(({ at }) => at + skips.filter((skip) => skip.at <= at).reduce((sum, { ms }) => sum + ms, 0));
  for (const [cap, windowMs] of [
    [CAP_HOUR, HOUR],
    [CAP_DAY, 24 * HOUR],
  ] as const) {
    const sorted = times.toSorted((a, b) => a - b);
    const tooClose = sorted.filter((at, index) => (sorted[index + cap] ?? Infinity) - at < windowMs);
    assert.deepEqual(tooClose, [], `more than ${cap} within ${windowMs / HOUR} h`);
  }
  assert.equal(new Set(wire.map(({ text }) => text)).size, wire.length, 'one of them twice');
  // Deaths cost some of the slots of their hours, not all of them.
  assert.ok(wire.length > 45, `${wire.length} left`);
  const [waiting] = await system.query(
    `select count(*)::int as n from messages where status = 'queued' and reason is distinct from 'cap_hour' and reason is distinct from 'cap_day'`,
  );
  assert.deepEqual(waiting, { n: 0 }, 'what waits says why');
});

/** Three workers until everything that waits has been looked at; one dies on the way, and another takes its place; in the end all die in the middle of whatever they do. */
async function oneHour(system: System, seed: number, add: () => Program): Promise<void> {
  const said = new EventEmitter().setMaxListeners(0);
  const alive = new Set<Program>();
  const start = async () => {
    const worker = add();
    worker.onChange(() => said.emit('line'));
    alive.add(worker);
    await worker.line('Worker started');
  };
  const kill = async (victim: Program) => {
    alive.delete(victim);
    victim.signal('SIGKILL');
    await victim.ended;
  };
  await Promise.all([start(), start(), start()]);
  const left = () => system.simulator.sends().length;
  const before = left();
  await wakeAll(system);
  const patience = AbortSignal.timeout(60_000);
  for (let killed = false; ;) {
    const line = once(said, 'line', { signal: patience }).catch(() => assert.fail('the workers are silent'));
    const [due] = await system.query<{ n: number }>(`select count(*)::int as n from messages where status = 'queued' and due_at <= now()`);
    if (due?.n === 0) break;
    const victim = [...alive][seed % alive.size];
    if (!killed && victim !== undefined && left() - before > 3 + seed) {
      killed = true;
      await kill(victim);
      // Its wake-ups are locked for half a minute: they come back by the sweep. And a flushed Redis must free nothing either.
      await system.redis?.flush();
      await start();
      await wakeAll(system);
    } else await line;
  }
  for (const worker of alive) await kill(worker);
  await system.redis?.flush();
}

/** What the scheduler's sweep does each minute. */
async function wakeAll(system: System): Promise<void> {
  for (const lane of await sweepSends(system.ctx.db, 500)) await system.ctx.queues.wakeSend(lane);
}

async function moveTime(system: System, ms: number): Promise<void> {
  const columns = ['created_at', 'due_at', 'goes_at', 'claimed_at', 'lease_until', 'slot_at', 'provider_at'];
  const earlier = (column: string) => `${column} = ${column} - make_interval(secs => $1 / 1000.0)`;
  await system.query(`update messages set ${columns.map(earlier).join(', ')}`, [ms]);
  await system.query(`update instances set ${earlier('next_proactive_at')}`, [ms]);
}
