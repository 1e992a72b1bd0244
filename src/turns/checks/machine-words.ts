/** How machines write, and how people do. Patterns of folded words (words/fold.ts). Pure. */

/** The shorthand and the laughter of a chat, which no program of words writes. */
export const SHORTHAND =
  /(?:^| )(?:vc|vcs|pq|tb|tbm|tmb|q|n|eh|ta|ne|oq|blz|obg|obgd|vlw|pfv|pf|mt|mto|cmg|ctz|hj|msg|qnd|qdo|qto|td|mds|aff|uai|opa|eita|ok|k+|rs+|ha(?:ha)+|he(?:he)+|hua(?:hua)*)(?= |$)/;

/** How somebody speaks who serves: a customer asks, and offers no help. */
export const SERVING =
  /(?:posso|podemos|possa|poderia) (?:te |lhe |o |a |os |as )?(?:ajudar|ajuda lo|ajuda la|auxiliar|atender|atende lo|atende la|esclarecer)|(?:a|sua) disposicao|(?:agradec\w+|obrigad[oa]) (?:muito )?(?:o |pelo |por )(?:seu |sua )?(?:contato|mensagem|entrar em contato|retorno|interesse)|nossa equipe|nossos? (?:servicos?|produtos?|atendimento|horarios?|especialistas?|clientes)|nosso (?:time|site|cardapio|catalogo)|em que posso|como posso|fico feliz em|sera um prazer|atendente virtual|assistente virtual|temos (?:o prazer|varias|diversas|opcoes)|can i (?:help|assist)|may i (?:help|assist)|happy to (?:help|assist)|feel free|let me know if|glad to (?:help|assist)|our (?:team|services|products)|anything else i can|puedo ayudar|a su disposicion|nuestr[oa]s? (?:equipo|servicios?|productos?)/;

/** What only a machine says: menus, absence notes, tickets. */
export const MENU =
  /(?:^| )(?:(?:digite|tecle|disque|responda (?:com|apenas)|envie) (?:o numero |a opcao |apenas )?\d|digite (?:a|uma|o numero da) opcao|(?:opcao|resposta|comando|alternativa) (?:e )?invalid[ao]|(?:escolha|selecione) (?:uma |um )?(?:das |dos )?(?:opcoes|opcao|itens) (?:abaixo|a seguir|do menu)|(?:mensagem|resposta|atendimento) automatic[ao]|nao (?:entendi|compreendi|reconheci) (?:a )?sua (?:resposta|mensagem|opcao|solicitacao)|(?:numero do |seu )protocolo|atendimento (?:foi )?(?:encerrado|finalizado)|encerrad[ao] por (?:inatividade|falta de)|nao responda (?:a )?(?:esta|essa) mensagem|(?:retornaremos|responderemos) (?:o mais|assim que|em breve)|fora do (?:nosso )?horario de atendimento|voce esta na posicao|aguarde (?:um momento )?que (?:ja )?(?:um|uma|nosso) (?:atendente|especialista))(?= |$)/;
