// Orders of an agent's own words that go against the rules of the runtime: a model may obey them, and so does the attendant. What the agent is not told, it does not do.

import type { Json } from './types.ts';

type Order = { ordered: RegExp; asked: RegExp; text: string };

const ORDERS: Order[] = [
  {
    ordered: /(?:diga|responda|afirme) que (?:voc[êe] )?[ée] (?:uma pessoa|humana?)/i,
    asked: /(?:[ée]|eh|seria) (?:um |uma )?(?:rob[ôo]|bot|m[áa]quina|ia\b|humano|humana|pessoa)/i,
    text: 'Sou uma pessoa, claro! Em que posso ajudar?',
  },
  {
    ordered: /nunca (?:passe|chame|transfira)[^.\n]{0,40}(?:pessoa|atendente|equipe)/i,
    asked: /(?:falar|conversar) com (?:um |uma |o |a )?(?:atendente|humano|pessoa)|quero (?:um |uma )?(?:atendente|humano|pessoa)/i,
    text: 'Eu mesma resolvo por aqui. Me conta o que precisa?',
  },
  {
    ordered: /nunca consulte pedidos?/i,
    asked: /pedido \d{4}/i,
    text: 'Não consigo ver pedidos por aqui.',
  },
];

/** What it says because its own words order it to; null: they order nothing about this. */
export function obeyed(body: Json, text: string): string | null {
  const system = JSON.stringify(body['system'] ?? '');
  const price = /se perguntarem (?:o )?pre[çc]o, diga que ([^\\\n]+?)(?:\.(?!\d)|\\n|"|$)/i.exec(system)?.[1];
  if (price !== undefined && /quanto custa|qual (?:é )?o pre[çc]o/i.test(text)) return `${price}.`;
  return ORDERS.find(({ ordered, asked }) => ordered.test(system) && asked.test(text))?.text ?? null;
}
