/**
 * Which model a turn deserves. Pure. The rules are a table: the first that fires is the one that the turn records, and all of them lead to the complex model.
 *
 * What words are taken for is cheap to get wrong in one direction only: a plain question that goes to the better model costs a cent, an angry customer with the
 * cheaper one costs the customer. So a word that is usually meant so is enough.
 */
import { cut } from '../words/cut.ts';
import { clausesOf } from '../words/fold.ts';

export const ROUTES = ['plain', 'sentiment', 'objection', 'negotiation', 'long_talk'] as const;
/** `plain`: no rule fired, and the normal model answers. */
export type Route = (typeof ROUTES)[number];

export type RoutingSnapshot = {
  now: Date;
  pending: readonly { text: string }[];
  /** Oldest first, without the unanswered ones. */
  history: readonly { direction: 'in' | 'out'; author: string; type: string; at: Date }[];
};

export function routeOf({ now, pending, history }: RoutingSnapshot): Route {
  const texts = pending.map(({ text }) => cut(text, READ_CHARS));
  if (texts.some((text) => ANGRY_SIGNS.test(text) || isShouted(text))) return 'sentiment';
  const clauses = texts.flatMap((text) => clausesOf(text));
  for (const { route, words } of RULES) if (clauses.some((clause) => words.test(clause))) return route;
  return isLongTalk(now, history) ? 'long_talk' : 'plain';
}

/** What the model reads of one message (decide.ts). Characters. */
const READ_CHARS = 4_000;

/** Each alternative is a whole word or words of one clause, folded: lower case, no accents, single spaces. */
const RULES: readonly { route: Exclude<Route, 'plain' | 'long_talk'>; words: RegExp }[] = [
  {
    route: 'sentiment',
    words: oneOf(
      // what is said of us
      'absurd[oa]s?|pessim[oa]s?|horrive(?:l|is)|ridicul[oa]s?|inadmissive(?:l|is)|inaceitave(?:l|is)|palhacada|descaso|desrespeit\\w*',
      '(?:uma|que|tenham) vergonha|falta de (?:respeito|consideracao|educacao)|(?:um|que) lixo|porcaria|merda|pqp',
      'decepc\\w+|engana(?:d[oa]s?|ram|ndo|cao)|golpe|golpistas?|mentir\\w*|nunca mais|pior (?:atendimento|empresa|loja|compra)',
      // how it is felt
      '(?:com|que|muita|uma) raiva|(?:estou|to|fiquei|ficando|muito|bem) (?:irritad|nervos|chatead|frustrad|insatisfeit|put)[oa]|indignad[oa]|revoltad[oa]',
      'cansad[oa] de|cansei de|nao aguento|ninguem (?:me )?(?:responde|respondeu|resolve|resolveu|atende|atendeu)|ate agora nada',
      // what went wrong, and what is wanted for it
      'nao (?:esta )?funciona(?:ndo|m)?|nao funcionou|parou de funcionar|(?:com|deu) defeito|veio (?:errad|quebrad|estragad|trocad|vazi)[oa]|nao (?:chegou|recebi|entregaram)',
      'cancel(?:ar|a|e|ei|em|amento|ad[oa]s?|arem)|reembols\\w*|estorn\\w*|dinheiro de volta|devolv(?:er|am|a)(?: o)?(?: meu)? dinheiro',
      'reclam(?:a|o|ar|acao|acoes|ando|ei|e aqui)|procon|advogad[oa]s?|vou processar|na justica|juizado|pequenas causas|denunci\\w*',
    ),
  },
  {
    route: 'objection',
    words: oneOf(
      // `cara` alone is how friends call each other
      'caros?(?! (?:senhor|sr|amig|client|colega))|carissim[oa]s?|caras? (?:demais|pra|para)',
      '(?:coisa|muito|mto|mt|mega|super|meio|bem|tao|achei|acho|ta|tava|esta|estao|sao|e|eh|mais|ficou|fica|saiu|sai|entrega|taxa|mensalidade|parcela|consulta) caras?',
      '(?:preco|valor|muito|meio|bem|ta|pouco) (?:alto|salgado)|fora do (?:meu )?orcamento|acima do (?:que|meu)',
      'nao (?:concordo|aceito|compensa|confio|cabe no)|nao vale|vale (?:mesmo )?a pena|sera que (?:vale|compensa|funciona|da certo)',
      'concorr(?:ente|entes|encia|encias)|n?outra (?:loja|empresa|clinica)|n?outro (?:lugar|fornecedor|site)|(?:vi|achei|encontrei|ta|esta|sai) mais (?:barat[oa]|em conta)',
      '(?:vou|preciso|quero|deixa eu|tenho que) pensar|vou (?:ver|falar|conversar) com (?:o |a )?(?:meu|minha)|nao (?:tenho|sei se tenho) (?:certeza|seguranca|condic\\w+|dinheiro|como pagar)',
      'nao (?:tenho|tem) interesse|nao (?:estou|to) (?:segur|convencid|interessad)[oa]|(?:tenho|com) (?:medo|receio)|desconfi\\w+|demora (?:demais|muito)|muito (?:demorad[oa]|longe)',
    ),
  },
  {
    route: 'negotiation',
    words: oneOf(
      'descont(?:o|os|ao|inho|inhos|ar)|negocia\\w*|barganh\\w*|abatimento|contraproposta|pechinch\\w*|cupom|brinde',
      '(?:melhor|melhora|melhorar|melhore|baixa|baixar|abaixa|abaixar|reduz|reduzir|diminui|diminuir) (?:um pouco )?(?:o |esse |nesse |no )?(?:preco|valor|orcamento|frete|juros|parcela)',
      '(?:preco|valor|condicao|condicoes|proposta) (?:melhor|melhores|mais em conta|especial|especiais|menor)|(?:ultimo|menor) (?:preco|valor)',
      '(?:faz|fazem|faria|fecha|fecham|fecho|fechamos|fechar|deixa|sai|vende) (?:ele |ela |isso |tudo |os dois |as duas )?por (?:menos|uns \\d+|r \\d+|\\d+)',
      '(?:tem como|da pra|da para|consegue|conseguem|pode|poderia) (?:melhorar|abaixar|baixar|reduzir)(?: (?:isso|nisso|um pouco|um pouquinho|mais|ai|pra mim|para mim))*$',
      'se eu (?:levar|comprar|fechar|pegar|pagar)|levando (?:dois|duas|tres|mais|\\d+)|frete (?:gratis|gratuito)|isenta\\w* (?:o |a )?(?:frete|taxa)|a vista (?:tem|fica|sai|da|faz|melhora)',
    ),
  },
];

