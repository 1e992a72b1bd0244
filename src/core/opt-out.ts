/**
 * Whether a contact asks for no more messages, or for messages again, in Portuguese, Spanish or English. Pure and strict: only what can mean nothing else.
 * Refusing an offer ("não, obrigado"), calling for a halt of something else ("pare na esquina") or asking about it is left to the agent, whose tool `opt_out` is the
 * second way in. A message that is missed costs one more sentence; a contact who is silenced by mistake is lost.
 */
import { clausesOf } from './words.ts';

/** Longer texts tell a story; what they ask for is the agent's to find out. */
const MAX_CHARS = 300;

export function asksToStop(text: string): boolean {
  if (text.length > MAX_CHARS) return false;
  const clauses = essential(clausesOf(text));
  if (clauses.length === 1 && ALONE.has(clauses[0] ?? '')) return true;
  return clauses.some((clause) => !NOT_MEANT.test(clause) && PHRASES.some((phrase) => phrase.test(clause)));
}

/** Only means something from a contact who has opted out: to others, "voltar" is a word. */
export function asksToReturn(text: string): boolean {
  if (text.length > MAX_CHARS) return false;
  const clauses = essential(clausesOf(text));
  return clauses.length === 1 && (BACK.has(clauses[0] ?? '') || BACK_PHRASE.test(clauses[0] ?? ''));
}

const POLITE =
  '(?:oi+|ola|opa|bom dia|boa tarde|boa noite|por favor|porfavor|pf|pfv|pfvr|favor|gente|moco|moca|amigo|amiga|senhor|senhora|obrigad[oa]|obg|brigad[oa]|agora|ja|logo|urgente|hi|hello|hey|please|pls|thanks|thank you|hola|buenas|buenos dias|buenas tardes|gracias)';
const POLITE_ENDS = new RegExp(`^(?:${POLITE} )+|(?: ${POLITE})+$`, 'g');
const ONLY_POLITE = new RegExp(`^${POLITE}(?: ${POLITE})*$`);

/** The clauses without greetings and politeness, at either end of a clause or as one of their own. */
function essential(clauses: string[]): string[] {
  return clauses.filter((clause) => !ONLY_POLITE.test(clause)).map((clause) => clause.replaceAll(POLITE_ENDS, ''));
}

/** The whole message is this, but for politeness. */
const ALONE = new Set([
  'sair',
  'quero sair',
  'pare',
  'parem',
  'parar',
  'descadastrar',
  'descadastro',
  'descadastre',
  'quero me descadastrar',
  'me descadastra',
  'me descadastre',
  'desinscrever',
  'remover',
  'me remove',
  'me remova',
  'me removam',
  'stop',
  'stop all',
  'stopall',
  'unsubscribe',
  'unsubscribe me',
  'remove me',
  'opt out',
  'optout',
  'baja',
  'salir',
  'dar de baja',
  'darme de baja',
  'dame de baja',
  'quiero darme de baja',
  'desuscribir',
  'desuscribirme',
]);

/** "Não pare de mandar", "se eu quiser sair", "por que pararam": the same words, another wish. */
const NOT_MEANT =
  /(?:^| )(?:nao|nunca|no|never|dont|do not|sem) (?:quero |quiero |want to )?(?:sair|salir|pare[m]?|parar|para|deje[ns]?|stop|unsubscribe|me (?:tire|remova|descadastre))(?: |$)|(?:^| )(?:se eu|si yo|if i|caso eu|por que|porque|como faz|quem|alguem|cliente[s]?|meu (?:filho|marido|pai)|minha (?:filha|mulher|mae|esposa)) /;

const MESSAGES =
  '(?:mensagem|mensagens|mensajes?|messages?|texts?|msgs?|msn|propagandas?|promocao|promocoes|promocion(?:es)?|promos?|ofertas?|offers?|anuncios?|publicidade|publicidad|spam|sms|marketing|notificacao|notificacoes|comunicados?|novidades|disparos?|e?mails?|whats(?:app)?|zap|correos?)';
/** Between a verb and its messages, and behind them. */
const THESE =
  '(?:(?:mais|mas|more|any|as|os|essas?|esses?|estas?|estes?|esas?|esos?|estos?|suas?|seus?|sus|your|these|those|the|tantas?|tantos?|nenhuma?|nenhum|qualquer|tipo de|de|las|los|o|a|um|uma) )*';
