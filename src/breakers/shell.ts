/**
 * One breaker at work: opossum around the machine of decide.ts. opossum makes the calls and tells how they ended, keeps them back while it is open, and
 * has the clock of the reset time. The machine says when it opens and closes. (Rejected: opossum's own rule. Its rolling figures cannot be emptied at a
 * recovery, and count a call that says nothing. Its half open lets anybody's next call through, and a call from before the opening may decide it.)
 */
import CircuitBreaker from 'opossum';
import { toError } from '../process/errors.ts';
import type { BreakerReport } from './calls.ts';
import { availableForMs, closedMachine, decide, isOpen, reportOf, retryInMs, turnedAwayMs } from './decide.ts';
import type { BreakerState, Effect, Event, Failure, Figures, Leader, SignKind } from './decide.ts';
import type { Trials } from './trials.ts';

export type BreakerName = 'evolution' | 'claude' | 'database';
export type Transition = { breaker: string; instance: string | null; state: BreakerState; reason: string | null; at: string };

/**
 * What a value says of the other side. null: all is well. A string or a Failure: it failed, and why. undefined: nothing (a call that we aborted), so nothing is
 * counted, and a trial that ends so leaves the question open.
 */
export type Verdict = string | Failure | null | undefined;

/** A guarded call: the value, or the news that the breaker did not let it out. */
export type Guarded<T> = { open: false; value: T } | { open: true; retryInMs: number };

export type Breaker = {
  /**
   * Runs `action` unless open, or asked to rest.
   * Contract: `action` must not throw; it is started at most once.
   */
  run<T>(action: () => Promise<T>, failed: (value: T) => Verdict): Promise<Guarded<T>>;
  /** True when a call would not go out now. */
  isOpen(): boolean;
  /** Milliseconds until a call, or the next probe, may go out; 0 when calls go through. */
  retryInMs(): number;
  /** Milliseconds since which calls go through; 0 while they do not. */
  availableForMs(): number;
  report(): BreakerReport;
  /** Closes it by hand, and forgets what it counted. */
  reset(reason: string): void;
};

/** A sign of life, see SignKind. */
export type Sign = { kind: SignKind; /** milliseconds ago */ ageMs: number };

export type OwnedBreaker = Breaker & { follow(leader: Leader | null): void; hear(sign: Sign): void; shutdown(): void };

export type BreakerHooks = Trials & {
  /** The name of this process in heartbeats. */
  process: string;
  /** Called on each change of state. Contract: it must not throw. */
  onTransition(transition: Transition): void;
  /** The harmless call. One that throws has failed. */
  probe(name: BreakerName, instance: string | null): Promise<Exclude<Verdict, undefined>>;
};

/** Passes opossum as a failure, and is not counted. */
class NoVerdict extends Error {
  readonly value: unknown;
  constructor(value: unknown) {
    super('no verdict');
    this.value = value;
  }
}

class CountedFailure extends Error {
  readonly value: unknown;
  readonly failure: Failure;
  constructor(value: unknown, failure: Failure) {
    super(failure.reason);
    this.value = value;
    this.failure = failure;
  }
}

