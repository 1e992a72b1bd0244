/** Order notices as words: which types and placeholders there are, whether a text may be saved, and what it says with an order's values. Pure. */
import { oneLine } from '../words/foreign-text.ts';

export const NOTICE_TYPES = [
  'order_created',
  'order_confirmed',
  'payment_link',
  'payment_received',
  'payment_failed',
  'payment_refunded',
  'order_shipped',
  'order_delivered',
  'delivery_failed',
  'ready_for_pickup',
  'picked_up',
  'expired',
  'cancelled',
  'returned',
] as const;
export type NoticeType = (typeof NOTICE_TYPES)[number];

export const PLACEHOLDERS = ['nome', 'codigo', 'valor', 'loja', 'link_rastreio', 'rastreio', 'pickup_code', 'endereco', 'motivo'] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

/** What a shop tells of an order. A number is money where it stands for `valor`. */
export type NoticeData = Readonly<Record<string, string | number>>;

/** A value is part of one sentence or an address; what is longer is not meant. Characters. */
export const MOST_VALUE = 1_000;
/** Characters. */
export const MOST_TEXT = 1_000;

const ALL = PLACEHOLDERS.map((name) => `{${name}}`).join(' ');
const NAMES: readonly string[] = PLACEHOLDERS;

/** What is wrong with a text that should be saved; null: nothing. */
export function templateFault(text: string): string | null {
  if (text.trim() === '') return 'text: must not be empty';
  if (text.length > MOST_TEXT) return `text: must have at most ${MOST_TEXT} characters`;
  const wrong = text.match(/\{[^{}\n]*\}/g)?.find((each) => !NAMES.includes(each.slice(1, -1)));
  if (wrong !== undefined) return `text: there is no placeholder ${wrong}; there are ${ALL}`;
  if (/[{}]/.test(text.replaceAll(/\{[^{}\n]*\}/g, ''))) return `text: a brace stands alone; placeholders are ${ALL}`;
  return null;
}

/** The words of a notice, or the placeholders that have no value. What a value says is never read as a placeholder, and is one line. */
export function renderNotice(template: string, data: NoticeData): { ok: true; text: string } | { ok: false; missing: Placeholder[] } {
  const missing = PLACEHOLDERS.filter((name) => template.includes(`{${name}}`) && valueOf(data, name) === '');
  if (missing.length > 0) return { ok: false, missing };
  return {
    ok: true,
    text: template.replaceAll(/\{(\w+)\}/g, (whole, name: string) => (NAMES.includes(name) ? valueOf(data, name) : whole)),
  };
}

function valueOf(data: NoticeData, name: string): string {
  const value = Object.hasOwn(data, name) ? data[name] : undefined;
  if (value === undefined) return '';
  if (typeof value === 'string') return oneLine(value, MOST_VALUE);
  return name === 'valor' ? reais(value) : String(value);
}

function reais(value: number): string {
  // A plain space: what Intl writes breaks no line, and is found by nobody who searches.
  return new Intl.NumberFormat('pt-BR', { style: 'currency', currency: 'BRL' }).format(value).replaceAll(/\s/g, ' ');
}
