// The menu of one message: reactions on top, then answer, copy, edit, delete. Opened by button, right click or long press.
import { isContacts } from './bubble.js';
import { el, svg } from './dom.js';

/** Opens the menu beside `anchor`; `actions`: onReact(message, emoji), onReply, onCopy, onEdit, onDelete (each with the message). */
export function openMenu(message, anchor, actions) {
  closeMenu();
  const mine = (message.reactions ?? []).find((item) => isContacts(item))?.emoji;
  const choose = (act) => () => {
    closeMenu();
    act();
  };
  const entry = (icon, label, testid, act) =>
    el('button', { type: 'button', role: 'menuitem', class: 'menu-entry', tabindex: -1, testid, onclick: choose(act) }, svg(icon), label);
  const canEdit = !message.fromMe && !message.media && (message.text ?? '') !== '';
  const menu = el(
    'div',
    { class: 'menu', role: 'menu', 'aria-label': 'Opções da mensagem', testid: 'message-menu', onkeydown: moveFocus },
    el(
      'div',
      { class: 'menu-reactions', role: 'group', 'aria-label': 'Reagir' },
      ...EMOJI.map(([emoji, name]) =>
        el(
          'button',
          {
            type: 'button',
            role: 'menuitemcheckbox',
            'aria-checked': String(mine === emoji),
            'aria-label': `Reagir: ${name}`,
            title: name,
            tabindex: -1,
            testid: 'react',
            data: { emoji },
            onclick: choose(() => actions.onReact(message, emoji)),
          },
          emoji,
        ),
      ),
    ),
    entry('reply', 'Responder', 'action-reply', () => actions.onReply(message)),
    message.text ? entry('copy', 'Copiar', 'action-copy', () => actions.onCopy(message)) : null,
    canEdit ? entry('pencil', 'Editar', 'action-edit', () => actions.onEdit(message)) : null,
    !message.fromMe ? entry('trash', 'Apagar', 'action-delete', () => actions.onDelete(message)) : null,
  );
  document.body.append(menu);
  place(menu, anchor);
  menu.querySelector('button').focus({ preventScroll: true });
  current = { menu, anchor };
  document.addEventListener('pointerdown', onOutside, true);
  addEventListener('resize', closeMenu);
}

/** Closes the menu; with `back`, the focus returns to where it was opened. */
export function closeMenu({ back = false } = {}) {
  if (current === null) return;
  const { menu, anchor } = current;
  current = null;
  menu.remove();
  document.removeEventListener('pointerdown', onOutside, true);
  removeEventListener('resize', closeMenu);
  if (back === true) anchor.focus({ preventScroll: true });
}

let current = null;

function onOutside(event) {
  if (current !== null && !current.menu.contains(event.target)) closeMenu();
}

function place(menu, anchor) {
  const spot = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = spot.bottom + 4;
  const top = below + height > innerHeight - MARGIN_PX ? Math.max(MARGIN_PX, spot.top - height - 4) : below;
  const left = Math.min(Math.max(MARGIN_PX, spot.right - width), innerWidth - width - MARGIN_PX);
  menu.style.top = `${top}px`;
  menu.style.left = `${left}px`;
}

function moveFocus(event) {
  const buttons = [...event.currentTarget.querySelectorAll('button')];
  const at = buttons.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (event.key === 'Escape') closeMenu({ back: true });
  else if (event.key === 'Tab') closeMenu();
  else if (event.key === 'Home') buttons[0].focus();
  else if (event.key === 'End') buttons.at(-1).focus();
  else if (step !== undefined) buttons[(at + step + buttons.length) % buttons.length].focus();
  else return;
  event.stopPropagation();
  if (event.key !== 'Tab') event.preventDefault();
}

const MARGIN_PX = 8;
const EMOJI = [
  ['👍', 'joinha'],
  ['❤️', 'coração'],
  ['😂', 'risada'],
  ['😮', 'surpresa'],
  ['😢', 'tristeza'],
  ['🙏', 'obrigado'],
];
