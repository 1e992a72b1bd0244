// Who answers in the open conversation, as the product says it, and the button that gives it back to the agent.
import { call, post } from './api.js';
import { el, toast } from './dom.js';
import { openChat, state, subscribe } from './store.js';

/** Fills the bar of the open chat, and keeps it true. Where nobody told the simulator of a product there is none. */
export function mountHolder(bar) {
  let timer = null;
  let asked = 0;

  async function look() {
    clearTimeout(timer);
    const chat = openChat();
    if (chat === null || state.product === null) return show(null);
    timer = setTimeout(look, LOOK_MS);
    if (document.visibilityState !== 'visible') return;
    const message = [...chat.ids].reverse().find((id) => state.messages.get(id)?.local === undefined);
    const turn = ++asked;
    const found =
      message === undefined ? null : await call('GET', `/product/conversation/${encodeURIComponent(message)}`).catch(() => null);
    // Another chat was opened meanwhile, or a later look is under way.
    if (turn === asked) show(found);
  }

  function show(conversation) {
    const words = conversation === null ? null : wordsOf(conversation);
    bar.hidden = words === null;
    if (words === null) return bar.replaceChildren();
    const key = `${conversation.id} ${words}`;
    if (bar.dataset.key === key && bar.firstChild !== null) return;
    bar.dataset.key = key;
    bar.replaceChildren(
      el('span', {}, words),
      el('code', {}, `npm run admin -- why conversation:${conversation.id}`),
      isReturnable(conversation) &&
        el(
          'button',
          { type: 'button', class: 'button button-small', testid: 'give-back', onclick: () => giveBack(conversation.id) },
          'Devolver ao agente',
        ),
    );
  }

  async function giveBack(id) {
    try {
      await post(`/product/return/${id}`);
      toast('O agente responde aqui de novo.');
    } catch (failure) {
      toast(failure.message, 'error');
    }
    await look();
  }

  subscribe(({ type }) => {
    if (type === 'snapshot' || type === 'open') {
      show(null);
      look();
    } else if (type === 'message-new' || type === 'message-changed' || type === 'log') {
      clearTimeout(timer);
      timer = setTimeout(look, SOON_MS);
    }
  });
  look();
}

/** Null: the agent answers, and there is nothing to say. */
function wordsOf({ silenced_by: by, takeover_until: takeover, quiet_until: quiet }) {
  if (by === 'human') return 'Uma pessoa da equipe foi chamada: o agente não responde aqui até a conversa ser devolvida.';
  if (by === 'takeover') return `Alguém da empresa escreveu pelo celular: o agente fica quieto aqui até ${timeOf(takeover)}.`;
  if (by === 'manual') return 'Nesta conversa só pessoas respondem (modo manual).';
  if (by?.startsWith('paused_')) return 'O agente está pausado: npm run admin -- resume.';
  if (quiet !== null && Date.parse(quiet) > Date.now())
    return `Mensagens demais, ou as mesmas de novo: o agente parou aqui até ${timeOf(quiet)}, como faria com um robô.`;
  return null;
}

function isReturnable({ silenced_by: by }) {
  return by === null || by === 'human' || by === 'takeover';
}

function timeOf(at) {
  return new Date(at).toLocaleTimeString('pt-BR', { hour: '2-digit', minute: '2-digit' });
}

/** A message becomes a turn within its debounce; what a person does elsewhere is seen at the next look. */
const SOON_MS = 400;
const LOOK_MS = 3_000;
