/**
 * Decides what becomes of a turn. Pure: the snapshot and the clock come in, a decision goes out.
 *
 * A turn, from the first message to the end:
 *   waiting     messages are stored, a job waits for the burst to end (`debounceDelay`)
 *   claimed     one worker holds the lease; `decideTurn` looks at the snapshot
 *   running     the model works; a newer message aborts it, at most twice in a row, then the answer goes
 *   deferred    the model is unavailable, which is no failure of this turn: what is unanswered waits, and is tried again (`putOff`)
 *   committed | superseded | suppressed | skipped | handed_over | failed     see complete_turn in SQL
 */
import { abuseOf, isMachine, quietSeconds } from './checks/abuse.ts';
import type { AbuseLimits, AbuseMessage, AbuseReason } from './checks/abuse.ts';
import { routeOf } from './routing-words.ts';
import type { Route } from './routing-words.ts';
import type { ClaimedMoney, Refusal } from '../spend/calls.ts';
import type { SentenceName } from '../words/sentences.ts';

/** What the decision looks at; `TurnClaim` of turns/calls.ts has all of it. */
export type TurnSnapshot = {
  now: Date;
  holder: 'agent' | 'human' | 'takeover' | 'manual' | 'observe';
  failed_in_row: number;
  /** Since when turns have been failing, null when the last one did not. */
  failing_since: Date | null;
  /** Since when turns have been put off: the model is unavailable, or the answer could not leave soon (`replies_wait`). */
  deferred_since: Date | null;
  deferred_reason: string | null;
  /** When the contact was told of that. */
  apologised_at: Date | null;
  /** null: there is no ceiling of money. */
  money: ClaimedMoney | null;
  /** It is put off again and again while others are answered. */
  passed_over: boolean;
  pending: { type: string; text: string; at: Date; created_at: Date; intent: string | null }[];
  history: AbuseMessage[];
  /** Nothing is answered until then, after abuse. */
  quiet: { reason: string; until: Date } | null;
  /** Of this contact, in 24 hours. */
  today: { turns: number; tokens: number };
  /** The tenant's setting, when the contact asked whether it talks with a machine: `handoff` calls a person at once. */
  identity: string | null;
  agent: { model: string | null; model_complex: string | null } | null;
};

export type TurnSettings = {
  maxMessageAgeMinutes: number;
  /** null: there is no key for the model */
  models: { normal: string; complex: string } | null;
  /** null: nothing counts as abuse */
  abuse: AbuseLimits | null;
};

export type TurnDecision =
  /** Nothing is said; the messages get this reason. `tellPerson`: they are listed to a person, who may still want to answer. */
  | { kind: 'skip'; reason: 'too_old' | 'answered_by_person' | 'opted_out_already' | 'observed'; tellPerson: boolean }
  /** Somebody costs money who is no customer: `say` the first time, then nothing. `quietSeconds` null: the quiet that holds is not prolonged. */
  | { kind: 'quiet'; reason: AbuseReason; say: SentenceName | null; quietSeconds: number | null }
  /** A person has this conversation already. */
  | { kind: 'leave'; reason: 'human' | 'takeover' | 'manual' }
  /** A person is needed. `say` goes to the contact first, when there is something honest to say. */
  | { kind: 'handoff'; reason: 'no_model' | 'no_agent' | 'turn_failed' | 'bot_question'; say: SentenceName | null }
  | { kind: 'canned'; reason: 'too_long' | 'opt_out_confirmed' | 'resubscribe_confirmed'; say: SentenceName }
  /** A ceiling of money has no room for any model. `told`: the contact has heard so within a day. */
  | { kind: 'spent'; ceiling: Exclude<Refusal, 'lost'>; told: boolean }
  /** Nothing is said, ever: the model reads and notes. */
  | { kind: 'observe'; model: string; otherModel: string }
  | { kind: 'run'; route: Route; model: string; otherModel: string };

/** A turn that failed so often (by the model, or by a worker that died) goes to a person. */
export const MAX_FAILED_TURNS = 3;

/** Characters of one message: above, the contact is asked for a summary instead of the model being fed a book. */
export const MAX_MESSAGE_CHARS = 10_000;

/** Characters of one message that the model reads. */
export const MAX_PROMPT_CHARS = 4_000;

