/**
 * Whether a contact asks for no more messages, or for messages again, in Portuguese, Spanish or English. Pure and strict: only what can mean nothing else.
 * Refusing an offer ("não, obrigado"), calling for a halt of something else ("pare na esquina") or asking about it is left to the agent, whose tool `opt_out` is the
 * second way in. A message that is missed costs one more sentence; a contact who is silenced by mistake is lost.
 */
import { asSpelled } from '../words/spelling.ts';
import { clausesOf } from '../words/fold.ts';

/** Longer texts tell a story; what they ask for is the agent's to find out. */
const MAX_CHARS = 300;

export function asksToStop(text: string): boolean {
  if (text.length > MAX_CHARS) return false;
  const clauses = essential(clausesOf(text).map(asSpelled));
  // Beside a reason to go ("já comprei") the word may stand as if it were alone.
  const asked = clauses.filter((clause) => !DISMISSAL.test(clause));
  if (asked.length === 1 && ALONE.has(asked[0] ?? '')) return true;
  return clauses.some((clause) => !NOT_MEANT.test(clause) && partsOf(clause).some(isRequest));
}

/** What is joined without a comma: "já comprei então pode parar de mandar mensagem". */
function partsOf(clause: string): string[] {
  return [clause, ...` ${clause}`.split(JOINTS).map((part) => part.trim())];
}

const JOINTS = / (?:mas|entao|porem|por isso|porque|por que|pois|ja que|e) /;

/** The request itself, without how it is introduced: "já pedi para", "tem como vocês", "não tenho interesse". */
function isRequest(part: string): boolean {
  const bare = part.replaceAll(POLITE_ENDS, '').replace(LEADS, '').replace(TAILS, '');
  return PHRASES.some((phrase) => phrase.test(part) || phrase.test(bare));
}

/** Only means something from a contact who has opted out: to others, "voltar" is a word. */
export function asksToReturn(text: string): boolean {
  if (text.length > MAX_CHARS) return false;
  const clauses = essential(clausesOf(text).map(asSpelled));
  return clauses.length === 1 && (BACK.has(clauses[0] ?? '') || BACK_PHRASE.test(clauses[0] ?? ''));
}

const POLITE =
  '(?:oi+|ola|opa|bom dia|boa tarde|boa noite|por favor|porfavor|por gentileza|pf|pfv|pfvr|favor|gente|pessoal|moco|moca|amigo|amiga|querid[oa]|senhor|senhora|obrigad[oa]|obg|brigad[oa]|muito obrigad[oa]|valeu|vlw|blz|beleza|ok|okay|ta bom|ta|tudo bem|desculpe?|olha|olhe|escuta|entao|aff+|affe|poxa|nossa|caramba|porra|pelo amor de deus|tchau|agora|agora mesmo|ja|logo|urgente|urgentemente|imediatamente|hi|hello|hey|please|pls|thanks|thank you|hola|buenas|buenos dias|buenas tardes|gracias)';
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
  'pode parar',
  'podem parar',
  'pode parar ja',
  'voces podem parar',
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
  /(?:^| )(?:nao|nunca|nem|no|never|dont|do not|sem) (?:(?:quero|queria|quiero|want to|preciso|precisa|precisam|posso|vou|vai|vao|pode|podem|e para|era para|pedi para|falei para|disse para|tem como|da para) )?(?:que )?(?:voces? )?(?:sair|salir|pare[m]?|parar|pararem|para|deje[ns]?|deixar de|deixem de|stop|unsubscribe|cancel(?:ar|e|em|a)|suspend\w+|me (?:tire|remova|descadastre))(?: |$)|(?:^| )(?:se eu|se voces?|si yo|if i|if you|caso eu|quando eu|como faz|quem|alguem|cliente[s]?|ele|ela|eles|elas|meus? (?:filhos?|marido|pai|cliente|amigo|chefe)|minhas? (?:filhas?|mulher|mae|esposa|cliente|amiga|chefe)) |^(?:por que|porque|pq|why|quando|sera que posso) /;

