// The open conversation: header, messages, composer. Keeps the reader where they are: at the bottom, or where they scrolled to.
import { call, post } from './api.js';
import { bubbleRow, drawRow, isContacts } from './bubble.js';
import { mountComposer } from './composer.js';
import { contactForm } from './contact-form.js';
import { agentInWords, hints } from './hints.js';
import { mountHolder } from './holder.js';
import { confirmDialog, el, iconButton, svg, toast } from './dom.js';
import { avatar, dayLabel, phoneLabel, sameDay } from './format.js';
import { closeMenu, openMenu } from './message-menu.js';
import { retry } from './outbox.js';
import { markSeen, openChat, state, subscribe } from './store.js';

/** Fills the pane; `onBack()` leaves the chat, `onFaults(button)` opens the fault drawer. */
export function mountChat(pane, { onBack, onFaults }) {
  const view = buildView({ onBack, onFaults });
  pane.append(view.empty, view.chat);
  const rows = new Map();
  const composer = mountComposer(view.composer);
  mountHolder(view.holder);
  let shown = PAGE_LENGTH;
  let drawnKey = null;
  let atBottom = true;
  let readTimer = null;

  const actions = {
    onMenu: (row, anchor) => openMenu(state.messages.get(row.dataset.id), anchor, actions),
    onQuote: (id) => jumpTo(id),
    onRetry: retry,
    onReply: (message) => composer.replyTo(message),
    onEdit: (message) => composer.edit(message),
    onReact: (message, emoji) => {
      const mine = (message.reactions ?? []).find((item) => isContacts(item))?.emoji;
      act(`/inbound/${message.id}/react`, { emoji: mine === emoji ? '' : emoji });
    },
    onCopy: (message) =>
      navigator.clipboard?.writeText(message.text).then(
        () => toast('Copiada.'),
        () => toast('O navegador não deixou copiar.', 'error'),
      ),
    onDelete: async (message) => {
      const yes = await confirmDialog({
        title: 'Apagar mensagem?',
        text: 'Ela some para você e para o número da empresa.',
        yes: 'Apagar para todos',
      });
      if (yes) act(`/inbound/${message.id}/delete`);
    },
  };

  function draw() {
    const chat = openChat();
    view.chat.hidden = chat === null;
    view.empty.hidden = chat !== null;
    if (chat === null) view.empty.replaceChildren(hints(null));
    const key = chat === null ? null : `${chat.instance}\n${chat.contactId}`;
    if (key !== drawnKey) {
      drawnKey = key;
      shown = PAGE_LENGTH;
      atBottom = true;
      closeMenu();
      composer.show(chat);
    }
    if (chat === null) return;
    drawHeader(view, chat);
    drawMessages(chat);
    readSoon();
  }

  function drawMessages(chat) {
    rows.clear();
    const ids = chat.ids.slice(-shown);
    const nodes = [];
    let before = null;
    for (const id of ids) {
      const message = state.messages.get(id);
      nodes.push(...nodesFor(message, before));
      before = message;
    }
    if (nodes.length === 0)
      nodes.push(
        hints(state.contacts.get(chat.contactId), (text) => act('/inbound', { contactId: chat.contactId, instance: chat.instance, text })),
      );
    view.older.hidden = ids.length === chat.ids.length;
    view.list.replaceChildren(...nodes);
    if (atBottom) toBottom();
  }

  function nodesFor(message, before) {
    const newDay = before === null || !sameDay(before.at, message.at);
    const first = newDay || before.fromMe !== message.fromMe || before.author !== message.author;
    const row = bubbleRow(message, { first, actions });
    rows.set(message.id, { row, first });
    return newDay ? [el('div', { class: 'day', testid: 'day' }, el('span', {}, dayLabel(message.at, Date.now()))), row] : [row];
  }

  function append(message) {
    const chat = openChat();
    if (chat === null || message.instance !== chat.instance || message.contactId !== chat.contactId) return;
    // One that belongs before the last (an old message) needs its place and its day: draw all again.
    if (chat.ids.at(-1) !== message.id || chat.ids.length === 1) return drawMessages(chat);
    const before = state.messages.get(chat.ids.at(-2)) ?? null;
    if (!message.fromMe) atBottom = true;
    shown += 1;
    view.list.append(...nodesFor(message, before));
    if (atBottom) toBottom();
    else view.jump.hidden = false;
    drawHeader(view, chat);
    readSoon();
  }

  function change(id) {
    const known = rows.get(id);
    if (known !== undefined) drawRow(known.row, state.messages.get(id), { first: known.first, actions });
    for (const [other, { row, first }] of rows) {
      const message = state.messages.get(other);
      if (message.quotedId === id) drawRow(row, message, { first, actions });
    }
    if (known !== undefined) readSoon();
  }

  function readSoon() {
    clearTimeout(readTimer);
    // A moment later, so that a burst is one call.
    readTimer = setTimeout(() => {
      const chat = openChat();
      if (chat === null || document.visibilityState !== 'visible' || state.link.kind !== 'live') return;
      if (markSeen(chat)) post('/read', { contactId: chat.contactId, instance: chat.instance }).catch(() => {});
    }, READ_DELAY_MS);
  }

  function toBottom() {
    view.scroller.scrollTop = view.scroller.scrollHeight;
    view.jump.hidden = true;
  }

  function jumpTo(id) {
    const chat = openChat();
    const place = chat.ids.indexOf(id);
    if (place === -1) return toast('A mensagem citada não está aqui.');
    if (!rows.has(id)) {
      shown = chat.ids.length - place + PAGE_LENGTH;
      atBottom = false;
      drawMessages(chat);
    }
    const { row } = rows.get(id);
    row.scrollIntoView({ block: 'center', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
    row.classList.remove('row-found');
    requestAnimationFrame(() => row.classList.add('row-found'));
  }

  view.scroller.addEventListener('scroll', () => {
    const left = view.scroller.scrollHeight - view.scroller.clientHeight - view.scroller.scrollTop;
    atBottom = left < NEAR_BOTTOM_PX;
    if (atBottom) view.jump.hidden = true;
    closeMenu();
  });
  // The keyboard, the growing composer and late pictures change heights: stay at the bottom if the reader was there.
  const keep = new ResizeObserver(() => atBottom && toBottom());
  keep.observe(view.scroller);
  keep.observe(view.list);
  view.jump.addEventListener('click', () => {
    atBottom = true;
    toBottom();
    composer.focus();
  });
  view.older.addEventListener('click', () => {
    const { scrollHeight, scrollTop } = view.scroller;
    shown += PAGE_LENGTH;
    drawMessages(openChat());
    view.scroller.scrollTop = scrollTop + view.scroller.scrollHeight - scrollHeight;
  });
  holdForMenu(view.list, (row) => actions.onMenu(row, row.querySelector('.bubble-menu') ?? row));
  document.addEventListener('visibilitychange', readSoon);

  subscribe((event) => {
    if (event.type === 'snapshot' || event.type === 'open') draw();
    else if (event.type === 'message-new') append(event.message);
    else if (event.type === 'message-changed') change(event.id);
    else if (event.type === 'typing' || event.type === 'connection' || event.type === 'contact') {
      const chat = openChat();
      if (chat !== null) drawHeader(view, chat);
    } else if (event.type === 'link') {
      if (openChat() !== null) drawHeader(view, openChat());
      readSoon();
    }
  });
  draw();
  return { focusComposer: () => composer.focus() };
}

function buildView({ onBack, onFaults }) {
  const view = {
    name: el('h2', { testid: 'chat-name' }),
    line: el('span', { class: 'chat-line' }),
    picture: el('span', {}),
    connection: el('div', { class: 'banner', role: 'status', testid: 'connection-banner', hidden: true }),
    holder: el('div', { class: 'banner', role: 'status', testid: 'holder', hidden: true }),
    older: el('button', { type: 'button', class: 'older', testid: 'older' }, 'Mensagens anteriores'),
    list: el('div', { class: 'messages', role: 'log', 'aria-label': 'Mensagens', 'aria-live': 'polite', testid: 'messages' }),
    jump: el('button', { type: 'button', class: 'jump', testid: 'jump-new', hidden: true }, svg('down'), 'Novas mensagens'),
    composer: el('div', { class: 'composer' }),
    empty: el('div', { class: 'chat-empty' }),
  };
  const faults = iconButton('bolt', 'Falhas e registro', {
    class: 'only-phone',
    testid: 'chat-fault-toggle',
    'aria-controls': 'fault-panel',
    onclick: () => onFaults(faults),
  });
  const edit = () => contactForm({ contact: state.contacts.get(state.open) });
  view.scroller = el(
    'div',
    { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': 'Histórico da conversa', testid: 'scroller' },
    view.older,
    view.list,
  );
  view.chat = el(
    'section',
    { class: 'chat', hidden: true },
    el(
      'header',
      { class: 'bar chat-bar', testid: 'chat-header' },
      iconButton('back', 'Voltar aos contatos', { class: 'chat-back', testid: 'chat-back', onclick: onBack }),
      el(
        'button',
        {
          type: 'button',
          class: 'chat-who',
          title: 'Dados do contato',
          'aria-label': 'Dados do contato',
          testid: 'chat-contact',
          onclick: edit,
        },
        view.picture,
      ),
      el('div', { class: 'chat-title' }, view.name, view.line),
      faults,
    ),
    view.connection,
    view.holder,
    el('div', { class: 'stage' }, view.scroller, view.jump),
    view.composer,
  );
  return view;
}

function drawHeader(view, chat) {
  const contact = state.contacts.get(chat.contactId);
  const instance = state.instances.find((item) => item.name === chat.instance);
  view.name.textContent = contact.name;
  const picture = avatar(contact.id, contact.name);
  if (view.picture.firstChild?.textContent !== picture.textContent || view.picture.id !== contact.id) view.picture.replaceChildren(picture);
  view.picture.id = contact.id;
  const who = phoneLabel(contact.phone) || 'número oculto';
  const line =
    chat.typing === null
      ? el('span', { class: 'clip' }, `você é o cliente (${who}); responde ${agentInWords()}`)
      : el(
          'span',
          { class: 'typing', testid: 'typing', role: 'status' },
          `${state.product?.agent ?? 'O agente'} está ${chat.typing.recording ? 'gravando áudio…' : 'digitando…'}`,
        );
  if (view.line.firstChild?.textContent !== line.textContent) view.line.replaceChildren(line);
  drawConnection(view.connection, instance);
}

function drawConnection(banner, instance) {
  const closed = instance !== undefined && instance.state !== 'open';
  banner.hidden = !closed;
  if (!closed) return;
  const connecting = instance.state === 'connecting';
  const text = connecting ? `O número ${instance.name} está se reconectando.` : `O número ${instance.name} está desconectado do WhatsApp.`;
  if (banner.firstChild?.textContent === text) return;
  banner.replaceChildren(
    el('span', {}, text),
    el(
      'button',
      {
        type: 'button',
        class: 'button button-small',
        testid: 'reconnect',
        onclick: () => act('/connection', { instance: instance.name, state: 'open' }),
      },
      'Reconectar',
    ),
  );
}

function act(path, body) {
  return call('POST', path, body ?? {}).catch((failure) => toast(failure.message, 'error'));
}

/** Right click, or a long press on a touch screen. */
function holdForMenu(list, open) {
  let timer = null;
  const rowOf = (event) => (event.target.closest('a, input, video') === null ? event.target.closest('.bubble')?.parentElement : null);
  const stop = () => clearTimeout(timer);
  const usable = (row) => row?.querySelector('.bubble-menu') != null;
  list.addEventListener('contextmenu', (event) => {
    const row = rowOf(event);
    // A selection keeps the browser's own menu, which can copy it.
    if (!usable(row) || String(getSelection()) !== '') return;
    event.preventDefault();
    open(row);
  });
  list.addEventListener('pointerdown', (event) => {
    const row = rowOf(event);
    if (event.pointerType === 'touch' && usable(row)) timer = setTimeout(() => open(row), LONG_PRESS_MS);
  });
  for (const name of ['pointerup', 'pointercancel', 'pointermove', 'scroll']) list.addEventListener(name, stop);
}

const PAGE_LENGTH = 150;
const READ_DELAY_MS = 150;
const NEAR_BOTTOM_PX = 60;
const LONG_PRESS_MS = 450;
