/**
 * A circuit breaker as a pure machine: what it is, what happens to it, and what follows.
 *
 *   closed      calls go through; enough failures within a minute, which are half of the calls that ended or more, open it
 *   open        nothing goes out, until the reset time is over
 *   half_open   one harmless call of our own is out: its success closes, its failure opens again, for twice as long, up to a cap
 *   resting     closed, but the other side asked for a pause (retry-after): nothing goes out until it is over
 *   on trial    closed by a harmless call that proves too little (a number that is connected may still be refused every message): real calls go out one
 *               at a time, over all processes, and the first that fails opens it again for twice as long
 *
 * A sign of life of the other side brings the next probe forward: once it is back nobody should wait for the end of a doubled time.
 * When a breaker opens in one process, those of the others follow it, and one process probes for all.
 */
import type { BreakerReport } from './calls.ts';

export type BreakerState = 'closed' | 'open' | 'half_open';

/** `failures` within a minute open it; the first probe goes after `resetSeconds`, a later one after `maxResetSeconds` at most. */
export type Figures = { failures: number; resetSeconds: number; maxResetSeconds: number };

/** `restMs`: the other side asked not to be called for so long. */
export type Failure = { reason: string; restMs: number };

/**
 * A sign of life. `reconnect`: its connection was just made, or Evolution is back; `word`: something came from it or answered, which a number whose
 * socket is dead may still do.
 */
export type SignKind = 'reconnect' | 'word';

/** The breaker of another process that this one follows. Times are milliseconds of the clock, here and below. */
export type Leader = { process: string; openedAt: number; nextProbeAt: number | null; reason: string | null };

export type Settings = {
  figures: Figures;
  /** The name of this process. */
  process: string;
  /** A probe of it proves too little: it is on trial after one. */
  trialAfterProbe: boolean;
};

export type Machine = {
  readonly settings: Settings;
  readonly phase: BreakerState;
  readonly window: Window;
  /** Doubles with each probe that fails. Milliseconds. */
  readonly recoveryMs: number;
  readonly restUntil: number;
  /** Since when no breaker, and from `restUntil` on no rest, keeps calls back. */
  readonly closedAt: number;
  /** Null: it is closed. */
  readonly openedAt: number | null;
  readonly probeAt: number;
  /** Why it opened last. */
  readonly reason: string | null;
  /** A probe is out. */
  readonly probing: boolean;
  readonly onTrial: boolean;
  /** A real call of a trial is out. */
  readonly tried: boolean;
  /** Probes that a word brought forward since a call last succeeded. */
  readonly inVain: number;
  readonly heardAt: Readonly<Record<SignKind, number>>;
  /** Not null: it is not closed, and the other process probes. */
  readonly leader: Leader | null;
  /** When a person closed it last: what opened elsewhere before that is being closed there too. */
  readonly resetAt: number;
};

export type Event =
  /** A call ended. One that says nothing of the other side is no event. */
  | { kind: 'ended'; failure: Failure | null }
  /** The time that `open` named is over. */
  | { kind: 'due' }
  | { kind: 'probed'; failure: Failure | null }
  /** A real call of a trial goes out, or is back. */
  | { kind: 'tried'; out: boolean }
  /** What the heartbeats of the others say; null: none is open. */
  | { kind: 'followed'; leader: Leader | null }
  | { kind: 'heard'; sign: SignKind; ageMs: number }
  /** A person closes it. */
  | { kind: 'reset'; why: string };

export type Effect =
  /** Nothing goes out, and `due` comes after so long. */
  | { kind: 'open'; forMs: number }
  | { kind: 'close' }
  /** The harmless call; `probed` says what came of it. */
  | { kind: 'probe' }
  /** The state has changed. */
  | { kind: 'tell'; state: BreakerState; reason: string | null };

export type Decision = { state: Machine; effects: Effect[] };

/** Failures are counted over this time. */
const WINDOW_SECONDS = 60;
/**
 * A sign of life shortens the wait to this, from the opening on; from there it doubles as ever. A mere word counts half as much each time that it was in
 * vain: a number that hears and cannot speak is not tried at each message that comes. Milliseconds.
 */
const SOONEST_MS = { reconnect: 5_000, word: 15_000 } as const;
/** The same sign is heard with several heartbeats, and its age is measured a little differently each time. Milliseconds. */
const SAME_SIGN_MS = 1_000;
/** Enough for a probe or a trial to end, when one is under way. */
const TRIAL_WAIT_MS = 5_000;

