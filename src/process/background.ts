/** Work that nobody waits for but that must not be cut off: a stop waits for it, for a bounded time. */
import type { Logger } from './log.ts';

export type Background = {
  /** Starts it; a failure is one warning under this name. While `most` of this name are under way it is left out, so it is for what may be. */
  run(name: string, work: () => Promise<unknown>, most?: number): void;
  /** Waits until nothing is under way, at most so long. */
  drain(timeoutMs: number): Promise<void>;
};

export function createBackground(log: Logger): Background {
  const underWay = new Set<Promise<void>>();
  const counts = new Map<string, number>();
  return {
    run(name, work, most = Number.POSITIVE_INFINITY) {
      const count = counts.get(name) ?? 0;
      if (count >= most) return;
      counts.set(name, count + 1);
      const promise = (async () => {
        try {
          await work();
        } catch (error) {
          log.warning({ work: name, error }, 'Background work failed');
        }
      })();
      underWay.add(promise);
      void promise.finally(() => {
        underWay.delete(promise);
        counts.set(name, (counts.get(name) ?? 1) - 1);
      });
    },
    async drain(timeoutMs) {
      const timeout = AbortSignal.timeout(timeoutMs);
      const late = new Promise<void>((resolve) => timeout.addEventListener('abort', () => resolve(), { once: true }));
      while (underWay.size > 0 && !timeout.aborted) await Promise.race([Promise.all(underWay), late]);
    },
  };
}
