/** D5: secrets at rest: sealed for one owner under a current key, opened by the previous one too, and by nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSecret, sealSecret } from '../../src/process/secrets.ts';

const OLD = { current: 'the-old-key-of-tests-0123456789abcdef', previous: null };
const NEW = { current: 'the-new-key-of-tests-0123456789abcdef', previous: OLD.current };

test('D5 at rest: what is sealed opens with its key, for its owner, and never twice to the same text', () => {
  for (const text of ['', 'a', 'ção 😀', 'x'.repeat(5_000)]) {
    const sealed = sealSecret(OLD, text, 'instance:a');
    assert.deepEqual(openSecret(OLD, sealed, 'instance:a'), { text, current: true });
    assert.notEqual(sealSecret(OLD, text, 'instance:a'), sealed);
    assert.ok(text.length < 3 || !sealed.includes(text));
    assert.equal(openSecret(OLD, sealed, 'instance:b'), null, 'moved to another row');
  }
});

test('D5 at rest: the previous key opens and says so; without it, or changed anywhere, nothing opens', () => {
  const sealed = sealSecret(OLD, 'um segredo', 'a');
  assert.deepEqual(openSecret(NEW, sealed, 'a'), { text: 'um segredo', current: false });
  assert.equal(openSecret({ current: NEW.current, previous: null }, sealed, 'a'), null);
  assert.deepEqual(openSecret(NEW, sealSecret(NEW, 'um segredo', 'a'), 'a'), { text: 'um segredo', current: true });
  for (let at = 0; at < sealed.length - 1; at++) {
    const changed = `${sealed.slice(0, at)}${sealed[at] === 'A' ? 'B' : 'A'}${sealed.slice(at + 1)}`;
    assert.equal(openSecret(OLD, changed, 'a'), null, String(at));
  }
  for (const odd of ['', 'v1', 'v1.a.b.c', 'plain text', `${sealed}.more`.slice(3)]) assert.equal(openSecret(OLD, odd, 'a'), null, odd);
});
