/** What each family of models is asked with. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EFFORTS, familyOf, settingsFor, traitsOf } from '../../src/claude/models.ts';
import type { Effort } from '../../src/claude/models.ts';

function told(model: string, effort: Effort = 'low', again = 0): string {
  const { maxTokens, thinking, effort: level } = settingsFor(model, { effort, answerTokens: 300, again });
  return `${thinking ?? '-'} ${level ?? '-'} ${maxTokens}`;
}

const TABLE: [model: string, low: string, max: string][] = [
  ['claude-haiku-5-5', 'disabled low 300', '- max 65836'],
  ['claude-sonnet-5-5', 'between_tools low 1324', '- max 65836'],
  ['claude-opus-5-5', '- low 4396', '- max 65836'],
  ['claude-sonnet-5', 'disabled low 300', '- max 65836'],
  ['claude-opus-5', 'disabled low 300', '- max 65836'],
  ['claude-opus-4-8', 'disabled low 300', '- max 65836'],
  ['claude-sonnet-4-6', '- low 300', '- max 65836'],
  ['claude-haiku-4-5', '- - 300', '- - 300'],
  ['claude-haiku-4-5-20251001', '- - 300', '- - 300'],
  ['claude-sonnet-4-5-20250929', '- - 300', '- - 300'],
  ['claude-of-tomorrow', '- - 8192', '- - 8192'],
];
for (const [model, low, max] of TABLE) {
  test(`L13 ${model}: the least thinking and effort that it takes, and room for what it thinks anyway`, () => {
    assert.deepEqual([told(model), told(model, 'max')], [low, max]);
  });
}

test('L13 more room for an answer that ended in thinking, never more than the model writes', () => {
  assert.deepEqual([told('claude-haiku-5-5', 'low', 1), told('claude-haiku-5-5', 'low', 2)], ['disabled low 1200', 'disabled low 4800']);
  assert.equal(told('claude-opus-5-5', 'max', 2), '- max 128000');
});

test('L13 a level that a family does not have becomes the next lower one', () => {
  assert.equal(told('claude-sonnet-4-6', 'xhigh'), '- high 300');
  assert.deepEqual(
    EFFORTS.map((effort) => settingsFor('claude-opus-4-5', { effort, answerTokens: 1 }).effort),
    ['low', 'medium', 'high', 'high', 'high'],
  );
});

test('L13 a model that is not listed is known as such, and treated with care', () => {
  assert.equal(familyOf('claude-of-tomorrow'), null);
  const { systemMessages, cacheFloor, context } = traitsOf('claude-of-tomorrow');
  assert.deepEqual({ systemMessages, cacheFloor, context }, { systemMessages: false, cacheFloor: 4_096, context: 200_000 });
});
