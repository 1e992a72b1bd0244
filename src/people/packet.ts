/** What a person reads who is needed in a conversation: the contact, the reason, the last words, a suggested answer, and how to give it back. Pure; Portuguese. */
import { cut } from '../words/cut.ts';
import { lineForModel, oneLine, quotedLines, shownName } from '../words/foreign-text.ts';

export type PacketHandoff = {
  conversation_id: number;
  instance: string;
  reason: string;
  summary: string | null;
  suggestion: string | null;
  controls: boolean;
  name: string | null;
  phone: string | null;
  /** `said` false: it has not left yet. */
  messages: { author: string; text: string; said: boolean }[];
};

/** Of the 4,000 characters that a notice may have. */
const MAX_CHARS = 3_800;
const MAX_LINE_CHARS = 200;

export function packetText(handoff: PacketHandoff, step: 'told' | 'reminded', reminderMinutes: number): string {
  const { conversation_id: id, instance, controls } = handoff;
  const head =
    step === 'reminded'
      ? `*Ainda sem ninguém* há ${reminderMinutes} min: conversa ${id}`
      : controls
        ? `*Uma pessoa é necessária* na conversa ${id}`
        : `*Para olhar*: conversa ${id}`;
  const how = controls
    ? `Responda pelo celular do número ${instance}. Para devolver ao agente: "devolver ${id}", ou "/bot on" na própria conversa.`
    : `O agente continua respondendo. Para tirar da lista: "devolver ${id}".`;
  return cut(
    [
      head,
      `Quem: ${whoText(handoff)}, pelo número ${instance}`,
      `Motivo: ${handoffReason(handoff.reason)}`,
      ...(handoff.summary === null ? [] : [`Resumo: ${lineForModel(handoff.summary, 800)}`]),
      ...(handoff.messages.length === 0
        ? []
        : [
            'Últimas mensagens:',
            ...handoff.messages.map(
              ({ author, text, said }) =>
                `> ${AUTHORS[author] ?? author}${said ? '' : ' (ainda não saiu)'}: ${oneLine(text, MAX_LINE_CHARS)}`,
            ),
          ]),
      `Sugestão de resposta: ${lineForModel(handoff.suggestion ?? greeting(handoff.name), 500)}`,
      how,
      ...(controls && isTechnical(handoff.reason) ? ['Se ninguém assumir, ela volta sozinha para o agente quando o problema acabar.'] : []),
    ].join('\n'),
    MAX_CHARS,
  );
}

/** Nobody asked for a person: the agent could not answer. SQL has the same in is_technical. */
export function isTechnical(reason: string): boolean {
  return reason === 'turn_failed' || reason === 'no_model' || reason.startsWith('model_');
}

/** Many conversations at once, after an outage or a pause: one notice instead of one each. Without names: it outlives an erasure. */
export function digestText(handoffs: Pick<PacketHandoff, 'conversation_id' | 'reason' | 'controls'>[]): string {
  const head = handoffs.some(({ controls }) => controls) ? '*Uma pessoa é necessária*' : '*Para olhar*';
  return [
    `${head}: ${handoffs.length} conversas (${idsText(handoffs)})`,
    `Motivo: ${handoffReason(handoffs[0]?.reason ?? '')}`,
    'A lista com nomes: "handoffs".',
  ].join('\n');
}

/** They went to a person only because the agent could not answer, and have the agent again. */
export function recoveredText(conversations: { conversation_id: number }[]): string {
  const count = conversations.length === 1 ? '1 conversa voltou' : `${conversations.length} conversas voltaram`;
  return `${count} para o agente, que responde de novo (${idsText(conversations)}). Ninguém as tinha assumido.`;
}

function idsText(handoffs: { conversation_id: number }[]): string {
  const ids = handoffs.slice(0, 20).map((each) => each.conversation_id);
  return `${ids.join(', ')}${handoffs.length > ids.length ? ', ...' : ''}`;
}

/** Words of a contact who writes to a person. `count`: how many messages there are, when `texts` has only the first of them. */
export function forwardText(
  { conversation_id: id, name, phone, instance }: Pick<PacketHandoff, 'conversation_id' | 'name' | 'phone' | 'instance'>,
  texts: string[],
  count = texts.length,
): string {
  const head = `*Conversa ${id}* (${whoText({ name, phone })}, pelo número ${instance}), que está com uma pessoa:`;
  const lines: string[] = [];
  let left = MAX_CHARS - head.length - MORE_CHARS;
  for (const text of texts) {
    const line = `> ${oneLine(text, 500)}`;
    if ((left -= line.length + 1) < 0) break;
    lines.push(line);
  }
  const more = count - lines.length;
  return cut(
    [head, ...lines, ...(more > 0 ? [`e mais ${more} ${more === 1 ? 'mensagem' : 'mensagens'} na conversa`] : [])].join('\n'),
    MAX_CHARS,
  );
}

