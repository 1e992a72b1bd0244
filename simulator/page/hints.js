// What to try in a conversation that has not begun: whose phone this is, and sentences that can be sent with a click.
import { el } from './dom.js';
import { state } from './store.js';

const SENTENCES = [
  'Oi! Qual o horário de vocês?',
  'Quanto custa a camiseta básica?',
  'Quero falar com uma pessoa',
  'Não quero mais receber mensagens',
];

/** `contact` null: none is chosen yet. `onSay(text)` sends as the contact. */
export function hints(contact, onSay) {
  const who =
    contact === null ? 'Escolha um contato: aqui você é o cliente.' : `Este é o celular de ${contact.name}: aqui você é o cliente.`;
  return el(
    'div',
    { class: 'hints', testid: 'hints' },
    el('p', {}, `${who} Do outro lado responde ${agentInWords()}, pelo número ${state.instance ?? 'da empresa'}.`),
    contact !== null && el('p', {}, 'Experimente:'),
    contact !== null &&
      el(
        'div',
        { class: 'hint-list' },
        SENTENCES.map((text) => el('button', { type: 'button', class: 'button', testid: 'hint', onclick: () => onSay(text) }, text)),
      ),
    el(
      'p',
      {},
      'Duas mensagens seguidas recebem uma resposta. O raio, no alto, escreve como dono do celular da empresa, desconecta o número e planta outras falhas.',
    ),
  );
}

/** `Julia, agente da Loja Exemplo`; without a product nobody knows its name. */
export function agentInWords() {
  if (state.product === null) return 'o agente';
  const { agent, company } = state.product;
  return company === null ? `${agent}, o agente` : `${agent}, o agente de ${company}`;
}
