/**
 * Text that a contact controls, made safe for its readers: what is typed, quoted or reacted with, names, captions, names of files, options of polls, what
 * the agent remembered of it. The runtime and the team speak to the model in square brackets, and to people in lines of their own. So three things could make a
 * contact read like them: brackets of any script, signs that nobody sees, and ends of lines. Letters that look like others need no list: a mark without its bracket
 * is words.
 * Pure and total.
 */
import { cut, shortened } from './cut.ts';

/** For a prompt: as typed, in round brackets, without what nobody sees. Ends of lines stay, of many in a row two. */
export function forModel(text: string): string {
  return unbracketed(visible(text)).replaceAll(/\n{3,}/g, '\n\n');
}

/**
 * What a contact wrote, for a reader of the runtime's notes too. Only a line that is nothing but such a note (a medium, an advertisement) keeps its brackets, and
 * what was typed has none. The readers of kinds let nobody else write a note (contentOf, in whatsapp/message-parts.ts). Of a longer text the first `units` are read.
 */
export function contactText(
  { text, typed = null, type }: { text: string; typed?: string | null; type: string },
  units = Number.POSITIVE_INFINITY,
): string {
  const at = typed === null ? -1 : text.lastIndexOf(typed);
  if (typed === null ? type === 'text' : at < 0) return forModel(cut(text, units));
  // Each part is cut by itself, so that nothing of what was typed comes to stand beside it.
  const before = cut(text.slice(0, Math.max(0, at)), units);
  const words = cut(typed ?? '', units - before.length);
  const after = cut(text.slice(before.length + words.length), words === (typed ?? '') ? units - before.length - words.length : 0);
  return notesKept(`${before}${forModel(words)}${after}`);
}

/** Made safe but for the lines that are notes. What lies between two of them is done in one go: a contact may send thousands of lines. */
function notesKept(text: string): string {
  const lines = text.split('\n');
  const isNote = (line: string): boolean => line.startsWith('[') && line.endsWith(']') && line === `[${inNote(line)}]`;
  const parts: string[] = [];
  let from = 0;
  for (const [index, line] of lines.entries()) {
    if (!isNote(line)) continue;
    if (index > from) parts.push(forModel(lines.slice(from, index).join('\n')));
    parts.push(line);
    from = index + 1;
  }
  if (from < lines.length) parts.push(forModel(lines.slice(from).join('\n')));
  return parts.join('\n');
}

/** What is not seen may be taken out, so more is read of a text than is shown of it; but no more than this many times as much, however long it is. */
const ROOM = 4;

/** For the eyes of a person: one line of at most so many UTF-16 units. */
export function oneLine(text: string, units: number): string {
  const line = visible(cut(text, ROOM * units))
    .replaceAll(/\s+/gu, ' ')
    .trim();
  return text.length <= ROOM * units || line.length > units ? shortened(line, units) : `${cut(line, units - 1)}…`;
}

/** The same for a prompt. */
export function lineForModel(text: string, units: number): string {
  return unbracketed(oneLine(text, units));
}

/** For several lines on a screen or a terminal. */
export function printable(text: string): string {
  return visible(text);
}

/** Words that a person is asked about: safe, and each line marked, so that none reads as one of ours. */
export function quotedLines(text: string): string {
  return `> ${forModel(text).replaceAll('\n', '\n> ')}`;
}

/** For a place inside brackets of the runtime: one line without brackets but round ones. */
export function inNote(text: string): string {
  return visible(text)
    .replaceAll(OPENS, (found) => (found === '(' ? found : ''))
    .replaceAll(CLOSES, (found) => (found === ')' ? found : ''))
    .replaceAll(/\s+/gu, ' ')
    .trim();
}

/** The name that a contact gave itself: one short line without brackets wherever a person or a model reads it; null when nothing is left. */
export function shownName(raw: string | null): string | null {
  const name = raw === null ? '' : lineForModel(raw, NAME_UNITS);
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(name) ? name : null;
}

const NAME_UNITS = 60;

/** Without signs that nobody sees: directions, joiners, fillers, tags, controls. What an emoji is made of stays. All ends of lines become one. */
function visible(text: string): string {
  const lines = text.normalize('NFC').replaceAll(/\r\n?|[\u0085\u2028\u2029\v\f]/g, '\n');
  return lines.replaceAll(EMOJI_OR_UNSEEN, (_, emoji: string | undefined) => emoji ?? '');
}

/**
 * An emoji with what it is made of: its variation, its skin, others joined to it, the letters of a flag; a keycap. Else what is not seen: also the fillers of Hangul
 * and the empty Braille cell, which are letters to Unicode, and blank.
 */
const EMOJI_OR_UNSEEN =
  /((?:\u{1F3F4}[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{3,6}\u{E007F}|\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier})?)(?:\u200D\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier})?)*|[\d#*]\uFE0F?\u20E3)|[\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]|(?![\n\t])\p{Cc}/gu;

/** Brackets of any script become round ones, and what looks like a tag too. Quotation marks that open low are none. */
function unbracketed(text: string): string {
  return text
    .replaceAll(/<(\/?[\p{L}!?][^<>\n]{0,200})>/gu, '($1)')
    .replaceAll(/<(?=[\p{L}/!?])/gu, '(')
    .replaceAll(OPENS, '(')
    .replaceAll(CLOSES, ')');
}

const OPENS = /[[\p{Ps}\u00AB\u2039\u2E26\u2E28\u239B-\u239D\u23A1-\u23A3\u23A7-\u23A9]--[\u201A\u201E]]/gv;
const CLOSES = /[\p{Pe}\u00BB\u203A\u2E27\u2E29\u239E-\u23A0\u23A4-\u23A6\u23AB-\u23AD]/gv;
