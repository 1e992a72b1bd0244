/**
 * The text of a file, by what kind it is. PDF and Word are opened in a process of their own.
 * Expected failures are values.
 */
import { parse as parseCsv } from 'csv-parse/sync';
import { decoded } from '../words/decoded.ts';
import { pdfText, wordHtml } from '../files/documents.ts';
import { cut } from '../words/cut.ts';
import { pagePassages, passagesOf, rowPassages } from './document-words.ts';
import type { Passage } from './document-words.ts';

export type DocumentKind = 'md' | 'txt' | 'pdf' | 'docx' | 'csv';

export type ReadDocument = {
  kind: DocumentKind;
  /** null: it has none. */
  pages: number | null;
  passages: Passage[];
  /** It was not UTF-8, and was read as what Windows writes. */
  guessed: boolean;
};

/** Bytes of a file. */
export const MAX_FILE_BYTES = 20 * 1024 * 1024;
/** Characters of the text of a document: some 600 pages. */
export const MAX_TEXT_CHARS = 1_500_000;
const MAX_PAGES = 1_000;

const KINDS: Readonly<Record<string, DocumentKind>> = {
  md: 'md',
  markdown: 'md',
  txt: 'txt',
  text: 'txt',
  pdf: 'pdf',
  docx: 'docx',
  csv: 'csv',
};

type Read = { ok: true; document: ReadDocument } | { ok: false; message: string };

/** Reads a file. `name` tells the kind by its ending. Never rejects. */
export async function readDocument(name: string, bytes: Buffer): Promise<Read> {
  const ending = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  const kind = KINDS[ending];
  if (kind === undefined) return no(`${name}: a file must end in ${Object.keys(KINDS).join(', ')}${HINTS[ending] ?? ''}`);
  if (bytes.length === 0) return no(`${name} is empty`);
  if (bytes.length > MAX_FILE_BYTES)
    return no(`${name} has ${megabytes(bytes.length)} MB; at most ${megabytes(MAX_FILE_BYTES)} MB are read: split it`);
  try {
    const found = kind === 'pdf' ? await readPdf(name, bytes) : kind === 'docx' ? await readWord(name, bytes) : readText(name, kind, bytes);
    return found.ok ? checked(name, found.document) : found;
  } catch (error) {
    return no(`${name} could not be read as ${kind}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const HINTS: Readonly<Record<string, string>> = {
  doc: '; save it as .docx',
  xls: '; save it as .csv',
  xlsx: '; save it as .csv',
  odt: '; save it as .docx or .pdf',
  html: '; save it as .txt or .md',
  jpg: '; a picture has no text',
  png: '; a picture has no text',
};

function checked(name: string, document: ReadDocument): Read {
  const chars = document.passages.reduce((sum, { text }) => sum + text.length, 0);
  if (chars === 0)
    return no(document.kind === 'pdf' ? `${name} holds no text: is it a scan? Export it with its text` : `${name} holds no text`);
  if (chars > MAX_TEXT_CHARS) return no(`${name} holds ${chars} characters of text; at most ${MAX_TEXT_CHARS} are kept: split it`);
  return { ok: true, document };
}

function readText(name: string, kind: 'md' | 'txt' | 'csv', bytes: Buffer): Read {
  if (bytes.includes(0)) return no(`${name} holds NUL bytes: it is no text${isUtf16(bytes) ? '; save it as UTF-8' : ''}`);
  const { text, guessed } = decoded(bytes);
  const clean = text.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
  const passages = kind === 'csv' ? rowPassages(csvRows(clean)) : passagesOf(kind === 'md' ? clean : withoutHeadings(clean));
  return { ok: true, document: { kind, pages: null, passages, guessed } };
}

/** In a plain text a line that begins with # is a line. */
function withoutHeadings(text: string): string {
  return text.replaceAll(/^(#{1,6} )/gm, ' $1');
}

function isUtf16(bytes: Buffer): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
}

function csvRows(text: string): string[][] {
  const [first = ''] = text.split('\n', 1);
  const plain = first.replaceAll(/"[^"]*"/g, '');
  const counts = [';', ',', '\t'].map((mark) => ({ mark, count: plain.split(mark).length - 1 }));
  const delimiter = counts.reduce((best, each) => (each.count > best.count ? each : best)).mark;
  return parseCsv(text, { delimiter, relax_column_count: true, relax_quotes: true, skip_empty_lines: true });
}

async function readPdf(name: string, bytes: Buffer): Promise<Read> {
  if (!bytes.subarray(0, 1_024).includes('%PDF-')) return no(`${name} is no PDF, whatever it is called`);
  const pdf = await pdfText(bytes, MAX_PAGES);
  if (pdf.kind === 'locked') return no(`${name} has a password: save it without one`);
  if (pdf.kind === 'broken') return no(`${name} is no whole PDF: ${cut(pdf.detail, 200)}`);
  if (pdf.text === null) return no(`${name} has ${pdf.count} pages; at most ${MAX_PAGES} are read: split it`);
  return { ok: true, document: { kind: 'pdf', pages: pdf.count, passages: pagePassages(pdf.text), guessed: false } };
}

async function readWord(name: string, bytes: Buffer): Promise<Read> {
  if (bytes.subarray(0, 2).toString('latin1') !== 'PK') return no(`${name} is no .docx, whatever it is called`);
  const word = await wordHtml(bytes);
  if (word.kind === 'broken') return no(`${name} could not be read as docx: ${cut(word.detail, 200)}`);
  return { ok: true, document: { kind: 'docx', pages: null, passages: passagesOf(plainText(word.html)), guessed: false } };
}

/** What mammoth writes is a small, well-formed HTML: headings, paragraphs, lists, tables. */
function plainText(html: string): string {
  return html
    .replaceAll(/<h([1-6])[^>]*>/g, (_, level: string) => `\n\n${'#'.repeat(Number(level))} `)
    .replaceAll(/<li[^>]*>/g, '\n- ')
    .replaceAll(/<\/p>\s*<\/t[dh]>/g, '</td>')
    .replaceAll(/<\/t[dh]>(?!\s*<\/tr>)\s*/g, ' | ')
    .replaceAll(/<\/tr>/g, '\n')
    .replaceAll(/<br\s*\/?>/g, '\n')
    .replaceAll(/<\/(p|h[1-6]|ul|ol|table)>/g, '\n\n')
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll(/&(lt|gt|quot|amp|#39);/g, (_, name: string) => ENTITIES[name] ?? '')
    .replaceAll(/ \| *(?=\n)/g, '')
    .replaceAll(/\n{3,}/g, '\n\n');
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', amp: '&', '#39': "'" };

function megabytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}

function no(message: string): { ok: false; message: string } {
  return { ok: false, message };
}
