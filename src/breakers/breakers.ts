/**
 * Circuit breakers around everything that can be away: one per number at Evolution, one per model, one around the database. On opossum.
 *
 *   closed      calls go through; enough failures within a minute (and at least half of the calls that ended) open it
 *   open        nothing goes out, until the reset time is over
 *   half_open   one harmless call of our own goes out at once, also in a process that has nothing else to do: its success closes, its failure opens
 *               again, for twice as long, up to a cap
 *   resting     closed, and asked by the other side not to call for a time (retry-after): nothing goes out until then
 *   on trial    closed by a harmless call that proves too little (a number that is connected may still be refused every message): real calls go out one
 *               at a time, over all processes, and the first that fails opens it again for twice as long
 *
 * A sign of life of the other side (a webhook, a call that succeeds, a reconnect) brings the next probe forward, since nobody should wait for the end of a
 * doubled time once it is back.
 *
 * A breaker lives in one process. Its state is in the process's heartbeat, its transitions are rows of circuit_transitions. Processes read each other's
 * heartbeats: when a breaker opens in one of them, the others follow it, so one process probes for all. The database's is each process's own.
 */
import CircuitBreaker from 'opossum';
import type { Breaker as BreakerFigures } from '../config.ts';
import type { BreakerReport, OtherBreakers } from './calls.ts';
import { toError } from '../errors.ts';
import type { Trials } from './trials.ts';

export type BreakerName = 'evolution' | 'claude' | 'database';
export type BreakerState = 'closed' | 'open' | 'half_open';
export type Transition = { breaker: string; instance: string | null; state: BreakerState; reason: string | null; at: string };

/**
 * What a value says of the other side: null all is well; a string it failed, with the reason; undefined nothing (a call that we aborted), so nothing is
 * counted, and a trial that ends so leaves the question open. `restMs`: the other side asked not to be called for so long.
 */
export type Verdict = string | { reason: string; restMs: number } | null | undefined;

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

export type Breakers = {
  claude(model: string): Breaker;
  database(): Breaker;
  evolution(instance: string): Breaker;
  reports(): BreakerReport[];
  /** A number shows a sign of life. The same may be told again. */
  hear(instance: string, sign: Sign): void;
  /** Closes those of this name and number; null means all. */
  reset(name: string | null, instance: string | null, reason: string): void;
  /** What the heartbeats of the other processes say of their breakers that are not closed. */
  follow(others: readonly OtherBreakers[]): void;
  [Symbol.dispose](): void;
};

export type BreakerHooks = Trials & {
  /** The name of this process in heartbeats. */
  process: string;
  /** Called on each change of state. Contract: it must not throw. */
  onTransition(transition: Transition): void;
  /** The harmless call. One that throws has failed. */
  probe(name: BreakerName, instance: string | null): Promise<Exclude<Verdict, undefined>>;
};

/**
 * A sign of life. `reconnect`: its connection was just made, or Evolution is back; `word`: something came from it or answered, which a number whose
 * socket is dead may still do.
 */
export type Sign = { kind: 'reconnect' | 'word'; /** milliseconds ago */ ageMs: number };

/** Failures are counted over this time. */
const WINDOW_MS = 60_000;
/**
 * A sign of life shortens the wait to this, from the opening on; from there it doubles as ever. A mere word counts half as much each time that it was in
 * vain: a number that hears and cannot speak is not tried at each message that comes. Milliseconds.
 */
const SOONEST_MS = { reconnect: 5_000, word: 15_000 } as const;
/** The same sign is heard with several heartbeats, and its age is measured a little differently each time. Milliseconds. */
const SAME_SIGN_MS = 1_000;
/** Enough for a probe or a trial to end, when one is under way. */
const TRIAL_WAIT_MS = 5_000;

