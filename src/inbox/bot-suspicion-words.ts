/** Whether a contact asks if it talks with a machine, in Portuguese, Spanish or English. Pure. Talk about robots and machines, and asking for a person, is not that. */
import { clausesOf, foldWords } from '../words/fold.ts';

const MAX_CHARS = 400;

export function suspectsBot(text: string): boolean {
  if (text.length > MAX_CHARS) return false;
  return clausesOf(text).some((clause) => !GREETS.test(clause) && QUESTIONS.some((question) => question.test(clause)));
}

/** "E aí?" greets, and without its accent looks like "é AI?", which nobody says in Portuguese. */
const GREETS = /(?:^| )e ai(?: (?:gente|moca|moco|pessoal|beleza|tudo bem|blz))?$/;

const MACHINE =
  '(?:robo|robot|robozinho|bot|chatbot|chat ?gpt|gpt|maquina|ia|ai|i a|inteligencia artificial|artificial intelligence|computador|computadora|programa|sistema automatico|(?:atendente|assistente|atendimento) (?:virtual|automatic[oa]|eletronic[oa])|machine|automated system|automatic[oa]|resposta automatica|mensagem automatica|mensaje automatico|robotizad[oa])';
const PERSON =
  '(?:humano|humana|pessoa|gente|pessoa de verdade|pessoa real|gente de verdade|ser humano|alguem de verdade|alguem real|human|person|human being|persona|persona real|persona de verdad|real person|real human|real|de verdade|de verdad)';
const A = '(?:um |uma |una |un |o |a |an )?';
const OF_COURSE =
  '(?: (?:ne|nao e|certo|mesmo|por acaso|aqui|ai|falando|respondendo|que (?:esta|ta) (?:falando|respondendo|me respondendo|aqui)|isso|isto|nao|or not|right|here|verdad|acaso|hein|he|gente|moca|moco))*';
const OR = `(?: ou (?:e )?(?:com )?${A}(?:${MACHINE}|${PERSON})(?: mesmo| de verdade)?| or ${A}(?:${MACHINE}|${PERSON})| o (?:es )?${A}(?:${MACHINE}|${PERSON}))?`;
const START =
  '(?:oi |ola |mas |e |ue |nossa |entao |desculpa |peraí |pera |serio |afinal |sera que |por acaso |me diz |me fala |diga |hey |wait |so |pero |oye )*';
const YOU =
  '(?:voce|vc|voces|vcs|tu|isso|isto|aqui|ai|esse|essa|este|esta|ela|ele|julia|esto|eso|usted|quem (?:esta|ta) (?:falando|respondendo)|quem fala|quem responde|essa conversa|esse (?:chat|atendimento|numero)|este (?:chat|numero|atendimento))';

