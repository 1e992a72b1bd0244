import { html } from 'hono/html';
import type { Visitor } from '../routes/session.ts';
import type { Markup } from './answer.ts';

/** Of a form: that a page of this session made it. */
export function proof(visitor: Visitor): Markup {
  return html`<input type="hidden" name="_csrf" value="${visitor.csrf}" />`;
}
