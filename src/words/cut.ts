/** The one way to shorten a text: never inside a character as a person sees it, so an emoji of several parts stays whole or goes. Pure. */

const graphemes = new Intl.Segmenter('pt', { granularity: 'grapheme' });

/** How far back a place is looked for where a character ends for sure. A run of flags is one long doubt. UTF-16 units. */
const WINDOW = 4_096;
/** A character of more units is none of any language (a letter under hundreds of marks): it is cut between its code points. */
const LARGEST = 64;

/** WhatsApp's apps take 65,536 characters in one message. What is longer comes from a hostile gateway, and everybody would wait for its storing. UTF-16 units. */
export const LONGEST_WORDS = 150_000;

/** The beginning of a text, of at most so many UTF-16 units. */
export function cut(text: string, units: number): string {
  if (text.length <= units) return text;
  if (units <= 0) return '';
  // Behind a plain letter a character ends, or a mark follows that belongs to it: the look begins at that letter.
  let from = units - 1;
  while (from > 0 && units - from < WINDOW && !/[\n -~]/.test(text[from] ?? '')) from--;
  let end = from;
  for (const { index, segment } of graphemes.segment(text.slice(from, units + LARGEST))) {
    if (from + index + segment.length > units) break;
    end = from + index + segment.length;
  }
  return units - end > LARGEST ? wholePoints(text, units) : text.slice(0, end);
}

/** The same with a sign that there was more. */
export function shortened(text: string, units: number): string {
  return text.length <= units ? text : `${cut(text, units - 1)}…`;
}

function wholePoints(text: string, units: number): string {
  const inPair = /[\uD800-\uDBFF]/.test(text[units - 1] ?? '') && /[\uDC00-\uDFFF]/.test(text[units] ?? '');
  return text.slice(0, inPair ? units - 1 : units);
}
