import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asksManager, noticeDelay } from '../../src/notices/decide.ts';

test('E3 the manager is asked when Slack had its tries, or has nothing to say', () => {
  const asked = (urgent: boolean) => [0, 1, 2, 3, 4, 5].filter((attempts) => asksManager({ attempts, urgent }, 'away'));
  assert.deepEqual(asked(true), [1, 2, 3, 4, 5]);
  assert.deepEqual(asked(false), [4, 5]);
  for (const slack of ['not_there', 'refused'] as const) assert.ok(asksManager({ attempts: 0, urgent: false }, slack));
});

test('E3 the waits between attempts grow to ten minutes', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 50].map((attempts) => noticeDelay(attempts, 0) / 1000),
    [5, 15, 45, 135, 405, 600, 600],
  );
  assert.equal(noticeDelay(0, 1), 6_250);
});
