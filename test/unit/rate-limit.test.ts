import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRateLimit, sourceOf } from '../../src/process/rate-limit.ts';

test('R9 H13 rate limit: never more than the limit in any window, and never refused with less', () => {
  const sequence = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), key: fc.constantFrom('a', 'b') }), { maxLength: 80 });
  fc.assert(
    fc.property(sequence, fc.integer({ min: 1, max: 5 }), (asks, limit) => {
      const rate = createRateLimit({ limit, windowMs: 1_000 });
      const accepted: Record<string, number[]> = { a: [], b: [] };
      let now = 0;
      for (const { afterMs, key } of asks) {
        now += afterMs;
        const own = accepted[key] ?? [];
        const inWindow = own.filter((each) => now - each < 1_000);
        const waitMs = rate.take(key, now);
        assert.equal(waitMs === null, inWindow.length < limit);
        if (waitMs === null) own.push(now);
        else {
          assert.equal(waitMs, 1_000 - (now - (inWindow[0] ?? NaN)), 'until the oldest leaves the window');
          assert.notEqual(rate.take(key, now + waitMs - 1), null);
        }
      }
    }),
  );
});

test('R9 rate limit: 0 is no limit; keys without an end do not fill the memory, and who is forgotten begins anew', () => {
  const none = createRateLimit({ limit: 0, windowMs: 1_000 });
  for (let count = 0; count < 1_000; count++) assert.equal(none.take('a', 0), null);
  const one = createRateLimit({ limit: 1, windowMs: 1_000_000 });
  for (let key = 0; key < 3_000; key++) assert.equal(one.take(String(key), 0), null);
  assert.notEqual(one.take('2999', 1), null);
  assert.equal(one.take('0', 1), null);
});

test('H12 H13 source: what the client writes into X-Forwarded-For never counts; only proxies of ours are believed', () => {
  assert.equal(sourceOf('203.0.113.7', '10.0.0.1', 0), '203.0.113.7');
  assert.equal(sourceOf('10.0.0.2', 'forged, 203.0.113.7', 1), '203.0.113.7');
  assert.equal(sourceOf('10.0.0.2', 'forged, 203.0.113.7, 10.0.0.3', 2), '203.0.113.7');
  assert.equal(sourceOf('10.0.0.2', undefined, 1), '10.0.0.2', 'who comes past the proxy');
  assert.equal(sourceOf('::ffff:203.0.113.7', undefined, 0), '203.0.113.7');
  assert.equal(sourceOf(undefined, undefined, 0), 'unknown');
  const network = sourceOf('2001:db8:1:2:3:4:5:6', undefined, 0);
  assert.equal(sourceOf('2001:DB8:1:2::9', undefined, 0), network, 'one client has a whole network');
  assert.notEqual(sourceOf('2001:db8:1:3::9', undefined, 0), network);
  assert.equal(sourceOf('::1', undefined, 0), '0:0:0:0::/64');
});
