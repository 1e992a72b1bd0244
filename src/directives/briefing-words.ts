/** A briefing as sentences, and what a new reading of it changes: what is proposed, in whose place, and what is said no more. Pure. */
import { foldWords } from '../words/fold.ts';

/** Of one document; a longer one is a book, and no briefing. */
const MOST_SENTENCES = 60;
const SHORTEST_WORDS = 3;
const LONGEST = 500;

/** What stands at the beginning of an item of a list. */
const MARK = /^\s*(?:(?:[*•●○▪◦·\-–—]|\d{1,2}[.)]|\[[ x]?\])\s+)+/u;

/** The sentences of a document, each once. Headings say nothing by themselves: a line without an end that is short, in capitals, with a mark of one, or with a colon. */
export function sentencesOf(text: string): string[] {
  const all = text
    .normalize('NFC')
    .split(/\n+/)
    .filter((line) => !isHeading(line.trim()))
    .flatMap((line) => line.replace(MARK, '').split(/(?<=[.!?])\s+(?=["“(]?\p{Lu})/u))
    .map((sentence) => sentence.replaceAll(/\s+/g, ' ').trim())
    .filter((sentence) => sentence.length <= LONGEST && foldWords(sentence).split(' ').length >= SHORTEST_WORDS);
  return [...new Map(all.map((sentence) => [foldWords(sentence), sentence])).values()].slice(0, MOST_SENTENCES);
}

function isHeading(line: string): boolean {
  if (/^#{1,6}\s|:$/.test(line)) return true;
  return !MARK.test(line) && !/[.!?]$/.test(line) && (line === line.toUpperCase() || line.split(/\s+/).length <= 4);
}

export type Known = { id: number; sentence: string; status: 'proposed' | 'active' | 'rejected' };
export type Reading = { added: { sentence: string; replaces: number | null }[]; gone: number[] };

/** Sentences are told apart by their plain words: a comma more proposes nothing. */
export function readingOf(known: readonly Known[], sentences: readonly string[]): Reading {
  const now = new Set(sentences.map(foldWords));
  const before = new Set(known.map(({ sentence }) => foldWords(sentence)));
  const gone = known.filter(({ sentence, status }) => status !== 'rejected' && !now.has(foldWords(sentence)));
  const free = gone.filter(({ status }) => status === 'active');
  const added = sentences
    .filter((sentence) => !before.has(foldWords(sentence)))
    .map((sentence) => {
      const near = free
        .map((each) => ({ each, likeness: likeness(each.sentence, sentence) }))
        .filter((each) => each.likeness >= LIKE)
        .toSorted((a, b) => b.likeness - a.likeness)[0];
      if (near !== undefined) free.splice(free.indexOf(near.each), 1);
      return { sentence, replaces: near?.each.id ?? null };
    });
  return { added, gone: gone.map(({ id }) => id) };
}

/** Of the words of both, so many are the same: below it, it is another sentence. */
const LIKE = 0.4;

function likeness(a: string, b: string): number {
  const [one, other] = [new Set(foldWords(a).split(' ')), new Set(foldWords(b).split(' '))];
  const shared = [...one].filter((word) => other.has(word)).length;
  return shared / (one.size + other.size - shared);
}
