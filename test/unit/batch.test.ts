import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBatcher } from '../../src/process/batch.ts';

/** A `run` whose batches end when the test says so. */
function gate<In, Out>() {
  const batches: { items: In[]; resolve: (out: Out[]) => void; reject: (error: unknown) => void }[] = [];
  return { batches, run: (items: In[]) => new Promise<Out[]>((resolve, reject) => batches.push({ items, resolve, reject })) };
}
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test('batch: the first leaves at once and alone; what comes meanwhile leaves together, each with its own result', async () => {
  const { batches, run } = gate<number, string>();
  const batcher = createBatcher(run, { maxItems: 3, maxConcurrent: 1, splits: () => false });
  const results = [1, 2, 3, 4, 5].map((item) => batcher.add(item));
  assert.deepEqual(
    batches.map((each) => each.items),
    [[1]],
  );
  batches[0]?.resolve(['a']);
  await settled();
  assert.deepEqual(
    batches.map((each) => each.items),
    [[1], [2, 3, 4]],
  );
  batches[1]?.resolve(['b', 'c', 'd']);
  await settled();
  batches[2]?.resolve(['e']);
  assert.deepEqual(await Promise.all(results), ['a', 'b', 'c', 'd', 'e']);
});

test('batch: never more than maxConcurrent under way', async () => {
  const { batches, run } = gate<number, number>();
  const batcher = createBatcher(run, { maxItems: 1, maxConcurrent: 2, splits: () => false });
  const results = [1, 2, 3].map((item) => batcher.add(item));
  await settled();
  assert.equal(batches.length, 2);
  batches[1]?.resolve([20]);
  await settled();
  assert.deepEqual(
    batches.map((each) => each.items),
    [[1], [2], [3]],
  );
  batches[0]?.resolve([10]);
  batches[2]?.resolve([30]);
  assert.deepEqual(await Promise.all(results), [10, 20, 30]);
});

test('batch: a bad item is run alone and fails alone', async () => {
  const seen: number[][] = [];
  const batcher = createBatcher(
    async (items: number[]) => {
      seen.push(items);
      if (items.includes(3)) throw new Error('three');
      return items.map((item) => item * 10);
    },
    { maxItems: 10, maxConcurrent: 1, splits: () => true },
  );
  const results = await Promise.allSettled([1, 2, 3, 4].map((item) => batcher.add(item)));
  assert.deepEqual(
    results.map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason))),
    [10, 20, 'Error: three', 40],
  );
  assert.deepEqual(seen, [[1], [2, 3, 4], [2], [3], [4]]);
});

test('batch: when the other side is away all of the batch hear it, once, and the next go on', async () => {
  let calls = 0;
  const batcher = createBatcher(
    async (items: number[]) => {
      if (++calls === 2) throw new Error('away');
      return items;
    },
    { maxItems: 10, maxConcurrent: 1, splits: () => false },
  );
  const results = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
  assert.deepEqual(
    results.map((each) => each.status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  assert.equal(calls, 2);
  assert.equal(await batcher.add(4), 4);
});

test('batch: too few results fail those that got none, and nobody waits for ever', async () => {
  const { batches, run } = gate<number, number>();
  const batcher = createBatcher(run, { maxItems: 5, maxConcurrent: 1, splits: () => false });
  const results = Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)));
  batches[0]?.resolve([1]);
  await settled();
  batches[1]?.resolve([2]);
  assert.deepEqual(
    (await results).map((each) => each.status),
    ['fulfilled', 'fulfilled', 'rejected'],
  );
});

test('batch: a run that throws instead of rejecting is one failure like another', async () => {
  const batcher = createBatcher<number, number>(
    () => {
      throw new Error('sync');
    },
    { maxItems: 5, maxConcurrent: 1, splits: () => false },
  );
  await assert.rejects(batcher.add(1), /sync/);
  await assert.rejects(batcher.add(2), /sync/);
});

test('Z7 batch: those who wait take turns, one item each, whoever has brought how many; of one owner the order stays', async () => {
  const { batches, run } = gate<string, string>();
  const batcher = createBatcher(run, { maxItems: 4, maxConcurrent: 1, splits: () => false, owner: (item) => item.charAt(0) });
  const results = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'b1', 'c1', 'b2'].map((item) => batcher.add(item));
  for (let n = 0; n < 4; n++) {
    batches[n]?.resolve(batches[n]?.items ?? []);
    await settled();
  }
  assert.deepEqual(
    batches.map(({ items }) => items),
    [['a1'], ['a2', 'b1', 'c1', 'a3'], ['b2', 'a4', 'a5', 'a6']],
  );
  assert.equal((await Promise.all(results)).length, 9);
});

test('Z7 batch: a call takes no more than its weight, and one item however heavy; nobody is passed over for it', async () => {
  const { batches, run } = gate<number, number>();
  const batcher = createBatcher(run, { maxItems: 9, maxConcurrent: 1, splits: () => false, weight: { of: (item) => item, most: 10 } });
  const results = [1, 4, 6, 1, 50, 2, 3].map((item) => batcher.add(item));
  for (let n = 0; n < 5; n++) {
    batches[n]?.resolve(batches[n]?.items ?? []);
    await settled();
  }
  assert.deepEqual(
    batches.map(({ items }) => items),
    [[1], [4, 6], [1], [50], [2, 3]],
  );
  assert.equal((await Promise.all(results)).length, 7);
});
