/**
 * Whether a conversation costs money without a customer in it: another bot or agent that answers each answer, the same text again and again, floods, or more
 * turns and tokens than one contact needs in a day. Pure, and asked before any model call; the figures come with the claim of the turn.
 *
 * The first time one polite line is said and a person is told; then it is quiet, and each further message of a machine prolongs the quiet.
 */
import { foldWords } from '../../words/fold.ts';
import { MENU, SERVING, SHORTHAND } from './machine-words.ts';

export type AbuseReason = 'abuse_loop' | 'abuse_agent' | 'abuse_repeated' | 'abuse_flood' | 'abuse_daily_turns' | 'abuse_daily_tokens';

export type AbuseMessage = { direction: 'in' | 'out'; author: string; type: string; text: string | null; at: Date };

export type AbuseSnapshot = {
  now: Date;
  /** Oldest first, without the unanswered ones. */
  history: AbuseMessage[];
  pending: AbuseMessage[];
  /** Of this contact in 24 hours. */
  today: { turns: number; tokens: number };
  /** Since then it gets no answer through no fault of its own: who asks again "is anybody there?" is no machine. */
  waitedSince: Date | null;
};

export type AbuseLimits = { turnsPerDay: number; tokensPerDay: number };

/** Messages of one burst, and within a minute: nobody types so many. */
const FLOOD_BURST = 30;
const FLOOD_MESSAGES = 30;
const FLOOD_MS = 60_000;

/** The same words so often within an hour; short ones (`oi`, `ok`) are more often innocent. */
const REPEATS = 6;
const SHORT_REPEATS = 10;
const SHORT_CHARS = 8;
const REPEATS_MS = 60 * 60_000;

/** Rounds of answer and reply in a row that are looked at. */
const LOOP_ROUNDS = 10;
/** A reply so soon after each of our answers, with hardly any difference between them, is a program's. Milliseconds. */
const LOOP_REPLY_MS = 6_000;
const LOOP_SPREAD_MS = 2_000;
/** Replies of some length that are alike so far (0..1): a menu, an absence note. */
const ALIKE = 0.85;
const ALIKE_ROUNDS = 6;
const ALIKE_CHARS = 20;
/** So many rounds within such a time leave no time to read. */
const VOLLEY_ROUNDS = 14;
const VOLLEY_MS = 2 * 60_000;

export function abuseOf(turn: AbuseSnapshot, limits: AbuseLimits): AbuseReason | null {
  const heard = [...turn.history, ...turn.pending].filter((message) => message.direction === 'in' && message.type !== 'reaction');
  if (isFlood(heard, turn)) return 'abuse_flood';
  if (isRepeated(heard, turn)) return 'abuse_repeated';
  const before = roundsOf(turn.history).length;
  const rounds = roundsOf([...turn.history, ...turn.pending]);
  // What does not answer us goes on with nothing, whatever was before.
  if (rounds.length > before && isLoop(rounds)) return 'abuse_loop';
  if (rounds.length > before && isAgent(rounds, turn.now)) return 'abuse_agent';
  if (turn.today.turns >= limits.turnsPerDay) return 'abuse_daily_turns';
  return turn.today.tokens >= limits.tokensPerDay ? 'abuse_daily_tokens' : null;
}

/** Seconds without an answer. A machine that goes on prolongs it; a customer who had too much of a day is heard again sooner or later. */
export function quietSeconds(reason: AbuseReason): number {
  return reason === 'abuse_daily_turns' || reason === 'abuse_daily_tokens' ? 6 * 3600 : 3600;
}

/** Whether further messages prolong the quiet. */
export function isMachine(reason: string): boolean {
  return reason === 'abuse_loop' || reason === 'abuse_agent' || reason === 'abuse_repeated' || reason === 'abuse_flood';
}

function isFlood(heard: AbuseMessage[], { pending, now, waitedSince }: AbuseSnapshot): boolean {
  // Who waits for an answer may write so many over the hours; in a minute nobody does.
  const ends = waitedSince === null ? [now] : pending.map(({ at }) => at);
  const within = (end: Date): number =>
    heard.filter(({ at }) => at.getTime() <= end.getTime() && end.getTime() - at.getTime() <= FLOOD_MS).length;
  return (waitedSince === null && pending.length >= FLOOD_BURST) || ends.some((end) => within(end) >= FLOOD_MESSAGES);
}

function isRepeated(all: AbuseMessage[], { now, waitedSince }: AbuseSnapshot): boolean {
  const waited = waitedSince === null ? [] : all.filter(({ at }) => at.getTime() > waitedSince.getTime()).slice(0, -1);
  const heard = all.filter((message) => !waited.includes(message));
  const newest = heard.at(-1);
  if (newest === undefined || newest.text === null) return false;
  const words = foldWords(newest.text);
  // Without words (an emoji, a picture) nothing is repeated but a gesture.
  if (words === '' || newest.type !== 'text') return false;
  const same = heard.filter(
    (message) => message.text !== null && now.getTime() - message.at.getTime() <= REPEATS_MS && foldWords(message.text) === words,
  );
  return same.length >= (words.length < SHORT_CHARS ? SHORT_REPEATS : REPEATS);
}

/** One round: our last words, and what came as a reply to them. */
type Round = {
  answeredAt: Date;
  repliedAt: Date;
  /** Of the first reply: its folded words, and the text itself; null when it is none. */
  reply: string;
  text: string | null;
  /** How many messages came before we spoke again. */
  messages: number;
};

