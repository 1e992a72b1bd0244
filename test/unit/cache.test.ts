import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheMiss } from '../../src/claude/cache.ts';

const usage = (input: number, cacheRead: number, cacheWrite: number) => ({
  input,
  output: 10,
  thinking: 0,
  cacheRead,
  cacheWrite,
  cacheWriteHour: 0,
});
const later = { isFirst: false, agoMs: 60_000 };

test('L17 why the cache had nothing: below the floor, the first, too long ago, what the provider names, or nothing that anybody knows', () => {
  const none = usage(50, 0, 3_000);
  assert.equal(cacheMiss({ usage: usage(900, 0, 0), diagnosed: 'messages_changed' }, later), 'below_floor');
  assert.equal(cacheMiss({ usage: none, diagnosed: null }, { isFirst: true, agoMs: 0 }), 'first');
  assert.equal(cacheMiss({ usage: none, diagnosed: 'messages_changed' }, { isFirst: false, agoMs: 300_001 }), 'expired');
  assert.equal(cacheMiss({ usage: none, diagnosed: 'model_changed' }, later), 'model_changed');
  assert.equal(cacheMiss({ usage: none, diagnosed: null }, later), 'evicted');
});

test('L17 what is new at the end of a prompt is no miss, though the provider names it; a history that is written anew is one', () => {
  assert.equal(cacheMiss({ usage: usage(50, 3_000, 200), diagnosed: 'messages_changed' }, later), null);
  assert.equal(cacheMiss({ usage: usage(50, 1_900, 1_600), diagnosed: 'messages_changed' }, later), null, 'a long message of the contact');
  assert.equal(cacheMiss({ usage: usage(50, 1_900, 4_000), diagnosed: 'messages_changed' }, later), 'messages_changed');
});
