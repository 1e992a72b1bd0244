import { z } from 'zod';
import { defineWrite } from './tool.ts';

export const handoffToHuman = defineWrite({
  name: 'handoff_to_human',
  description:
    'Passa a conversa para uma pessoa da equipe. Use quando o cliente pedir uma pessoa, estiver irritado, ou quando você não puder resolver com o que sabe. Depois, avise o cliente em uma frase.',
  input: z.object({
    reason: z.string().min(1).max(200).describe('Por que uma pessoa é necessária, em poucas palavras'),
    summary: z.string().max(1_000).optional().describe('O que o cliente quer e o que já foi dito'),
    suggestion: z.string().max(500).optional().describe('O que a pessoa da equipe poderia responder, nas palavras dela'),
  }),
  effect({ reason, summary, suggestion }) {
    return {
      ok: true,
      output: 'Uma pessoa da equipe vai assumir assim que você responder.',
      effect: { type: 'handoff', reason, summary: summary ?? null, suggestion: suggestion ?? null, controls: true },
    };
  },
});
