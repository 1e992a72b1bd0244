/** Pieces that several pages show. Pure. */
import { html } from 'hono/html';
import type { Markup } from './answer.ts';
import { assetPath } from './assets.ts';

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

/** A curve by day. `values` null: nothing is known of that day. */
export type Curve = { label: string; unit: '' | ' s' | 'US$'; bars?: boolean; values: readonly (number | null)[] };

/** Drawn by static/plots.js; `says` is what stands for it where nothing is drawn. Days as `2026-11-30`, the oldest first. */
export function plot(says: string, days: readonly string[], series: readonly Curve[]): Markup {
  const x = days.map((day) => Date.parse(day) / 1_000);
  return html`<figure class="plot">
    <figcaption>${says}</figcaption>
    <div data-plot="${JSON.stringify({ x, series })}" role="img" aria-label="${says}, por dia; os números estão na tabela"></div>
  </figure>`;
}

/** What the curves of a page need, once. */
export function plotFiles(): Markup {
  return html`<link rel="stylesheet" href="${assetPath('uplot.css')}" />
    <script src="${assetPath('uplot.js')}" defer></script>
    <script src="${assetPath('plots.js')}" defer></script>`;
}
