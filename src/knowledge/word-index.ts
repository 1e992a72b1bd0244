/** The passages of a company by the stems of their words, kept in memory: a question is answered in a millisecond, however many passages hold its words. Pure. */
import { nearestWord } from './query-words.ts';
import type { Wanted } from './query-words.ts';

export type WordIndex = {
  readonly revision: number;
  readonly ids: readonly number[];
  /** Of a stem: its passages as `2 * place + 1` where a heading has it, else `2 * place`. */
  readonly places: ReadonlyMap<string, readonly number[]>;
  /** Plain words of the documents, by their first letter. */
  readonly words: ReadonlyMap<string, readonly string[]>;
};

/** A passage with its stems, those of a heading marked with a star: `preco* custa`. */
export type IndexedPassage = { id: number; stems: string };

export function wordIndex(revision: number, passages: readonly IndexedPassage[], vocabulary: readonly string[]): WordIndex {
  const places = new Map<string, number[]>();
  for (const [place, { stems }] of passages.entries())
    for (const each of stems.split(' ')) {
      const isHeading = each.endsWith('*');
      const stem = isHeading ? each.slice(0, -1) : each;
      const list = places.get(stem) ?? [];
      if (list.length === 0) places.set(stem, list);
      list.push(2 * place + (isHeading ? 1 : 0));
    }
  const words = Map.groupBy(vocabulary, (word) => word.slice(0, 1));
  return { revision, ids: passages.map(({ id }) => id), places, words };
}

/** The stems of a word; none: it is one that every text has. */
export type Stems = ReadonlyMap<string, readonly string[]>;

/** A word that means the same is worth so much of the word itself; a heading makes it worth more. */
const ALIKE = 0.6;
const HEADING = 1.5;

/**
 * Passages that hold what is wanted, best first: for each thing how rare it is among the passages, all of it for the word itself, less for one that means the same,
 * half as much again where a heading says it.
 */
export function searchWords(index: WordIndex, wanted: readonly Wanted[], stems: Stems, limit: number): { id: number; score: number }[] {
  const scores = new Map<number, number>();
  for (const { word, also } of wanted) {
    const fits = new Map<number, number>();
    const headed = new Set<number>();
    const fit = (each: string, worth: number): void => {
      for (const stem of stems.get(each) ?? [])
        for (const at of index.places.get(stem) ?? []) {
          const place = Math.floor(at / 2);
          if (!fits.has(place)) fits.set(place, worth);
          if (at % 2 === 1) headed.add(place);
        }
    };
    fit(word, 1); // first: what has the word itself is worth all of it
    for (const each of also) fit(each, ALIKE);
    const rarity = Math.log(1 + index.ids.length / Math.max(1, fits.size));
    for (const [place, worth] of fits) scores.set(place, (scores.get(place) ?? 0) + worth * (headed.has(place) ? HEADING : 1) * rarity);
  }
  return [...scores]
    .toSorted(([a, worthA], [b, worthB]) => worthB - worthA || a - b) // places are in the order of the ids
    .slice(0, limit)
    .map(([place, score]) => ({ id: index.ids[place] ?? 0, score }));
}

/** Of words that no passage has: the nearest one that some has. */
export function meantWords(index: WordIndex, wanted: readonly Wanted[], stems: Stems): Map<string, string> {
  const holds = (word: string): boolean => (stems.get(word) ?? []).some((stem) => index.places.has(stem));
  const meant = new Map<string, string>();
  for (const { word, also } of wanted) {
    if ([word, ...also].some(holds)) continue;
    const near = nearestWord(word, index.words.get(word.slice(0, 1)) ?? []);
    if (near !== null) meant.set(word, near);
  }
  return meant;
}