export function createBreakers(figures: Record<BreakerName, BreakerFigures>, hooks: BreakerHooks): Breakers {
  const all = new Map<string, OwnedBreaker>();
  const beganAt = Date.now();
  function breaker(name: BreakerName, instance: string | null): OwnedBreaker {
    const key = keyOf(name, instance);
    const known = all.get(key);
    if (known) return known;
    const made = createBreaker(name, instance, figures[name], hooks, beganAt);
    all.set(key, made);
    return made;
  }
  return {
    claude: (model) => breaker('claude', model),
    database: () => breaker('database', null),
    evolution: (instance) => breaker('evolution', instance),
    reports: () => [...all.values()].map((each) => each.report()),
    hear: (instance, sign) => all.get(keyOf('evolution', instance))?.hear(sign),
    reset(name, instance, reason) {
      for (const each of all.values()) {
        const report = each.report();
        if ((name === null || report.name === name) && (instance === null || report.instance === instance)) each.reset(reason);
      }
    },
    follow(others) {
      const leaders = leadersOf(others);
      for (const { name, instance } of leaders.values()) if (name === 'evolution' || name === 'claude') breaker(name, instance); // so that it can follow
      for (const [key, each] of all) if (each.report().name !== 'database') each.follow(leaders.get(key) ?? null);
    },
    [Symbol.dispose]() {
      for (const each of all.values()) each.shutdown();
    },
  };
}

type Leader = BreakerReport & { process: string };

/** Of each breaker that is open elsewhere the one that opened first: it probes for all. Those that follow another do not lead. */
function leadersOf(others: readonly OtherBreakers[]): Map<string, Leader> {
  const leaders = new Map<string, Leader>();
  for (const { process, breakers } of others) {
    for (const report of breakers) {
      if (report.state === 'closed' || report.follows !== null || report.opened_at === null) continue;
      const key = keyOf(report.name, report.instance);
      const known = leaders.get(key);
      if (known === undefined || rank({ ...report, process }) < rank(known)) leaders.set(key, { ...report, process });
    }
  }
  return leaders;
}

/** Which of two open breakers leads: the one that opened first, then the smaller name. */
function rank(leader: Pick<Leader, 'opened_at' | 'process'>): string {
  return `${leader.opened_at ?? ''} ${leader.process}`;
}

function keyOf(name: string, instance: string | null): string {
  return `${name}/${instance ?? ''}`;
}

/** Passes opossum as a failure, so that a trial does not close the circuit, and is not counted. */
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

type OwnedBreaker = Breaker & { follow(leader: Leader | null): void; hear(sign: Sign): void; shutdown(): void };