export function decideTurn(turn: TurnSnapshot, settings: TurnSettings): TurnDecision {
  if (turn.holder === 'observe') return decideObserved(turn, settings);
  if (turn.holder !== 'agent') return { kind: 'leave', reason: turn.holder };
  const newest = Math.max(...turn.pending.map((message) => message.at.getTime()));
  if (answeredByPerson(turn)) return { kind: 'skip', reason: 'answered_by_person', tellPerson: false };
  const intents = new Set(turn.pending.map((message) => message.intent));
  if (isTooOld(turn, newest, settings.maxMessageAgeMinutes * 60_000))
    return { kind: 'skip', reason: 'too_old', tellPerson: turn.pending.some((message) => !isOptOut(message.intent)) };
  // What was asked for holds already. Of two wishes the last one counts. Who asked hears it once.
  const wish = turn.pending.findLast(({ intent }) => intent === 'opt_out' || intent === 'resubscribe')?.intent;
  if (wish === 'opt_out') return { kind: 'canned', reason: 'opt_out_confirmed', say: 'opted_out' };
  if (turn.pending.every((message) => message.intent === 'opt_out_again'))
    return { kind: 'skip', reason: 'opted_out_already', tellPerson: false };
  if (wish === 'resubscribe') return { kind: 'canned', reason: 'resubscribe_confirmed', say: 'opted_in' };
  const abuse = decideQuiet(turn, settings.abuse);
  if (abuse !== null) return abuse;
  if (turn.agent === null) return { kind: 'handoff', reason: 'no_agent', say: null };
  if (settings.models === null) return { kind: 'handoff', reason: 'no_model', say: null };
  if (keepsFailing(turn) || turn.passed_over) return { kind: 'handoff', reason: 'turn_failed', say: 'fallback' };
  if (intents.has('bot_question') && turn.identity === 'handoff') return { kind: 'handoff', reason: 'bot_question', say: 'honest' };
  if (turn.pending.every((message) => message.text.length > MAX_MESSAGE_CHARS))
    return { kind: 'canned', reason: 'too_long', say: 'too_long' };
  if (turn.money !== null && 'refused' in turn.money) return { kind: 'spent', ceiling: turn.money.refused, told: turn.money.told };
  return { kind: 'run', ...choiceOf(routeOf(turn), turn.agent, settings.models) };
}

/** What costs money for nothing is not read, as where the agent answers; what fails again and again is left alone. */
function decideObserved(turn: TurnSnapshot, { models, abuse }: TurnSettings): TurnDecision {
  const quiet = decideQuiet(turn, abuse);
  if (quiet !== null) return quiet.kind === 'quiet' ? { ...quiet, say: null } : quiet;
  const isRefused = turn.money !== null && 'refused' in turn.money;
  if (turn.agent === null || models === null || isRefused || keepsFailing(turn) || turn.passed_over)
    return { kind: 'skip', reason: 'observed', tellPerson: false };
  const { model, otherModel } = choiceOf('plain', turn.agent, models);
  return { kind: 'observe', model, otherModel };
}

/** The rule, the model that it leads to, and the other one of the two, which answers when that one cannot. */
function choiceOf(
  route: Route,
  agent: NonNullable<TurnSnapshot['agent']>,
  models: NonNullable<TurnSettings['models']>,
): { route: Route; model: string; otherModel: string } {
  const normal = agent.model ?? models.normal;
  const complex = agent.model_complex ?? models.complex;
  const model = route === 'plain' ? normal : complex;
  const others = [route === 'plain' ? complex : normal, models.complex, models.normal];
  return { route, model, otherModel: others.find((each) => each !== model) ?? model };
}

/** A message that comes later than this after it was written missed the takeover of its time. Milliseconds. */
const LATE_MS = 60_000;

/** Webhooks that come late, all in one go: a person wrote on the phone after the contact did, and the takeover of that time is over. */
function answeredByPerson({ pending, history }: TurnSnapshot): boolean {
  const answeredAt = Math.max(
    ...history.map((line) => (line.author === 'human' && line.type !== 'reaction' ? line.at.getTime() : -Infinity)),
  );
  return pending.every(({ at, created_at: arrived }) => at.getTime() < answeredAt && arrived.getTime() - at.getTime() > LATE_MS);
}

const DAY_MS = 86_400_000;

/** While the model was unavailable nothing grew too old, up to a day: the contact was told that it will be answered. */
function isTooOld({ now, deferred_since: since }: TurnSnapshot, newestMs: number, maxAgeMs: number): boolean {
  if (since === null) return now.getTime() - newestMs > maxAgeMs;
  return since.getTime() - newestMs > maxAgeMs || now.getTime() - newestMs > Math.max(maxAgeMs, DAY_MS);
}

function isOptOut(intent: string | null): boolean {
  return intent === 'opt_out' || intent === 'opt_out_again';
}

