// The ticks beside a contact's own message.
import { el, svg } from './dom.js';

/** The tick drawing for one of the contact's own messages. */
export function tickMark(ticks, detail) {
  const drawing = { pending: 'clock', failed: 'alert', sent: 'tick', delivered: 'ticks', read: 'ticks' }[ticks];
  const label = TICK_LABELS[ticks] + (detail === undefined ? '' : ` (${detail})`);
  return el('span', { class: `ticks ticks-${ticks}`, role: 'img', 'aria-label': label, title: label }, svg(drawing));
}

const TICK_LABELS = {
  pending: 'Enviando',
  failed: 'Não enviada',
  sent: 'Enviada, ainda não aceita pelo runtime',
  delivered: 'Aceita pelo webhook do runtime',
  read: 'Lida',
};