/** Reasons to go that ask for nothing themselves. */
const DISMISSAL =
  /^(?:(?:eu )?nao (?:quero|preciso|tenho interesse|me interess[ao]|estou interessad[oa]|gostei)(?: (?:mais|nada|mais nada|de nada|disso))?|(?:ja )?(?:chega|deu|basta|comprei|resolvi|consegui|tenho)(?: (?:em outro lugar|com outra empresa|o meu|um|uma|tudo))?|cansei|que (?:saco|chato|inferno)|ta chato(?: isso)?|sem interesse)$/;

/** How a request is introduced. */
const LEADS = new RegExp(
  `^(?:(?:${POLITE}|(?:eu )?(?:ja )?(?:pedi|falei|disse|avisei|solicitei|peco|solicito|exijo)(?: (?:varias vezes|mil vezes|mais de uma vez|antes))?(?: (?:que|para|de))?|(?:eu )?(?:so )?(?:quero|queria|gostaria)(?: (?:que|de))?|(?:sera que )?(?:da|tem como|teria como)(?: para)?|(?:voces? )?(?:pode|podem|podia|podiam|poderia|poderiam|consegue|conseguem)|faz(?:em)? o favor de|favor|voces?|nao tenho (?:mais )?interesse(?: nenhum)?|sem interesse|cansei|estou cansad[oa]|ja deu|ja chega|chega) )+`,
);
/** What is put behind it. */
const TAILS = new RegExp(`(?: (?:${POLITE}|nao|viu|hein|ne|por aqui|de vez|de uma vez|que saco|de verdade|e serio|serio))+$`);

const MESSAGES =
  '(?:mensagem|mensagens|mensajes?|messages?|texts?|msgs?|msn|propagandas?|promocao|promocoes|promocion(?:es)?|promos?|ofertas?|offers?|anuncios?|publicidade|publicidad|spam|sms|marketing|notificacao|notificacoes|comunicados?|novidades|disparos?|whats(?:app)?|zap)';
/** Of one of these alone nobody says that it shall end: it is always about those that come. */
const MANY =
  '(?:mensagens|mensajes|messages|propagandas?|promocoes|promos?|ofertas|anuncios|publicidade|spam|notificacoes|comunicados|novidades|disparos)';
/** Between a verb and its messages, and behind them. */
const THESE =
  '(?:(?:mais|mas|more|any|as|os|essas?|esses?|estas?|estes?|esas?|esos?|estos?|suas?|seus?|sus|your|these|those|the|tantas?|tantos?|nenhuma?|nenhum|qualquer|tipo de|de|las|los|o|a|um|uma) )*';
const BEHIND =
  '(?: (?:mais|mas|nunca mais|de voces|de voce|da empresa|da loja|desse numero|deste numero|dessa empresa|nesse numero|neste numero|(?:no|para o) meu (?:whatsapp|whats|wpp|zap|celular|numero|telefone)|comigo|automaticas?|aqui|pra mim|para mim|por aqui|por whatsapp|pelo whatsapp|from you|to me|to this number|anymore|again|nunca|a este numero|de ustedes|chatas?|chatos?|do dia|todo dia|o dia todo))*';
/** Of words that would name a place of delivery as well. */
const OURS = '(?: (?:mais|nunca mais|de voces|de voce|da empresa|da loja|dessa empresa|de ustedes|from you|anymore|again|nunca))*';
const NOTHING = '(?:nada|mais nada|nada mais|isso|isto|(?:essas?|estas?) coisas?|nothing|anything|esto|eso|nada mas)';