/** A breaker that has seen nothing yet, closed since `beganAt`. */
export function closedMachine(settings: Settings, beganAt: number): Machine {
  return {
    settings,
    phase: 'closed',
    window: EMPTY,
    recoveryMs: settings.figures.resetSeconds * 1000,
    restUntil: 0,
    closedAt: beganAt,
    openedAt: null,
    probeAt: 0,
    reason: null,
    probing: false,
    onTrial: false,
    tried: false,
    inVain: 0,
    heardAt: { reconnect: 0, word: 0 },
    leader: null,
    resetAt: 0,
  };
}

/** What an event makes of a breaker, and what is to be done now. `now`: milliseconds of the clock. */
export function decide(state: Machine, event: Event, now: number): Decision {
  switch (event.kind) {
    case 'ended':
      return ended(state, event.failure, now);
    case 'due':
      return due(state);
    case 'probed':
      return probed({ ...state, probing: false }, event.failure, now);
    case 'tried':
      return only({ ...state, tried: event.out });
    case 'followed':
      return followed(state, event.leader, now);
    case 'heard':
      return heard(state, event.sign, now - event.ageMs, now);
    case 'reset': {
      const closedAt = state.restUntil > now ? now : state.closedAt;
      return close({ ...state, window: EMPTY, closedAt, restUntil: 0, resetAt: now }, event.why, false, now);
    }
  }
}

/** True when a call would not go out now. */
export function isOpen(state: Machine, now: number): boolean {
  return state.phase !== 'closed' || (state.onTrial && state.tried) || state.restUntil > now;
}

/** Milliseconds until a call, or the next probe, may go out; 0 when calls go through. */
export function retryInMs(state: Machine, now: number): number {
  return Math.max(0, (state.phase === 'closed' ? state.restUntil : (nextProbeAt(state) ?? 0)) - now);
}

/** When a call that is turned away now may come again, in milliseconds: not before a probe or a trial that is under way can have ended. */
export function turnedAwayMs(state: Machine, now: number): number {
  return Math.max(retryInMs(state, now), state.restUntil > now ? 0 : TRIAL_WAIT_MS);
}

/** Milliseconds since which calls go through; 0 while they do not. */
export function availableForMs(state: Machine, now: number): number {
  return isOpen(state, now) ? 0 : now - Math.max(state.closedAt, state.restUntil);
}

/** What the heartbeat says of it. */
export function reportOf(who: Pick<BreakerReport, 'name' | 'instance'>, state: Machine, now: number): BreakerReport {
  const { failures, timeouts } = totals(state.window, now);
  const closed = state.phase === 'closed';
  return {
    ...who,
    state: state.phase,
    failures,
    timeouts,
    reason: closed ? null : state.reason,
    opened_at: state.openedAt === null ? null : new Date(state.openedAt).toISOString(),
    next_probe_at: closed ? null : new Date(nextProbeAt(state) ?? now).toISOString(),
    recovery_ms: state.recoveryMs,
    on_trial: state.onTrial,
    follows: state.leader?.process ?? null,
  };
}

/** Which of two open breakers leads: the one that opened first, then the smaller name. */
export function leads(one: Pick<Leader, 'openedAt' | 'process'>, other: Pick<Leader, 'openedAt' | 'process'>): boolean {
  return one.openedAt === other.openedAt ? one.process < other.process : one.openedAt < other.openedAt;
}

function ended(before: Machine, failure: Failure | null, now: number): Decision {
  const counted = { ...before, window: noted(before.window, failure, now) };
  if (failure === null) return only(counted.onTrial ? proven(counted) : counted);
  const state = resting(counted, failure.restMs, now);
  if (state.phase !== 'closed') return only(state); // it went out before: the probe decides
  if (state.onTrial) return reopen(state, failure.reason, now);
  const { calls, failures } = totals(state.window, now);
  const enough = failures >= state.settings.figures.failures && failures * 2 >= calls;
  return enough ? open({ ...state, reason: failure.reason }, now) : only(state);
}

function due(state: Machine): Decision {
  if (state.phase !== 'open') return only(state);
  const halfOpen: Machine = { ...state, phase: 'half_open' };
  if (state.leader !== null) return only(halfOpen); // its process probes, and the next heartbeat says what came of it
  const news: Effect = { kind: 'tell', state: 'half_open', reason: state.reason };
  // One at a time: a probe from before a reset by hand may still be out, and its answer is as good.
  return { state: { ...halfOpen, probing: true }, effects: state.probing ? [news] : [news, { kind: 'probe' }] };
}

function probed(state: Machine, failure: Failure | null, now: number): Decision {
  if (state.phase !== 'half_open' || state.leader !== null) return only(state); // somebody else has decided meanwhile
  if (failure === null) return close(state, 'the probe succeeded', state.settings.trialAfterProbe, now);
  return reopen(resting(state, failure.restMs, now), failure.reason, now);
}

