/** Jobs that carry lists of conversations, on both queues: who gets what, and what becomes of one that fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

/** What handlers had, in order; each waits at the gate. */
function recorder() {
  const had: number[] = [];
  let under = 0;
  let most = 0;
  const gate = Promise.withResolvers<void>();
  return {
    had,
    open: () => gate.resolve(),
    under: () => under,
    most: () => most,
    handle: async (conversation: number): Promise<void> => {
      had.push(conversation);
      most = Math.max(most, ++under);
      try {
        await gate.promise;
      } finally {
        under--;
      }
    },
  };
}

const waiting = async (system: System): Promise<number | undefined> => (await system.ctx.queues.counts()).turn['wait'];
const ids = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const sorted = (list: readonly number[]): number[] => list.toSorted((a, b) => a - b);

for (const queue of ['redis', 'postgres'] as const) {
  test(`X13 ${queue}: what is woken at once travels in lists of 50, each conversation once`, async (t) => {
    const system = await startSystem(t, { queue, workers: 0 });
    await Promise.all([...ids(60), ...ids(60)].map((id) => system.ctx.queues.wakeTurn(id, 0)));
    assert.equal(await waiting(system), 2);
    const worker = await system.openContext('worker');
    const { had, handle, open } = recorder();
    open();
    await worker.queues.work('turn', 200, handle);
    await system.until(() => had.length >= 60, 'all of them');
    assert.deepEqual(sorted(had), ids(60));
  });

  test(`X13 ${queue}: a worker takes what it has places for; the rest of a list is another's, and goes on as places come free`, async (t) => {
    const system = await startSystem(t, { queue, workers: 0 });
    const workers = [recorder(), recorder(), recorder()];
    t.after(async () => workers.forEach((worker) => worker.open()));
    await system.ctx.queues.wakeTurn(ids(20), 0);
    const start = async (worker: (typeof workers)[number] | undefined): Promise<void> => {
      assert.ok(worker);
      await (await system.openContext('worker')).queues.work('turn', 3, worker.handle);
      await system.until(() => worker.under() === 3, 'three at work');
    };
    for (const worker of workers) await start(worker);
    workers[0]?.open();
    await system.until(() => workers[0]?.had.length === 14, 'the rest');
    for (const worker of workers) worker.open();
    assert.deepEqual(sorted(workers.flatMap(({ had }) => had)), ids(20));
    assert.ok(workers.every((worker) => worker.most() <= 3));
  });

  test(`X13 ${queue}: one that fails comes again alone, and its neighbours do not`, async (t) => {
    const system = await startSystem(t, { queue, workers: 0 });
    const had: number[] = [];
    const worker = await system.openContext('worker');
    await worker.queues.work('turn', 20, async (conversation) => {
      had.push(conversation);
      if (conversation === 4 && had.filter((id) => id === 4).length < 3) throw new Error('not yet');
    });
    await system.ctx.queues.wakeTurn(ids(6), 0);
    await system.until(() => had.filter((id) => id === 4).length === 3, 'the third try');
    assert.deepEqual(sorted(had), [1, 2, 3, 4, 4, 4, 5, 6]);
  });
}
