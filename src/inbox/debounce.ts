/** How long a burst is waited for. Pure. */

export type DebounceSettings = { debounceMs: number; debounceMaxMs: number };

/**
 * Milliseconds to wait before a turn is claimed: `debounceMs` after the newest message, but never more than `debounceMaxMs` after the first
 * unanswered one, so that somebody who keeps typing is answered too.
 */
export function debounceDelay(firstPendingAt: Date, now: Date, settings: DebounceSettings): number {
  return debounceLeft(now.getTime() - firstPendingAt.getTime(), settings);
}

/** The same, by how long the first unanswered message has waited. */
export function debounceLeft(pendingMs: number, settings: DebounceSettings): number {
  return Math.max(0, Math.min(settings.debounceMs, settings.debounceMaxMs - pendingMs));
}

/** Presence and messages come as webhooks without an order: what is told of typing so soon after a message is of that message, which ended it. Milliseconds. */
const OWN_TYPING_MS = 800;

/** A phone that is typed on says so again within this; one that went silent has stopped, even when nobody told. Milliseconds. */
const TYPING_SILENCE_MS = 6_000;

/**
 * As `debounceDelay`, knowing what the contact does. Typing: wait for the rest, up to the cap, but not long after silence. Recording: wait up to the cap, since
 * WhatsApp does not repeat that news. Stopped: the burst may be over. Null: it says nothing new. `newestAt` is the newest unanswered message.
 */
export function presenceDelay(
  presence: string,
  pending: { firstAt: Date; newestAt: Date; now: Date },
  settings: DebounceSettings,
): number | null {
  const { firstAt, newestAt, now } = pending;
  if (presence !== 'composing' && presence !== 'recording') return debounceDelay(firstAt, now, settings);
  if (now.getTime() - newestAt.getTime() < OWN_TYPING_MS) return null;
  const cap = Math.max(0, firstAt.getTime() + settings.debounceMaxMs - now.getTime());
  return presence === 'recording' ? cap : Math.min(cap, Math.max(settings.debounceMs, TYPING_SILENCE_MS));
}
