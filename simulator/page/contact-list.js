// The left pane: which number the contacts talk to, search, and the contacts by their last message.
import { contactForm } from './contact-form.js';
import { el, iconButton, svg } from './dom.js';
import { avatar, phoneLabel, searchable, shortTime, summary } from './format.js';
import { chatOf, lastMessage, setInstance, state, subscribe, ticksOf, unreadOf } from './store.js';
import { tickMark } from './ticks.js';

/** Fills the pane; `onOpen(contactId)` is called when one is picked, `onFaults(button)` for the fault drawer. */
export function mountContactList(pane, { onOpen, onFaults }) {
  const select = el('select', {
    class: 'instance-select',
    'aria-label': 'Número da empresa',
    testid: 'instance-select',
    onchange: () => setInstance(select.value),
  });
  const single = el('span', { class: 'instance-single' });
  const search = el('input', {
    type: 'search',
    placeholder: 'Pesquisar contato',
    'aria-label': 'Pesquisar contato',
    testid: 'contact-search',
    oninput: () => draw(),
    onkeydown: (event) => {
      if (event.key === 'ArrowDown') list.querySelector('button')?.focus();
      if (event.key === 'Escape') {
        search.value = '';
        draw();
      }
    },
  });
  const list = el('ul', { class: 'contact-list', testid: 'contact-list', onkeydown: moveFocus });
  const faults = iconButton('bolt', 'Falhas e registro', {
    testid: 'fault-toggle',
    'aria-controls': 'fault-panel',
    onclick: () => onFaults(faults),
  });

  pane.append(
    el(
      'header',
      { class: 'bar' },
      el('div', { class: 'bar-title' }, el('h1', {}, 'Conversas'), select, single),
      el('button', { type: 'button', class: 'fault-flag', testid: 'fault-count', hidden: true, onclick: () => onFaults(faults) }),
      faults,
      iconButton('addContact', 'Novo contato', {
        testid: 'contact-add',
        onclick: () => contactForm({ onSaved: (contact) => onOpen(contact.id) }),
      }),
    ),
    el('div', { class: 'search', role: 'search' }, svg('search'), search),
    list,
  );

  const items = new Map();
  let planned = false;
  const plan = () => {
    // Many events at once (a load run) cost one redraw per frame.
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      draw();
    });
  };

  function draw() {
    drawInstances(select, single);
    drawFaultFlag(pane.querySelector('.fault-flag'));
    const wanted = searchable(search.value.trim());
    const rows = [...state.contacts.values()]
      .map((contact) => row(contact))
      .filter((item) => wanted === '' || searchable(item.text).includes(wanted))
      .sort((a, b) => b.at - a.at || a.contact.name.localeCompare(b.contact.name, 'pt-BR'));
    const focused = document.activeElement;
    const nodes = rows.map((item) => drawItem(items, item, onOpen));
    if (nodes.length === 0) nodes.push(emptyItem(wanted !== ''));
    reorder(list, nodes);
    // Moving a node takes the focus away from it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && list.contains(focused))
      focused.focus({ preventScroll: true });
  }

  subscribe(({ type }) => {
    if (type !== 'log') plan();
  });
  plan();
}

function row(contact) {
  const chat = chatOf(state.instance, contact.id);
  const last = lastMessage(chat);
  const preview = last === null ? 'Nenhuma mensagem ainda' : summary(last);
  return {
    contact,
    chat,
    last,
    preview,
    at: last?.at ?? 0,
    text: `${contact.name} ${contact.phone ?? ''} ${phoneLabel(contact.phone)} ${preview}`,
  };
}

function drawItem(items, { contact, chat, last, preview }, onOpen) {
  const unread = unreadOf(chat);
  const typing =
    chat.typing === null ? null : `${state.product?.agent ?? 'o agente'} está ${chat.typing.recording ? 'gravando áudio…' : 'digitando…'}`;
  const ticks = last === null || last.fromMe || last.deleted ? null : ticksOf(last);
  const open = state.open === contact.id;
  const time = last === null ? '' : shortTime(last.at, Date.now());
  const look = JSON.stringify([contact.name, contact.addressing, preview, typing, ticks, unread, open, time]);
  const known = items.get(contact.id);
  if (known?.look === look) return known.node;
  const button = el(
    'button',
    {
      type: 'button',
      class: 'contact-item',
      testid: 'contact-item',
      data: { contactId: contact.id, unread: unread },
      'aria-current': open ? 'true' : null,
      onclick: () => onOpen(contact.id),
    },
    avatar(contact.id, contact.name),
    el('span', { class: 'contact-name' }, contact.name, addressingTag(contact)),
    el('span', { class: `contact-time ${unread > 0 ? 'fresh' : ''}` }, time),
    el(
      'span',
      { class: 'contact-preview' },
      ticks === null ? null : tickMark(ticks),
      typing === null ? el('span', { class: 'clip' }, preview) : el('span', { class: 'clip typing', testid: 'contact-typing' }, typing),
    ),
    unread > 0 && el('span', { class: 'badge', testid: 'unread', 'aria-label': `${unread} não lidas` }, String(unread)),
  );
  const node = known?.node ?? el('li');
  const focused = node.contains(document.activeElement);
  node.replaceChildren(button);
  if (focused) button.focus({ preventScroll: true });
  items.set(contact.id, { node, look });
  return node;
}

function addressingTag(contact) {
  if (!contact.addressing || contact.addressing === 'pn') return null;
  const hidden = contact.addressing === 'lid-hidden';
  return el(
    'span',
    { class: 'tag', title: hidden ? 'Chega como @lid, sem o número' : 'Chega como @lid, com o número ao lado' },
    hidden ? 'lid oculto' : 'lid',
  );
}

function drawInstances(select, single) {
  const one = state.instances.length < 2;
  select.hidden = one;
  single.hidden = !one;
  const current = state.instances.find((item) => item.name === state.instance);
  single.textContent = current === undefined ? '' : instanceLabel(current);
  const options = state.instances.map((item) => el('option', { value: item.name }, instanceLabel(item)));
  if ([...select.options].map((o) => o.text).join() !== options.map((o) => o.text).join()) select.replaceChildren(...options);
  if (state.instance !== null) select.value = state.instance;
}

function instanceLabel(instance) {
  const number = phoneLabel(instance.number);
  return number === '' ? instance.name : `${instance.name} · ${number}`;
}

function drawFaultFlag(flag) {
  const count = state.faults.length;
  flag.hidden = count === 0;
  flag.textContent = String(count);
  flag.title = count === 1 ? '1 falha ativa' : `${count} falhas ativas`;
  flag.setAttribute('aria-label', flag.title);
}

function emptyItem(searching) {
  return el('li', { class: 'list-empty' }, searching ? 'Nenhum contato encontrado.' : 'Ainda não há contatos. Crie um no botão acima.');
}

function reorder(list, nodes) {
  nodes.forEach((node, place) => {
    if (list.children[place] !== node) list.insertBefore(node, list.children[place] ?? null);
  });
  while (list.children.length > nodes.length) list.lastChild.remove();
}

function moveFocus(event) {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const buttons = [...event.currentTarget.querySelectorAll('button')];
  const place = buttons.indexOf(document.activeElement) + (event.key === 'ArrowDown' ? 1 : -1);
  buttons[Math.max(0, Math.min(place, buttons.length - 1))]?.focus();
  event.preventDefault();
}
