// The drawer "Falhas": break things on purpose, answer as the owner of the number, and watch webhooks and model calls.
import { call } from './api.js';
import { confirmDialog, el, iconButton, toast } from './dom.js';
import { faultForm, faultLabel } from './fault-form.js';
import { mountLog } from './log.js';
import { openChat, state, subscribe } from './store.js';

/** Fills the drawer; returns {toggle(from)}: the focus goes back to `from` when it closes. */
export function mountFaultPanel(panel) {
  let opener = null;
  const view = buildView({ onClose: () => close() });
  panel.append(view.header, view.body);
  mountLog(view.log);

  function open(from) {
    opener = from;
    panel.hidden = false;
    document.body.classList.add('with-panel');
    setExpanded(true);
    view.close.focus({ preventScroll: true });
  }

  function close() {
    panel.hidden = true;
    document.body.classList.remove('with-panel');
    setExpanded(false);
    opener?.focus({ preventScroll: true });
  }

  panel.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    close();
  });
  subscribe(({ type }) => {
    if (type === 'snapshot' || type === 'connection') drawConnection(view);
    if (type === 'snapshot' || type === 'faults') drawFaults(view);
    if (type === 'snapshot' || type === 'open' || type === 'contact') drawOwner(view);
  });
  drawConnection(view);
  drawFaults(view);
  drawOwner(view);
  setExpanded(false);
  return { toggle: (from) => (panel.hidden ? open(from) : close()) };
}

function setExpanded(on) {
  for (const button of document.querySelectorAll('[aria-controls="fault-panel"]')) button.setAttribute('aria-expanded', String(on));
}

function buildView({ onClose }) {
  const view = {
    close: iconButton('close', 'Fechar falhas', { testid: 'fault-close', onclick: onClose }),
    connection: el('span', { class: 'state', testid: 'connection-state' }),
    faults: el('ul', { class: 'fault-list', testid: 'fault-list' }),
    owner: el('input', { name: 'text', 'aria-label': 'Texto do dono do número', autocomplete: 'off', testid: 'owner-text' }),
    ownerSend: el('button', { type: 'submit', class: 'button button-main', testid: 'owner-send' }, 'Enviar'),
    log: el('div', { class: 'log' }),
  };
  const scope = () => (state.instances.length > 1 ? { instance: state.instance } : undefined);
  view.header = el('header', { class: 'bar' }, el('div', { class: 'bar-title' }, el('h2', {}, 'Falhas')), view.close);
  view.clear = el(
    'button',
    { type: 'button', class: 'button', testid: 'fault-clear', onclick: () => run('DELETE', '/faults') },
    'Limpar todas',
  );
  view.body = el(
    'div',
    { class: 'panel-body', tabindex: -1 },
    section('Número', view.connection, connectionButtons()),
    section('Responder pelo celular da empresa', null, ownerForm(view)),
    section('Próximo envio do agente', null, faultForm('send', { scope })),
    section('Próximo webhook', repeatButton(), faultForm('webhook', { scope })),
    section('Claude', null, faultForm('claude')),
    section('Falhas ativas', view.clear, view.faults),
    section('Registro ao vivo', null, view.log),
    section('Recomeçar', null, resetButton()),
  );
  return view;
}

function section(title, side, ...content) {
  return el('section', { class: 'panel-section' }, el('div', { class: 'panel-head' }, el('h3', {}, title), side), ...content);
}

function connectionButtons() {
  const set = (name, label, testid) =>
    el(
      'button',
      { type: 'button', class: 'button', testid, onclick: () => run('POST', '/connection', { instance: state.instance, state: name }) },
      label,
    );
  return el(
    'div',
    { class: 'button-row' },
    set('close', 'Desconectar', 'connection-close'),
    set('connecting', 'Oscilar', 'connection-connecting'),
    set('open', 'Reconectar', 'connection-open'),
  );
}

function repeatButton() {
  return el(
    'button',
    {
      type: 'button',
      class: 'button',
      testid: 'webhook-repeat',
      onclick: async () => {
        const answer = await run('POST', '/webhooks/repeat', { last: true });
        if (answer === null) return;
        const [status] = answer.statuses ?? [];
        if (status === undefined) toast('Ainda não há webhook para repetir.');
        else toast(`O último webhook foi repetido: ${status ?? 'sem resposta'}.`);
      },
    },
    'Repetir o último',
  );
}

function resetButton() {
  return el(
    'button',
    {
      type: 'button',
      class: 'button button-danger',
      testid: 'reset',
      onclick: async () => {
        const yes = await confirmDialog({
          title: 'Apagar as conversas?',
          text: 'As mensagens e as falhas do simulador somem. Os contatos ficam.',
          yes: 'Apagar conversas',
        });
        if (yes) run('POST', '/reset', { keep: ['contacts'] });
      },
    },
    'Apagar conversas',
  );
}

function ownerForm(view) {
  return el(
    'form',
    {
      class: 'fault-row',
      testid: 'owner-form',
      onsubmit: async (event) => {
        event.preventDefault();
        const chat = openChat();
        const text = view.owner.value.trim();
        if (chat === null || text === '') return;
        if ((await run('POST', '/owner', { instance: chat.instance, contactId: chat.contactId, text })) !== null) view.owner.value = '';
      },
    },
    view.owner,
    view.ownerSend,
  );
}

function drawConnection({ connection }) {
  const instance = state.instances.find((item) => item.name === state.instance);
  const name = instance?.state ?? 'close';
  connection.textContent = { open: 'conectado', connecting: 'conectando', close: 'desconectado' }[name] ?? name;
  connection.className = `state state-${name}`;
}

function drawOwner({ owner, ownerSend }) {
  const contact = state.contacts.get(state.open);
  owner.placeholder = contact === undefined ? 'Abra uma conversa primeiro' : `Para ${contact.name}`;
  owner.disabled = contact === undefined;
  ownerSend.disabled = contact === undefined;
}

function drawFaults({ faults, clear }) {
  clear.hidden = state.faults.length === 0;
  const items = state.faults.map((fault) =>
    el(
      'li',
      { testid: 'fault-item', data: { faultId: fault.id } },
      el('span', {}, faultLabel(fault)),
      iconButton('close', 'Retirar falha', {
        testid: 'fault-remove',
        onclick: () => run('DELETE', `/faults/${encodeURIComponent(fault.id)}`),
      }),
    ),
  );
  faults.replaceChildren(...(items.length > 0 ? items : [el('li', { class: 'none' }, 'Nenhuma: tudo funciona.')]));
}

/** Calls the simulator and shows what went wrong; its answer, or null when it failed. */
function run(method, path, body) {
  return call(method, path, body).catch((failure) => {
    toast(failure.message, 'error');
    return null;
  });
}
