/** Concurrent calls share one: while `maxConcurrent` batches are under way, what arrives gathers and leaves together. */

export type Batcher<In, Out> = {
  /** Resolves with this item's own result. Rejects only for this item when `splits` says that its neighbours are not to blame. */
  add(item: In): Promise<Out>;
};

/**
 * An idle batcher adds no wait: the first item leaves at once, alone; with `together` at the end of this turn of the event loop, with what came in it.
 * `run` gets 1..maxItems items and returns as many results, in order. When it throws and `splits(error)` is true, each item is run again
 * alone, so that one bad item never fails its neighbours; otherwise all of the batch are rejected with the error.
 */
export function createBatcher<In, Out>(
  run: (items: In[]) => Promise<Out[]>,
  options: { maxItems: number; maxConcurrent: number; splits: (error: unknown) => boolean; together?: boolean },
): Batcher<In, Out> {
  type Waiting = { item: In; resolve: (out: Out) => void; reject: (error: unknown) => void };
  const waiting: Waiting[] = [];
  let underWay = 0;

  async function flush(): Promise<void> {
    if (underWay >= options.maxConcurrent || waiting.length === 0) return;
    underWay++;
    const batch = waiting.splice(0, options.maxItems);
    try {
      await settle(batch);
    } finally {
      underWay--;
      void flush();
    }
  }

  async function settle(batch: Waiting[]): Promise<void> {
    try {
      const results = await run(batch.map(({ item }) => item));
      for (const [index, { resolve, reject }] of batch.entries()) {
        const result = results[index];
        if (result === undefined) reject(new Error(`batch of ${batch.length} returned ${results.length} results`));
        else resolve(result);
      }
    } catch (error) {
      if (batch.length > 1 && options.splits(error)) await Promise.all(batch.map((one) => settle([one])));
      else for (const { reject } of batch) reject(error);
    }
  }

  function flushAll(): void {
    for (let calls = 0; calls < options.maxConcurrent; calls++) void flush();
  }

  return {
    add(item) {
      return new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        if (options.together !== true) void flush();
        else if (waiting.length === 1) setImmediate(flushAll);
      });
    },
  };
}
