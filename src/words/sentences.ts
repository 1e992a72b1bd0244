/**
 * Every sentence that a contact may read from the runtime itself, without a model: the one table of them, by name and language. An agent's version may have words
 * of its own for any of them, and chooses a set by one word. The Portuguese ones fit an agent of either gender. Pure.
 */

export const LANGUAGES = ['pt-BR', 'es', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

export type SentenceName =
  /** Asked whether it is a machine: what it is, and a person for who wants one. */
  | 'honest'
  /** Behind an honest answer that offers nobody. */
  | 'person_offered'
  /** The model called a person and said nothing. */
  | 'handoff'
  /** No answer could be made; a person goes on. */
  | 'fallback'
  /** Said once an outage. It promises what happens: the agent goes on by itself, and nothing has to be written again. */
  | 'outage'
  /** No model answers these words. It promises what happens: a person reads it, and the next message is answered as any other. */
  | 'declined'
  /** It says the word that takes it back; `opted_in` the word that ends it. */
  | 'opted_out'
  | 'opted_in'
  /** To what seems to be another machine, before the quiet. */
  | 'machine'
  /** To who has had a day's share. */
  | 'enough'
  /** A message that is longer than what is read. */
  | 'too_long';

export type Sentences = Readonly<Record<SentenceName, string>>;

export const SENTENCES: Readonly<Record<Language, Sentences>> = {
  'pt-BR': {
    honest: 'Sou assistente virtual, um software. Se preferir, chamo uma pessoa da equipe para continuar com você.',
    person_offered: 'Se preferir, chamo uma pessoa da equipe.',
    handoff: 'Vou chamar uma pessoa da equipe para continuar com você.',
    fallback: 'Desculpe, tive um problema para responder agora. Já avisei a equipe, e uma pessoa vai continuar por aqui.',
    outage:
      'Estou com um problema técnico e não consigo responder agora. Sua mensagem está guardada: respondo por aqui assim que voltar, não precisa escrever de novo.',
    declined:
      'Não consigo responder a essa mensagem por aqui. Avisei a equipe, que pode continuar com você. Se for outra coisa, é só escrever.',
    opted_out: 'Pronto, você não vai mais receber mensagens nossas. Se mudar de ideia, é só escrever VOLTAR.',
    opted_in: 'Combinado, você volta a receber as nossas mensagens. Para parar, é só escrever SAIR.',
    machine: 'Vou parar de responder por aqui por enquanto. Avisei a equipe, e se for preciso uma pessoa continua esta conversa.',
    enough: 'Hoje já conversamos bastante por aqui. Avisei a equipe, e uma pessoa continua com você.',
    too_long: 'Recebi sua mensagem, mas ela é longa demais para eu ler inteira por aqui. Pode me mandar um resumo com o mais importante?',
  },
  es: {
    honest: 'Soy un asistente virtual, un software. Si lo prefiere, llamo a una persona del equipo para que siga con usted.',
    person_offered: 'Si lo prefiere, llamo a una persona del equipo.',
    handoff: 'Voy a llamar a una persona del equipo para que siga con usted.',
    fallback: 'Disculpe, tuve un problema para responder ahora. Ya avisé al equipo, y una persona va a seguir por aquí.',
    outage:
      'Tengo un problema técnico y no puedo responder ahora. Su mensaje está guardado: respondo por aquí en cuanto vuelva, no hace falta escribir de nuevo.',
    declined:
      'No puedo responder a ese mensaje por aquí. Avisé al equipo, que puede seguir con usted. Si es otra cosa, solo tiene que escribir.',
    opted_out: 'Listo, ya no va a recibir mensajes nuestros. Si cambia de idea, solo escriba VOLVER.',
    opted_in: 'De acuerdo, vuelve a recibir nuestros mensajes. Para que paren, solo escriba BAJA.',
    machine: 'Voy a dejar de responder por aquí por ahora. Avisé al equipo, y si hace falta una persona sigue esta conversación.',
    enough: 'Hoy ya hemos conversado bastante por aquí. Avisé al equipo, y una persona sigue con usted.',
    too_long: 'Recibí su mensaje, pero es demasiado largo para leerlo entero por aquí. ¿Puede mandarme un resumen con lo más importante?',
  },
  en: {
    honest: 'I am a virtual assistant, a piece of software. If you prefer, I can ask a person from the team to go on with you.',
    person_offered: 'If you prefer, I can ask a person from the team.',
    handoff: 'I am asking a person from the team to go on with you.',
    fallback: 'Sorry, I had a problem answering just now. I have told the team, and a person will go on from here.',
    outage:
      'I have a technical problem and cannot answer right now. Your message is kept: I will answer here as soon as I am back, no need to write again.',
    declined: 'I cannot answer that message here. I have told the team, who can go on with you. If it is about something else, just write.',
    opted_out: 'Done, you will not get messages from us any more. If you change your mind, just write START.',
    opted_in: 'All right, you will get our messages again. To stop them, just write STOP.',
    machine: 'I will stop answering here for now. I have told the team, and if need be a person goes on with this conversation.',
    enough: 'We have talked a lot here today. I have told the team, and a person goes on with you.',
    too_long: 'I got your message, but it is too long for me to read here. Could you send me a summary with what matters most?',
  },
};

/** What names in braces stand for in an agent's words. */
export const PLACEHOLDERS = ['agente', 'empresa'] as const;

const PLACEHOLDER = /\{([\p{L}_][\p{L}\p{N}_ -]*)\}/gu;

/** Names in braces that mean nothing. A version with one is refused: it would be read by contacts as it stands. */
export function unknownPlaceholders(text: string): string[] {
  const names = [...text.matchAll(PLACEHOLDER)].map(([, name]) => name ?? '');
  return [...new Set(names.filter((name) => !(PLACEHOLDERS as readonly string[]).includes(name)))];
}

/** The words with the agent's and the company's name in them. */
export function filled(text: string, names: { agente: string; empresa: string | null }): string {
  return text.replaceAll('{agente}', names.agente).replaceAll('{empresa}', names.empresa ?? '');
}

/** The sentences of an agent: its own, and of its language what it has no words for. */
export function sentencesOf(agent: {
  name: string;
  company: string | null;
  language: Language;
  sentences: Readonly<Record<string, unknown>>;
}): Sentences {
  const names = { agente: agent.name, empresa: agent.company };
  const entries = Object.entries(SENTENCES[agent.language]).map(([name, text]) => {
    const own = agent.sentences[name];
    return [name, filled(typeof own === 'string' ? own : text, names)];
  });
  return Object.fromEntries(entries) as Record<SentenceName, string>; // its names are those of the table
}
