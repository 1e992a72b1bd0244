import { z } from 'zod';
import { defineWrite } from './tool.ts';

export const react = defineWrite({
  name: 'react',
  description: 'Reage à última mensagem do cliente com um emoji. Bom para um "obrigado"; não substitui uma resposta a uma pergunta.',
  input: z.object({ emoji: z.string().min(1).max(16) }),
  effect({ emoji }, { pending }) {
    const target = pending.findLast((message) => message.type !== 'reaction');
    if (!target) return { ok: false, output: 'Não há mensagem a que reagir.', effect: null };
    if (
      [...new Intl.Segmenter('pt', { granularity: 'grapheme' }).segment(emoji)].length !== 1 ||
      !/\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(emoji)
    ) {
      return { ok: false, output: 'É preciso exatamente um emoji.', effect: null };
    }
    return { ok: true, output: 'Reação enviada.', effect: { type: 'react', message_id: target.id, emoji } };
  },
});