const BEHIND =
  '(?: (?:mais|mas|nunca mais|de voces|de voce|de vcs|da empresa|desse numero|deste numero|dessa empresa|nesse numero|neste numero|no meu (?:whatsapp|whats|zap|celular|numero)|aqui|pra mim|para mim|por aqui|por whatsapp|pelo whatsapp|from you|to me|to this number|anymore|again|nunca|a este numero|de ustedes|chatas?|chatos?|do dia|todo dia|o dia todo))*';
const NOTHING = '(?:nada|mais nada|nada mais|isso|isto|nothing|anything|esto|eso|nada mas)';

const PHRASES: readonly RegExp[] = [
  // pare de me mandar mensagem; chega de propaganda
  `(?:pare|parem|para|parar|favor parar|quero que (?:pare|parem)|deje[ns]?|deja|dejar|paren) de (?:(?:me|nos) )?(?:mandar|enviar|mandarem|enviarem|encaminhar|enviarme|mandarme|escribirme|escrever|encher|perturbar|incomodar|molestar(?:me)?|chamar|contatar)(?: (?:me|nos|o saco))?(?: ${THESE}(?:${MESSAGES}|${NOTHING}))?${BEHIND}`,
  `(?:pare|parem|parar|chega|basta) (?:de|com|con) ${THESE}${MESSAGES}${BEHIND}`,
  // não quero mais receber mensagens
  `(?:eu )?(?:nao|no|n) (?:quero|quiero|desejo|deseo|gostaria de|queria|aceito|autorizo|tenho interesse em) (?:mais |mas )?(?:receber|recibir) ${THESE}(?:${MESSAGES}|contatos?)${BEHIND}`,
  `(?:eu )?(?:nao|no|n) (?:quero|quiero|desejo|deseo) (?:mais |mas )(?:receber|recibir)(?: ${NOTHING})?${BEHIND}`,
  `(?:eu )?(?:nao|no|n) (?:quero|quiero|desejo|deseo) (?:receber|recibir) (?:mais|mas|mais nada|nada mais|nada|nada mas)${BEHIND}`,
  `(?:eu )?(?:nao|no|n) (?:quero|quiero) (?:mais|mas) ${THESE}${MESSAGES}${BEHIND}`,
  `(?:nao|no) quero mais (?:que )?(?:voces )?(?:me )?(?:mandem|enviem|escrevam|chamem)(?: ${THESE}${MESSAGES})?${BEHIND}`,
  // não me mande mais mensagem; no me escriban más
  `(?:por favor )?(?:nao|no|n) (?:(?:me|nos) )?(?:mande|manda|mandem|manden|mandes|mandar|envie|envia|enviem|envien|envies|enviar|escreva|escrevam|escriban|escribas|escriba|escreve|perturbe|perturbem|incomode|incomodem|contate|contatem|contacten|procure|procurem|chame|chamem)(?: ${THESE}(?:${MESSAGES}|${NOTHING}))? (?:mais|mas|nunca mais|nunca mas)${BEHIND}`,
  `(?:por favor )?(?:nao|no|n) (?:(?:me|nos) )?(?:mande|manda|mandem|manden|mandes|mandar|envie|envia|enviem|envien|envies|enviar) (?:mais|mas) (?:${THESE}${MESSAGES}|nada)${BEHIND}`,
  `nunca mais (?:me )?(?:mande|mandem|envie|enviem|escreva|escrevam|chame|chamem|incomode|perturbe)(?: ${THESE}(?:${MESSAGES}|nada))?${BEHIND}`,
  // remover meu número; me tira dessa lista
  `(?:(?:quero|queria|gostaria de|pode|podem|poderia|favor|preciso) (?:que )?)?(?:remover|remova|remove|removam|retirar|retire|retira|retirem|tirar|tire|tira|tirem|excluir|exclua|exclui|excluam|apagar|apague|apaga|apaguem|deletar|delete|deleta|descadastrar|descadastre|descadastra|quitar|quiten|quita|eliminar|eliminen|borrar|borren) (?:o |el )?(?:meu|mi|esse|este|nosso|ese) (?:numero|contato|telefone|telefono|celular|whatsapp|whats|zap|contacto)(?: (?:dai|disso|de la|da lista|dessa lista|desta lista|de sua lista|da sua lista|das suas listas|da lista de (?:transmissao|contatos|envio|disparos?|divulgacao)|dos contatos|dos seus contatos|de sus contactos|de la lista|da base|do cadastro|do sistema|de su lista|dos disparos))?`,
  `(?:pode |podem |quero que |favor |poderia )?(?:me |mi )?(?:tire|tira|tirem|tirar|remova|remove|removam|remover|retire|retira|retirem|retirar|exclua|exclui|excluam|excluir|descadastre|descadastra|quiten|quita|saquen|saca|quitenme|saquenme|sacame|quitame)(?: (?:meu nome|o meu nome|meu numero|meu contato|mi nombre|mi numero))? (?:d|de l|de est|de su |de sua |de suas |da su)(?:a|as|essa|esta|esa|el|os|es|) ?(?:lista|listas)(?: de (?:transmissao|contatos|contactos|envios?|mensagens|mensajes|disparos?|divulgacao|difusion|voces))?`,
  `(?:quero |queria |gostaria de |preciso |como (?:faco (?:para |pra ))?)?(?:sair|saio|salir|quiero salir) (?:d|de l|de est|de su )(?:a|essa|esta|) ?lista(?: de (?:transmissao|contatos|envios?|mensagens|mensajes|disparos?|divulgacao|difusion|voces))?`,
  `(?:quero |queria |gostaria de |preciso |pode |favor )?(?:cancelar|cancele|cancela|cancelem) (?:o |a |a minha |minha |meu |la |mi )?(?:recebimento|envio|inscricao|cadastro|assinatura|suscripcion)(?: (?:de|das|dessas|nas|nessas|da lista de|de las|de los|dos))? ${THESE}(?:${MESSAGES}|lista)${BEHIND}`,
  `(?:quero |queria |gostaria de |favor )?(?:me )?(?:descadastrar|descadastre|descadastra|descadastrem|desinscrever|desinscreva)(?: me)?(?: (?:meu|o meu|esse|este) (?:numero|contato|telefone|celular|whatsapp))?(?: (?:da|dessa|desta|de sua) lista)?`,
  `(?:quiero )?(?:dar|darme|dame|denme|darse) de baja(?: de (?:la lista|los mensajes|estos mensajes|esta lista))?`,
  // stop texting me; take me off your list
  `(?:please )?stop (?:messaging|texting|sending|contacting|spamming|writing|bothering|emailing)(?: (?:me|us|to me))?(?: ${THESE}(?:${MESSAGES}|things|stuff|this))?${BEHIND}`,
  `(?:please )?(?:unsubscribe|remove|take) (?:me|my number)(?: (?:off|from))? (?:your|this|the) (?:mailing |contact )?lists?`,
  `(?:please )?(?:remove|delete) my (?:number|contact|phone)`,
  `(?:please )?(?:do not|dont|never) (?:text|message|contact|write|send me (?:messages|texts)|write to)(?: (?:me|us|to me))?(?: (?:again|anymore|any more|ever again))`,
  `(?:i )?(?:do not|dont) want (?:to (?:receive|get) )?${THESE}${MESSAGES}${BEHIND}`,
  `no more messages${BEHIND}`,
  `(?:i )?(?:want|would like) to (?:opt out|unsubscribe)`,
].map((source) => new RegExp(`^(?:${source})$`));

const BACK = new Set([
  'voltar',
  'quero voltar',
  'voltei',
  'reativar',
  'reativar mensagens',
  'recadastrar',
  'start',
  'unstop',
  'subscribe',
  'volver',
  'quiero volver',
  'alta',
]);
const BACK_PHRASE =
  /^(?:(?:eu )?(?:quero|quiero|gostaria de|pode|podem|desejo) )?(?:(?:voltar|volver) a (?:receber|recibir|me mandar|mandar|enviar)|(?:receber|recibir|mandar|me mandar|enviar)(?= .*(?:de novo|novamente|outra vez|de nuevo|otra vez)$))(?: (?:as|os|suas?|los|las|sus))?(?: (?:mensagem|mensagens|mensajes?|msgs?|novidades|ofertas?|promocoes))?(?: (?:de voces|de ustedes))?(?: (?:de novo|novamente|outra vez|de nuevo|otra vez))?$/;
