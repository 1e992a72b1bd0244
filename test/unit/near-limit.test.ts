/** Who is told that a cap is nearly used up, and once for how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONDITIONS } from '../../src/watch/alert-conditions.ts';

const window = (used: number, limit: number) => ({ used, limit });
const OF_A_NUMBER = { hour: window(0, 20), day: window(0, 100) };

for (const [name, kind, limit, seconds] of [
  ['rate_hour', 'hour', 20, 3600],
  ['rate_day', 'day', 100, 86_400],
] as const)
  test(`R7 ${name}: beyond 90 % of a number's own cap, not at it; told again after the window at the earliest`, () => {
    const condition = CONDITIONS.find((each) => each.name === name);
    assert.ok(condition);
    const told = (used: number, most: number = limit) =>
      condition
        .held({ rates: { a: { ...OF_A_NUMBER, [kind]: window(used, most) }, b: OF_A_NUMBER } } as never)
        .map(({ subject }) => subject);
    assert.deepEqual(told(0.9 * limit), []);
    assert.deepEqual(told(0.9 * limit + 1), ['a']);
    assert.deepEqual(told(limit), ['a']);
    assert.deepEqual(told(5, 0), [], 'a cap of 0 lets nothing out, which is no news');
    assert.deepEqual(condition.held({ rates: null } as never), []);
    assert.deepEqual([condition.cooldownSeconds, condition.forSeconds, condition.urgent], [seconds, 0, false]);
  });
