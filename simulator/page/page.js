// Wires the page: the event stream, the address (#contact in the URL, so that Back works on a phone) and the three panes.
import { followEvents } from './api.js';
import { mountChat } from './chat.js';
import { mountContactList } from './contact-list.js';
import { el } from './dom.js';
import { mountFaultPanel } from './fault-panel.js';
import { applyEvent, applySnapshot, setLink, setOpen, state, subscribe, unreadOf } from './store.js';

const faultPanel = mountFaultPanel(document.getElementById('fault-panel'));
const onFaults = (button) => faultPanel.toggle(button);
const chat = mountChat(document.getElementById('chat-pane'), { onBack: leave, onFaults });
mountContactList(document.getElementById('list-pane'), { onOpen: enter, onFaults });

const reconnect = followEvents({
  onSnapshot: (snapshot) => {
    applySnapshot(snapshot);
    followAddress();
  },
  onEvent: (event) => (event.type === 'reset' ? reconnect() : applyEvent(event)),
  onLink: setLink,
});

addEventListener('hashchange', followAddress);
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && state.open !== null && document.querySelector('dialog[open], .menu') === null) leave();
});
subscribe(({ type }) => {
  if (type === 'link') drawLink();
  if (type !== 'log' && type !== 'typing') drawTitle();
});
followViewport();

function enter(contactId) {
  if (state.open === contactId) return chat.focusComposer();
  const hash = `#${encodeURIComponent(contactId)}`;
  // Between chats the address is replaced: Back goes to the list, not through every chat seen.
  if (state.open === null) location.hash = hash;
  else history.replaceState(null, '', hash);
  followAddress();
  // On a touch screen the focus would pull up the keyboard over the conversation.
  if (matchMedia('(hover: hover)').matches) chat.focusComposer();
}

function leave() {
  const contactId = state.open;
  history.replaceState(null, '', location.pathname);
  followAddress();
  document.querySelector(`[data-contact-id="${CSS.escape(contactId ?? '')}"]`)?.focus({ preventScroll: true });
}

function followAddress() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const contactId = state.contacts.has(wanted) ? wanted : null;
  document.body.classList.toggle('in-chat', contactId !== null);
  if (contactId !== state.open) setOpen(contactId);
}

function drawTitle() {
  let unread = 0;
  for (const item of state.chats.values()) unread += unreadOf(item);
  document.title = `${unread > 0 ? `(${unread}) ` : ''}Conversas · simulador`;
}

let countdown = null;

function drawLink() {
  const banner = document.getElementById('server-banner');
  clearInterval(countdown);
  banner.hidden = state.link.kind !== 'away';
  if (banner.hidden) return;
  const left = el('span', { 'aria-hidden': 'true' });
  const show = () => {
    const seconds = Math.max(0, Math.ceil((state.link.retryAt - Date.now()) / 1_000));
    left.textContent = seconds === 0 ? 'Tentando…' : `Nova tentativa em ${seconds} s.`;
  };
  show();
  countdown = setInterval(show, 500);
  banner.replaceChildren(
    el('span', {}, 'Sem contato com o simulador. '),
    left,
    el('button', { type: 'button', class: 'button button-small', 'data-testid': 'retry-now', onclick: () => reconnect() }, 'Tentar agora'),
  );
}

/** iOS lays the keyboard over the page: the visual viewport tells the height that is left. */
function followViewport() {
  const viewport = window.visualViewport;
  if (!viewport) return;
  const fit = () => {
    const covered = innerHeight - viewport.height > 120 && viewport.scale === 1;
    document.documentElement.style.setProperty('--height', covered ? `${viewport.height}px` : '100dvh');
    if (covered) scrollTo(0, 0);
  };
  viewport.addEventListener('resize', fit);
}
