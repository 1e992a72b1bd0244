/** The seeded simulation as CI runs it: a few seeds, the same run twice, and bugs that must be found. All of it: `npm run sim`. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openSimulatedDatabase } from '../../simulation/database.ts';
import type { SimulatedDatabase } from '../../simulation/database.ts';
import { PLANTS } from '../../simulation/plants.ts';
import { runSeed } from '../../simulation/run.ts';

const database = await openSimulatedDatabase();
after(() => database.close());

test('X15 simulation: over seeds with deaths, repeats, lost answers and jumping clocks nothing is wrong after any step', async () => {
  let [sent, kills] = [0, 0];
  for (let seed = 1; seed <= 12; seed++) {
    const outcome = await runSeed(database, seed);
    assert.deepEqual(outcome.wrong, [], `npm run sim -- --seed ${seed} --trace`);
    sent += outcome.sent;
    kills += outcome.kills;
  }
  assert.ok(sent > 20 && kills > 5, `${sent} messages left, ${kills} processes died: seeds in which nothing happens prove nothing`);
});

test('X15 simulation: the same seed is the same run, step by step, whatever ran before it', async () => {
  const first = await runSeed(database, 7);
  await runSeed(database, 8);
  const second = await runSeed(database, 7);
  assert.deepEqual(second.trace, first.trace);
  assert.equal(second.hash, first.hash);
});

test('X15 simulation: bugs that somebody could make are found', async (t) => {
  for (const name of ['double-job', 'no-sweep', 'refund-forgotten', 'takeover-missed'])
    await t.test(name, async (t) => {
      const broken = await openSimulatedDatabase();
      t.after(() => broken.close());
      const found = await firstWrong(broken, name, 40);
      assert.notEqual(found, null, `${name} was not found`);
    });
});

test('X15 simulation: each of the ten bugs has its line in the SQL of now', async (t) => {
  assert.equal(Object.keys(PLANTS).length, 10);
  const broken = await openSimulatedDatabase();
  t.after(() => broken.close());
  for (const [name, { sql }] of Object.entries(PLANTS)) {
    if (sql.length === 0) continue;
    await assert.doesNotReject(broken.change(sql), name);
    await assert.rejects(broken.change(sql), /times, not once/, `${name}: the line is gone after it was replaced`);
  }
});

async function firstWrong(broken: SimulatedDatabase, name: string, most: number): Promise<number | null> {
  const plant = PLANTS[name];
  assert.ok(plant);
  await broken.change(plant.sql);
  for (let seed = 1; seed <= most; seed++) if ((await runSeed(broken, seed, plant.code)).wrong.length > 0) return seed;
  return null;
}
