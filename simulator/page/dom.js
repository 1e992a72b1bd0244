// Small helpers to build the page's nodes. Text always goes in as text nodes, never as HTML: contacts type anything.

/**
 * One element. `testid` sets data-testid, `data` a record of data attributes, `on<event>` adds a listener,
 * `class` the class; a true boolean is an empty attribute; null, undefined and false leave the attribute out.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'testid') node.dataset.testid = value;
    else if (name === 'data') for (const [key, item] of Object.entries(value)) node.dataset[key] = String(item);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A button with an icon only; the label is its accessible name and its tooltip. */
export function iconButton(icon, label, props = {}) {
  return el(
    'button',
    { type: 'button', 'aria-label': label, title: label, ...props, class: `icon-button ${props.class ?? ''}` },
    svg(icon),
  );
}

/** One of the page's own 24x24 line drawings. */
export function svg(name) {
  const node = document.createElementNS(SVG_NS, 'svg');
  node.setAttribute('viewBox', ICONS[name].box ?? '0 0 24 24');
  node.setAttribute('aria-hidden', 'true');
  node.setAttribute('class', `icon icon-${name}`);
  for (const d of ICONS[name].paths) {
    const path = document.createElementNS(SVG_NS, 'path');
    path.setAttribute('d', d);
    if (ICONS[name].fill) path.setAttribute('class', 'fill');
    node.append(path);
  }
  return node;
}

/** A short notice at the bottom of the page; goes away by itself. */
export function toast(text, kind = 'info') {
  const node = el('div', { class: `toast toast-${kind}`, testid: 'toast' }, text);
  document.getElementById('toasts').append(node);
  setTimeout(() => node.remove(), TOAST_MS);
}

/** Asks yes or no in a modal dialog; resolves to true for yes. */
export function confirmDialog({ title, text, yes }) {
  return new Promise((resolve) => {
    const dialog = el(
      'dialog',
      { class: 'dialog', 'aria-label': title, testid: 'confirm' },
      el('h2', {}, title),
      el('p', {}, text),
      el(
        'div',
        { class: 'dialog-actions' },
        el('button', { type: 'button', class: 'button', onclick: () => dialog.close('no') }, 'Cancelar'),
        el('button', { type: 'button', class: 'button button-danger', testid: 'confirm-yes', onclick: () => dialog.close('yes') }, yes),
      ),
    );
    showDialog(dialog, () => resolve(dialog.returnValue === 'yes'));
  });
}

/** Opens a modal dialog, closes it on a click outside, and removes it once closed. */
export function showDialog(dialog, onClose = () => {}) {
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
}

const SVG_NS = 'http://www.w3.org/2000/svg';
const TOAST_MS = 4_000;

const ICONS = {
  back: { paths: ['M15 5l-7 7 7 7'] },
  plus: { paths: ['M12 5v14M5 12h14'] },
  addContact: { paths: ['M10 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7z', 'M3.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6', 'M19 7v6M16 10h6'] },
  search: { paths: ['M10.5 17a6.5 6.5 0 100-13 6.5 6.5 0 000 13zM15.5 15.5L20 20'] },
  close: { paths: ['M6 6l12 12M18 6L6 18'] },
  send: { paths: ['M4 4.5l17 7.5-17 7.5 2.2-7.5z', 'M6.2 12H13'] },
  mic: { paths: ['M12 3.5a2.7 2.7 0 012.7 2.7v5.3a2.7 2.7 0 01-5.4 0V6.2A2.7 2.7 0 0112 3.5z', 'M6 11.5a6 6 0 0012 0M12 17.5v3'] },
  bolt: { paths: ['M13 3L5 13.5h6L10 21l9-11.5h-6.5z'] },
  chevron: { paths: ['M6 9.5l6 6 6-6'] },
  play: { fill: true, paths: ['M8 5.2v13.6L19 12z'] },
  pause: { fill: true, paths: ['M7 5h3.6v14H7zM13.4 5H17v14h-3.6z'] },
  trash: { paths: ['M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5'] },
  file: { paths: ['M7 3.5h7l4 4V20.5H7zM14 3.5v4h4'] },
  image: { paths: ['M4 5h16v14H4z', 'M4 16l5-5 4 4 3-2.5 4 3.5', 'M15.5 10a1 1 0 100-2 1 1 0 000 2z'] },
  pin: { paths: ['M12 21s-6.5-6-6.5-11a6.5 6.5 0 0113 0c0 5-6.5 11-6.5 11z', 'M12 12a2.2 2.2 0 100-4.4 2.2 2.2 0 000 4.4z'] },
  person: { paths: ['M12 12a4 4 0 100-8 4 4 0 000 8z', 'M4.5 20.5c0-4 3.4-6.5 7.5-6.5s7.5 2.5 7.5 6.5'] },
  pencil: { paths: ['M4.5 19.5l1-4L16 5l3 3L8.5 18.5z'] },
  reply: { paths: ['M9.5 6L4 11.5 9.5 17', 'M4.5 11.5H13c4 0 6.5 2 7 6.5'] },
  copy: { paths: ['M9 9h10.5v10.5H9z', 'M5 15H4.5V4.5H15V5'] },
  ban: { paths: ['M12 20a8 8 0 100-16 8 8 0 000 16zM6.5 6.5l11 11'] },
  down: { paths: ['M12 5v13M6.5 12.5L12 18l5.5-5.5'] },
  spark: { paths: ['M12 4l1.8 5.2L19 11l-5.2 1.8L12 18l-1.8-5.2L5 11l5.2-1.8z'] },
  phone: { paths: ['M8 3.5h8v17H8zM11 17.8h2'] },
  clock: { box: '0 0 18 12', paths: ['M9 11A5 5 0 109 1a5 5 0 000 10zM9 3.4V6l1.8 1.2'] },
  alert: { box: '0 0 18 12', paths: ['M9 11A5 5 0 109 1a5 5 0 000 10zM9 3.6v2.9M9 8.2v.4'] },
  tick: { box: '0 0 18 12', paths: ['M5 6.5L8.2 9.6 14 2.6'] },
  ticks: { box: '0 0 18 12', paths: ['M1.5 6.5l3.2 3.1 5.8-7', 'M8.6 8.5l1.2 1.1 5.8-7'] },
};
