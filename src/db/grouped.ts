/**
 * Calls of one SQL function of groups, gathered: what many ask for at once is one call and one transaction, and a lonely one waits for nobody.
 * Whoever asks sees a function of one item; what it is part of is the business of this file.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createBatcher } from '../process/batch.ts';
import type { Batcher } from '../process/batch.ts';
import { span } from '../process/trace.ts';
import type { Door } from './door.ts';
import { DatabaseAway } from './failures.ts';

/** Items of one call: their locks are held until all of them are done, so it stays a matter of some tens of milliseconds. */
const MOST_ITEMS = 25;
/** Calls of one kind under way: the second is on its way while the first one's answer is read. */
const MOST_CALLS = 2;

/** A group's call has many causes and belongs to the trace of none; each item has a span of its own. */
const outsideOfTraces = AsyncLocalStorage.snapshot();

/**
 * `call` is one call of an SQL function of groups. Those share it that come through the same door with the same `shared` (by identity, so that must live long).
 * Contract: as `Door.call` for each item: it may reject with DatabaseAway or DatabaseRefused, and may be repeated. An item that the database refuses takes no
 * other with it: after a refusal each is asked again alone.
 */
export function grouped<Shared, In>(
  name: string,
  call: (db: Door, shared: Shared, items: In[]) => Promise<unknown[]>,
): (db: Door, shared: Shared, item: In) => Promise<unknown> {
  const doors = new WeakMap<Door, Map<Shared, Batcher<In, unknown>>>();
  const batcherOf = (db: Door, shared: Shared): Batcher<In, unknown> => {
    const batchers = doors.get(db) ?? new Map<Shared, Batcher<In, unknown>>();
    doors.set(db, batchers);
    const known = batchers.get(shared);
    if (known !== undefined) return known;
    const batcher = createBatcher((items: In[]) => outsideOfTraces(() => call(db, shared, items)), {
      maxItems: MOST_ITEMS,
      maxConcurrent: MOST_CALLS,
      splits: (error) => !(error instanceof DatabaseAway),
      together: true,
    });
    batchers.set(shared, batcher);
    return batcher;
  };
  const options = {
    kind: 'client',
    onlyWithin: true,
    attributes: { 'db.system.name': 'postgresql', 'db.stored_procedure.name': `${name}s` },
  } as const;
  return (db, shared, item) => span(name, options, () => batcherOf(db, shared).add(item));
}