/** `beganAt`: since when it is closed, in milliseconds of the clock; a breaker is made when it is first asked for. */
export function createBreaker(
  name: BreakerName,
  instance: string | null,
  figures: Figures,
  hooks: BreakerHooks,
  beganAt: number,
): OwnedBreaker {
  let state = closedMachine({ figures, process: hooks.process, trialAfterProbe: name === 'evolution' }, beganAt);
  const made = new CircuitBreaker(
    async (action: () => Promise<unknown>, failed: (value: unknown) => Verdict) => {
      const value = await action();
      const verdict = failed(value);
      if (verdict === undefined) throw new NoVerdict(value);
      if (verdict === null) return value;
      throw new CountedFailure(value, failureOf(verdict));
    },
    {
      timeout: false, // each client has its own time limit, and aborts
      volumeThreshold: Number.MAX_SAFE_INTEGER, // it never opens by itself
      rollingPercentilesEnabled: false, // nobody reads them, and the database's breaker sees every call
    },
  );
  // The types leave `options` out; opossum reads resetTimeout from it at each opening, so it may be changed.
  const circuit = made as typeof made & { options: { resetTimeout: number } };
  circuit.on('success', () => step({ kind: 'ended', failure: null }));
  circuit.on('failure', (error: unknown) => {
    if (!(error instanceof NoVerdict)) step({ kind: 'ended', failure: thrown(error) });
  });
  circuit.on('halfOpen', () => {
    circuit.open(); // nothing but the probe goes out
    step({ kind: 'due' });
  });

  function step(event: Event): void {
    const decided = decide(state, event, Date.now());
    state = decided.state;
    for (const effect of decided.effects) perform(effect);
  }
  function perform(effect: Effect): void {
    switch (effect.kind) {
      case 'open':
        circuit.close(); // opossum reads its time when it opens
        circuit.options.resetTimeout = effect.forMs;
        return void circuit.open();
      case 'close':
        return void circuit.close();
      case 'probe':
        return void probe();
      case 'tell':
        return hooks.onTransition({ breaker: name, instance, state: effect.state, reason: effect.reason, at: new Date().toISOString() });
    }
  }
  /** Contract: never rejects. */
  async function probe(): Promise<void> {
    const verdict = await hooks.probe(name, instance).catch((error: unknown) => toError(error).message);
    step({ kind: 'probed', failure: verdict === null ? null : failureOf(verdict) });
  }
  /** A real call of a trial, which one process makes for all. Contract: the caller says when it is back. */
  async function fireTrial(fire: () => Promise<unknown>): Promise<{ fired: boolean; value?: unknown }> {
    if (name !== 'evolution' || instance === null) return { fired: true, value: await fire() };
    if (!(await hooks.takeTrial(instance))) return { fired: false };
    try {
      return state.phase === 'closed' ? { fired: true, value: await fire() } : { fired: false };
    } finally {
      hooks.endTrial(instance, state.phase !== 'closed');
    }
  }

  return {
    async run<T>(action: () => Promise<T>, failed: (value: T) => Verdict): Promise<Guarded<T>> {
      if (isOpen(state, Date.now())) return { open: true, retryInMs: turnedAwayMs(state, Date.now()) };
      const fire = () =>
        circuit.fire(action, failed as (value: unknown) => Verdict).catch((error: unknown) => {
          if (error instanceof CountedFailure || error instanceof NoVerdict) return error.value;
          throw error; // a programming error of the action
        });
      if (!state.onTrial) return { open: false, value: (await fire()) as T };
      step({ kind: 'tried', out: true });
      try {
        const { fired, value } = await fireTrial(fire);
        return fired ? { open: false, value: value as T } : { open: true, retryInMs: turnedAwayMs(state, Date.now()) };
      } finally {
        step({ kind: 'tried', out: false });
      }
    },
    isOpen: () => isOpen(state, Date.now()),
    retryInMs: () => retryInMs(state, Date.now()),
    availableForMs: () => availableForMs(state, Date.now()),
    report: () => reportOf({ name, instance }, state, Date.now()),
    reset: (why) => step({ kind: 'reset', why }),
    follow: (leader) => step({ kind: 'followed', leader }),
    hear: ({ kind, ageMs }) => step({ kind: 'heard', sign: kind, ageMs }),
    shutdown: () => circuit.shutdown(),
  };
}

function failureOf(verdict: string | Failure): Failure {
  return typeof verdict === 'string' ? { reason: verdict, restMs: 0 } : verdict;
}

function thrown(error: unknown): Failure {
  return error instanceof CountedFailure ? error.failure : { reason: toError(error).message, restMs: 0 };
}