function decideQuiet(turn: TurnSnapshot, limits: AbuseLimits | null): TurnDecision | null {
  if (limits === null) return null;
  if (turn.quiet !== null) {
    // complete_turn wrote the word, so it is one of them
    const reason = turn.quiet.reason as AbuseReason;
    return { kind: 'quiet', reason, say: null, quietSeconds: isMachine(reason) ? quietSeconds(reason) : null };
  }
  const pending = turn.pending.map((message): AbuseMessage => ({ ...message, direction: 'in', author: 'contact' }));
  const reason = abuseOf({ now: turn.now, history: turn.history, pending, today: turn.today, waitedSince: turn.deferred_since }, limits);
  if (reason === null) return null;
  return { kind: 'quiet', reason, say: isMachine(reason) ? 'machine' : 'enough', quietSeconds: quietSeconds(reason) };
}

/** Somebody who waits gets an answer, the fallback text or a person within two minutes. */
const FAILING_MS = 60_000;

function keepsFailing({ failed_in_row: failed, failing_since: since, now }: TurnSnapshot): boolean {
  // One failure is not enough, however long ago: a pause or an outage may lie between.
  return failed >= MAX_FAILED_TURNS || (failed >= 2 && since !== null && now.getTime() - since.getTime() >= FAILING_MS);
}

/**
 * A contact who waits for the model hears of it so long after it wrote. What is left of 120 s is for the try that may be under way just then, and for
 * the send. Milliseconds.
 */
const APOLOGY_MS = 105_000;

/** The least that a try gets. Milliseconds. */
const LEAST_MS = 8_000;

/** Milliseconds that a turn may take: less after a failure, or while the model is unavailable, so that who waits hears something within two minutes. */
export function turnTimeLimit(
  turn: Pick<TurnSnapshot, 'failing_since' | 'deferred_since' | 'deferred_reason' | 'apologised_at' | 'now'> & {
    pending: { created_at: Date }[];
  },
  limitMs: number,
): number {
  // A sentence about a model that is unavailable helps nobody whose answer could not leave.
  const waits = turn.deferred_since !== null && !isFull(turn.deferred_reason) && !hasApologised(turn);
  const since = Math.min(
    turn.failing_since?.getTime() ?? Infinity,
    ...(waits ? turn.pending.map((each) => each.created_at.getTime()) : []),
  );
  return Math.min(limitMs, Math.max(LEAST_MS, since + APOLOGY_MS - turn.now.getTime()));
}

/** The number has no room for more answers; see SQL room_at. */
function isFull(reason: string | null): boolean {
  return reason === 'replies_wait' || reason === 'answer_withdrawn';
}

/** An outage that goes on for longer than this deserves another word. Milliseconds. */
const SAME_OUTAGE_MS = 12 * 3_600_000;

function hasApologised({ apologised_at: at, now }: Pick<TurnSnapshot, 'apologised_at' | 'now'>): boolean {
  return at !== null && now.getTime() - at.getTime() < SAME_OUTAGE_MS;
}

/** A turn that is put off is tried again after as long as it has waited, within these. Milliseconds. */
const RETRY_MS = { nobody: { least: 2_000, most: 30_000 }, configuration: { least: 10_000, most: 300_000 } } as const;

/** When a turn that is put off is tried again (not before `retryInMs`), and what the contact hears meanwhile. */
export function putOff(
  turn: Pick<TurnSnapshot, 'deferred_since' | 'apologised_at' | 'now'>,
  failure: { fault: 'nobody' | 'configuration'; retryInMs: number },
  random: number,
): { retry_ms: number; apology_ms: number | null } {
  const { least, most } = RETRY_MS[failure.fault];
  const waitedMs = turn.deferred_since === null ? 0 : turn.now.getTime() - turn.deferred_since.getTime();
  const backoffMs = Math.min(most, Math.max(least, waitedMs)) * (1 + random / 4);
  return {
    retry_ms: Math.ceil(Math.max(failure.retryInMs, backoffMs)),
    apology_ms: hasApologised(turn) ? null : APOLOGY_MS,
  };
}

/**
 * Milliseconds before a failed turn is tried again: 2 s, 8 s, with up to a quarter of jitter, so that three calls that each hang for 30 s fit into
 * 120 s. After the last failure a person is called at once.
 */
export function turnRetryDelay(failedInRow: number, random: number): number {
  if (failedInRow >= MAX_FAILED_TURNS) return 0;
  const base = 2_000 * 4 ** Math.max(0, failedInRow - 1);
  return Math.round(base * (1 + random / 4));
}
