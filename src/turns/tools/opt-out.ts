import { z } from 'zod';
import { defineWrite } from './tool.ts';

export const optOut = defineWrite({
  name: 'opt_out',
  description:
    'Registra que o cliente não quer mais receber mensagens que não pediu. Use só quando ele pedir isso claramente; recusar uma oferta ("não, obrigado") não é pedir para sair. Depois, confirme em uma frase.',
  input: z.object({}),
  effect() {
    return { ok: true, output: 'Registrado. Ele só recebe respostas quando escrever.', effect: { type: 'opt_out' } };
  },
});
