// Timers that end together, and seeded randomness. Every wait of the simulator goes through here, so that close()
// leaves nothing behind and a run can be repeated with the same seed.

export type Clock = {
  now(): number;
  /** Evolution's own wait of `ms`, divided by the time scale. */
  scaled(ms: number): number;
  /** Resolves after `ms`; after close() it never does, so the caller simply ends. */
  sleep(ms: number): Promise<void>;
  /** Runs `fn` after `ms` unless clear() or close() comes first. `fn` must not throw. */
  after(ms: number, fn: () => void): void;
  /** Forgets what `after` has planned; sleeps go on. */
  clear(): void;
  close(): void;
};

export function createClock(timeScale: number): Clock {
  const planned = new Set<NodeJS.Timeout>();
  const sleeping = new Set<NodeJS.Timeout>();
  let closed = false;

  function start(set: Set<NodeJS.Timeout>, ms: number, fn: () => void): void {
    if (closed) return;
    const timer = setTimeout(() => {
      set.delete(timer);
      fn();
    }, ms);
    set.add(timer);
  }
  function stop(set: Set<NodeJS.Timeout>): void {
    for (const timer of set) clearTimeout(timer);
    set.clear();
  }

  return {
    now: () => Date.now(),
    scaled: (ms) => ms / timeScale,
    sleep: (ms) => new Promise((resolve) => start(sleeping, ms, resolve)),
    after: (ms, fn) => start(planned, ms, fn),
    clear: () => stop(planned),
    close: () => {
      closed = true;
      stop(planned);
      stop(sleeping);
    },
  };
}

export type Random = {
  /** In [0, 1). */
  next(): number;
  hex(length: number): string;
  digits(length: number): string;
  /** Like the cuids that Evolution's tables use. */
  cuid(): string;
};

/** mulberry32: small, fast and the same on every machine. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  let counter = 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }
  function draw(length: number, base: number): string {
    let text = '';
    while (text.length < length) text += Math.floor(next() * base).toString(base);
    return text;
  }
  return {
    next,
    hex: (length) => draw(length, 16).toUpperCase(),
    digits: (length) => `1${draw(length - 1, 10)}`,
    cuid: () => `cm${draw(14, 36)}${(counter++).toString(36).padStart(9, '0')}`,
  };
}
