/** Passages by the stems of their words, in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meantWords, searchWords, wordIndex } from '../../src/knowledge/word-index.ts';

const STEMS = new Map([
  ['preco', ['prec']],
  ['custa', ['cust']],
  ['bolo', ['bol']],
  ['entrega', ['entreg']],
  ['de', []],
]);
const INDEX = wordIndex(
  7,
  [
    { id: 10, stems: 'prec* bol' },
    { id: 11, stems: 'cust bol' },
    { id: 12, stems: 'bol' },
    { id: 13, stems: 'entreg' },
    { id: 14, stems: '' },
  ],
  ['preco', 'custa', 'bolo', 'entrega'],
);
const ids = (wanted: { word: string; also: string[] }[], limit = 9) => searchWords(INDEX, wanted, STEMS, limit).map(({ id }) => id);

test('L7 words: a heading before a text, the word itself before one that means the same, what is rare before what many have', () => {
  assert.deepEqual(ids([{ word: 'preco', also: ['custa'] }]), [10, 11]);
  assert.deepEqual(ids([{ word: 'custa', also: ['preco'] }]), [11, 10], 'the word itself is worth more than another in a heading');
  assert.deepEqual(ids([{ word: 'bolo', also: [] }]), [10, 11, 12]);
  assert.deepEqual(
    ids([
      { word: 'bolo', also: [] },
      { word: 'entrega', also: [] },
    ]),
    [13, 10, 11, 12],
  );
  assert.deepEqual(
    ids(
      [
        { word: 'bolo', also: [] },
        { word: 'custa', also: [] },
      ],
      1,
    ),
    [11],
  );
  assert.deepEqual(
    ids([
      { word: 'de', also: [] },
      { word: 'nunca', also: [] },
    ]),
    [],
  );
  assert.deepEqual(searchWords(wordIndex(1, [], []), [{ word: 'bolo', also: [] }], STEMS, 5), []);
});

test('L7 words: what no document says is read as the nearest word that one says, and what one says in other words is not', () => {
  const meant = (...wanted: { word: string; also: string[] }[]) => [...meantWords(INDEX, wanted, STEMS)];
  assert.deepEqual(meant({ word: 'entrga', also: [] }), [['entrga', 'entrega']]);
  assert.deepEqual(meant({ word: 'xyz', also: [] }), []);
  assert.deepEqual(meant({ word: 'presso', also: ['preco'] }), [], 'a word that means the same is there');
});
