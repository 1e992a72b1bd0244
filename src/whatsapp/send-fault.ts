/**
 * Whose fault it is that a message did not leave, or that nobody knows, and what follows from that: one table. Pure.
 *
 *   message        this one message: the number is well, and others go
 *   installation   a setting of ours or of Evolution's is wrong: somebody may be correcting it
 *   gateway        Evolution, or what stands before it: restarting, overloaded, not there
 *   number         the socket of this number is dead, whatever Evolution says of it: a restart of the number may cure it
 *   whatsapp       WhatsApp itself refuses: only this costs the number trust
 *
 * What the gateway and the socket do holds sends by the breaker, which a sign of life closes; proactive messages rest only after WhatsApp's own words, and
 * while a setting is wrong.
 */
import { INCIDENTS } from './incidents.ts';
import type { Trouble } from './incidents.ts';
import type { AmbiguousClass, NotSentClass, SendOutcome } from './send-outcome.ts';

export type FailureClass = NotSentClass | AmbiguousClass;
export type Whose = 'message' | 'installation' | 'gateway' | 'number' | 'whatsapp';

export type Fault = {
  whose: Whose;
  /** What the breaker of the number hears. `nothing`: it says nothing of whether messages go, so a trial stays open. */
  breaker: 'failure' | 'success' | 'nothing';
  /** Whether it uses one of the message's attempts. */
  attempt: boolean;
  trouble: Trouble | null;
};

const FAULTS: Readonly<Record<FailureClass, Fault>> = {
  bad_request: { whose: 'message', breaker: 'nothing', attempt: true, trouble: null },
  not_on_whatsapp: { whose: 'message', breaker: 'success', attempt: true, trouble: null },
  unauthorized: { whose: 'installation', breaker: 'failure', attempt: true, trouble: INCIDENTS.send_unauthorized },
  unknown_instance: { whose: 'installation', breaker: 'failure', attempt: true, trouble: null },
  unlicensed: { whose: 'installation', breaker: 'failure', attempt: false, trouble: INCIDENTS.send_unlicensed },
  unavailable: { whose: 'gateway', breaker: 'failure', attempt: false, trouble: null },
  service_unavailable: { whose: 'gateway', breaker: 'failure', attempt: false, trouble: null },
  provider_error: { whose: 'gateway', breaker: 'failure', attempt: true, trouble: null },
  reset: { whose: 'gateway', breaker: 'failure', attempt: true, trouble: null },
  aborted: { whose: 'gateway', breaker: 'failure', attempt: true, trouble: null },
  proxy: { whose: 'gateway', breaker: 'failure', attempt: true, trouble: null },
  // Held by its state, and gone on with at the reconnect.
  disconnected: { whose: 'number', breaker: 'nothing', attempt: false, trouble: null },
  connection_closed: { whose: 'number', breaker: 'failure', attempt: false, trouble: null },
  timeout: { whose: 'number', breaker: 'failure', attempt: true, trouble: null },
  rate_limited: { whose: 'whatsapp', breaker: 'failure', attempt: false, trouble: INCIDENTS.send_rate_limited },
  restricted: { whose: 'whatsapp', breaker: 'failure', attempt: true, trouble: INCIDENTS.send_restricted },
};

/** Null: it left. */
export function faultOf(outcome: SendOutcome): Fault | null {
  if (outcome.kind === 'sent') return null;
  // WhatsApp's own words count in whichever error of Evolution they come.
  const whatsapp = RELAYS.has(outcome.class) && RESTRICTION.test(outcome.detail) && !/prisma/i.test(outcome.detail);
  return whatsapp ? { ...FAULTS[outcome.class], ...RESTRICTED } : FAULTS[outcome.class];
}

/** Answers in which Evolution passes on what was thrown while it sent. */
const RELAYS = new Set<FailureClass>(['provider_error', 'timeout', 'rate_limited', 'restricted']);
/** What WhatsApp says of a number that it has restricted: 463 is the limit on writing to strangers ("reach-out time lock"). */
const RESTRICTION =
  /reach.?out|time.?lock|\b463\b|\brestrict(?:ed|ions?)\b|banned|\bspam\b|blocked by whatsapp|temporar\w* (?:block|suspend|unavailable for this account)/i;
const RESTRICTED = { whose: 'whatsapp', trouble: FAULTS.restricted.trouble } as const;

/** A dead socket behind an Evolution that answers: a restart of the number may cure it. */
export function isCuredByRestart(reason: string | null): boolean {
  return reason !== null && CURED_BY_RESTART.includes(reason);
}

/** The classes of it, for SQL claim_restarts. */
export const CURED_BY_RESTART: readonly string[] = classesOf((fault) => fault.whose === 'number' && fault.breaker === 'failure');

/** Why a message waits for nothing but a number, or an Evolution, that takes sends again, for SQL release_sends. */
export const WAITS_FOR_NUMBER: readonly string[] = [
  'breaker_open',
  ...classesOf(({ whose }) => whose === 'number' || whose === 'gateway' || whose === 'installation'),
];

/** Failures that are Evolution's: any answer of it is a sign of life then. Of a number that lies about its state it is none. */
export function isOfGateway(reason: string | null): boolean {
  return reason !== null && GATEWAY.includes(reason);
}

const GATEWAY = classesOf(({ whose }) => whose === 'gateway' || whose === 'installation');

function classesOf(which: (fault: Fault) => boolean): string[] {
  return Object.entries(FAULTS).flatMap(([name, fault]) => (which(fault) ? [name] : []));
}
