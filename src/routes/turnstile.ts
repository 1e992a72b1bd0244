/** At most one at a time for each key, and so many of all keys; the others wait in their order, a few of each key. */

export type Turnstile = {
  /** Resolves with what gives the place back, or with null when there was none within `waitMs`, or too many of this key wait. The place must be given back, once. */
  enter(key: string, waitMs: number): Promise<(() => void) | null>;
};

type Waiting = { key: string; let: () => void };

/** `most` inside at once, `queue` waiting of one key. */
export function createTurnstile({ most, queue }: { most: number; queue: number }): Turnstile {
  const inside = new Set<string>();
  const waiting: Waiting[] = [];

  /** Lets in who may, the longest waiting first. */
  function next(): void {
    for (const each of waiting.slice()) if (inside.size < most && !inside.has(each.key)) each.let();
  }

  return {
    enter(key, waitMs) {
      if (waiting.filter((each) => each.key === key).length >= queue) return Promise.resolve(null);
      const { promise, resolve } = Promise.withResolvers<(() => void) | null>();
      const place: Waiting = {
        key,
        let: () => {
          clearTimeout(timer);
          remove(waiting, place);
          inside.add(key);
          resolve(() => {
            inside.delete(key);
            next();
          });
        },
      };
      const timer = setTimeout(() => {
        remove(waiting, place);
        resolve(null);
      }, waitMs);
      waiting.push(place);
      next();
      return promise;
    },
  };
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
