/** The sample shop is what a first conversation, the retrieval and the persona are measured on: what its questions point to must stand in it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';

const SHOP = new URL('../../samples/loja/', import.meta.url);
const questions = z
  .array(z.object({ question: z.string().min(1), document: z.string().nullable(), phrase: z.string().nullable() }))
  .parse(JSON.parse(readFileSync(new URL('perguntas.json', SHOP), 'utf8')));
const documents = readdirSync(SHOP).filter((name) => name !== 'perguntas.json');
const textOf = (name: string): string => readFileSync(new URL(name, SHOP), 'utf8');

test('L7: the sample shop answers 60 of its questions, each by a phrase of one document, and 20 by none', () => {
  const answered = questions.filter(({ document }) => document !== null);
  assert.equal(answered.length, 60);
  assert.equal(questions.length - answered.length, 20);
  assert.equal(new Set(questions.map(({ question }) => question)).size, questions.length);
  for (const { question, document, phrase } of answered) {
    assert.ok(documents.includes(document ?? ''), question);
    assert.ok(textOf(document ?? '').includes(phrase ?? '?'), `${question}: "${phrase}" does not stand in ${document}`);
  }
  for (const document of documents)
    assert.ok(
      answered.some((each) => each.document === document),
      `nothing is asked of ${document}`,
    );
});

test('L7: the sample shop is nobody: its only phone number is a fake one, its addresses are examples', () => {
  for (const document of documents) {
    const text = textOf(document);
    assert.deepEqual(text.match(/\(\d\d\) ?\d{4,5}-\d{4}/g)?.filter((phone) => phone !== '(11) 91234-0001') ?? [], [], document);
    assert.deepEqual(text.match(/[\w.@-]*lojapitanga(?!\.example)[\w.]*/g) ?? [], [], document);
  }
});
