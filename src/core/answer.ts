/** An answer becomes WhatsApp messages: parts at sentence ends, each with the time that a person would type. Pure. */

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
    const cut = cutBefore(rest, limit);
    parts.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
  }
  if (rest !== '') parts.push(rest);
  return parts;
}

/** A sentence end that is not "R$ 1." or "Dr.": punctuation, perhaps a closing mark, then white space. */
const SENTENCE_END = /(?<![\s.][A-Za-zÀ-ú]{1,3})(?<!\d)[.!?…]+["'”’)\]]*\s|[!?…]+["'”’)\]]*\s|\d\.\s(?=\p{Lu})/gu;

function cutBefore(text: string, limit: number): number {
  const head = text.slice(0, limit + 1);
  // Not before a third of the room is used: a part of two words looks odd.
  const least = Math.floor(limit / 3);
  const paragraph = head.lastIndexOf('\n\n');
  if (paragraph >= least) return paragraph;
  let sentence = -1;
  for (const match of head.matchAll(SENTENCE_END)) sentence = match.index + match[0].length;
  if (sentence >= least) return sentence;
  const line = head.lastIndexOf('\n');
  if (line >= least) return line;
  const space = head.lastIndexOf(' ');
  if (space > 0) return space;
  // Never in the middle of a surrogate pair: half an emoji is no character.
  return /[\uD800-\uDBFF]/.test(text[limit - 1] ?? '') ? limit - 1 : limit;
}

/** Milliseconds a person needs for a part: reading aside, some 12 characters a second, within bounds that keep a chat alive. */
const TYPING = { msPerChar: 40, leastMs: 900, mostMs: 8_000, jitter: 0.25 };

/**
 * How long "typing…" is shown before each part. The time that the contact has already waited since the answer was begun counts for the
 * first part. `random` 0..1 varies all of them.
 */
export function typingTimes(parts: string[], spentMs: number, random: number): number[] {
  return parts.map((part, index) => {
    const natural = Math.min(TYPING.mostMs, Math.max(TYPING.leastMs, part.length * TYPING.msPerChar));
    const varied = natural * (1 - TYPING.jitter / 2 + TYPING.jitter * random);
    return Math.round(index === 0 ? Math.max(0, varied - spentMs) : varied);
  });
}
