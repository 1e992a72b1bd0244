/** An answer becomes WhatsApp messages: parts at sentence ends, each with the time that a person would type. Pure. */
import { cut } from '../words/cut.ts';

/** Characters of one part; longer answers are split. */
export const PART_CHARS = 400;

/**
 * Splits a text into parts of at most `limit` characters, at paragraph ends where possible, else sentence ends, else spaces, else anywhere.
 * Nothing is lost but the white space at the seams; short paragraphs stay together.
 */
export function splitAnswer(text: string, limit: number = PART_CHARS): string[] {
  const parts: string[] = [];
  let rest = text.replaceAll('\r\n', '\n').trim();
  while (rest.length > limit) {
    const end = cutBefore(rest, limit);
    parts.push(rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
  }
  if (rest !== '') parts.push(rest);
  return parts;
}

/**
 * Drops the unfinished sentence at the end of a text that was cut off by a limit of tokens; when there is no whole sentence the cut is shown.
 */
export function wholeSentences(text: string): string {
  const end = sentenceEnds(`${text} `).at(-1);
  return end === undefined ? `${text.trimEnd()}…` : text.slice(0, end);
}

/** A dot after one of these (or after a single letter) ends no sentence: "Dr. Silva", "p. ex.", "J. Souza". */
const ABBREVIATION =
  /(?<![\p{L}\p{N}])(?:\p{L}|d(?:r|ra|rs|ras)|s(?:r|ra|rs|ras|rta|rtas|to|ta)|profa?|av|al|pça|rod|ed|apto?|bl|cj|nº|no|n|tel|cel|ramal|ex|obs|pág|ref|ltda|cia|jr|eng|adv|exmo|exma|art|min|máx|aprox)$/iu;
/** The number of a list's item, at the beginning of its line. */
const ITEM_NUMBER = /(?:^|\n)[ \t]*\d{1,3}$/u;
/** Punctuation, perhaps a closing mark, then white space; a lower-case letter behind it means that the sentence goes on. */
const SENTENCE_END = /(?:[!?…][.!?…]*|\.{2,}|(?<dot>\.))["'”’)\]*_]*(?=\s)(?!\s+\p{Ll})/gu;

/** The indices just behind the sentences of a text. */
function sentenceEnds(text: string): number[] {
  return [...text.matchAll(SENTENCE_END)].flatMap((match) => {
    const before = text.slice(Math.max(0, match.index - 12), match.index);
    return match.groups?.['dot'] !== undefined && (ABBREVIATION.test(before) || ITEM_NUMBER.test(before))
      ? []
      : [match.index + match[0].length];
  });
}

/** White space behind which the words belong to what stands before it: a currency, an abbreviation, a list's number or mark. */
const BOUND =
  /(?:R\$|US\$|€|(?<![\p{L}\p{N}])(?:\p{L}\.|(?:d(?:r|ra)|s(?:r|ra|rta)|profa?|av|nº)\.?)|(?:^|\n)[ \t]*(?:\d{1,3}[.)]|[-•*]))$/iu;

function cutBefore(text: string, limit: number): number {
  const head = text.slice(0, limit + 1);
  // Not before a third of the room is used: a part of two words looks odd.
  const least = Math.floor(limit / 3);
  const paragraph = head.lastIndexOf('\n\n');
  if (paragraph >= least && paragraph > 0) return paragraph;
  // Some more than the room, so that the word behind the last sentence is seen.
  const sentence = sentenceEnds(text.slice(0, limit + 50)).findLast((end) => end <= limit) ?? 0;
  if (sentence >= least && sentence > 0) return sentence;
  const line = head.lastIndexOf('\n');
  if (line >= least && line > 0) return line;
  const spaces = [...head.matchAll(/\s+/gu)].map((match) => match.index).filter((index) => index > 0);
  const space = spaces.findLast((index) => !BOUND.test(head.slice(Math.max(0, index - 12), index))) ?? spaces.at(-1);
  return space ?? wordCut(text, limit);
}

/** Somewhere in a word that fills the room, between two characters as a person sees them; a character that is larger than the room stays whole. */
function wordCut(text: string, limit: number): number {
  return cut(text, limit).length || cut(text, limit + 64).length;
}

/**
 * Milliseconds for a part: some 25 characters a second, which is faster than a person, within bounds that keep a chat alive. Then varied by an eighth either way.
 * `shownMs`: typing is seen for a moment however long the contact has waited, and the read marks go with it.
 */
const TYPING = { msPerChar: 40, leastMs: 900, mostMs: 8_000, jitter: 0.25, shownMs: 400 };

/**
 * How long "typing…" is shown before each part. The time that the contact has already waited since the answer was begun counts for the
 * first part. `random` 0..1 varies all of them.
 */
export function typingTimes(parts: string[], spentMs: number, random: number): number[] {
  return parts.map((part, index) => {
    const natural = Math.min(TYPING.mostMs, Math.max(TYPING.leastMs, part.length * TYPING.msPerChar));
    const varied = natural * (1 - TYPING.jitter / 2 + TYPING.jitter * random);
    return Math.round(index === 0 ? Math.max(TYPING.shownMs, varied - spentMs) : varied);
  });
}
