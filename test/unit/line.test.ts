/** I10: so many at once, the others in their order, also when some fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLine } from '../../src/process/line.ts';

test('I10 a line: two places, five that come, each in its order; one that fails gives its place on', async () => {
  const line = createLine(2);
  const began: number[] = [];
  let inside = 0;
  let most = 0;
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  const all = gates.map(async ({ promise }, index) =>
    line.run(async () => {
      began.push(index);
      most = Math.max(most, ++inside);
      await promise.finally(() => inside--);
      return index;
    }),
  );
  gates[1]?.reject(new Error('it failed'));
  await assert.rejects(all[1] ?? Promise.resolve(), /it failed/);
  for (const index of [0, 2, 3, 4]) {
    gates[index]?.resolve();
    assert.equal(await all[index], index);
  }
  assert.deepEqual(began, [0, 1, 2, 3, 4]);
  assert.equal(most, 2);
  assert.equal(await line.run(() => Promise.resolve('after')), 'after');
});
