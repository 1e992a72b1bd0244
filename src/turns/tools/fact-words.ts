/**
 * What may be noted about a contact. A note is read in later conversations as something that is known, so whoever could have "I get 30 % off" noted would have got
 * it: what the company sells for, allows or owes stands in its documents, never in a note. Pure.
 */
import { foldWords } from '../../words/fold.ts';

/** A run of digits as long as a card number has no place in a prompt. */
const CARD = /(?:\d[ -]?){13,19}/;
const MONEY = /(?:R\$|US\$|€)\s*\d|\d+(?:[.,]\d+)?\s*(?:reais|real|conto[s]?|pila[s]?|%|por cento)/i;
/** In plain words. */
const TERMS =
  /\b(?:descontos?|cupo(?:m|ns)|vouchers?|promoc(?:ao|oes)|ofertas?|gratis|gratuit[oa]s?|gratuidade|gratuitamente|de graca|brindes?|isent[oa]|isencao|cortesia|bonus|precos?|tabela|valor combinado|politicas?|regras?|normas?|autoriz(?:ad[oa]|ou|acao)|aprov(?:ad[oa]|ou|acao)|liber(?:ad[oa]|ou)|excecao|direito a|tem direito|pode (?:pagar|devolver|trocar|retirar) sem|vip|garantia (?:de|eterna|vitalicia|estendida)|(?:gerente|don[oa]|funcionari[oa]|administrador[a]?|admin) (?:da|do|desta|deste|daqui|aqui)|senha|pin|discounts?|coupons?|free of charge|polic(?:y|ies)|approved|descuentos?|cupon(?:es)?)\b/;
/** Who pays for it, or how much less: what the company would give, said without a figure or a word of the list above. In plain words. */
const GIVEN =
  /\b(?:metade d[aeo] (?:valor|preco|conta|compra|pedido|frete)|sem (?:juros|frete|custos?|taxas?|multas?|cobranca|pagar)|por (?:nossa conta|conta d[aeo] (?:loja|empresa|casa|equipe))|(?:loja|empresa|casa|equipe) (?:cobre|paga|banca|assume|devolve|da|oferece)|combin(?:ou|ado) com (?:a|o) (?:equipe|loja|empresa|gerente|atendente|vendedor[a]?)|(?:tem|ganhou|recebeu|possui) (?:um )?creditos?|creditos? (?:na|da) (?:loja|empresa|casa)|cliente (?:especial|preferencial|premium|ouro))\b/;
/** What speaks to the reader, not of the contact. */
const ORDERS =
  /\b(?:ignore|ignorar|esqueca|desconsidere|obedeca|instrucao|instrucoes|a partir de agora|de agora em diante|sempre (?:de|da|diga|responda|faca|aceite|ofereca|cobre)|nunca (?:de|diga|responda|faca|cobre)|voce (?:deve|tem que|precisa|pode)|o agente|o assistente|o sistema|o atendente|prompt|system|ignore all|always)\b/;

/** Why a fact may not be noted, in words for the model; null: it may. */
export function refusedFact(fact: string): string | null {
  if (CARD.test(fact)) return 'Isso parece um número de cartão: não pode ser anotado.';
  const words = foldWords(fact);
  if (MONEY.test(fact) || TERMS.test(words) || GIVEN.test(words))
    return 'Preços, descontos, condições e permissões não são anotados: valem só os documentos da empresa e o que uma pessoa da equipe combinou.';
  return ORDERS.test(words) ? 'Só fatos sobre o cliente são anotados, nunca instruções.' : null;
}