const QUESTIONS: readonly RegExp[] = [
  // é um robô? você é uma máquina? isso é automático? parece um robô
  `${START}(?:${YOU} )?(?:e|eh|es|eres|seria|parece(?:s)?|ta parecendo|esta parecendo|so pode ser|deve ser) (?:so |mesmo |realmente |que nem )?${A}${MACHINE}${OF_COURSE}${OR}${OF_COURSE}`,
  `${START}${YOU} (?:e |eh )?(?:robo|bot|robot|ia)${OF_COURSE}${OR}`,
  // estou falando com um robô?
  `${START}(?:eu )?(?:estou|to|tou|tava|estava|estoy|sera que (?:estou|to)) ?(?:falando|conversando|hablando|tratando|escrevendo) (?:com|con) ${A}(?:${MACHINE}|${PERSON})${OF_COURSE}${OR}`,
  `${START}(?:falo|hablo|converso) (?:com|con) ${A}(?:${MACHINE}|${PERSON})${OR}`,
  // é uma pessoa ou um robô? você é humano?
  `${START}(?:${YOU} )?(?:e|eh|es) (?:mesmo )?${A}${PERSON}${OF_COURSE} (?:ou|o) (?:e |es )?${A}(?:${MACHINE}|robo)${OF_COURSE}`,
  `${START}${YOU} (?:e|eh|es|eres|existe) (?:mesmo |realmente )?${A}${PERSON}${OF_COURSE}`,
  `${START}(?:e|eh|es|eres) (?:mesmo )?${A}(?:humano|humana|ser humano|humano de verdade|pessoa de verdade|pessoa real|gente de verdade|persona real|persona de verdad)${OF_COURSE}`,
  `${START}(?:${YOU} )?(?:existe|e real)(?: mesmo| de verdade)`,
  `${START}tem (?:alguem|gente|uma pessoa|um humano|pessoa)(?: de verdade| real| humano)+(?: ai| aqui| respondendo)*`,
  `${START}(?:hay|existe) (?:alguien|una persona|un humano)(?: real| de verdad| humano)+(?: ahi| aqui)*`,
  // so uma resposta automática
  `${START}(?:isso|isto|essa|esta|essas|estas) (?:e|eh|sao|foi) (?:so |mesmo )?${A}(?:respostas?|mensagem|mensagens) (?:automaticas?|prontas?|de robo|robotizadas?)${OF_COURSE}`,
  `${START}(?:respostas?|mensagem) (?:automatica|de robo)`,
  // are you a bot?
  `${START}(?:are|r) (?:you|u) (?:really |actually |even |just )?${A}(?:${MACHINE}|${PERSON})${OF_COURSE}${OR}`,
  `${START}is (?:this|that|it) (?:really |actually |just )?${A}(?:${MACHINE}|${PERSON})${OF_COURSE}${OR}`,
  `${START}am i (?:talking|speaking|chatting|writing) (?:to|with) ${A}(?:${MACHINE}|${PERSON})${OF_COURSE}${OR}`,
].map((source) => new RegExp(`^(?:${source})$`));

/**
 * The answer to such a question, made sure: it says what the product is and offers a person, whatever the model wrote. `truth` stands in for an
 * answer that claims to be a person, or before one that evades; `offer` stands behind one that offers nobody.
 */
export function honestAnswer(answer: string, truth: string, offer: string): string {
  if (claimsToBeHuman(answer)) return truth;
  const words = foldWords(answer);
  if (!ADMITS.test(words)) return `${truth}\n\n${answer}`;
  return OFFERS.test(words) ? answer : `${answer}\n\n${offer}`;
}

/** Whether a sentence says what the product is, and offers a person: what each version's own answer to that question must do. */
export function isHonest(sentence: string): boolean {
  const words = foldWords(sentence);
  return !claimsToBeHuman(sentence) && ADMITS.test(words) && OFFERS.test(words);
}

const ADMITS =
  /(?:^| )(?:robo|bot|chatbot|software|programa|virtual|automatic[oa]|ia|ai|inteligencia artificial|artificial|maquina|assistant)(?: |$)/;
const OFFERS = /(?:^| )(?:pessoa|humano|humana|equipe|atendente|alguem|colega|person|human|team|persona|equipo)(?: |$)/;

/** Whether an answer claims to be a person: the one lie that the product never tells. */
export function claimsToBeHuman(answer: string): boolean {
  return clausesOf(answer).some((clause) => CLAIMS.some((claim) => claim.test(clause)));
}

const CLAIMS: readonly RegExp[] = [
  /(?<!nao )(?<=^| )(?:eu )?(?:sou|somos) (?:sim |mesmo |realmente |totalmente |100 )?(?:(?:um|uma) )?(?:humano|humana|ser humano|pessoa(?! juridica)|gente de verdade|de carne e osso|real)(?= |$)/,
  /(?:^| )(?:eu )?nao sou (?:(?:um|uma|nenhum|nenhuma) )?(?:robo|bot|maquina|ia|inteligencia artificial|chatbot|programa|software)(?= |$)/,
  /(?:^| )(?:i am|im) (?:a |really a |definitely a )?(?:human|person|real person|real human)(?= |$)/,
  /(?:^| )(?:i am|im) not (?:a |an )?(?:bot|robot|machine|ai)(?= |$)/,
  /(?<!no )(?<=^| )(?:soy) (?:(?:un|una) )?(?:humano|humana|persona)(?= |$)/,
  /(?:^| )no soy (?:(?:un|una|ningun) )?(?:robot|bot|maquina|ia)(?= |$)/,
];
