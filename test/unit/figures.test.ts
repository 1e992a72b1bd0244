import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFigures } from '../../src/watch/process-figures.ts';

test('E10 figures: a thread that does nothing but work is nearly full, whatever the machine has left', async () => {
  const figures = createFigures();
  await figures.measure();
  const until = performance.now() + 300;
  let x = 0;
  while (performance.now() < until) x += Math.sqrt(x + 1);
  const { core, cpu } = await figures.measure();
  assert.ok((core ?? 0) > 0.8, `core ${core}, cpu ${cpu}, ${x > 0}`);
});
