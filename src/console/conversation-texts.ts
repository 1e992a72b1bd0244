/** What the pages of conversations say. Pure. */
import type { ConversationRow, ReadMessage, Thread } from '../watch/conversation-calls.ts';
import { porque } from './reason-texts.ts';

/** `+55 11 91234-5678`; what is no Brazilian number keeps its digits. */
export function phoneText(phone: string | null): string {
  if (phone === null) return 'número oculto';
  const found = /^55(\d{2})(\d{4,5})(\d{4})$/.exec(phone);
  return found === null ? `+${phone}` : `+55 ${found[1]} ${found[2]}-${found[3]}`;
}

/** `há 3 min`. */
export function sinceText(at: Date, now: Date): string {
  const minutes = Math.max(0, Math.floor((now.getTime() - at.getTime()) / 60_000));
  if (minutes < 1) return 'agora';
  if (minutes < 60) return `há ${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `há ${hours} h`;
  return `há ${Math.floor(hours / 24)} dias`;
}

/** `console:ana@example.com` as people call her. */
export function personText(actor: string | null, own: string): string {
  if (actor === null) return 'alguém da equipe';
  if (actor === `console:${own}`) return 'você';
  return actor.replace(/^console:/, '').replace(/^api:(.*)$/, '$1 (API)');
}

/** Who answers there, in a few words. */
export function holderText(
  row: Pick<ConversationRow, 'holder' | 'taken_by' | 'paused' | 'quiet_until' | 'waits_since'>,
  own: string,
): string {
  if (row.paused) return 'pausada';
  if (row.holder === 'human') return row.taken_by === null ? 'sem ninguém ainda' : `com ${personText(row.taken_by, own)}`;
  if (row.holder === 'takeover') return 'no celular';
  if (row.holder === 'manual') return 'só pessoas';
  if (row.holder === 'observe') return 'agente só observa';
  return row.quiet_until === null ? 'agente' : 'agente quieto';
}

const TYPES: Readonly<Record<string, string>> = {
  image: 'imagem',
  audio: 'áudio',
  video: 'vídeo',
  document: 'documento',
  sticker: 'figurinha',
  location: 'localização',
  contact: 'contato',
  reaction: 'reação',
};

export function typeText(type: string): string | null {
  return TYPES[type] ?? null;
}

export type Tick = 'none' | 'waiting' | 'sent' | 'delivered' | 'read' | 'wrong';

export function tickOf({ direction, status }: Pick<ReadMessage, 'direction' | 'status'>): { tick: Tick; says: string } {
  if (direction === 'in') return { tick: 'none', says: '' };
  switch (status) {
    case 'queued':
      return { tick: 'waiting', says: 'espera para sair' };
    case 'draft':
      return { tick: 'waiting', says: 'rascunho' };
    case 'sending':
      return { tick: 'waiting', says: 'saindo' };
    case 'sent':
      return { tick: 'sent', says: 'enviada' };
    case 'delivered':
      return { tick: 'delivered', says: 'entregue' };
    case 'read':
      return { tick: 'read', says: 'lida' };
    case 'uncertain':
    case 'unproven':
      return { tick: 'wrong', says: 'não se sabe se saiu' };
    default:
      return { tick: 'wrong', says: 'não saiu' };
  }
}

/** Why a message is where it is, when that is not plain; null: it is. `time` writes a moment. */
export function whyText(message: ReadMessage, time: (at: Date) => string): string | null {
  const { direction, status, reason, goes_at } = message;
  if (direction === 'in') {
    if (status === 'received') return 'ainda sem resposta';
    if (status === 'skipped') return `sem resposta, porque ${porque(reason)}`;
    if (status === 'handed_over') return reason === 'draft' ? null : `deixada para uma pessoa: ${porque(reason)}`;
    return null;
  }
  if (status === 'queued') {
    if (reason === null) return null;
    return goes_at === null ? `segurada: ${porque(reason)}` : `segurada até ${time(goes_at)}: ${porque(reason)}`;
  }
  if (status === 'sent' || status === 'delivered' || status === 'read' || status === 'sending' || status === 'draft') return null;
  if (status === 'uncertain' || status === 'unproven')
    return `pode ter saído: ${porque(reason)}. Confira no celular antes de mandar de novo`;
  return `não saiu: ${porque(reason)}`;
}

/** The line above a conversation: what is going on. */
export function stateText(
  conversation: Thread['conversation'],
  own: string,
  time: (at: Date) => string,
): { tone: 'calm' | 'yours' | 'needs' | 'warn'; says: string } {
  const { holder, taken_by, taken_at, paused, takeover_until, quiet_until, quiet_reason, deferred_reason, handoffs, reason } = conversation;
  if (conversation.erased) return { tone: 'warn', says: 'Tudo sobre este contato foi apagado.' };
  if (paused !== null) return { tone: 'warn', says: `O agente está quieto: ${porque(`paused_${paused}`)}.` };
  if (holder === 'human' && taken_by === null) {
    const since = handoffs[0]?.at;
    return {
      tone: 'needs',
      says: `Precisa de uma pessoa${since === undefined ? '' : ` desde ${time(since)}`}: ${porque(handoffs[0]?.reason ?? reason)}.`,
    };
  }
  if (holder === 'human') {
    const who = personText(taken_by, own);
    const tone = who === 'você' ? 'yours' : 'warn';
    return {
      tone,
      says: `${who === 'você' ? 'Você está' : `${who} está`} com a conversa${taken_at === null ? '' : ` desde ${time(taken_at)}`}.`,
    };
  }
  if (holder === 'takeover')
    return {
      tone: 'warn',
      says: `Alguém digita no celular; o agente fica quieto até ${takeover_until === null ? 'acabar' : time(takeover_until)}.`,
    };
  if (holder === 'manual') return { tone: 'warn', says: 'Modo manual: só pessoas respondem aqui.' };
  if (holder === 'observe')
    return { tone: 'warn', says: 'O agente só observa: lê, anota e avisa; quem responde são pessoas, e nada sai sozinho.' };
  if (quiet_until !== null) return { tone: 'warn', says: `O agente fica quieto até ${time(quiet_until)}: ${porque(quiet_reason)}.` };
  if (deferred_reason !== null) return { tone: 'warn', says: `A resposta espera: ${porque(deferred_reason)}.` };
  const listed = handoffs[0];
  if (listed !== undefined) return { tone: 'needs', says: `O agente responde, mas vale olhar: ${porque(listed.reason)}.` };
  return {
    tone: 'calm',
    says: conversation.mode === 'assist' ? 'O agente escreve rascunhos, que saem com o seu sim.' : 'O agente responde.',
  };
}

/** Which rule led a turn to the complex model; null: none did. */
export function routeText(route: string | null): string | null {
  return ROUTES[route ?? ''] ?? null;
}

const ROUTES: Readonly<Record<string, string>> = {
  sentiment: 'modelo maior: insatisfação',
  objection: 'modelo maior: objeção',
  negotiation: 'modelo maior: negociação',
  long_talk: 'modelo maior: conversa longa',
};

/** US dollars of the model. */
export function costText(usd: number): string {
  return usd === 0 ? 'US$ 0' : usd < 0.01 ? `US$ ${usd.toFixed(4).replace('.', ',')}` : `US$ ${usd.toFixed(2).replace('.', ',')}`;
}

/** Letters for a round picture of nobody's face. */
export function initialsOf(name: string | null): string {
  const letters = (name ?? '').split(/\s+/).flatMap((word) => /\p{L}/u.exec(word)?.[0] ?? []);
  return (letters.length > 1 ? `${letters[0]}${letters.at(-1)}` : (letters[0] ?? '?')).toUpperCase();
}
