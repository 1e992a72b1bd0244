/**
 * What the provider's side did to a message, in the classes of HTTP that callers of other gateways know. 409: the number is not connected. 503: the installation
 * is not set up for it. 502: Evolution or WhatsApp did not do it. The message is kept in each case, queued or listed, and has an id. Pure.
 */
export type ProviderError = { status: 409 | 502 | 503; code: 'number_disconnected' | 'not_configured' | 'provider_failed'; hint: string };

const DISCONNECTED: ProviderError = {
  status: 409,
  code: 'number_disconnected',
  hint: 'it stays in its lane and leaves when the number is back: connect it (npm run admin -- instance connect NAME)',
};
/** A socket that is closed behind an Evolution that says `open`: to the caller the number is not connected. */
const CLOSED: ProviderError = {
  ...DISCONNECTED,
  hint: 'it stays in its lane and leaves when the connection of the number is back: the number is restarted by itself (npm run admin -- instance restart NAME)',
};
const NOT_CONFIGURED: ProviderError = {
  status: 503,
  code: 'not_configured',
  hint: 'the installation cannot send: check EVOLUTION_API_URL, EVOLUTION_API_KEY and EVOLUTION_INSTANCE',
};
const WAITS: ProviderError = { status: 502, code: 'provider_failed', hint: 'it is tried again by itself; do not send it a second time' };
const ASKED: ProviderError = {
  status: 502,
  code: 'provider_failed',
  hint: 'it may have left: Evolution is being asked; do not send it a second time',
};
const LISTED: ProviderError = {
  status: 502,
  code: 'provider_failed',
  hint: 'it is listed to a person: npm run admin -- dlq show ID, then retry or discard',
};

/** Reasons by what they are about; others are rules of ours, or about the one recipient. */
const DISCONNECTED_BY = new Set(['disconnected', 'number_disconnected']);
const NOT_CONFIGURED_BY = new Set(['unauthorized', 'unknown_instance', 'unlicensed', 'number_unauthorized', 'number_unlicensed']);
const FAILED_BY = new Set([
  'unavailable',
  'service_unavailable',
  'provider_error',
  'rate_limited',
  'restricted',
  'breaker_open',
  'provider_refused',
  'number_restricted',
  'number_rate_limited',
  'number_error_acks',
  'number_undelivered',
  'number_few_deliveries',
  'number_trust',
]);

export function providerError(message: { status: string; reason: string | null }): ProviderError | null {
  const reason = message.reason?.replace(/^max_attempts_/, '') ?? null;
  if (message.status === 'uncertain') return ASKED;
  if (message.status === 'unproven') return LISTED;
  if (reason === null || (message.status !== 'queued' && message.status !== 'failed')) return null;
  if (NOT_CONFIGURED_BY.has(reason)) return NOT_CONFIGURED;
  if (DISCONNECTED_BY.has(reason)) return DISCONNECTED;
  if (reason === 'connection_closed') return CLOSED;
  if (FAILED_BY.has(reason)) return message.status === 'failed' ? LISTED : WAITS;
  return null;
}

/** A queued message of an installation without an Evolution. */
export function notConfigured(): ProviderError {
  return NOT_CONFIGURED;
}
