import { z } from 'zod';
import { refusedFact } from './fact-words.ts';
import { defineWrite } from './tool.ts';

/** What can be known of a contact. Of a name, an address and of what is said about the same thing the newer one replaces the older. */
export const FACT_KINDS = ['name', 'preference', 'address', 'request', 'other'] as const;

export const remember = defineWrite({
  name: 'remember',
  description:
    'Anota um fato duradouro sobre o cliente para as próximas conversas: nome, preferência, endereço de entrega, pedido em andamento. Um fato novo sobre o mesmo assunto substitui o anterior. Não anote senhas, cartões nem saúde, nem preços, descontos ou condições.',
  input: z.object({
    fact: z.string().trim().min(1).max(300).describe('Uma frase'),
    kind: z
      .enum(FACT_KINDS)
      .default('other')
      .describe(
        'name: como se chama; preference: o que prefere; address: onde mora ou recebe; request: um pedido em andamento; other: outro fato',
      ),
    about: z.string().trim().max(40).default('').describe('O assunto em uma ou duas palavras, como "tamanho" ou "pagamento"'),
  }),
  effect({ fact, kind, about }) {
    const refusal = refusedFact(`${about} ${fact}`);
    if (refusal !== null) return { ok: false, output: refusal, effect: null };
    return { ok: true, output: 'Anotado.', effect: { type: 'remember', fact, kind, about: about.toLowerCase() } };
  },
});
