/** What a call of the model costs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyOf } from '../../src/claude/models.ts';
import { costUsd, hasPrice, PRICES } from '../../src/claude/prices.ts';
import type { Usage } from '../../src/claude/prices.ts';

const NOV = new Date('2026-11-29T12:00:00Z');
const MILLION = 1_000_000;
const used = (change: Partial<Usage>): Usage => ({
  input: 0,
  output: 0,
  thinking: 0,
  cacheRead: 0,
  cacheWrite: 0,
  cacheWriteHour: 0,
  ...change,
});

// In US dollars: 100,000 tokens of one kind each, by the pages named in claude/prices.ts.
const TABLE: [model: string, input: number, output: number, read: number, write: number, hour: number][] = [
  ['claude-haiku-5-5', 0.01, 0.05, 0.001, 0.0125, 0.02],
  ['claude-sonnet-5-5', 0.2, 1, 0.01, 0.25, 0.4],
  ['claude-opus-5-5', 0.4, 2, 0.02, 0.5, 0.8],
  ['claude-haiku-4-5-20251001', 0.1, 0.5, 0.01, 0.125, 0.2],
  ['claude-sonnet-4-6', 0.3, 1.5, 0.03, 0.375, 0.6],
];
for (const [model, ...expected] of TABLE) {
  test(`L16 ${model}: input, output, cache read, written for five minutes, for an hour`, () => {
    const kinds: (keyof Usage)[] = ['input', 'output', 'cacheRead', 'cacheWrite', 'cacheWriteHour'];
    assert.deepEqual(
      kinds.map((kind) => costUsd(model, used({ [kind]: 100_000 }), NOV)),
      expected,
    );
  });
}

test('L16 Haiku 5.5: a prompt of more than 100,000 tokens costs five times as much, all of it, whatever the cache had of it', () => {
  const cost = (change: Partial<Usage>): number | null => costUsd('claude-haiku-5-5', used({ output: 1_000, ...change }), NOV);
  assert.equal(cost({ input: 100_000 }), 0.0105);
  assert.equal(cost({ input: 100_001 }), 0.0525005);
  assert.equal(cost({ cacheRead: 90_000, cacheWrite: 10_000, input: 1 }), 0.0132505);
});

test('L16 thinking is in the output, and not paid twice', () => {
  assert.equal(costUsd('claude-sonnet-5-5', used({ output: MILLION, thinking: MILLION }), NOV), 10);
});

test('L16 a price holds from its day on: cache reads of Sonnet 5.5 cost half since 7 October', () => {
  const read = (day: string): number | null => costUsd('claude-sonnet-5-5', used({ cacheRead: MILLION }), new Date(day));
  assert.deepEqual([read('2026-10-06T23:59:59Z'), read('2026-10-07T00:00:00Z')], [0.2, 0.1]);
  assert.equal(read('2026-09-01T00:00:00Z'), null, 'before it was sold');
});

test('L16 a model that is not listed has no price, which is not zero', () => {
  assert.equal(costUsd('claude-of-tomorrow', used({ input: 10 }), NOV), null);
  assert.equal(hasPrice('claude-of-tomorrow', NOV), false);
  assert.equal(hasPrice('claude-haiku-5-5', NOV), true);
});

test('L16 each row tells its page and the day on which it was read, and its models are those of the other table', () => {
  for (const { model, from, source, tiers } of PRICES) {
    assert.match(source.join(' '), /^[a-z0-9/-]+ 2026-\d\d-\d\d$/);
    assert.match(from, /^20\d\d-\d\d-\d\d$/);
    assert.notEqual(familyOf(model), null, model);
    assert.equal(tiers[0]?.above, 0);
  }
});
