/** Waits between tries, and how our own words are recognised in what Evolution knows. Pure. */
import type { InboundEvent } from '../whatsapp/inbound-event.ts';

/** Tries of one message that surely did not leave; then it ends as failed and a person is told. */
export const MAX_ATTEMPTS = 5;

/** Milliseconds before the next try: 5 s, 15 s, 45 s ... at most 10 minutes, with a quarter of jitter. `attempts` counts from 1. */
export function retryDelay(attempts: number, random: number): number {
  const base = Math.min(600_000, 5_000 * 3 ** Math.max(0, attempts - 1));
  return Math.round(base * (1 + random / 4));
}

/** Milliseconds before the next try of a message that waits through no fault of its own (its number, a limit of the provider): 5 s at first, up to a minute. */
export function waitDelay(waitedMs: number, random: number): number {
  return Math.round(Math.min(60_000, Math.max(5_000, waitedMs / 4)) * (1 + random / 4));
}

/** From a doubtful answer to the first look: by then the echo has mostly come. Milliseconds. */
export const FIRST_LOOK_MS = 2_000;
/** Before each further look. Milliseconds. */
const LOOKS_MS = [3_000, 5_000, 10_000, 20_000, 30_000];
/** From its claim on, an uncertain send is looked for at least so long: a worker that died may have left a call at work in Evolution (AT_WORK_MS). */
const DOUBT_MS = 105_000;
/** And at least so often; more when the worker died, since nobody began to look before that was noticed. */
const LEAST_LOOKS = { answered: 3, lost: 5 };

/**
 * Milliseconds before the next look at an uncertain send that was looked for `looks` times; null: that was the last, and the conversation goes on. With
 * looks of some seconds, and however Evolution fails to answer them, a send that nobody can settle is given up within two minutes of its claim.
 */
export function nextLook(send: { reason: string | null; claimed_at: Date; looks: number; now: Date }): number | null {
  const ageMs = send.now.getTime() - send.claimed_at.getTime();
  const least = isLost(send.reason) ? LEAST_LOOKS.lost : LEAST_LOOKS.answered;
  if (ageMs >= DOUBT_MS && send.looks >= least) return null;
  const wait = LOOKS_MS[Math.min(send.looks - 1, LOOKS_MS.length - 1)] ?? 0;
  return ageMs < DOUBT_MS ? Math.min(wait, DOUBT_MS - ageMs) : wait;
}

/** Nobody heard an answer to it: its worker died, or the database is older than what it says (see mark_restored in SQL). */
function isLost(reason: string | null): boolean {
  return reason === 'worker_lost' || reason === 'restored';
}

/** Within this time after the claim a request that a dead worker wrote may still be at work in Evolution. Milliseconds. */
const AT_WORK_MS = 100_000;

/**
 * Whether not finding a message proves that it never left, when Evolution is known to store this chat (another message of it is there). Only when its
 * worker died without hearing anything: an answer that was an error may mean that Evolution sent the message and then failed to store it (contract 4.2).
 * And only when Evolution has had the time to finish.
 */
export function absenceProves(look: { reason: string | null; claimed_at: Date; now: Date }): boolean {
  return look.reason === 'worker_lost' && look.now.getTime() - look.claimed_at.getTime() >= AT_WORK_MS;
}

/** Ids of own messages (or reactions) with the same words, written since `from`, oldest first: of equal parts the first is settled first. */
export function matchEcho(send: { type: string; text: string }, found: InboundEvent[], from: Date): string[] {
  return found
    .filter((event) => event.kind === 'message' || event.kind === 'reaction')
    .filter((event) => event.fromMe)
    .filter((event) => (event.kind === 'reaction') === (send.type === 'reaction'))
    .filter((event) => sameWords(wordsOf(event), send.text) && Date.parse(event.sentAt) >= from.getTime())
    .toSorted((a, b) => Date.parse(a.sentAt) - Date.parse(b.sentAt))
    .map((event) => event.providerId);
}

function wordsOf(event: Extract<InboundEvent, { kind: 'message' | 'reaction' }>): string {
  return event.kind === 'reaction' ? (event.emoji ?? '') : event.content.text;
}

/** As same_words in SQL. */
function sameWords(a: string, b: string): boolean {
  return a.replaceAll(/\s+/g, ' ').trim() === b.replaceAll(/\s+/g, ' ').trim();
}