/** Room for the line that says how many there are beyond. */
const MORE_CHARS = 60;

/** An answer that waits for a yes. */
export function draftText(draft: {
  id: number;
  conversation_id: number;
  contact: string | null;
  asked: string | null;
  text: string;
}): string {
  return [
    `*Rascunho ${draft.id}* para a conversa ${draft.conversation_id} (${shownName(draft.contact) ?? 'sem nome'})`,
    ...(draft.asked === null ? [] : [`Cliente: ${lineForModel(draft.asked, 800)}`]),
    'Resposta:',
    quotedLines(cut(draft.text, 2_000)),
    `Enviar: "aprovar ${draft.id}". Não enviar: "recusar ${draft.id}".`,
  ].join('\n');
}

/** Nobody wrote for a long time: the agent has it again. */
export function returnedText({ conversation_id: id, name }: { conversation_id: number; name: string | null }, hours: number): string {
  return `A conversa ${id} (${shownName(name) ?? 'sem nome'}) ficou ${hours} h sem ninguém e voltou para o agente.`;
}

/** The phone of a number answers by itself. `text`: what it said, or null. */
export function greetingText(instance: string, text: string | null): string {
  return [
    `O celular do número ${instance} responde sozinho a quem escreve${text === null ? '' : `: "${lineForModel(text, 200)}"`}`,
    'Essas mensagens não calam o agente, que responde também: o cliente recebe as duas. Para que receba só a do agente, desligue a mensagem de saudação e a de ausência no WhatsApp Business (Ferramentas comerciais).',
    'Se foi uma pessoa que escreveu isso, ela cala o agente com "/bot off" na conversa.',
  ].join('\n');
}

const AUTHORS: Readonly<Record<string, string>> = {
  contact: 'Cliente',
  agent: 'Agente',
  human: 'Equipe',
  system: 'Sistema',
  automatic: 'Automático',
};

function whoText({ name, phone }: { name: string | null; phone: string | null }): string {
  const number = phone === null ? 'telefone não conhecido' : `+${phone}`;
  const called = shownName(name);
  return called === null ? number : `${called} (${number})`;
}

function greeting(name: string | null): string {
  const first = shownName(name)?.split(' ')[0];
  return `Oi${first === undefined ? '' : ` ${first}`}! Sou da equipe e vou continuar com você por aqui. Já li o que você escreveu.`;
}

/** Why a person is needed, in Portuguese; a tool's or a person's own words are shown as they are. */
export function handoffReason(reason: string): string {
  return HANDOFF_REASONS.get(reason) ?? (reason.startsWith('model_') ? 'o modelo não respondeu' : lineForModel(reason, 300));
}

/** SQL has the same codes in handoff_code. */
export const HANDOFF_REASONS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    human: 'a conversa foi passada para uma pessoa',
    model_refused: 'o modelo recusou o pedido',
    declined: 'o modelo se recusou a responder ao que o cliente escreveu',
    no_model: 'não há chave do modelo (ANTHROPIC_API_KEY)',
    no_agent: 'nenhum agente está ativo para este número',
    turn_failed: 'três tentativas de responder falharam',
    send_failed: 'uma mensagem do agente não pôde ser enviada',
    send_unproven: 'não se sabe se uma mensagem do agente saiu: confira na conversa',
    too_old: 'as mensagens esperaram demais e não foram respondidas sozinhas',
    answer_too_old: 'uma resposta ficou parada durante uma pausa e não foi enviada',
    bot_question: 'perguntou se fala com um robô',
    tool_changed: 'uma ferramenta mudou enquanto o agente respondia: o que ele prometeu não saiu',
    tool_limit: 'uma ferramenta chegou ao limite: o que o agente prometeu não saiu',
    tool_failed: 'uma ação que o agente prometeu não deu certo',
    tool_uncertain: 'não se sabe se uma ação do agente foi feita: confira no sistema',
    approval_expired: 'ninguém autorizou a tempo uma ação que o agente pediu',
    abuse_loop: 'parece outro robô: responde a cada resposta',
    abuse_agent: 'parece outro agente de IA: uma resposta completa a cada mensagem, sem fim',
    abuse_repeated: 'repete a mesma mensagem',
    abuse_flood: 'manda mensagens demais de uma vez',
    abuse_daily_turns: 'já conversou o máximo de um dia',
    abuse_daily_tokens: 'já custou o máximo de um dia',
  }),
);
