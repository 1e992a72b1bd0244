/** A heading of Markdown, read in one pass: a pattern that also finds where its words end tries every way of sharing out a run of spaces. Pure. */

/** `words`: without the marks around them; never empty. */
export function headingOf(line: string): { level: number; words: string } | null {
  const level = /^(#{1,6})\s/.exec(line)?.[1]?.length;
  if (level === undefined) return null;
  let words = line.slice(level).trim();
  while (words.endsWith('#')) words = words.slice(0, -1);
  words = words.trim();
  return words === '' ? null : { level, words };
}
