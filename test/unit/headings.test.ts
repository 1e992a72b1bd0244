/** Headings in what people upload, and that a line made to be slow is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { passagesOf } from '../../src/knowledge/document-words.ts';
import { choiceNotes, numberedList } from '../../src/turns/choice-words.ts';
import { forWhatsapp } from '../../src/turns/checks/whatsapp-text.ts';
import { parseVersion } from '../../src/turns/version-words.ts';

/** A pattern that shares out a run of spaces in every way takes hours for this, and is broken off. */
const RUN = ' '.repeat(500_000);

function ends(read: () => unknown): unknown {
  return runInContext('read()', createContext({ read }), { timeout: 10_000 });
}

test('L7 a heading of a document is read as it stands', () => {
  const headings = (text: string) => passagesOf(text).map(({ heading }) => heading);
  assert.deepEqual(headings('# Loja  \nx\n##\tPreços ##  \ny\n# C#\nz'), ['Loja', 'Loja > Preços', 'C']);
  assert.deepEqual(headings('#hashtag\n# \n####### sete'), ['']);
});

test('L7 a line of spaces takes no longer than its letters: in a document', () => {
  ends(() => passagesOf(`# a${RUN}x`));
  ends(() => passagesOf(`# a${RUN}#${RUN}x`));
});

test('L5 a line of spaces takes no longer than its letters: in a version', () => {
  for (const line of [`# a${RUN}x`, `## a${RUN}x`, `Empresa: a${RUN}x`]) ends(() => parseVersion(`${line}\n`));
});

test('L2 a line of spaces takes no longer than its letters: in an answer', () => {
  ends(() => forWhatsapp(`# a${RUN}x`));
  assert.equal(forWhatsapp('## *Preços* ##'), '*Preços*');
});

test('A13 Z9 a line of spaces takes no longer than its letters: in a list; of many long messages of ours only the beginnings are looked through', () => {
  for (const line of [`1. ${RUN}`, `1. a${RUN}\u0000`, `1${RUN}. a`, `${RUN}1. a`]) ends(() => numberedList(line));
  const own = { direction: 'out', author: 'human', type: 'text', quoted_text: null, text: `1. a${RUN}x\n` } as const;
  ends(() => choiceNotes(Array.from({ length: 80 }, (_, id) => ({ ...own, id }))));
});
