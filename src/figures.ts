/** What a process measures of itself, for alerts and /health/score: processor, memory, disk, requests, calls of Evolution. */
import { statfs } from 'node:fs/promises';
import os from 'node:os';
import type { ProcessFigures } from './db/alerts.ts';

/** Requests are counted over this time. Milliseconds. */
const HTTP_WINDOW_MS = 300_000;
/** A request that takes longer is slow. Milliseconds. */
const SLOW_MS = 5_000;

export type Figures = {
  /** A request was served; `route` is its pattern. */
  request(route: string, status: number, ms: number): void;
  /** As fetch, for the calls of Evolution. */
  brokerFetch: typeof globalThis.fetch;
  /** Contract: never rejects; what cannot be measured is null. */
  measure(): Promise<ProcessFigures>;
};

export function createFigures(): Figures {
  let requests: { at: number; slow: boolean; error: boolean }[] = [];
  const broker: NonNullable<ProcessFigures['broker']> = { last_success_at: null, last_failure_at: null, consecutive_failures: 0 };
  let cpu = { at: performance.now(), usage: process.cpuUsage() };
  const noteBroker = (ok: boolean): void => {
    if (ok) Object.assign(broker, { last_success_at: new Date(), consecutive_failures: 0 });
    else Object.assign(broker, { last_failure_at: new Date(), consecutive_failures: broker.consecutive_failures + 1 });
  };
  return {
    request(route, status, ms) {
      // What a person starts by hand may take its time.
      if (route.startsWith('/admin/')) return;
      requests.push({ at: Date.now(), slow: ms > SLOW_MS, error: status >= 500 });
      // Not at each request: the figures are asked for each quarter of a minute, and only an api without a database is not asked.
      if (requests.length > 100_000) requests = recent(requests);
    },
    async brokerFetch(input, init) {
      try {
        const response = await fetch(input, init);
        noteBroker(response.status < 500 && response.status !== 401);
        return response;
      } catch (error) {
        if (!(init?.signal?.aborted === true && isAbort(init.signal.reason))) noteBroker(false);
        throw error;
      }
    },
    async measure() {
      requests = recent(requests);
      const now = { at: performance.now(), usage: process.cpuUsage() };
      const usedMs = (now.usage.user + now.usage.system - cpu.usage.user - cpu.usage.system) / 1000;
      const share = now.at - cpu.at < 1 ? null : usedMs / (now.at - cpu.at) / os.availableParallelism();
      cpu = now;
      return {
        cpu: share,
        memory: memoryShare(),
        disk_free: await diskFree(),
        http: {
          count: requests.length,
          slow: requests.filter(({ slow }) => slow).length,
          errors: requests.filter(({ error }) => error).length,
        },
        broker: { ...broker },
      };
    },
  };
}

function recent<Item extends { at: number }>(items: Item[]): Item[] {
  const from = Date.now() - HTTP_WINDOW_MS;
  return items.filter(({ at }) => at >= from);
}

/** An abort that we wished for says nothing about Evolution; a time limit does. */
function isAbort(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'AbortError';
}

/** Of the container's limit where it has one, else of the machine. */
function memoryShare(): number | null {
  const limit = process.constrainedMemory();
  const machine = os.totalmem();
  if (limit > 0 && limit < machine) return process.memoryUsage.rss() / limit;
  return machine > 0 ? 1 - process.availableMemory() / machine : null;
}

async function diskFree(): Promise<number | null> {
  try {
    const { bavail, blocks } = await statfs(process.cwd());
    return blocks > 0 ? bavail / blocks : null;
  } catch {
    return null;
  }
}
