/** What a process measures of itself, for alerts and /health/score: processor, memory, disk, requests, calls of Evolution. */
import { statfs } from 'node:fs/promises';
import os from 'node:os';
import { httpCall } from '../process/http-out.ts';
import type { HttpCall } from '../process/http-out.ts';
import type { ProcessFigures } from './alert-calls.ts';

/** Requests are counted over this time, in slices of that one. Milliseconds. */
const HTTP_WINDOW_MS = 300_000;
const SLICE_MS = 10_000;
/** A request that takes longer is slow. Milliseconds. */
const SLOW_MS = 5_000;

export type Figures = {
  /** A request was served; `route` is its pattern. */
  request(route: string, status: number, ms: number): void;
  /** As httpCall, for the calls of Evolution. */
  brokerCall: HttpCall;
  /** Contract: never rejects; what cannot be measured is null. */
  measure(): Promise<ProcessFigures>;
};

type Slice = { /** when it began */ at: number; count: number; slow: number; errors: number };

export function createFigures(): Figures {
  /** Counts and not each request: at a hundred a second those of five minutes would be some megabytes. */
  let slices: Slice[] = [];
  const broker: NonNullable<ProcessFigures['broker']> = { last_success_at: null, last_failure_at: null, consecutive_failures: 0 };
  let cpu = { at: performance.now(), usage: process.cpuUsage() };
  let loop = performance.eventLoopUtilization();
  /** A process runs on one thread: on a machine of many cores it is at its limit long before the machine is. */
  const loopShare = (): number => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, loop);
    loop = now;
    return utilization;
  };
  const noteBroker = (ok: boolean): void => {
    if (ok) Object.assign(broker, { last_success_at: new Date(), consecutive_failures: 0 });
    else Object.assign(broker, { last_failure_at: new Date(), consecutive_failures: broker.consecutive_failures + 1 });
  };
  return {
    request(route, status, ms) {
      // What a person starts by hand may take its time.
      if (route.startsWith('/admin/')) return;
      const at = Math.floor(Date.now() / SLICE_MS) * SLICE_MS;
      let slice = slices.at(-1);
      if (slice?.at !== at) {
        slice = { at, count: 0, slow: 0, errors: 0 };
        slices = [...recent(slices), slice];
      }
      slice.count += 1;
      if (ms > SLOW_MS) slice.slow += 1;
      if (status >= 500) slice.errors += 1;
    },
    async brokerCall(request) {
      const answer = await httpCall(request);
      if ('status' in answer) noteBroker(answer.status < 500 && answer.status !== 401);
      else if (!(answer.networkError === 'aborted' && isAbort(request.signal?.reason))) noteBroker(false);
      return answer;
    },
    async measure() {
      const counted = recent(slices);
      const total = (of: (slice: Slice) => number): number => counted.reduce((sum, slice) => sum + of(slice), 0);
      const now = { at: performance.now(), usage: process.cpuUsage() };
      const usedMs = (now.usage.user + now.usage.system - cpu.usage.user - cpu.usage.system) / 1000;
      const cores = now.at - cpu.at < 1 ? null : usedMs / (now.at - cpu.at);
      cpu = now;
      return {
        cpu: cores === null ? null : cores / os.availableParallelism(),
        core: loopShare(),
        memory: memoryShare(),
        disk_free: await diskFree(),
        http: { count: total(({ count }) => count), slow: total(({ slow }) => slow), errors: total(({ errors }) => errors) },
        broker: { ...broker },
      };
    },
  };
}

function recent(slices: readonly Slice[]): Slice[] {
  const from = Date.now() - HTTP_WINDOW_MS;
  return slices.filter(({ at }) => at >= from);
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
