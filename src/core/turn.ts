/**
 * Decides what becomes of a turn. Pure: the snapshot and the clock come in, a decision goes out.
 *
 * A turn, from the first message to the end:
 *   waiting     messages are stored, a job waits for the burst to end (`debounceDelay`)
 *   claimed     one worker holds the lease; `decideTurn` looks at the snapshot
 *   running     the model works; a newer message aborts it, at most twice in a row, then the answer goes
 *   committed | superseded | suppressed | skipped | handed_over | failed     see complete_turn in SQL
 */

/** What the decision looks at; `TurnClaim` of db/turns.ts has all of it. */
export type TurnSnapshot = {
  now: Date;
  holder: 'agent' | 'human' | 'takeover' | 'manual';
  failed_in_row: number;
  /** Since when turns have been failing, null when the last one did not. */
  failing_since: Date | null;
  pending: { type: string; text: string; at: Date; created_at: Date }[];
  history: { direction: 'in' | 'out'; author: 'contact' | 'agent' | 'human' | 'system'; type: string; at: Date }[];
  agent: { model: string | null; model_complex: string | null } | null;
};

export type TurnSettings = {
  maxMessageAgeMinutes: number;
  /** null: there is no key for the model */
  models: { normal: string; complex: string } | null;
};

export type TurnDecision =
  /** Nothing is said; the messages get this reason. `tellPerson`: they are listed to a person, who may still want to answer. */
  | { kind: 'skip'; reason: 'too_old' | 'answered_by_person'; tellPerson: boolean }
  /** A person has this conversation already. */
  | { kind: 'leave'; reason: 'human' | 'takeover' | 'manual' }
  /** A person is needed. `text` goes to the contact first, when there is something honest to say. */
  | { kind: 'handoff'; reason: 'no_model' | 'no_agent' | 'turn_failed'; text: string | null }
  | { kind: 'canned'; reason: 'too_long'; text: string }
  | { kind: 'run'; model: string };

/** A turn that failed so often (by the model, or by a worker that died) goes to a person. */
export const MAX_FAILED_TURNS = 3;

/** Characters of one message: above, the contact is asked for a summary instead of the model being fed a book. */
export const MAX_MESSAGE_CHARS = 10_000;
/** Characters of one message that the model reads. */
export const MAX_PROMPT_CHARS = 4_000;

export function decideTurn(turn: TurnSnapshot, settings: TurnSettings): TurnDecision {
  if (turn.holder !== 'agent') return { kind: 'leave', reason: turn.holder };
  const newest = Math.max(...turn.pending.map((message) => message.at.getTime()));
  if (answeredByPerson(turn)) return { kind: 'skip', reason: 'answered_by_person', tellPerson: false };
  if (turn.now.getTime() - newest > settings.maxMessageAgeMinutes * 60_000) return { kind: 'skip', reason: 'too_old', tellPerson: true };
  if (turn.agent === null) return { kind: 'handoff', reason: 'no_agent', text: null };
  if (settings.models === null) return { kind: 'handoff', reason: 'no_model', text: null };
  if (keepsFailing(turn)) return { kind: 'handoff', reason: 'turn_failed', text: FALLBACK_TEXT };
  if (turn.pending.every((message) => message.text.length > MAX_MESSAGE_CHARS))
    return { kind: 'canned', reason: 'too_long', text: TOO_LONG_TEXT };
  return {
    kind: 'run',
    model: needsComplexModel(turn) ? (turn.agent.model_complex ?? settings.models.complex) : (turn.agent.model ?? settings.models.normal),
  };
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

/** Somebody who waits gets an answer, the fallback text or a person within two minutes. */
const FAILING_MS = 60_000;

function keepsFailing({ failed_in_row: failed, failing_since: since, now }: TurnSnapshot): boolean {
  // One failure is not enough, however long ago: a pause or an outage may lie between.
  return failed >= MAX_FAILED_TURNS || (failed >= 2 && since !== null && now.getTime() - since.getTime() >= FAILING_MS);
}

/** Milliseconds that a turn may take: less after a failure, so that the fallback text still leaves within two minutes of the first try. */
export function turnTimeLimit(turn: Pick<TurnSnapshot, 'failing_since' | 'now'>, limitMs: number): number {
  if (turn.failing_since === null) return limitMs;
  const leftMs = turn.failing_since.getTime() + 1.75 * FAILING_MS - turn.now.getTime();
  return Math.max(5_000, Math.min(limitMs, leftMs));
}

export const FALLBACK_TEXT = 'Desculpe, tive um problema para responder agora. Já avisei a equipe, e uma pessoa vai continuar por aqui.';
const TOO_LONG_TEXT =
  'Recebi sua mensagem, mas ela é longa demais para eu ler inteira por aqui. Pode me mandar um resumo com o mais importante?';

/** Objections, anger and haggling deserve the better model; so does a long talk. */
const DIFFICULT =
  /(?<!\p{L})(car[oa]s?|descontos?|negocia\p{L}*|cancel(ar|a|e|ei|amento)|reembols\p{L}*|reclama\p{L}*|procon|advogad[oa]|absurd[oa]|p[eé]ssim\p{L}*|horr[ií]vel|decepcion\p{L}*|nunca mais|engana\p{L}*|golpe|concorr\p{L}+|n[ãa]o (funciona|concordo|aceito))(?!\p{L})/iu;
const LONG_TALK_MESSAGES = 10;

function needsComplexModel(turn: TurnSnapshot): boolean {
  return (
    turn.pending.some((message) => DIFFICULT.test(message.text)) ||
    turn.history.filter((message) => message.direction === 'in').length > LONG_TALK_MESSAGES
  );
}

export type DebounceSettings = { debounceMs: number; debounceMaxMs: number };

/**
 * Milliseconds to wait before a turn is claimed: `debounceMs` after the newest message, but never more than `debounceMaxMs` after the first
 * unanswered one, so that somebody who keeps typing is answered too.
 */
export function debounceDelay(firstPendingAt: Date, now: Date, settings: DebounceSettings): number {
  const cap = firstPendingAt.getTime() + settings.debounceMaxMs - now.getTime();
  return Math.max(0, Math.min(settings.debounceMs, cap));
}

/** As `debounceDelay`, told that the contact is typing or recording (wait for the rest, up to the cap) or has stopped (the burst may be over). */
export function presenceDelay(presence: string, firstPendingAt: Date, now: Date, settings: DebounceSettings): number {
  if (presence !== 'composing' && presence !== 'recording') return debounceDelay(firstPendingAt, now, settings);
  return Math.max(0, firstPendingAt.getTime() + settings.debounceMaxMs - now.getTime());
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