function oneOf(...alternatives: string[]): RegExp {
  return new RegExp(`(?<![a-z0-9])(?:${alternatives.join('|')})(?![a-z0-9])`);
}

/** Emoji that nobody sends in a good mood. */
const ANGRY_SIGNS = /[😡😠🤬👎💩🤡]/u;

/** Letters that somebody writes in capitals only, with a mark of exclamation; shorter ones are names of products. */
const SHOUTED_LETTERS = 12;

function isShouted(text: string): boolean {
  const letters = text.replaceAll(/\P{L}/gu, '');
  return /[!?]/.test(text) && text.trim().includes(' ') && letters.length >= SHOUTED_LETTERS && letters === letters.toUpperCase();
}

/** A turn is the contact's words and our answer to them; this one is beyond so many. */
const LONG_TALK_TURNS = 5;
/** So many messages of both are a long talk however they fall: what the model reads may begin later, and the choice must not go back, since each model has a cache of its own. */
const LONG_TALK_MESSAGES = 30;
/** What is older belongs to another talk. Milliseconds. */
const TALK_MS = 6 * 3_600_000;

function isLongTalk(now: Date, history: RoutingSnapshot['history']): boolean {
  const talk = history.filter(({ at, type }) => type !== 'reaction' && now.getTime() - at.getTime() < TALK_MS);
  const answered = talk.filter(({ direction }, index) => direction === 'out' && talk[index - 1]?.direction === 'in').length;
  return answered >= LONG_TALK_TURNS || talk.length > LONG_TALK_MESSAGES;
}
