/** A conversation that the agent only looks on at: it reads, notes and alerts. What it would say is nobody's: SQL lets nothing leave (is_observed). */
import { z } from 'zod';
import type { AgentOutcome } from './agent.ts';
import type { TurnResult } from './calls.ts';
import { defineWrite } from './tools/tool.ts';
import type { Tool } from './tools/tool.ts';

const noteConversation = defineWrite({
  name: 'note_conversation',
  description: 'Anota para a equipe o estado da conversa. Substitui a anotação anterior, então diga tudo o que ainda vale.',
  input: z.object({
    labels: z
      .array(z.string().trim().min(1).max(30))
      .max(5)
      .describe('Etiquetas de uma a três palavras, como "troca" ou "dúvida de prazo"'),
    summary: z.string().trim().min(1).max(600).describe('Em duas ou três frases: o que o cliente quer, e o que ficou combinado'),
  }),
  effect({ labels, summary }) {
    const named = [...new Set(labels.map((label) => label.toLowerCase()))];
    return { ok: true, output: 'Anotado.', effect: { type: 'label', labels: named, summary } };
  },
});

const alertTeam = defineWrite({
  name: 'alert_team',
  description:
    'Chama a atenção da equipe para esta conversa. Só quando uma pessoa precisa ver agora: cliente irritado, promessa esquecida, pedido urgente, risco para alguém.',
  input: z.object({ reason: z.string().trim().min(1).max(200).describe('O que há, em uma frase') }),
  effect({ reason }) {
    return { ok: true, output: 'A equipe foi avisada.', effect: { type: 'handoff', reason, summary: null, controls: false } };
  },
});

export const OBSERVER_TOOLS: readonly Tool[] = [noteConversation, alertTeam];

/** Behind everything that the model reads. */
export const OBSERVER_HINT =
  'você só observa esta conversa: pessoas da equipe respondem, e nada do que você escrever é enviado. Use note_conversation uma vez, alert_team só se for preciso, e não escreva mais nada.';

/** What a turn of an agent comes to that may say nothing. `result`: what it would be of one that answers. */
export function observedResult(outcome: AgentOutcome, result: TurnResult): TurnResult {
  const { parts: _, effects: __, apology: ___, answer_id: ____, forward: _____, ...record } = result;
  switch (result.kind) {
    case 'aborted':
    case 'failed':
      return record;
    case 'deferred':
      return { ...record, apology_ms: null };
    case 'answer':
    case 'handoff':
    case 'skip': {
      const effects = 'effects' in outcome ? outcome.effects.filter(({ type }) => type === 'label' || type === 'handoff') : [];
      return { ...record, kind: 'skip', reason: 'observed', effects };
    }
  }
}
