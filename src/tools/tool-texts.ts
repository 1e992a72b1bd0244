/** What the model and people are told of business tools. Pure. */
import { lineForModel, quotedLines, shownName } from '../words/foreign-text.ts';
import { cut } from '../words/cut.ts';
import type { Approval } from './calls.ts';
import type { CallFault } from './client.ts';

/** For the model: why there is nothing, or what becomes of what it asked for. */
export const FAULT_WORDS: Readonly<Record<CallFault | 'place' | 'under_way' | 'waits' | 'asked', string>> = {
  tool_unreachable: 'O sistema não está disponível agora. Não invente: diga que não conseguiu, e ofereça uma pessoa da equipe.',
  tool_timeout: 'O sistema não respondeu a tempo. Não invente: diga que não conseguiu, e ofereça uma pessoa da equipe.',
  tool_private: 'O sistema está num endereço que não é permitido. Chame uma pessoa da equipe.',
  tool_too_large: 'A resposta do sistema é grande demais. Não invente: diga que não conseguiu consultar.',
  tool_redirect: 'O sistema mandou para outro endereço, o que não é seguido. Não invente: diga que não conseguiu consultar.',
  tool_http_error: 'O sistema está com problema. Não invente: diga que não conseguiu, e ofereça uma pessoa da equipe.',
  tool_refused: 'O sistema recusou: não existe, não é deste cliente, ou não pode ser. Não invente dados.',
  tool_not_json: 'O sistema respondeu de um jeito que não se entende. Não invente: diga que não conseguiu consultar.',
  tool_no_secret: 'Falta uma configuração do sistema. Chame uma pessoa da equipe.',
  tool_resting: 'O sistema falhou várias vezes e está em pausa. Não invente: diga que não conseguiu agora.',
  place: 'Este valor não pode ser usado aqui.',
  under_way: 'Isto já foi pedido nesta conversa, ou acabou de ser feito. Não peça de novo: diga ao cliente que ele é avisado do resultado.',
  waits:
    'Pedido registrado. Uma pessoa da equipe precisa autorizar antes; o cliente é avisado do resultado por aqui. Diga que você pediu a autorização. Não diga que está feito nem que vai ser aprovado.',
  asked:
    'Pedido registrado: é enviado assim que você responder, e o cliente recebe a confirmação por aqui. Diga que está pedindo. Não diga que já está feito.',
};

/** Why a call waits for a yes. */
export const RISK_WORDS: Readonly<Record<string, string>> = {
  outside: 'é uma ação para fora',
  always: 'sempre espera por um sim',
  amount: 'o valor passa do limite',
  media: 'o agente leu uma imagem ou um arquivo do cliente',
  quote: 'o agente leu um texto citado pelo cliente',
  documents: 'o agente leu documentos',
  tool_output: 'o agente leu dados de um sistema',
  draft: 'a resposta também espera por um sim',
};

/** A write that waits, for who may say yes. */
export function approvalText(approval: Approval, expires: string): string {
  const { id, tool, conversation_id: conversation, contact, input, request, amount, risks, asked } = approval;
  return [
    `*Autorização ${id}*: ${tool} para a conversa ${conversation} (${shownName(contact) ?? 'sem nome'})`,
    ...(asked === null ? [] : ['Cliente:', quotedLines(cut(asked, 800))]),
    ...Object.entries(input).map(([name, value]) => `${name}: ${lineForModel(String(value), 200)}`),
    ...(amount === null ? [] : [`Valor: ${amount}`]),
    `Chamada: ${request.method} ${lineForModel(request.url, 300)}`,
    `Espera porque ${risks.map((risk) => RISK_WORDS[risk] ?? risk).join('; ')}.`,
    `Até ${expires}. Sim: "autorizar ${id}". Não: "negar ${id}".`,
  ].join('\n');
}
