/** What a failure of the model means: one table, for the breaker, the turn and the alerts. Pure. */

export type ModelFailureKind =
  | 'aborted'
  | 'timeout'
  | 'unreachable'
  | 'overloaded'
  | 'rate_limited'
  | 'breaker_open'
  | 'unauthorized'
  | 'forbidden'
  | 'billing'
  | 'model_gone'
  | 'empty_answer'
  | 'refusal'
  | 'spend_ceiling'
  | 'context_exceeded'
  | 'refused';

/**
 * Whose fault it is decides what becomes of the turn:
 *   nobody          the turn is put off and uses no attempt; the agent goes on by itself when the model is back
 *   configuration   as `nobody`, and the people who run this are told at once: only they can end it
 *   answer          the same request may succeed: it is tried again, and uses an attempt
 *   money           a ceiling of money has no room for it: the contact hears a sentence, and a person goes on
 *   request         the same request fails each time: a person is called
 */
export type Fault = 'nobody' | 'configuration' | 'answer' | 'money' | 'request';

/** `counts`: it says something of the model's health, so its breaker counts it. `other`: another model may answer the same request. */
type Meaning = { fault: Fault; counts: boolean; other: boolean };

export const MODEL_FAILURES: Readonly<Record<ModelFailureKind, Meaning>> = {
  aborted: { fault: 'nobody', counts: false, other: false }, // by ourselves
  timeout: { fault: 'nobody', counts: true, other: true },
  unreachable: { fault: 'nobody', counts: true, other: true },
  overloaded: { fault: 'nobody', counts: true, other: true },
  rate_limited: { fault: 'nobody', counts: true, other: true },
  breaker_open: { fault: 'nobody', counts: false, other: true },
  unauthorized: { fault: 'configuration', counts: true, other: false },
  forbidden: { fault: 'configuration', counts: true, other: true }, // a key may be good for one model only
  billing: { fault: 'configuration', counts: true, other: false },
  model_gone: { fault: 'configuration', counts: false, other: true },
  empty_answer: { fault: 'answer', counts: false, other: false },
  refusal: { fault: 'request', counts: false, other: true }, // its classifiers declined these words; the agent answers with what it knows of it
  spend_ceiling: { fault: 'money', counts: false, other: true }, // before it was made; a cheaper model may have room
  context_exceeded: { fault: 'request', counts: false, other: true }, // not every model reads as much
  refused: { fault: 'request', counts: false, other: true },
};

const GRAVITY: readonly Fault[] = ['nobody', 'configuration', 'answer', 'money', 'request'];

/** Of the failures of two models the one that decides: who can still answer decides, and of two alike the one that says more. */
export function decisive<F extends { kind: ModelFailureKind }>(first: F, second: F): F {
  // Who has declined will decline again, and the contact should not wait for the other one to come back.
  if (first.kind === 'refusal' || second.kind === 'refusal') return first.kind === 'refusal' ? first : second;
  const gravity = ({ kind }: F): number => GRAVITY.indexOf(MODEL_FAILURES[kind].fault);
  if (gravity(first) !== gravity(second)) return gravity(first) < gravity(second) ? first : second;
  return first.kind === 'breaker_open' ? second : first;
}

/** Reasons of turns are `model_` and the kind of the failure; null for others. */
export function faultOf(reason: string): Fault | null {
  const kind = reason.startsWith('model_') ? reason.slice('model_'.length) : '';
  return Object.hasOwn(MODEL_FAILURES, kind) ? MODEL_FAILURES[kind as ModelFailureKind].fault : null;
}

/** A provider that asks for more than this has a limit that somebody must lift; it is looked at again every hour. Milliseconds. */
const MOST_MS = 3_600_000;

/** Milliseconds that an answer asks us to wait (`retry-after-ms`, `retry-after` in seconds or as a date, RFC 9110 10.2.3); 0 when it asks for none. */
export function retryAfterMs(headers: { get(name: string): string | null } | undefined, now: Date): number {
  const exact = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  const said = headers?.get('retry-after')?.trim() ?? '';
  const asked = Number.isFinite(exact) ? exact : /^\d+(\.\d+)?$/.test(said) ? Number(said) * 1_000 : Date.parse(said) - now.getTime();
  return Number.isFinite(asked) ? Math.min(MOST_MS, Math.max(0, asked)) : 0;
}
