/**
 * A document becomes passages: what is found, shown and cited as one. A passage stays within its section, holds whole paragraphs where it can, and knows the
 * headings above it, since a price list says what it is about there only. Pure.
 */
import { cut } from '../words/cut.ts';
import { foldWords } from '../words/fold.ts';
import { headingOf } from '../words/heading.ts';

export type Passage = {
  /** The headings above it, outermost first, joined by " > "; empty: none. */
  heading: string;
  text: string;
};

/** Characters of a passage: longer sections are split at paragraphs, then at sentences, then anywhere. */
export const PASSAGE_CHARS = 700;
/** A heading is a line, not a text. */
const HEADING_CHARS = 200;

/** Of a text with Markdown's headings; a text without any is one section. */
export function passagesOf(text: string): Passage[] {
  return sectionsOf(text).flatMap(({ heading, body }) => packed(body.split(/\n{2,}/), '\n\n').map((part) => ({ heading, text: part })));
}

/** Of a table: each row is one line that names its columns, so that it means the same without the rows above it. The first row holds the names. */
export function rowPassages(rows: string[][]): Passage[] {
  const [names = [], ...records] = rows;
  const lines = records.map((row) =>
    row.flatMap((value, index) => (value.trim() === '' ? [] : [`${columnOf(names, index)}: ${value.trim()}`])).join('; '),
  );
  return packed(lines, '\n').map((text) => ({ heading: '', text }));
}

/** Of a document with pages, each of which is its own section. */
export function pagePassages(pages: string[]): Passage[] {
  return pages.flatMap((page, index) =>
    packed(page.split(/\n{2,}/), '\n\n').map((text) => ({ heading: pages.length > 1 ? `página ${index + 1}` : '', text })),
  );
}

/** The words of a passage as they are looked for: plain, each once. Two letters mean something ("PP", "GG", "MG"), one does not. */
export function wordsOf({ heading, text }: Passage): string[] {
  return [...new Set(foldWords(`${heading} ${text}`).split(' '))].filter((word) => word.length >= 2);
}

function columnOf(names: string[], index: number): string {
  const name = names[index]?.trim() ?? '';
  return name === '' ? `coluna ${index + 1}` : name;
}

function sectionsOf(text: string): { heading: string; body: string }[] {
  const sections: { heading: string; body: string }[] = [];
  const path: string[] = [];
  let lines: string[] = [];
  let isCode = false;
  const end = (): void => {
    const body = lines.join('\n').trim();
    if (body !== '') sections.push({ heading: path.filter(Boolean).join(' > '), body });
    lines = [];
  };
  for (const line of text.split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) isCode = !isCode;
    const found = isCode ? null : headingOf(line);
    if (found === null) {
      lines.push(line);
      continue;
    }
    end();
    const { level } = found;
    path.length = Math.min(path.length, level - 1);
    for (let above = path.length; above < level - 1; above++) path[above] = '';
    path[level - 1] = cut(found.words, HEADING_CHARS);
  }
  end();
  return sections;
}

/** Joins what fits together into one passage, and splits what does not fit into one. */
function packed(parts: string[], joint: string): string[] {
  const made: string[] = [];
  let held = '';
  for (const part of parts.flatMap(pieces)) {
    if (held === '') held = part;
    else if (held.length + joint.length + part.length <= PASSAGE_CHARS) held += joint + part;
    else {
      made.push(held);
      held = part;
    }
  }
  if (held !== '') made.push(held);
  return made;
}

function pieces(part: string): string[] {
  let rest = part.trim();
  const made: string[] = [];
  while (rest.length > PASSAGE_CHARS) {
    const head = cut(rest, PASSAGE_CHARS);
    const line = head.lastIndexOf('\n');
    const sentence = Math.max(...['. ', '! ', '? ', '; '].map((end) => head.lastIndexOf(end) + 1));
    const end = line > PASSAGE_CHARS / 3 ? line : sentence > PASSAGE_CHARS / 3 ? sentence : head.lastIndexOf(' ');
    const at = end > 0 ? end : head.length;
    made.push(rest.slice(0, at).trim());
    rest = rest.slice(at).trim();
  }
  if (rest !== '') made.push(rest);
  return made;
}
