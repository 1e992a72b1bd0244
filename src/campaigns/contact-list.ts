/** A list of contacts, as a spreadsheet writes it: what becomes of each of its rows. */
import { parse } from 'csv-parse/sync';
import { foldWords } from '../words/fold.ts';
import { oneLine } from '../words/foreign-text.ts';
import { canonicalPhone } from '../words/phone.ts';
import { tagOf } from './campaign-words.ts';

/** Rows of one list. */
export const MOST_ROWS = 20_000;

export type Fate = 'taken' | 'duplicate' | 'no_area_code' | 'no_phone' | 'broken';
export type ListRow = {
  /** As an editor counts them, the head is 1. */
  line: number;
  fate: Fate;
  /** What stands where the phone should. */
  given: string;
  /** Canonical digits, of those that are taken. */
  phone: string | null;
  name: string | null;
  tags: string[];
  /** The line whose phone it repeats. */
  of: number | null;
};

const HEADS = {
  phone: ['telefone', 'phone', 'celular', 'whatsapp', 'numero', 'fone', 'tel', 'contato'],
  name: ['nome', 'name', 'cliente', 'nome completo'],
  tags: ['tag', 'tags', 'etiqueta', 'etiquetas', 'grupo'],
} as const;

/** The rows of a list with their fates, or why it cannot be read at all. Total. */
export function readList(text: string): { ok: true; rows: ListRow[] } | { ok: false; message: string } {
  const clean = text.replace(/^\uFEFF/, '');
  const first = clean.split(/\r?\n/, 1)[0] ?? '';
  const delimiter = [';', '\t', ','].find((each) => first.includes(each)) ?? ',';
  // Line by line: a quote that stays open must not swallow the people below it.
  const [head, ...body] = clean
    .split(/\r?\n/)
    .flatMap((line, index) => (line.trim() === '' ? [] : [{ line: index + 1, cells: cellsOf(line, delimiter) }]));
  if (head?.cells == null) return { ok: false, message: 'it has no rows, or its first one is no row of a CSV' };
  const heads = head.cells.map((each) => foldWords(each));
  const column = (names: readonly string[]): number => heads.findIndex((each) => names.includes(each));
  const phone = column(HEADS.phone);
  if (phone < 0)
    return { ok: false, message: 'its first row must name the columns, one of them telefone; nome and tags may stand beside it' };
  if (body.length > MOST_ROWS) return { ok: false, message: `it has ${body.length} rows; at most ${MOST_ROWS} are read` };
  return { ok: true, rows: fatesOf(body, { phone, name: column(HEADS.name), tags: column(HEADS.tags), columns: heads.length }) };
}

/** Null: it is no row. */
function cellsOf(line: string, delimiter: string): string[] | null {
  try {
    return parse(line, { delimiter, relax_column_count: true, relax_quotes: true, trim: true })[0] ?? null;
  } catch {
    return null;
  }
}

type Columns = { phone: number; name: number; tags: number; columns: number };

function fatesOf(body: { line: number; cells: string[] | null }[], { phone: at, name, tags, columns }: Columns): ListRow[] {
  const seen = new Map<string, number>();
  return body.map(({ line, cells }) => {
    const record = cells ?? [];
    const given = record[at] ?? '';
    const row: ListRow = {
      line,
      fate: 'taken',
      given: oneLine(given, 40),
      phone: null,
      name: name < 0 ? null : oneLine(record[name] ?? '', 60) || null,
      tags: tags < 0 ? [] : (record[tags] ?? '').split(/[,;|]/).flatMap((each) => tagOf(each) ?? []),
      of: null,
    };
    // More cells than columns: a comma within one, and nobody knows which.
    if (cells === null || (record.length > columns && record.slice(columns).some((cell) => cell !== ''))) return { ...row, fate: 'broken' };
    const digits = given.replaceAll(/\D/g, '');
    if (digits === '') return { ...row, fate: 'no_phone' };
    if (!given.trim().startsWith('+') && /^0?\d{8,9}$/.test(digits)) return { ...row, fate: 'no_area_code' };
    const canonical = canonicalPhone(given);
    if (canonical === null) return { ...row, fate: 'broken' };
    const of = seen.get(canonical);
    if (of !== undefined) return { ...row, fate: 'duplicate', of };
    seen.set(canonical, line);
    return { ...row, phone: canonical };
  });
}
