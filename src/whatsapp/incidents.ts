/**
 * What an incident costs a number, for those that the answer to a send tells of. SQL `incident` is the list of all, also of those that the database sees
 * by itself; a test compares them. Pure.
 */

/** Proactive messages rest for so long, and the trust figure (0..100) falls by so much; see number_trouble in SQL. */
export type Trouble = { reason: string; minutes: number; trust: number };

export const INCIDENTS = {
  send_unauthorized: { reason: 'number_unauthorized', minutes: 5, trust: 0 },
  send_unlicensed: { reason: 'number_unlicensed', minutes: 5, trust: 0 },
  send_rate_limited: { reason: 'number_rate_limited', minutes: 5, trust: 10 },
  send_restricted: { reason: 'number_restricted', minutes: 60, trust: 30 },
} as const satisfies Record<string, Trouble>;
