/** What the readers of message kinds share: how a part is told in a line. Pure and total. */
import type { ContentType, MediaInfo, MessageContent } from './inbound-event.ts';
import { cut } from '../words/cut.ts';
import { forModel, inNote } from '../words/foreign-text.ts';
import { isBlank, numberAt, storable, stringAt } from '../words/json.ts';

/** A line that may stand beside what was typed: nobody can tell afterwards whose it was, so only the runtime's own have square brackets (see turns/prompt.ts). */
type Line = { text: string; isTyped: false };
/** What the person wrote, as it was written. */
type Typed = { text: string; isTyped: true };

/** A note of the runtime. */
export function ours(note: string): Line {
  return { text: `[${inNote(note)}]`, isTyped: false };
}

/** What stands on the phone and counts as typed by nobody: a heading, a footer, the words of a kind that nobody knows. */
export function shown(text: string | null): Line | null {
  return text === null ? null : { text: forModel(text), isTyped: false };
}

export function typed(text: string | null): Typed | null {
  return text === null ? null : { text, isTyped: true };
}

/** The one way in which a message gets its text. One line is typed at most. */
export function contentOf(type: ContentType, lines: readonly (Line | Typed | null)[], media: MediaInfo | null = null): MessageContent {
  const present = lines.filter((line) => line !== null).filter(({ text }) => text !== '');
  return {
    type,
    text: present.map(({ text }) => text).join('\n'),
    typed: present.find(({ isTyped }) => isTyped)?.text ?? null,
    media,
  };
}

/** With more lines below. */
export function withLines(content: MessageContent, ...lines: readonly (Line | null)[]): MessageContent {
  const { text } = contentOf(content.type, lines);
  return text === '' ? content : { ...content, text: `${content.text}\n${text}` };
}

/** A text; null when blank, so that a message never becomes an empty turn. */
export function plain(value: unknown): MessageContent | null {
  return typeof value !== 'string' || isBlank(value) ? null : contentOf('text', [typed(storable(value))]);
}

/** Something that has no words of its own, told in brackets. */
export function note(type: ContentType, text: string): MessageContent {
  return contentOf(type, [ours(text)]);
}

export function inlineAt(value: unknown, ...path: readonly string[]): string | null {
  const text = stringAt(value, ...path);
  return text === null ? null : inline(text) || null;
}

/** Foreign text inside a bracketed note: one line without brackets of any script, so that a file name cannot pose as a note of ours. */
export function inline(text: string, chars = 200): string {
  return cut(inNote(cut(text, 4 * chars)), chars).toWellFormed();
}

export function joined(separator: string, ...parts: readonly (string | null)[]): string | null {
  const present = parts.filter((part) => part !== null && part !== '');
  return present.length > 0 ? present.join(separator) : null;
}

/** Longer JSON in a string is no button and no form. Characters. */
const MAX_JSON_CHARS = 50_000;

/** WhatsApp keeps buttons and forms as JSON in a string. Null when it is none. */
export function parsed(json: unknown): unknown {
  if (typeof json !== 'string' || json.length > MAX_JSON_CHARS) return null;
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

/** WhatsApp's two forms of an amount: thousandths beside a currency, or `{value, offset}`. */
export function money(part: unknown, amountKey: string, currencyKey: string): string | null {
  const thousandths = numberAt(part, amountKey);
  return thousandths === null ? null : amountText(thousandths / 1000, inlineAt(part, currencyKey));
}

export function moneyOf(amount: unknown, currency: string | null): string | null {
  const value = numberAt(amount, 'value');
  const offset = numberAt(amount, 'offset');
  if (value === null || offset === null || offset <= 0) return null;
  return amountText(value / offset, inlineAt(amount, 'currencyCode') ?? inlineAt(amount, 'currency') ?? currency);
}

function amountText(amount: number, currency: string | null): string {
  return `${currency ?? ''} ${amount.toFixed(2)}`.trim();
}

/** Where WhatsApp shows a time, each phone shows its own zone's. The product's country is Brazil, and the zone stands beside it. */
const CLOCK = new Intl.DateTimeFormat('pt-BR', { timeZone: 'America/Sao_Paulo', dateStyle: 'short', timeStyle: 'short' });

/** A moment in seconds, or in milliseconds from some size on; null when it is none of this century. */
export function momentAt(value: unknown, ...path: readonly string[]): string | null {
  const stamp = numberAt(value, ...path);
  if (stamp === null) return null;
  const ms = stamp > 1e11 ? stamp : stamp * 1000;
  return ms >= Date.UTC(2000, 0, 1) && ms < Date.UTC(2100, 0, 1) ? `${CLOCK.format(new Date(ms))} (horário de Brasília)` : null;
}

/** A list of at most so many of what `tell` says of each. */
export function told(parts: readonly unknown[], tell: (part: unknown) => string | null, most = 20): string[] {
  return parts
    .slice(0, most)
    .map(tell)
    .filter((text): text is string => text !== null && text !== '');
}
