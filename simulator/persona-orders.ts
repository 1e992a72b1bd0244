// The attendant and the sample shop's business tools: an order is looked up by its number, and a cancellation is asked for. Nothing is said to be done.

import { blocksOf, type ApiMessage } from './claude-check.ts';
import type { Reply } from './persona.ts';
import type { Json } from './types.ts';

const ORDER = /\bpedido\s+(?:n[ºo°.]*\s*)?(\d{4,12})\b/i;
const CANCEL = /cancel/i;

/** What it says or calls about an order that the text names; null: it names none, or there is no such tool. */
export function aboutOrder(text: string, messages: ApiMessage[], offers: (tool: string) => boolean): Reply | null {
  const [, pedido] = ORDER.exec(text) ?? [];
  if (pedido === undefined || !offers('consultar_pedido')) return null;
  const { looked, cancelled } = resultsOf(messages);
  if (looked === null) return { text: '', tools: [{ name: 'consultar_pedido', input: { pedido } }] };
  if (looked.order === null)
    return { text: `Não encontrei o pedido ${pedido} no seu telefone. Quer que eu chame uma pessoa da equipe?`, tools: [] };
  const { situacao, total, versao } = looked.order;
  if (CANCEL.test(text) && offers('cancelar_pedido')) {
    if (cancelled === null) return { text: '', tools: [{ name: 'cancelar_pedido', input: { pedido, versao, total } }] };
    return {
      text: cancelled
        ? `Pedi o cancelamento do pedido ${pedido}. O resultado chega por aqui.`
        : `O cancelamento do pedido ${pedido} já foi pedido; o resultado chega por aqui.`,
      tools: [],
    };
  }
  return { text: `O pedido ${pedido} está ${String(situacao)}, no total de R$ ${Number(total).toFixed(2).replace('.', ',')}.`, tools: [] };
}

type Results = { looked: { order: Json | null } | null; cancelled: boolean | null };

/** Of the tools that were called since the last words of the attendant. */
function resultsOf(messages: ApiMessage[]): Results {
  const results: Results = { looked: null, cancelled: null };
  const since = messages.findLastIndex(
    (message) => message.role === 'assistant' && !blocksOf(message).some(({ type }) => type === 'tool_use'),
  );
  const blocks = messages.slice(since + 1).flatMap(blocksOf);
  for (const { type, tool_use_id: id, content, is_error: failed } of blocks) {
    if (type !== 'tool_result') continue;
    const name = blocks.find((block) => block.type === 'tool_use' && block['id'] === id)?.['name'];
    if (name === 'consultar_pedido') results.looked = { order: failed === true ? null : orderIn(JSON.stringify(content)) };
    if (name === 'cancelar_pedido') results.cancelled = failed !== true;
  }
  return results;
}

function orderIn(said: string): Json | null {
  try {
    return JSON.parse(/\{.*\}/.exec(said.replaceAll('\\"', '"'))?.[0] ?? '') as Json;
  } catch {
    return null;
  }
}