const PHRASES: readonly RegExp[] = [
  // pare de me mandar mensagem; chega de propaganda
  `(?:pare|parem|para|parar|favor parar|quero que (?:pare|parem)|pararem|deje[ns]?|deja|dejar|paren|chega|basta) de (?:(?:me|nos) )?(?:ficar )?(?:(?:me|nos) )?(?:mandar|manda|mandando|enviando|enchendo|perturbando|incomodando|envia|enche|enviar|mandarem|enviarem|encaminhar|enviarme|mandarme|escribirme|escrever|encher|perturbar|incomodar|molestar(?:me)?|chamar|contatar)(?: (?:me|nos|o saco))?(?: ${THESE}(?:${MESSAGES}|${NOTHING}))?${BEHIND}`,
  `(?:pare|parem|parar|chega|basta) (?:de|com|con) ${THESE}${MESSAGES}${BEHIND}`,
  // não quero mais receber mensagens
  `(?:eu )?(?:nao|no|n) (?:quero|quiero|desejo|deseo|gostaria de|queria|aceito|autorizo|autorizei|permito|tenho interesse em) (?:mais |mas )?(?:receber|recebe|recibir) ${THESE}(?:${MESSAGES}|contatos?)${BEHIND}`,
  `(?:eu )?(?:nao|no|n) (?:quero|quiero|desejo|deseo) (?:mais |mas )(?:receber|recibir)(?: ${NOTHING})?${OURS}`,
  `(?:eu )?(?:nao|no|n) (?:quero|quiero|desejo|deseo) (?:receber|recibir) (?:mais|mas|mais nada|nada mais|nada|nada mas)${BEHIND}`,
  `(?:eu )?(?:nao|no|n) (?:quero|quiero) (?:mais|mas) ${THESE}${MESSAGES}${BEHIND}`,
  // não autorizo mensagens de vocês; não quero que me mandem mensagem; não quero mais contato
  `(?:eu )?(?:nao|n) (?:autorizo|autorizei|aceito|permito|permiti|consinto|concordo com|dou (?:autorizacao|permissao) para|dei (?:autorizacao|permissao) para) (?:mais )?(?:(?:o )?(?:envio|recebimento) de |(?:que )?(?:voces )?(?:a )?(?:me )?(?:mandar|mandarem|mandem|enviar|enviarem|enviem) )?${THESE}(?:${MESSAGES}|contatos?)${BEHIND}`,
  `(?:eu )?(?:nao|n) (?:quero|desejo) (?:nenhuma? |nenhum tipo de |suas |seus )?(?:${MESSAGES}|contato) (?:de voces|de voce|da empresa|da loja|dessa empresa|desse numero)${BEHIND}`,
  `(?:eu )?(?:nao|n) (?:quero|desejo) mais (?:nenhum )?contato${BEHIND}`,
  `(?:eu )?(?:nao|n) (?:quero|desejo) que (?:voces )?(?:me )?(?:mandem|mande|enviem|envie) (?:mais )?${THESE}(?:${MESSAGES}|nada)${BEHIND}`,
  `(?:eu )?(?:nao|n) (?:quero|desejo) (?:mais )?ser (?:mais )?(?:contatad[oa]|incomodad[oa]|perturbad[oa]|abordad[oa])${BEHIND}`,
  `(?:nao|n) (?:entre|entrem|entrar) (?:mais )?em contato(?: comigo)?${BEHIND}`,
  `nunca mais (?:entre|entrem) em contato(?: comigo)?`,
  `(?:nao|n) precisa[m]? (?:mais )?(?:me )?(?:mandar|manda|enviar) (?:mais )?${THESE}${MANY}(?: (?:mais|nao|de voces))*`,
  `(?:nao|n) precisa[m]? mais (?:me )?(?:mandar|manda|enviar) ${THESE}${MESSAGES}`,
  `(?:nao|n) (?:me )?(?:mande|manda|mandem|envie|envia|enviem) ${THESE}${MANY}${BEHIND}`,
  `(?:nao|n) (?:me )?(?:mande|manda|mandem|envie|envia|enviem) (?:mais )?nada (?:para mim|no meu (?:whatsapp|whats|wpp|zap|celular|numero)|nunca mais|mais nunca)${BEHIND}`,
  `(?:nao|n) tenho (?:mais )?interesse (?:em|n[oa]s) (?:suas |seus |essas |esses |mais )*${MANY}${BEHIND}`,
  `dispenso (?:as |essas |suas |essa |esse |o )?${MESSAGES}${BEHIND}`,
  `(?:quero |queria |gostaria de |preciso |como (?:faco para |eu faco para )?)?(?:parar|deixar|paro|deixo) de receber ${THESE}(?:${MESSAGES}|isso)${BEHIND}`,
  `(?:cancelar|cancele|cancela|cancelem|desativar|desative|desativa|desativem|suspender|suspenda|suspende|suspendam|interromper|interrompa|interrompam|encerrar|encerre|encerrem|pare|parem|parar|para) (?:com )?(?:o envio (?:de|das|dos|dessas|desses) |todas |todos |as |os |essas |esses |suas |com as |com os |com essas |com esses )*${MANY}${BEHIND}`,
  `(?:me deixe|me deixa|me deixem|deixa me|deixem me)(?: em paz)(?: (?:com|e) .{1,40})?`,
  `(?:sai|saia|saiam) do meu (?:whatsapp|whats|wpp|zap|celular)`,
  `(?:nao|no) quero mais (?:que )?(?:voces )?(?:me )?(?:mandem|enviem|escrevam|chamem)(?: ${THESE}${MESSAGES})?${BEHIND}`,
  // não me mande mais mensagem; no me escriban más
  `(?:por favor )?(?:nao|no|n) (?:(?:me|nos) )?(?:mande|manda|mandem|manden|mandes|mandar|envie|envia|enviem|envien|envies|enviar|escreva|escrevam|escriban|escribas|escriba|escreve|perturbe|perturbem|incomode|incomodem|contate|contatem|contacten|procure|procurem|chame|chamem)(?: ${THESE}(?:${MESSAGES}|${NOTHING}))? (?:mais|mas|nunca mais|nunca mas)${BEHIND}`,
  `(?:por favor )?(?:nao|no|n) (?:(?:me|nos) )?(?:mande|manda|mandem|manden|mandes|mandar|envie|envia|enviem|envien|envies|enviar) (?:mais|mas) (?:${THESE}${MESSAGES}|nada)${BEHIND}`,
  `nunca mais (?:me )?(?:mande|mandem|envie|enviem|escreva|escrevam|chame|chamem|incomode|perturbe)(?: ${THESE}(?:${MESSAGES}|nada))?${BEHIND}`,
  // remover meu número; me tira dessa lista
  `(?:(?:quero|queria|gostaria de|pode|podem|poderia|favor|preciso) (?:que )?)?(?:remover|remova|remove|removam|retirar|retire|retira|retirem|tirar|tire|tira|tirem|excluir|exclua|exclui|excluam|apagar|apague|apaga|apaguem|deletar|delete|deleta|descadastrar|descadastre|descadastra|quitar|quiten|quita|eliminar|eliminen|borrar|borren) (?:o |el )?(?:meu|mi|esse|este|nosso|ese) (?:numero|contato|telefone|telefono|celular|whatsapp|whats|zap|contacto)(?: (?:dai|disso|de la|da lista|dessa lista|desta lista|de sua lista|da sua lista|das suas listas|daqui|da lista de (?:transmissao|contatos|envio|disparos?|divulgacao|voces)|(?:da base|do cadastro|do sistema|da agenda|do mailing|do banco de dados|dos contatos|das listas) de voces|(?:da|do) (?:sua base|seu cadastro|seu sistema|seu mailing|mailing)|dos contatos|dos seus contatos|de sus contactos|de la lista|da base|do cadastro|do sistema|de su lista|dos disparos))?`,
  `(?:pode |podem |quero que |favor |poderia )?(?:me |mi )?(?:tire|tira|tirem|tirar|remova|remove|removam|remover|retire|retira|retirem|retirar|exclua|exclui|excluam|excluir|descadastre|descadastra|quiten|quita|saquen|saca|quitenme|saquenme|sacame|quitame)(?: (?:meu nome|o meu nome|meu numero|meu contato|mi nombre|mi numero))? (?:d|de l|de est|de su |de sua |de suas |da su)(?:a|as|essa|esta|esa|el|os|es|) ?(?:lista|listas)(?: de (?:transmissao|contatos|contactos|envios?|mensagens|mensajes|disparos?|divulgacao|difusion|voces))?`,
  `(?:pode |podem |quero que )?me (?:tire|tira|tirem|remova|remove|removam|retire|retira|retirem|exclua|exclui|excluam|descadastre|descadastra|descadastrem) (?:dai|daqui|disso|(?:da base|do cadastro|do sistema|do mailing|dos contatos|das mensagens)(?: de voces)?|d[aoe] (?:sua base|seu cadastro|seu sistema|seu mailing))`,
  `(?:quero |queria |gostaria de |preciso |como (?:faco (?:para |pra ))?)?(?:sair|saio) (?:da base|do cadastro|do mailing|dessa base|desse cadastro)(?: de voces)?`,
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
