/** Concurrent calls share one: while `maxConcurrent` batches are under way, what arrives gathers and leaves together. */

export type Batcher<In, Out> = {
  /** Resolves with this item's own result. Rejects only for this item when `splits` says that its neighbours are not to blame. */
  add(item: In): Promise<Out>;
};

export type BatchOptions<In> = {
  maxItems: number;
  maxConcurrent: number;
  splits: (error: unknown) => boolean;
  together?: boolean;
  /** What an item costs, and how much of it one call takes: at least one item, however heavy. Without it all weigh the same. */
  weight?: { of: (item: In) => number; most: number };
  /** Whose an item is. Those who wait take turns, one item each, so that nobody waits for all that another one has brought. Without it first come, first served. */
  owner?: (item: In) => string;
};

/**
 * An idle batcher adds no wait: the first item leaves at once, alone; with `together` at the end of this turn of the event loop, with what came in it.
 * What one owner brings leaves in its order.
 * `run` gets 1..maxItems items and returns as many results, in order. When it throws and `splits(error)` is true, each item is run again
 * alone, so that one bad item never fails its neighbours; otherwise all of the batch are rejected with the error.
 */
export function createBatcher<In, Out>(run: (items: In[]) => Promise<Out[]>, options: BatchOptions<In>): Batcher<In, Out> {
  type Waiting = { item: In; resolve: (out: Out) => void; reject: (error: unknown) => void };
  /** Of each owner who waits what it brought; who is first has its turn. */
  const waiting = new Map<string, Waiting[]>();
  let underWay = 0;

  async function flush(): Promise<void> {
    if (underWay >= options.maxConcurrent || waiting.size === 0) return;
    underWay++;
    const batch = next();
    try {
      await settle(batch);
    } finally {
      underWay--;
      void flush();
    }
  }

  function next(): Waiting[] {
    const batch: Waiting[] = [];
    let weight = 0;
    for (const [owner, line] of waiting) {
      const [first] = line;
      if (first === undefined || batch.length === options.maxItems) break;
      weight += options.weight?.of(first.item) ?? 0;
      if (batch.length > 0 && weight > (options.weight?.most ?? 0)) break;
      batch.push(first);
      line.shift();
      // To the end of those who wait, which this loop comes to.
      waiting.delete(owner);
      if (line.length > 0) waiting.set(owner, line);
    }
    return batch;
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
        const owner = options.owner?.(item) ?? '';
        const idle = waiting.size === 0;
        const line = waiting.get(owner) ?? [];
        line.push({ item, resolve, reject });
        waiting.set(owner, line);
        if (options.together !== true) void flush();
        else if (idle) setImmediate(flushAll);
      });
    },
  };
}