function followed(state: Machine, leader: Leader | null, now: number): Decision {
  if (state.leader !== null) {
    // It closed there, or the process that probed for us is gone: one call of our own finds out.
    return leader === null ? close(state, `it is closed in ${state.leader.process}`, true, now) : only({ ...state, leader });
  }
  if (leader === null || leader.openedAt <= state.resetAt) return only(state);
  if (state.openedAt !== null && leads({ openedAt: state.openedAt, process: state.settings.process }, leader)) return only(state);
  return open({ ...state, leader, reason: leader.reason }, now);
}

/** `at`: when the sign was given. */
function heard(before: Machine, sign: SignKind, at: number, now: number): Decision {
  const { openedAt } = before;
  // Who follows is told by its leader; what came before the opening says nothing.
  if (before.phase !== 'open' || before.leader !== null || openedAt === null) return only(before);
  if (at <= Math.max(openedAt, before.heardAt[sign] + SAME_SIGN_MS)) return only(before);
  const state = { ...before, heardAt: { ...before.heardAt, [sign]: at } };
  const soonMs = SOONEST_MS[sign] * (sign === 'word' ? 2 ** state.inVain : 1);
  const probeAt = Math.max(now, openedAt + soonMs, state.restUntil);
  if (probeAt >= state.probeAt) return only(state);
  const inVain = state.inVain + (sign === 'word' ? 1 : 0);
  return {
    state: { ...state, inVain, recoveryMs: Math.min(state.recoveryMs, soonMs), probeAt },
    effects: [{ kind: 'open', forMs: probeAt - now }],
  };
}

function only(state: Machine): Decision {
  return { state, effects: [] };
}

/** The other side may have asked for a longer rest than the probe would give it. */
function open(state: Machine, now: number): Decision {
  if (state.phase === 'open') return only(state);
  const forMs = Math.max(state.recoveryMs, state.restUntil - now);
  return {
    state: { ...state, phase: 'open', openedAt: now, probeAt: now + forMs, onTrial: false },
    effects: [
      { kind: 'open', forMs },
      { kind: 'tell', state: 'open', reason: state.reason },
    ],
  };
}

function reopen(state: Machine, reason: string, now: number): Decision {
  const recoveryMs = Math.min(state.settings.figures.maxResetSeconds * 1000, state.recoveryMs * 2);
  return open({ ...state, reason, recoveryMs }, now);
}

function close(before: Machine, why: string, onTrial: boolean, now: number): Decision {
  if (before.phase === 'closed') return only(onTrial ? { ...before, onTrial } : proven(before));
  const closed: Machine = { ...before, phase: 'closed', openedAt: null, closedAt: now, leader: null, window: EMPTY, onTrial };
  return {
    state: onTrial ? closed : proven(closed),
    effects: [{ kind: 'close' }, { kind: 'tell', state: 'closed', reason: why }],
  };
}

/** Well again: all is forgotten. */
function proven(state: Machine): Machine {
  return { ...state, onTrial: false, inVain: 0, recoveryMs: state.settings.figures.resetSeconds * 1000 };
}

function resting(state: Machine, restMs: number, now: number): Machine {
  return restMs > 0 ? { ...state, restUntil: Math.max(state.restUntil, now + restMs) } : state;
}

function nextProbeAt(state: Machine): number | null {
  if (state.leader !== null && state.leader.nextProbeAt !== null) return state.leader.nextProbeAt;
  return state.openedAt === null ? null : state.probeAt;
}

/** Calls that ended within WINDOW_SECONDS, counted by the second: the database's breaker sees hundreds of them in one. */
type Window = { readonly past: readonly Second[]; readonly current: Second };
type Second = { readonly at: number; readonly calls: number; readonly failures: number; readonly timeouts: number };

const EMPTY: Window = { past: [], current: { at: 0, calls: 0, failures: 0, timeouts: 0 } };

function noted({ past, current }: Window, failure: Failure | null, now: number): Window {
  const at = Math.floor(now / 1000);
  const same = current.at === at;
  const { calls, failures, timeouts } = same ? current : EMPTY.current;
  const isTimeout = failure !== null && /timeout|timed out/i.test(failure.reason);
  return {
    past: same ? past : [...past, current].filter((each) => isCounted(each, now)),
    current: { at, calls: calls + 1, failures: failures + (failure === null ? 0 : 1), timeouts: timeouts + (isTimeout ? 1 : 0) },
  };
}

function totals({ past, current }: Window, now: number): Omit<Second, 'at'> {
  const sum = { calls: 0, failures: 0, timeouts: 0 };
  for (const each of [...past, current]) {
    if (!isCounted(each, now)) continue;
    sum.calls += each.calls;
    sum.failures += each.failures;
    sum.timeouts += each.timeouts;
  }
  return sum;
}

function isCounted({ at }: Second, now: number): boolean {
  return at > Math.floor(now / 1000) - WINDOW_SECONDS;
}
