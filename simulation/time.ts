/**
 * Time that stands still until the simulation moves it. A process of the simulation is an actor: what runs in its asynchronous context has the virtual clock, timers
 * that are events of the schedule, and randomness of the seed. Everything else in this Node (the driver of Postgres, the test runner) keeps the true ones.
 *
 * Replaced are Date, performance.now, setTimeout, setInterval, their clear functions, timers/promises, AbortSignal.timeout, Math.random, and randomBytes, randomInt
 * and randomUUID of node:crypto. setImmediate stays, and is counted: an actor is at rest when none is left.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire, syncBuiltinESMExports } from 'node:module';

/** What an actor's code sees of the world. Contract: nothing here throws. */
export type Clockwork = {
  /** Milliseconds since 1970. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** Runs `run` after so long, again and again with `every`; returns the way to forget it. */
  after(ms: number, run: () => void, every: boolean): () => void;
};

const storage = new AsyncLocalStorage<Clockwork>();

/** Runs `work` as a part of this actor: what it awaits and starts is one too. */
export function within<T>(clockwork: Clockwork, work: () => T): T {
  return storage.run(clockwork, work);
}

/** Runs `work` with the true clock, whoever asks for it: a driver's own timers are no part of an actor. */
export function outside<T>(work: () => T): T {
  return storage.exit(work);
}

/** True ones, for the schedule itself. */
const TrueDate = Date;
const trueImmediate = setImmediate;
let immediates = 0;
let installed = false;

/** Resolves when nothing of any actor can go on by itself. */
export async function atRest(): Promise<void> {
  const turn = (): Promise<void> => new Promise((resolve) => void trueImmediate(resolve));
  const busy = (): boolean => immediates > 0;
  await turn();
  while (busy()) await turn();
  await turn();
}

/** Replaces the clocks of this process, once. */
export function installTime(): void {
  if (installed) return;
  installed = true;
  replaceDate();
  replaceTimers();
  replaceRandom();
  syncBuiltinESMExports();
}

function replaceDate(): void {
  const now = (): number => storage.getStore()?.now() ?? TrueDate.now();
  const Virtual = class extends TrueDate {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [now()] : args) as [number]));
    }
    static override now(): number {
      return now();
    }
    static override [Symbol.hasInstance](value: unknown): boolean {
      return TrueDate[Symbol.hasInstance](value);
    }
  };
  globalThis.Date = Virtual as DateConstructor;
  const trueNow = performance.now.bind(performance);
  performance.now = () => storage.getStore()?.now() ?? trueNow();
}

/** As much of a Timeout as callers use. */
function timerOf(cancel: () => void): NodeJS.Timeout {
  const timer = {
    cancel,
    ref: () => timer,
    unref: () => timer,
    hasRef: () => true,
    refresh: () => timer,
    close: () => (cancel(), timer),
    [Symbol.toPrimitive]: () => 0,
    [Symbol.dispose]: cancel,
  };
  return timer as unknown as NodeJS.Timeout;
}

function replaceTimers(): void {
  const { setTimeout: trueTimeout, setInterval: trueInterval, clearTimeout: trueClear } = globalThis;
  const clear = (timer: unknown): void => {
    const cancel = (timer as { cancel?: () => void } | null | undefined)?.cancel;
    if (cancel) cancel();
    else trueClear(timer as NodeJS.Timeout);
  };
  const later =
    (every: boolean, fallback: (...args: never[]) => unknown) =>
    (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): unknown => {
      const clockwork = storage.getStore();
      if (clockwork === undefined) return (fallback as (...all: unknown[]) => unknown)(run, ms, ...args);
      return timerOf(clockwork.after(Math.max(0, ms), () => run(...args), every));
    };
  const trueAbort = AbortSignal.timeout.bind(AbortSignal);
  Object.assign(globalThis, {
    setTimeout: Object.assign(later(false, trueTimeout), trueTimeout),
    setInterval: later(true, trueInterval),
    clearTimeout: clear,
    clearInterval: clear,
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => {
      if (storage.getStore() === undefined) return trueImmediate(run, ...args);
      immediates += 1;
      return trueImmediate(() => {
        immediates -= 1;
        run(...args);
      });
    },
  });
  AbortSignal.timeout = (ms) => {
    const clockwork = storage.getStore();
    if (clockwork === undefined) return trueAbort(ms);
    const controller = new AbortController();
    clockwork.after(ms, () => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), false);
    return controller.signal;
  };
  const promises: { setTimeout: (ms?: number, value?: unknown, options?: { signal?: AbortSignal }) => Promise<unknown> } = createRequire(
    import.meta.url,
  )('node:timers/promises');
  const trueDelay = promises.setTimeout;
  promises.setTimeout = (ms = 0, value, options = {}) => {
    const clockwork = storage.getStore();
    if (clockwork === undefined) return trueDelay(ms, value, options);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const { signal } = options;
    const end = clockwork.after(ms, () => resolve(value), false);
    const abort = (): void => {
      end();
      reject(new DOMException('The operation was aborted', 'AbortError'));
    };
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    return promise;
  };
}

function replaceRandom(): void {
  const trueRandom = Math.random;
  Math.random = () => storage.getStore()?.random() ?? trueRandom();
  const crypto: Record<'randomBytes' | 'randomInt' | 'randomUUID', (...args: never[]) => unknown> = createRequire(import.meta.url)(
    'node:crypto',
  );
  const { randomBytes, randomInt, randomUUID } = crypto as unknown as {
    randomBytes: (size: number) => Buffer;
    randomInt: (low: number, high?: number) => number;
    randomUUID: () => string;
  };
  const bytes = (size: number): Buffer => {
    const clockwork = storage.getStore();
    return clockwork === undefined
      ? randomBytes(size)
      : Buffer.from(Array.from({ length: size }, () => Math.floor(clockwork.random() * 256)));
  };
  Object.assign(crypto, {
    randomBytes: bytes,
    randomInt(low: number, high?: number) {
      const clockwork = storage.getStore();
      if (clockwork === undefined) return high === undefined ? randomInt(low) : randomInt(low, high);
      const [from, to] = high === undefined ? [0, low] : [low, high];
      return from + Math.floor(clockwork.random() * (to - from));
    },
    randomUUID: () =>
      storage.getStore() === undefined
        ? randomUUID()
        : bytes(16)
            .toString('hex')
            .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-4$3-8$4-$5'),
  });
}