/** `beganAt`: since when it is closed, in milliseconds of the clock; a breaker is made when it is first asked for. */
function createBreaker(
  name: BreakerName,
  instance: string | null,
  figures: BreakerFigures,
  hooks: BreakerHooks,
  beganAt: number,
): OwnedBreaker {
  const made = new CircuitBreaker(
    async (action: () => Promise<unknown>, failed: (value: unknown) => Verdict) => {
      const value = await action();
      const verdict = failed(value);
      if (verdict === undefined) throw new NoVerdict(value);
      if (verdict === null) return value;
      throw new CountedFailure(value, reasonOf(verdict));
    },
    {
      timeout: false, // each client has its own time limit, and aborts
      resetTimeout: figures.resetSeconds * 1000,
      // When to open is decided below: opossum's share of failed calls would open after 3 failures among 6 calls, whatever the figure says,
      // and counts failures from before a recovery.
      volumeThreshold: Number.MAX_SAFE_INTEGER,
      rollingPercentilesEnabled: false, // nobody reads them, and the database's breaker sees every call
    },
  );
  // The types leave `options` out; opossum reads resetTimeout from it at each opening, so it may be changed.
  const circuit = made as typeof made & { options: { resetTimeout: number } };
  /** Doubles with each probe that fails. Milliseconds. */
  let recoveryMs = figures.resetSeconds * 1000;
  /** Milliseconds of the clock. */
  let restUntil = 0;
  /** Since when no breaker, and from `restUntil` on no rest, keeps calls back. Milliseconds of the clock. */
  let closedAt = beganAt;
  let openedAt: Date | null = null;
  /** Milliseconds of the clock. */
  let probeAt = 0;
  /** The open circuit is only given another time. */
  let moving = false;
  /** Probes that a word brought forward since a call last succeeded. */
  let inVain = 0;
  const heardAt = { reconnect: 0, word: 0 };
  let probing = false;
  let onTrial = false;
  /** A real call of a trial is out. */
  let tried = false;
  let leader: Leader | null = null;
  /** When a person closed it last: what opened elsewhere before that is being closed there too. */
  let resetAt = 0;
  let reason: string | null = null;
  const ended = createWindow();
  const tell = (state: BreakerState, why: string | null): void =>
    hooks.onTransition({ breaker: name, instance, state, reason: why, at: new Date().toISOString() });

  circuit.on('success', () => {
    ended.note(null);
    if (onTrial) endTrial();
  });
  circuit.on('failure', (error: unknown) => {
    if (error instanceof NoVerdict) return;
    const why = toError(error).message;
    ended.note(why);
    if (!circuit.closed) return;
    const { calls, failures } = ended.totals();
    if (onTrial) reopen(why);
    else if (failures >= figures.failures && failures * 2 >= calls) {
      reason = why;
      open();
    }
  });
  circuit.on('open', () => {
    probeAt = Date.now() + circuit.options.resetTimeout;
    if (moving) return;
    openedAt = new Date();
    onTrial = false;
    tell('open', reason);
  });
  circuit.on('halfOpen', () => {
    if (leader !== null) return; // its process probes, and the next heartbeat says what came of it
    tell('half_open', reason);
    void probe();
  });
  circuit.on('close', () => {
    if (moving) return;
    openedAt = null;
    closedAt = Date.now();
    leader = null;
    ended.clear();
  });

  /** Contract: never rejects. One at a time; a reset by hand meanwhile makes its verdict void. */
  async function probe(): Promise<void> {
    if (probing) return;
    probing = true;
    const verdict = await hooks.probe(name, instance).catch((error: unknown) => toError(error).message);
    probing = false;
    if (!circuit.halfOpen || leader !== null) return;
    if (verdict !== null) reopen(reasonOf(verdict));
    else close('the probe succeeded', name === 'evolution');
  }
  function reopen(why: string): void {
    reason = why;
    recoveryMs = Math.min(figures.maxResetSeconds * 1000, recoveryMs * 2);
    open();
  }
  function reasonOf(verdict: string | { reason: string; restMs: number }): string {
    if (typeof verdict === 'string') return verdict;
    if (verdict.restMs > 0) restUntil = Math.max(restUntil, Date.now() + verdict.restMs);
    return verdict.reason;
  }
  /** The other side may have asked for a longer rest than the probe would give it. */
  function open(): void {
    circuit.options.resetTimeout = Math.max(recoveryMs, restUntil - Date.now());
    circuit.open();
  }
  function probeIn(ms: number): void {
    moving = true;
    circuit.close(); // opossum reads its time when it opens
    circuit.options.resetTimeout = ms;
    circuit.open();
    moving = false;
  }
  function close(why: string, trial: boolean): void {
    const wasClosed = circuit.closed;
    circuit.close();
    onTrial = trial;
    if (!trial) endTrial();
    if (!wasClosed) tell('closed', why);
  }
  function endTrial(): void {
    onTrial = false;
    inVain = 0;
    recoveryMs = figures.resetSeconds * 1000;
  }

  const state = (): BreakerState => (circuit.halfOpen ? 'half_open' : circuit.opened ? 'open' : 'closed');
  const nextProbeAt = (): number | null => {
    if (leader?.next_probe_at) return Date.parse(leader.next_probe_at);
    return openedAt === null ? null : probeAt;
  };
  const retryInMs = (): number => Math.max(0, (circuit.closed ? restUntil : (nextProbeAt() ?? 0)) - Date.now());
  const isOpen = (): boolean => !circuit.closed || (onTrial && tried) || restUntil > Date.now();
  return {
    async run<T>(action: () => Promise<T>, failed: (value: T) => Verdict): Promise<Guarded<T>> {
      if (isOpen()) return { open: true, retryInMs: Math.max(retryInMs(), restUntil > Date.now() ? 0 : TRIAL_WAIT_MS) };
      const trial = onTrial;
      if (trial) tried = true;
      const shared = trial && name === 'evolution' ? instance : null;
      let taken = false;
      try {
        if (shared !== null) {
          taken = await hooks.takeTrial(shared);
          if (!taken || !circuit.closed) return { open: true, retryInMs: Math.max(retryInMs(), TRIAL_WAIT_MS) };
        }
        return { open: false, value: (await circuit.fire(action, failed as (value: unknown) => Verdict)) as T };
      } catch (error) {
        if (error instanceof CountedFailure || error instanceof NoVerdict) return { open: false, value: error.value as T };
        throw error; // a programming error of the action
      } finally {
        if (trial) tried = false;
        if (shared !== null && taken) hooks.endTrial(shared, !circuit.closed);
      }
    },
    isOpen,
    retryInMs,
    availableForMs: () => (isOpen() ? 0 : Date.now() - Math.max(closedAt, restUntil)),
    report: () => ({
      name,
      instance,
      state: state(),
      failures: ended.totals().failures,
      timeouts: ended.totals().timeouts,
      reason: circuit.closed ? null : reason,
      opened_at: openedAt?.toISOString() ?? null,
      next_probe_at: circuit.closed ? null : new Date(nextProbeAt() ?? Date.now()).toISOString(),
      recovery_ms: recoveryMs,
      on_trial: onTrial,
      follows: leader?.process ?? null,
    }),
    reset(why) {
      ended.clear();
      if (restUntil > Date.now()) closedAt = Date.now();
      restUntil = 0;
      resetAt = Date.now();
      close(why, false);
    },
    follow(other) {
      if (other === null) {
        if (leader === null) return;
        // it closed there, or the process that probed for us is gone: one call of our own finds out
        close(`it is closed in ${leader.process}`, true);
        return;
      }
      if (leader !== null) {
        leader = other;
        return;
      }
      if (Date.parse(other.opened_at ?? '') <= resetAt) return;
      const mine = openedAt === null ? null : rank({ opened_at: openedAt.toISOString(), process: hooks.process });
      if (mine !== null && mine < rank(other)) return; // we lead
      leader = other;
      reason = other.reason;
      open();
    },
    hear({ kind, ageMs }) {
      const at = Date.now() - ageMs;
      // Who follows is told by its leader; what came before the opening says nothing.
      if (!circuit.opened || leader !== null || openedAt === null || at <= Math.max(openedAt.getTime(), heardAt[kind] + SAME_SIGN_MS))
        return;
      heardAt[kind] = at;
      const soonMs = SOONEST_MS[kind] * (kind === 'word' ? 2 ** inVain : 1);
      const due = Math.max(Date.now(), openedAt.getTime() + soonMs, restUntil);
      if (due >= probeAt) return;
      if (kind === 'word') inVain += 1;
      recoveryMs = Math.min(recoveryMs, soonMs);
      probeIn(due - Date.now());
    },
    shutdown: () => circuit.shutdown(),
  };
}

/** Calls that ended within WINDOW_MS, counted by the second: the database's breaker sees hundreds of them in one. */
function createWindow() {
  let seconds: { at: number; calls: number; failures: number; timeouts: number }[] = [];
  const now = (): number => Math.floor(Date.now() / 1000);
  return {
    note(failed: string | null): void {
      let current = seconds.at(-1);
      if (current?.at !== now()) {
        current = { at: now(), calls: 0, failures: 0, timeouts: 0 };
        seconds = [...seconds.filter(({ at }) => at > now() - WINDOW_MS / 1000), current];
      }
      current.calls += 1;
      if (failed !== null) current.failures += 1;
      if (failed !== null && /timeout|timed out/i.test(failed)) current.timeouts += 1;
    },
    totals(): { calls: number; failures: number; timeouts: number } {
      const sum = { calls: 0, failures: 0, timeouts: 0 };
      for (const each of seconds) {
        if (each.at <= now() - WINDOW_MS / 1000) continue;
        sum.calls += each.calls;
        sum.failures += each.failures;
        sum.timeouts += each.timeouts;
      }
      return sum;
    },
    clear(): void {
      seconds = [];
    },
  };
}
