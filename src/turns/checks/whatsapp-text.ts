/** WhatsApp's own way of writing: one asterisk for bold, links as they are, no headings, tables or fences. What a model wrote for a page is written for a chat. Pure. */
import { headingOf } from '../../words/heading.ts';

/** The same words, as WhatsApp shows them. What needs nothing comes back as it is. */
export function forWhatsapp(text: string): string {
  if (!/[#*_`|<[~-]/.test(text)) return text;
  return text
    .split('\n')
    .filter((line) => !/^\s*(?:```\w*|\|?(?:\s*:?-{2,}:?\s*\|)+\s*:?-*:?\s*|(?:-{3,}|\*{3,}|_{3,})\s*)$/.test(line))
    .map(lineFor)
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim();
}

function lineFor(line: string): string {
  return cells(line)
    .replace(/^\s*#{1,6}\s.*$/, (whole) => {
      const heading = headingOf(whole.trimStart());
      return heading === null ? whole : `*${heading.words.replaceAll('*', '')}*`;
    })
    .replaceAll(/<br\s*\/?>/gi, '\n')
    .replaceAll(/<\/?(?:b|strong)>/gi, '*')
    .replaceAll(/<\/?(?:p|div|span|i|em|ul|ol|li)>/gi, '')
    .replaceAll(/!?\[([^\]\n]{1,200})\]\(((?:https?:|mailto:|tel:)?[^\s)]{1,500})\)/g, (_, words: string, target: string) => {
      const address = target.replace(/^(?:mailto|tel):/, '');
      return words.includes(address) ? words : `${words}: ${address}`;
    })
    .replaceAll(/(\*\*|__)(?=\S)([^\n]{1,300}?\S)\1/g, '*$2*')
    .replaceAll('```', '');
}

/** A row of a table is a line of its cells. */
function cells(line: string): string {
  if (!/^\s*\|.*\|\s*$/.test(line)) return line;
  return line
    .split('|')
    .map((cell) => cell.trim())
    .filter((cell) => cell !== '')
    .join(' – ');
}
