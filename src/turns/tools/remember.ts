import { z } from 'zod';
import { defineTool } from './tool.ts';

export const remember = defineTool({
  name: 'remember',
  description:
    'Anota um fato duradouro sobre o cliente para as próximas conversas: nome, preferência, endereço de entrega, pedido em andamento. Não anote senhas, cartões nem saúde.',
  input: z.object({ fact: z.string().trim().min(1).max(300).describe('Uma frase') }),
  execute({ fact }) {
    // The memory is read in a prompt: a run of digits as long as a card number has no place there.
    if (/(?:\d[ -]?){13,19}/.test(fact))
      return { ok: false, output: 'Isso parece um número de cartão: não pode ser anotado.', effect: null };
    return { ok: true, output: 'Anotado.', effect: { type: 'remember', fact } };
  },
});
