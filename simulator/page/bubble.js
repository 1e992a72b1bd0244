// One message as a row of the chat. The person at the page is the contact: their messages are on the right.
import { el, iconButton, svg } from './dom.js';
import { clock, formatText, isOnlyEmoji, summary } from './format.js';
import { mediaNode } from './media.js';
import { state, ticksOf } from './store.js';
import { tickMark } from './ticks.js';

/** The row of a message. `actions`: onMenu(row, anchor), onQuote(id), onReact(message, emoji), onRetry(message). */
export function bubbleRow(message, { first, actions }) {
  const row = el('div', { class: 'row' });
  drawRow(row, message, { first, actions });
  return row;
}

/** Brings a row up to date. A tick that changed touches the tick only: a voice note that plays goes on playing. */
export function drawRow(row, message, { first, actions }) {
  const look = JSON.stringify([
    first,
    message.text,
    message.caption,
    message.media?.url,
    message.deleted,
    message.edited,
    message.quotedId,
    message.reactions,
    message.local,
    message.quotedId ? summaryOf(message.quotedId) : null,
  ]);
  if (row.look !== look) {
    row.look = look;
    build(row, message, { first, actions });
  } else row.querySelector('.meta').replaceWith(meta(message));
  if (!message.fromMe) row.dataset.ticks = ticksOf(message);
  row.dataset.status = message.status ?? '';
}

/** The line with hour, author and ticks. */
function meta(message) {
  const parts = [];
  if (message.edited && !message.deleted) parts.push(el('span', {}, 'Editada'));
  if (message.fromMe) parts.push(authorMark(message.author));
  if (message.status === 'ERROR')
    parts.push(el('span', { class: 'meta-error', title: 'O WhatsApp recusou depois de aceitar (ERROR)' }, 'não entregue'));
  parts.push(el('time', { datetime: new Date(message.at).toISOString() }, clock(message.at)));
  if (!message.fromMe && !message.deleted) parts.push(tickMark(ticksOf(message), refusal(message)));
  return el('span', { class: 'meta' }, ...parts);
}

function build(row, message, { first, actions }) {
  const side = message.fromMe ? 'in' : 'out';
  const bare = !message.deleted && (message.media?.kind === 'sticker' || (message.media == null && isOnlyEmoji(message.text ?? '')));
  row.className = `row row-${side} ${first ? 'row-first' : ''} ${bare ? 'row-bare' : ''} ${hasReactions(message) ? 'row-reacted' : ''}`;
  Object.assign(row.dataset, {
    testid: `bubble-${side}`,
    id: message.id,
    author: message.author ?? (message.fromMe ? 'api' : 'contact'),
    kind: message.media?.kind ?? message.kind ?? 'text',
    deleted: String(message.deleted === true),
    edited: String(message.edited === true),
  });
  const opener = message.local === undefined && !message.deleted;
  row.replaceChildren(
    el(
      'div',
      { class: 'bubble' },
      el('span', { class: 'sr' }, message.fromMe ? 'Número: ' : 'Você: '),
      ...(message.deleted ? [deletedNote(message)] : [quote(message, actions), mediaNode(message), body(message)]),
      meta(message),
      opener &&
        iconButton('chevron', 'Opções da mensagem', {
          class: 'bubble-menu',
          testid: 'bubble-menu',
          'aria-haspopup': 'menu',
          onclick: (event) => actions.onMenu(row, event.currentTarget),
        }),
      hasReactions(message) && reactions(message, actions),
    ),
    ...(message.local === 'failed'
      ? [
          el(
            'button',
            { type: 'button', class: 'retry', testid: 'retry', onclick: () => actions.onRetry(message) },
            'Não foi enviada. Tentar de novo',
          ),
        ]
      : []),
  );
}

function body(message) {
  const text = message.media ? (message.caption ?? message.media.caption ?? message.text ?? '') : (message.text ?? '');
  if (text === '') return null;
  return el('span', { class: 'text', testid: 'bubble-text', dir: 'auto' }, ...formatText(text));
}

function deletedNote(message) {
  const note = message.fromMe ? 'Esta mensagem foi apagada' : 'Você apagou esta mensagem';
  return el('span', { class: 'deleted', testid: 'bubble-deleted' }, svg('ban'), note);
}

function quote(message, actions) {
  if (!message.quotedId) return null;
  const quoted = state.messages.get(message.quotedId);
  const author = quoted === undefined ? '' : quoted.fromMe ? authorName(quoted.author) : 'Você';
  return el(
    'button',
    {
      type: 'button',
      class: `quote quote-${quoted?.fromMe ? 'in' : 'out'}`,
      testid: 'quote',
      'aria-label': `Ir para a mensagem citada`,
      onclick: () => actions.onQuote(message.quotedId),
    },
    el('b', {}, author),
    el('span', {}, summaryOf(message.quotedId)),
  );
}

function summaryOf(id) {
  const quoted = state.messages.get(id);
  return quoted === undefined ? 'Mensagem não encontrada' : summary(quoted);
}

function reactions(message, actions) {
  const counts = new Map();
  for (const { emoji } of message.reactions) if (emoji) counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
  return el(
    'div',
    { class: 'reactions' },
    ...[...counts].map(([emoji, count]) => {
      const mine = message.reactions.some((item) => item.emoji === emoji && isContacts(item));
      const label = mine ? `Retirar reação ${emoji}` : `Reagir com ${emoji}`;
      return el(
        'button',
        {
          type: 'button',
          class: 'reaction',
          testid: 'reaction',
          data: { emoji, mine },
          'aria-label': label,
          title: label,
          onclick: () => actions.onReact(message, emoji),
        },
        count > 1 ? `${emoji} ${count}` : emoji,
      );
    }),
  );
}

/** True when the reaction is the contact's, that is, of the person at the page. */
export function isContacts(reaction) {
  return reaction.from !== 'api' && reaction.from !== 'owner' && reaction.from !== 'me';
}

function hasReactions(message) {
  return !message.deleted && (message.reactions ?? []).some((item) => item.emoji);
}

function authorMark(author) {
  const owner = author === 'owner';
  const title = owner ? 'Digitada no celular da empresa' : 'Enviada pelo agente (API)';
  return el(
    'span',
    { class: `author author-${owner ? 'owner' : 'api'}`, testid: 'author', title },
    svg(owner ? 'phone' : 'spark'),
    authorName(author),
  );
}

function authorName(author) {
  return author === 'owner' ? 'dono do número' : 'agente';
}

function refusal(message) {
  const attempt = state.attempts.get(message.id);
  if (attempt === undefined || state.accepted.has(message.id)) return undefined;
  return `webhook: ${attempt.error ?? attempt.status ?? 'sem resposta'}, tentativa ${attempt.attempt}`;
}
