/** What one answer to a send says about the health of the number that sent it. Pure. */
import type { SendOutcome } from './send-outcome.ts';

/** Proactive messages rest for so long, and the trust figure (0..100) falls by so much; see number_trouble in SQL. */
export type Trouble = { reason: string; minutes: number; trust: number };

/**
 * WhatsApp's own words for a number that it has restricted, wherever they come: 463 is the limit on writing to strangers ("reach-out time lock").
 */
const RESTRICTION =
  /reach.?out|time.?lock|\b463\b|restrict|banned|\bspam\b|blocked by whatsapp|temporar\w* (?:block|suspend|unavailable for this account)/i;

/** Null: it says nothing about the number. What is the message's own fault (an unknown recipient, an invalid request) does not count. */
export function troubleOf(outcome: SendOutcome): Trouble | null {
  if (outcome.kind === 'sent') return null;
  if (RESTRICTION.test(outcome.detail)) return { reason: 'number_restricted', minutes: 60, trust: 30 };
  if (outcome.kind === 'ambiguous') return AMBIGUOUS.has(outcome.class) ? REFUSED : null;
  switch (outcome.class) {
    case 'rate_limited':
      return { reason: 'number_rate_limited', minutes: 5, trust: 10 };
    case 'restricted':
      return { reason: 'number_restricted', minutes: 60, trust: 30 };
    case 'unauthorized':
      return { reason: 'number_unauthorized', minutes: 5, trust: 0 };
    case 'service_unavailable':
      return { reason: 'number_unavailable', minutes: 5, trust: 5 };
    case 'unlicensed':
      return { reason: 'number_unlicensed', minutes: 5, trust: 0 };
    case 'bad_request':
    case 'not_on_whatsapp':
    case 'unknown_instance':
    case 'disconnected': // held by its state
    case 'unavailable': // Evolution's own absence: the breaker's business
    case 'provider_error':
      return null;
  }
}

/** HTTP 400 of Evolution after the number check: the sending itself failed. */
const REFUSED: Trouble = { reason: 'number_refused', minutes: 15, trust: 10 };
/** `timeout` is left out: it is also our own patience running out, and `Error: Timed Out` of WhatsApp is rare enough for the breaker. */
const AMBIGUOUS = new Set<string>(['provider_error', 'connection_closed']);
