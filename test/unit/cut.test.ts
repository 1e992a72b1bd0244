/** Z12: one function cuts text, and never inside a character. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { cut, shortened } from '../../src/words/cut.ts';

const CHARACTERS: Record<string, string> = {
  letters: 'padaria ',
  'composed letters': 'ação ',
  'decomposed letters': 'ac\u0327a\u0303o ',
  emoji: '😀',
  'a family': '👨‍👩‍👧‍👦',
  skin: '👍🏽',
  hearts: '❤️',
  flags: '🇧🇷',
  'a flag of a region': '🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}',
  keycaps: '1️⃣',
  'letters and flags': 'a🇧🇷🇵🇹',
  'line ends': 'a\r\n',
  hangul: '\u1112\u1161\u11AB',
  devanagari: 'क्षि',
  'a rare ideograph': '𠮷',
};

function boundaries(text: string): Set<number> {
  const segments = [...new Intl.Segmenter('pt', { granularity: 'grapheme' }).segment(text)];
  return new Set([0, text.length, ...segments.map(({ index }) => index)]);
}

for (const [name, character] of Object.entries(CHARACTERS))
  test(`Z12 cut: ${name}, at each place`, () => {
    const text = `x${character.repeat(60)}`;
    const ends = boundaries(text);
    for (let units = 0; units <= text.length; units++) {
      const head = cut(text, units);
      assert.ok(head.length <= units && text.startsWith(head));
      assert.ok(ends.has(head.length), `inside a character at ${units}`);
      assert.ok(units - head.length < 64, 'no more than the one character is left out');
    }
    assert.equal(cut(text, text.length), text);
  });

test('Z12 cut: a thousand flags behind each other', () => {
  const text = '🇧🇷'.repeat(1_000);
  for (const units of [1_001, 1_002, 1_003, 1_999, 3_998]) assert.ok(boundaries(text).has(cut(text, units).length), String(units));
});

test('Z12 cut: a letter under a thousand marks is no character, and never half a surrogate pair is left', () => {
  const zalgo = `a${'\u0301'.repeat(1_000)}`;
  assert.equal(cut(zalgo, 300).length, 300);
  const joined = '😀\u200d'.repeat(500);
  for (let units = 65; units < 200; units++) assert.ok(cut(joined, units).isWellFormed());
});

test('Z12 cut: what was cut says so, within its room', () => {
  assert.equal(shortened('abc', 3), 'abc');
  assert.equal(shortened('abcd', 3), 'ab…');
  assert.equal(shortened('👍🏽👍🏽', 5), '👍🏽…');
  assert.equal(shortened('👨‍👩‍👧‍👦👨‍👩‍👧‍👦', 5), '…');
});

/** Cuts of what is no text: parts of identifiers, hashes, times, lists. */
const NO_TEXT: readonly RegExp[] = [
  /digest\('(?:hex|base64url)'\)\.slice/,
  /toISOString\(\)\.slice/,
  /hash\.slice|words\.slice|messages\.slice|handoffs\.slice|cards\.slice|lines\.slice|reasons\.slice|items\.slice|date\.slice|token\.slice/,
  /\]\.slice|Object\.keys\([^)]*\)[^.]*\.slice|values\.slice|\.\.\.value\]/,
  /name\.slice\(0, 40\)/, // of an SQL statement
  /^\s*\.slice\(0, (?:30|100|most|limit)\)$|MOST_BASES|MOST_PASSAGES|MOST_COVER_BYTES/, // entries of a list
  /^\s*\.slice\(0, (?:12|HASH_DIGITS)\);$/, // of a digest
  /dotted\.slice|word\.replaceAll|trigger_id/,
];

/** Of a page: SQL keeps the answer small, between two code points, and what is shown in a line is cut again. The other one is what is searched. */
const FOR_PAGES = /left\((?:l\.text, 200|m\.text, 8000|m\.quoted_text, 300|m\.text, 160|p_text, 200)\)/;

test('Z12 cut: nothing else in the product cuts text', async () => {
  const root = path.join(import.meta.dirname, '../../src');
  const files = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.ts') && name !== path.join('words', 'cut.ts'));
  const found: string[] = [];
  for (const file of files) {
    const lines = (await readFile(path.join(root, file), 'utf8')).split('\n');
    for (const [index, line] of lines.entries()) {
      if (!/\.(?:slice|substring|substr)\(0, (?:[A-Z][A-Z_]*(?: [-+*] \d+)?|\d{2,}|chars|most|limit)\)/.test(line)) continue;
      if (!NO_TEXT.some((pattern) => pattern.test(line))) found.push(`${file}:${index + 1} ${line.trim()}`);
    }
  }
  const schemas = path.join(import.meta.dirname, '../../supabase/schemas');
  for (const file of await readdir(schemas)) {
    const sql = (await readFile(path.join(schemas, file), 'utf8')).replaceAll(/--.*$/gm, '');
    for (const line of sql.split('\n'))
      if (/\b(?:left|substring|substr)\s*\([^()]*text/.test(line) && !FOR_PAGES.test(line))
        found.push(`${file} ${line.trim().slice(0, 100)}`);
  }
  assert.deepEqual(found, []);
});
