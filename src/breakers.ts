/**
 * Circuit breakers around everything that can be away: one per number at Evolution, one around the model. On opossum.
 *
 *   closed      calls go through; enough failures within a minute (and at least half of the calls that ended) open it
 *   open        nothing goes out; after the reset time it is half open, and the reset time doubles with each failed probe up to its cap
 *   half_open   exactly one call goes out: its success closes, its failure opens again
 *
 * A breaker lives in one process. Its state is in the process's heartbeat, its transitions are rows of circuit_transitions.
 */
import CircuitBreaker from 'opossum';
import type { Breaker as BreakerFigures } from './config.ts';
import type { BreakerReport } from './db/operations.ts';

export type BreakerState = 'closed' | 'open' | 'half_open';
export type Transition = { breaker: string; instance: string | null; state: BreakerState; reason: string | null };

/** A guarded call: the value, or the news that the breaker did not let it out. */
export type Guarded<T> = { open: false; value: T } | { open: true; retryInMs: number };

export type Breaker = {
  /**
   * Runs `action` unless open. `failed` says which values count as failures of the other side, with the reason; undefined: the value says nothing (a call
   * that we aborted), so nothing is counted, and a probe that ends so leaves the question open.
   * Contract: `action` must not throw; it is started at most once.
   */
  run<T>(action: () => Promise<T>, failed: (value: T) => string | null | undefined): Promise<Guarded<T>>;
  /** True when a call would not go out now. */
  isOpen(): boolean;
  /** Milliseconds until the next probe may go out; 0 when calls go through. */
  retryInMs(): number;
  report(): BreakerReport;
  /** Closes it by hand. */
  reset(): void;
};

export type Breakers = {
  claude(): Breaker;
  evolution(instance: string): Breaker;
  reports(): BreakerReport[];
  [Symbol.dispose](): void;
};

/** Failures are counted over this time. */
const WINDOW_MS = 60_000;

/** `onTransition` is called on each change of state. Contract: it must not throw. */
export function createBreakers(
  figures: { evolution: BreakerFigures; claude: BreakerFigures },
  onTransition: (transition: Transition) => void,
): Breakers {
  const all = new Map<string, ReturnType<typeof createBreaker>>();
  function breaker(name: 'evolution' | 'claude', instance: string | null): Breaker {
    const key = `${name}/${instance ?? ''}`;
    const known = all.get(key);
    if (known) return known;
    const made = createBreaker(name, instance, figures[name], onTransition);
    all.set(key, made);
    return made;
  }
  return {
    claude: () => breaker('claude', null),
    evolution: (instance) => breaker('evolution', instance),
    reports: () => [...all.values()].map((each) => each.report()),
    [Symbol.dispose]() {
      for (const each of all.values()) each.shutdown();
    },
  };
}

/** Passes opossum as a failure, so that a probe does not close the circuit, and is not counted. */
class NoVerdict extends Error {
  readonly value: unknown;
  constructor(value: unknown) {
    super('no verdict');
    this.value = value;
  }
}

class CountedFailure extends Error {
  readonly value: unknown;
  constructor(value: unknown, reason: string) {
    super(reason);
    this.value = value;
  }
}

function createBreaker(name: string, instance: string | null, figures: BreakerFigures, onTransition: (transition: Transition) => void) {
  const made = new CircuitBreaker(
    async (action: () => Promise<unknown>, failed: (value: unknown) => string | null | undefined) => {
      const value = await action();
      const verdict = failed(value);
      if (verdict === undefined) throw new NoVerdict(value);
      if (verdict !== null) throw new CountedFailure(value, verdict);
      return value;
    },
    {
      timeout: false, // each client has its own time limit, and aborts
      resetTimeout: figures.resetSeconds * 1000,
      // When to open is decided below: opossum's share of failed calls would open after 3 failures among 6 calls, whatever the figure says,
      // and counts failures from before a recovery. The half-open call is opossum's.
      volumeThreshold: Number.MAX_SAFE_INTEGER,
    },
  );
  // The types leave `options` out; opossum reads resetTimeout from it at each opening, so it may be changed.
  const circuit = made as typeof made & { options: { resetTimeout: number } };
  let openedAt: Date | null = null;
  let probing = false;
  let reason: string | null = null;
  /** Calls that ended within the window and since it closed, oldest first. */
  let ended: { at: number; failed: boolean }[] = [];
  const recent = (): typeof ended => ended.filter((call) => call.at > Date.now() - WINDOW_MS);
  const failures = (): number => recent().filter((call) => call.failed).length;
  const note = (failed: boolean): void => {
    ended = [...recent(), { at: Date.now(), failed }];
  };
  circuit.on('success', () => note(false));
  circuit.on('failure', (error: unknown) => {
    if (error instanceof NoVerdict) return;
    reason = error instanceof Error ? error.message : String(error);
    note(true);
    if (circuit.closed && failures() >= figures.failures && failures() * 2 >= ended.length) circuit.open();
    // Runs before opossum starts the next wait, so the wait is already the longer one.
    if (probing) circuit.options.resetTimeout = Math.min(figures.maxResetSeconds * 1000, resetMs() * 2);
  });
  circuit.on('open', () => {
    openedAt = new Date();
    onTransition({ breaker: name, instance, state: 'open', reason });
  });
  circuit.on('halfOpen', () => onTransition({ breaker: name, instance, state: 'half_open', reason }));
  circuit.on('close', () => {
    openedAt = null;
    ended = [];
    circuit.options.resetTimeout = figures.resetSeconds * 1000;
    onTransition({ breaker: name, instance, state: 'closed', reason: null });
  });
  const resetMs = (): number => circuit.options.resetTimeout;
  const retryInMs = (): number => (openedAt === null || circuit.halfOpen ? 0 : Math.max(0, openedAt.getTime() + resetMs() - Date.now()));
  const isOpen = (): boolean => circuit.opened || (circuit.halfOpen && probing);
  const state = (): BreakerState => (circuit.halfOpen ? 'half_open' : circuit.opened ? 'open' : 'closed');
  /** Enough for a probe to end, when one is under way. */
  const PROBE_WAIT_MS = 5_000;
  return {
    async run<T>(action: () => Promise<T>, failed: (value: T) => string | null | undefined): Promise<Guarded<T>> {
      if (isOpen()) return { open: true, retryInMs: Math.max(retryInMs(), PROBE_WAIT_MS) };
      const isProbe = circuit.halfOpen;
      if (isProbe) probing = true;
      try {
        return { open: false, value: (await circuit.fire(action, failed as (value: unknown) => string | null | undefined)) as T };
      } catch (error) {
        if (error instanceof CountedFailure || error instanceof NoVerdict) return { open: false, value: error.value as T };
        throw error; // a programming error of the action
      } finally {
        if (isProbe) probing = false;
      }
    },
    isOpen,
    retryInMs,
    report: (): BreakerReport => ({
      name,
      instance,
      state: state(),
      failures: failures(),
      opened_at: openedAt?.toISOString() ?? null,
      next_probe_at: openedAt === null ? null : new Date(openedAt.getTime() + resetMs()).toISOString(),
      recovery_ms: resetMs(),
    }),
    reset: () => circuit.close(),
    shutdown: () => circuit.shutdown(),
  };
}
