import assert from 'node:assert/strict';
import { test } from 'node:test';
import { providerError } from '../../src/outbox/provider-error.ts';

test('O16 provider errors: disconnected is 409, not configured 503, everything else of the other side 502, each with what to do', () => {
  const of = (status: string, reason: string | null) => {
    const error = providerError({ status, reason });
    return error === null ? null : `${error.status} ${error.code}`;
  };
  const cases: [status: string, reason: string | null, expected: string | null][] = [
    ['queued', 'disconnected', '409 number_disconnected'],
    ['queued', 'number_disconnected', '409 number_disconnected'],
    ['queued', 'connection_closed', '409 number_disconnected'],
    ['queued', 'unauthorized', '503 not_configured'],
    ['failed', 'max_attempts_unauthorized', '503 not_configured'],
    ['failed', 'unknown_instance', '503 not_configured'],
    ['queued', 'unavailable', '502 provider_failed'],
    ['queued', 'service_unavailable', '502 provider_failed'],
    ['queued', 'breaker_open', '502 provider_failed'],
    ['failed', 'max_attempts_provider_error', '502 provider_failed'],
    ['failed', 'provider_refused', '502 provider_failed'],
    ['uncertain', 'timeout', '502 provider_failed'],
    ['unproven', 'timeout', '502 provider_failed'],
    // Rules of ours, the one recipient, and what is over.
    ['queued', 'quiet_hours', null],
    ['queued', null, null],
    ['failed', 'not_on_whatsapp', null],
    ['blocked', 'opt_out', null],
    ['sent', null, null],
  ];
  for (const [status, reason, expected] of cases) assert.equal(of(status, reason), expected, `${status} ${reason}`);
  assert.match(providerError({ status: 'uncertain', reason: 'timeout' })?.hint ?? '', /do not send it a second time/);
});
