/** Answers that everybody may ask for, at whatever rate: so many are made, the rest hears the newest one. */
import { createRateLimit } from '../process/rate-limit.ts';

/**
 * `work`, one at a time and at most `most` times a second. Who asks in between gets the newest answer: it is new when askers are few, and a second old at most
 * when they are many. Rejects as `work` does.
 */
export function shared<T>(most: number, work: () => Promise<T>): () => Promise<T> {
  const rate = createRateLimit({ limit: most, windowMs: 1_000 });
  let newest: Promise<T> | null = null;
  let underWay = false;
  return () => {
    if (newest !== null && (underWay || rate.take('', performance.now()) !== null)) return newest;
    underWay = true;
    newest = work().finally(() => {
      underWay = false;
    });
    return newest;
  };
}
