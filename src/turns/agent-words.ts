/** What may be wrong with a version of an agent's words: refused by name when it is saved, and never read to a contact when it came another way. Pure. */
import { isHonest } from '../inbox/bot-suspicion-words.ts';
import { foldWords } from '../words/fold.ts';
import { filled, SENTENCES, unknownPlaceholders } from '../words/sentences.ts';
import type { Language } from '../words/sentences.ts';

/** A version, as somebody writes it. */
export type AgentWords = {
  name: string;
  company: string | null;
  tone: string;
  instructions: string;
  promises: string;
  language: Language;
  sentences: Readonly<Record<string, unknown>>;
};

export type WordsFault = { code: string; says: string };

/** The words of one version. */
export const MOST_WORDS_CHARS = 60_000;
const MOST_SENTENCE_CHARS = 600;
const MOST_NAME_CHARS = 60;

/** `company`: what NOME_EMPRESA says; the version's own comes before it. */
export function faultsOf(agent: AgentWords, company: string | null): WordsFault[] {
  const { name, tone, instructions, promises, sentences } = agent;
  const texts = { name, tone, instructions, promises };
  const own = Object.entries(sentences);
  const said = own.flatMap(([key, text]) => (typeof text === 'string' ? [[`sentence ${key}`, text] as const] : []));
  const all = [...Object.entries(texts), ...said];
  const empresa = agent.company ?? company;
  const honest = typeof sentences['honest'] === 'string' ? sentences['honest'] : SENTENCES[agent.language].honest;
  return [
    ...all.flatMap(([where, text]) =>
      unknownPlaceholders(text).map((each) =>
        fault('unknown_placeholder', `{${each}} in ${where} stands for nothing; there are {agente} and {empresa}`),
      ),
    ),
    ...(empresa === null && all.some(([, text]) => text.includes('{empresa}'))
      ? [fault('company_missing', '{empresa} is used, and neither the version nor NOME_EMPRESA names a company')]
      : []),
    ...own.flatMap(([key, text]) => sentenceFaults(key, text)),
    ...(isHonest(filled(honest, { agente: name, empresa }))
      ? []
      : [
          fault(
            'honesty_missing',
            'the sentence honest must say that it is software (or a robot, a virtual assistant) and offer a person of the team',
          ),
        ]),
    ...Object.entries(texts).flatMap(([where, text]) =>
      deniesMachine(text)
        ? [fault('honesty_contradicted', `${where} tells the agent to pass for a person; asked, it always tells the truth`)]
        : [],
    ),
  ];
}

/** What nobody may save, although a turn could be answered with it. */
export function incomplete(agent: AgentWords): WordsFault[] {
  const chars = agent.name.length + agent.tone.length + agent.instructions.length + agent.promises.length;
  return [
    ...(agent.name.trim() === '' || agent.name.length > MOST_NAME_CHARS || /[[\]\n]/.test(agent.name)
      ? [fault('name_wrong', `the name is one line of 1 to ${MOST_NAME_CHARS} characters without square brackets`)]
      : []),
    ...(agent.instructions.trim() === '' ? [fault('instructions_missing', 'there are no instructions')] : []),
    ...(chars > MOST_WORDS_CHARS
      ? [fault('too_long', `name, tone, instructions and promises have ${chars} characters; ${MOST_WORDS_CHARS} at most`)]
      : []),
  ];
}

function sentenceFaults(key: string, text: unknown): WordsFault[] {
  if (!Object.hasOwn(SENTENCES['pt-BR'], key))
    return [fault('sentence_unknown', `there is no sentence ${key}; there are ${Object.keys(SENTENCES['pt-BR']).join(', ')}`)];
  if (typeof text !== 'string' || text.trim() === '' || text.length > MOST_SENTENCE_CHARS)
    return [fault('sentence_wrong', `the sentence ${key} is a text of 1 to ${MOST_SENTENCE_CHARS} characters`)];
  return [];
}

/** The rule itself stands in what the runtime tells every model (system-texts.ts); a version can only speak against it. */
function deniesMachine(text: string): boolean {
  const words = foldWords(text);
  return DENIALS.some((denial) => denial.test(words));
}

const NOT_BEFORE = '(?<!(?:nao|nunca|jamais|no|never|not|dont) )';
const MACHINE =
  '(?:robo|robot|bot|chatbot|ia|ai|maquina|machine|software|programa|program|assistente virtual|asistente virtual|virtual assistant|inteligencia artificial)';
const PERSON = '(?:humano|humana|human|pessoa|persona|person|gente|atendente humano|ser humano|human being)';
const DENIALS: readonly RegExp[] = [
  // diga que é uma pessoa; finja ser humana
  `${NOT_BEFORE}\\b(?:diga|digas|responda|afirme|fale|finja|finge|jure|confirme|garanta|insista|di|responde|say|claim|pretend|insist|tell them)(?: sempre| siempre| always)?(?: que| that)?(?: voce| eres| you)? ?(?:e|eh|ser|seja|eres|are|to be|es)(?: um| uma| un| una| a)? ${PERSON}\\b`,
  // nunca diga que é um robô; não revele que você é uma IA
  `\\b(?:nunca|nao|jamais|no|never|do not|dont) (?:diga|digas|revele|reveles|conte|admita|confesse|informe|fale|mencione|say|reveal|admit|tell|mention)(?: \\w+){0,3}? (?:que|that)(?: voce| you)? ?(?:e|eh|eres|are|es)(?: um| uma| un| una| a| an)? ${MACHINE}\\b`,
  `\\b(?:negue|negar|niega|deny)(?: sempre| always)? (?:que|ser|that|being)(?: voce| you)?(?: e| eh| are| eres)?(?: um| uma| un| una| a| an)? ${MACHINE}\\b`,
  `${NOT_BEFORE}\\b(?:voce e|eres|you are)(?: um| uma| un| una| a)? (?:humano|humana|human|pessoa de verdade|pessoa real|persona real|real person)\\b`,
].map((source) => new RegExp(source));

function fault(code: string, says: string): WordsFault {
  return { code, says };
}
