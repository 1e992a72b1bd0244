import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNumberName } from '../../src/words/number-name.ts';
import { NAMES_OF_NONE, NAMES_OF_NUMBERS } from '../support/number-names.ts';

test('Z2 name: what an address would be read differently for is no name of a number', () => {
  assert.deepEqual(NAMES_OF_NONE.filter(isNumberName), []);
  assert.deepEqual(
    NAMES_OF_NUMBERS.filter((name) => !isNumberName(name)),
    [],
  );
  for (const name of NAMES_OF_NUMBERS) {
    const { pathname } = new URL(`http://127.0.0.1/base/instance/logout/${encodeURIComponent(name)}`);
    assert.deepEqual(pathname.split('/').map(decodeURIComponent), ['', 'base', 'instance', 'logout', name]);
  }
});