function roundsOf(messages: AbuseMessage[]): Round[] {
  const rounds: Round[] = [];
  let said: AbuseMessage | null = null;
  for (const message of messages) {
    if (message.type === 'reaction' || message.author === 'automatic') continue;
    if (message.direction === 'out') {
      // Somebody of the team is at work: no loop.
      if (message.author === 'human') rounds.length = 0;
      said = message;
    } else if (said !== null) {
      const text = message.type === 'text' ? message.text : null;
      rounds.push({ answeredAt: said.at, repliedAt: message.at, reply: foldWords(message.text ?? ''), text, messages: 1 });
      said = null;
    } else {
      const round = rounds.at(-1);
      if (round !== undefined) round.messages++;
    }
  }
  return rounds;
}

function isLoop(rounds: Round[]): boolean {
  const newest = rounds.slice(-MENU_ROUNDS);
  if (newest.length === MENU_ROUNDS && newest.every(({ reply }) => MENU.test(reply))) return true;

  const waits = rounds.slice(-LOOP_ROUNDS).map((round) => round.repliedAt.getTime() - round.answeredAt.getTime());
  if (waits.length === LOOP_ROUNDS && Math.max(...waits) <= LOOP_REPLY_MS && Math.max(...waits) - Math.min(...waits) <= LOOP_SPREAD_MS)
    return true;

  const replies = rounds.slice(-ALIKE_ROUNDS).map((round) => round.reply);
  if (
    replies.length === ALIKE_ROUNDS &&
    replies.every((reply, index) => reply.length >= ALIKE_CHARS && (index === 0 || likeness(reply, replies[index - 1] ?? '') >= ALIKE))
  )
    return true;

  const volley = rounds.slice(-VOLLEY_ROUNDS);
  const [first, last] = [volley[0], volley.at(-1)];
  return (
    volley.length === VOLLEY_ROUNDS &&
    first !== undefined &&
    last !== undefined &&
    last.repliedAt.getTime() - first.answeredAt.getTime() <= VOLLEY_MS
  );
}

/**
 * Another agent words every reply differently, at whatever pace, so neither likeness nor rhythm tells it: its writing does. It sends one message for each of
 * ours, each a whole sentence with its capital and its full stop, and speaks as somebody who serves; or it writes more than a hand can.
 */
function isAgent(rounds: Round[], now: Date): boolean {
  const today = rounds.filter((round) => now.getTime() - round.repliedAt.getTime() <= AGENT_MS);
  const fast = today.slice(-FAST_ROUNDS);
  if (fast.length === FAST_ROUNDS && fast.filter(isFasterThanHands).length >= FAST_ROUNDS - 1) return true;

  const ten = today.slice(-AGENT_ROUNDS);
  if (ten.length < AGENT_ROUNDS || ten.filter((round) => round.messages > 1).length > 1) return false;
  const composed = ten.filter(({ text }) => text !== null && isComposed(text));
  const serving = ten.filter(({ text }) => text !== null && SERVING.test(foldWords(text)));
  if (composed.length >= AGENT_ROUNDS - 1 && (serving.length >= 2 || ten.filter(isFasterThanHands).length >= AGENT_ROUNDS / 2)) return true;

  const twelve = today.slice(-FORMAL_ROUNDS);
  return (
    twelve.length === FORMAL_ROUNDS &&
    twelve.every(({ text, messages }) => text !== null && messages === 1 && isComposed(text)) &&
    twelve.reduce((sum, { text }) => sum + (text?.length ?? 0), 0) >= FORMAL_ROUNDS * FORMAL_CHARS
  );
}

const AGENT_MS = 24 * 3600_000;
const AGENT_ROUNDS = 10;
/** Nothing but whole sentences, long ones, for so many rounds: also without a word of service. */
const FORMAL_ROUNDS = 12;
const FORMAL_CHARS = 60;
const FAST_ROUNDS = 8;
/** More than a quick hand types in a second, a second for the clock of whole ones, and what predictive text adds. */
const TYPED_CHARS_PER_SECOND = 12;
const PREDICTED_CHARS = 20;

function isFasterThanHands({ answeredAt, repliedAt, text }: Round): boolean {
  if (text === null) return false;
  const seconds = Math.max(0, repliedAt.getTime() - answeredAt.getTime()) / 1000;
  return text.length > PREDICTED_CHARS + TYPED_CHARS_PER_SECOND * (seconds + 1);
}

const COMPOSED_CHARS = 25;
const COMPOSED_WORDS = 5;

/** Whether a text is written as a program of words writes: whole, punctuated, without the shorthand and the laughter of a chat. */
function isComposed(text: string): boolean {
  const line = text.trim();
  const words = foldWords(line);
  return (
    line.length >= COMPOSED_CHARS &&
    words.split(' ').length >= COMPOSED_WORDS &&
    /^[^\p{L}]*\p{Lu}/u.test(line) &&
    /(?:[.!?…:)]|\p{Extended_Pictographic}\uFE0F?)$/u.test(line) &&
    !SHORTHAND.test(words) &&
    !/(\p{L})\1\1/iu.test(line)
  );
}

/** What only a machine says, so often in a row as the first words of each reply. A person may paste one such line, and asks something about it. */
const MENU_ROUNDS = 3;

/** Share of letter pairs that two texts have in common, 0..1. */
export function likeness(a: string, b: string): number {
  if (a === b) return 1;
  const pairs = new Map<string, number>();
  for (let at = 0; at < a.length - 1; at++) pairs.set(a.slice(at, at + 2), (pairs.get(a.slice(at, at + 2)) ?? 0) + 1);
  let common = 0;
  for (let at = 0; at < b.length - 1; at++) {
    const pair = b.slice(at, at + 2);
    const left = pairs.get(pair) ?? 0;
    if (left === 0) continue;
    pairs.set(pair, left - 1);
    common++;
  }
  return (2 * common) / Math.max(1, a.length + b.length - 2);
}
