/** Pieces that several pages show. Pure. */
import { html } from 'hono/html';
import type { Markup } from './answer.ts';

/** What came of a form, told to who listens instead of looking, too. */
export function outcome(tone: 'good' | 'wrong', words: string): Markup {
  return html`<p class="${tone}" role="${tone === 'wrong' ? 'alert' : 'status'}">${words}</p>`;
}

/** One of a list of figures (`dl.figures`). */
export function figure(label: string, value: string): Markup {
  return html`<div>
    <dt>${label}</dt>
    <dd>${value}</dd>
  </div>`;
}
