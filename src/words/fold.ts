/** Text as people type it, made comparable: case, accents, emoji and spacing are one person's habit and carry no meaning. Pure. */

/** Lower case without accents; everything but letters, digits and the marks between clauses becomes one space. */
function plain(text: string): string {
  return text
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[\u2018\u2019'`´]/g, '')
    .replaceAll(/[^\p{L}\p{N}\n.!?,;:…]+/gu, ' ');
}

/** The clauses of a text, between punctuation and line breaks, each of plain words with single spaces. */
export function clausesOf(text: string): string[] {
  return plain(text)
    .split(/[\n.!?,;:…]+/)
    .map((clause) => clause.trim())
    .filter(Boolean);
}

/** The whole text as plain words. */
export function foldWords(text: string): string {
  return clausesOf(text).join(' ');
}
