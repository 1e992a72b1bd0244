// A small attendant in Portuguese, for dev without a key: the same request always gets the same answer. Small talk goes by rules; what is asked about the company is
// answered by what stands in the prompt (persona-reading.ts), or it says that it does not know and offers a person. It calls a tool only when the request offers one
// of that name.

import { blocksOf, type ApiMessage } from './claude-check.ts';
import { answerFrom, asksSomething, readPrompt, type Reading } from './persona-reading.ts';
import { aboutOrder } from './persona-orders.ts';
import { obeyed } from './persona-obeys.ts';
import { asksForDescription, shownIn } from './pictures.ts';
import { textField, type Json, type ScriptTurn } from './types.ts';

export type Reply = { text: string; tools: { name: string; input: Json }[] };

type Rule = {
  pattern: RegExp;
  text: string;
  /** In place of the text, with what the words say. */
  say?: (match: RegExpExecArray) => string;
  /** The tool to call before the text goes out; null when the match does not call for one. */
  tool?: (match: RegExpExecArray, text: string) => { name: string; input: Json } | null;
  /** Ends the list: nothing else is answered beside it. */
  alone?: boolean;
};

const RULES: Rule[] = [
  {
    pattern:
      /n[ãa]o quero (mais )?(receber )?(mais )?mensage|pare de (me )?(mandar|enviar)|descadastr|^\s*(?:\[[^\]]*\]\s*)?(sair|stop|parar)\s*[.!]?\s*$/im,
    text: 'Tudo bem, você não receberá mais mensagens nossas. Se mudar de ideia, é só escrever aqui.',
    tool: () => ({ name: 'opt_out', input: {} }),
    alone: true,
  },
  {
    pattern:
      /(falar|conversar)\s+com\s+(um[a]?\s+|o\s+|a\s+)?(atendente|humano|pessoa|gente)|atendimento humano|quero (um )?(atendente|humano)/i,
    text: 'Claro! Vou chamar uma pessoa da equipe para continuar com você por aqui.',
    tool: (_match, text) => ({
      name: 'handoff_to_human',
      input: { reason: 'o contato pediu para falar com uma pessoa', summary: text.slice(0, 300) },
    }),
    alone: true,
  },
  {
    // one that was heard has its words below
    pattern: /\[(?![^\]]*transcrição)[^\]]*(áudio|audio|voz)[^\]]*\]/i,
    text: 'Ainda não consigo ouvir áudios por aqui. Pode me escrever em texto, por favor?',
  },
  {
    pattern: /\[(?:imagem|documento [^\]]*?páginas?): ([^\]]{1,200})/i,
    text: 'Recebi o seu arquivo e olhei o que ele mostra.',
    say: (match) => `Recebi, obrigada! Vi aqui: ${(match[1] ?? '').replace(/^Mostra /, '').replace(/\.$/, '')}.`,
  },
  {
    pattern: /\[(?:imagem|documento)[^\]]*?, ((?:ainda não|não pôde ser|grande demais|longo demais)[^\]]*)\]/i,
    text: 'Não consegui abrir esse arquivo. Pode me contar em texto o que ele mostra?',
    say: (match) => `Não consegui abrir esse arquivo (${match[1] ?? ''}). Pode mandar de outro jeito, ou me contar em texto?`,
  },
  {
    pattern:
      /\[(?!(?:imagem|documento)[^\]]*, (?:ainda não|não pôde|grande|longo))(?!imagem: |documento [^\]]*página)[^\]]*(imagem|foto|v[íi]deo|figurinha|documento|image|video|sticker|document)[^\]]*\]/i,
    text: 'Não consigo ver arquivos por aqui. Pode me contar em texto o que ele mostra?',
  },
  {
    pattern:
      /(é|eh|são|sao|seria) (um |uma |uns )?(rob[ôo]s?|bot|m[áa]quina|ia\b|intelig[êe]ncia artificial)|estou falando com (um |uma )?(rob|m[áa]quina|pessoa)|voc[êe] é (humano|de verdade|uma pessoa)/i,
    text: 'Sou assistente virtual, um programa de computador. Se preferir, posso chamar uma pessoa da equipe.',
  },
  {
    pattern: /\bmeu nome (é|e|eh)\s+([\p{L}]+(?:\s+\p{Lu}[\p{L}]+)*)/iu,
    text: 'Prazer! Anotei o seu nome.',
    tool: (match) => ({ name: 'remember', input: { fact: `O nome do contato é ${match[2] ?? ''}` } }),
  },
  {
    pattern: /\bobrigad[oa]\b|valeu|agrade[çc]o/i,
    text: 'Por nada! Se precisar de mais alguma coisa, é só chamar.',
    tool: () => ({ name: 'react', input: { emoji: '🙏' } }),
  },
];

/** A note such as a time may stand in brackets before the text. */
const GREETING = /^\s*(?:\[[^\]]*\]\s*)?(oi+|ol[áa]|opa|e a[íi]|bom dia|boa tarde|boa noite|hey|al[ôo])\b/im;
/** What the contact quotes and what the runtime adds is no question of the contact. */
const NOT_SAID_NOW = /\[(em resposta a|sistema):[\s\S]*?\]\n?/gi;
/** A text block that is no words of the contact at all. */
const OF_THE_RUNTIME = /^\[sistema:[\s\S]*\]$/i;
/** An answer of ours that waits on its way out: the contact gets it all the same, so what stands before it is answered. */
const STILL_LEAVES = /^\[sistema: ainda vai ser entregue /;
const UNCLEAR = 'Entendi. Pode me contar um pouco mais para eu ajudar melhor? Se preferir, chamo uma pessoa da equipe.';
const OFFER = 'Quer que eu chame uma pessoa da equipe?';
const UNKNOWN = `Essa informação eu não tenho aqui. ${OFFER}`;
const UNKNOWN_REST = `O resto eu não sei. ${OFFER}`;
const CALLED = 'Claro! Vou chamar uma pessoa da equipe para continuar com você por aqui.';
const YES = /^\s*(sim|quero|pode|claro|ok|por favor|isso|pode ser|sim,? por favor|chama|pode chamar)\s*[.!]*\s*$/i;
const ASKS =
  /\?|\b(quanto|qto|qual|quais|onde|quando|como|quem|cad[êe]|tem|t[êe]m|aceita|posso|pode|quero|preciso|gostaria|fazem?|vendem?|entregam?|voc[êe]s|vcs|meu|minha)\b/i;

/** Asked to keep a summary: what it was, and what the contact has said since, in its own words. Null: it is asked something else. */
function summaryOf(body: Json, messages: ApiMessage[]): string | null {
  const texts = messages.flatMap(blocksOf).map(({ text }) => textField(text));
  if (body['tools'] !== undefined || texts.at(-1) !== 'Escreva o resumo.') return null;
  const lines = texts.flatMap((text) => text.split('\n'));
  const before = lines.filter((line) => line.startsWith('O cliente disse: '));
  const since = lines
    .flatMap((line) => /^\S+ cliente: (.{12,})/.exec(line)?.[1] ?? [])
    .map((said) => `O cliente disse: ${said.slice(0, 80)}`);
  return [...before, ...since].slice(-24).join('\n') || 'Nada de importante.';
}

/** The answer to the newest user text; after tool results, the text that goes with them. */
export function personaReply(body: Json): Reply {
  const file = asksForDescription(body);
  if (file !== null) return { text: `Mostra ${shownIn(file)}.`, tools: [] };
  const messages = body['messages'] as ApiMessage[];
  const summary = summaryOf(body, messages);
  if (summary !== null) return { text: summary, tools: [] };
  const text = newestUserText(messages).replace(NOT_SAID_NOW, '');
  const answered = answersTools(messages);
  const wrong = obeyed(body, text);
  if (wrong !== null) return { text: wrong, tools: [] };
  if (YES.test(text) && saidBefore(messages).includes(OFFER)) {
    const call = { name: 'handoff_to_human', input: { reason: 'o contato aceitou falar com uma pessoa', summary: askedBefore(messages) } };
    return { text: CALLED, tools: !answered && offers(body, call.name) ? [call] : [] };
  }
  const order = aboutOrder(text, messages, (name) => offers(body, name));
  if (order !== null) return order;
  const reading = readPrompt(body);
  const texts: string[] = [];
  const tools: Reply['tools'] = [];
  for (const rule of RULES) {
    const match = rule.pattern.exec(text);
    if (!match) continue;
    texts.push(rule.say?.(match) ?? rule.text);
    const call = answered ? null : rule.tool?.(match, text);
    if (call && offers(body, call.name)) tools.push(call);
    if (rule.alone === true) return { text: rule.text, tools };
  }
  texts.push(...answersOf(reading, text, askedBefore(messages)));
  const greeting = GREETING.test(text) ? greetingOf(reading) : '';
  const rest = texts.length === 0 && greeting !== '' ? ['Como posso ajudar?'] : texts;
  const parts = greeting === '' ? rest : [greeting, ...rest];
  return { text: parts.length === 0 ? UNCLEAR : parts.join(' '), tools };
}

function greetingOf({ name, company }: Reading): string {
  if (name === null) return 'Olá! Tudo bem?';
  return `Olá! Aqui é ${name}${company === null ? '' : `, da ${company}`}. Tudo bem?`;
}

/** Of each thing that is asked, and that no rule is about, what the prompt says. */
function answersOf(reading: Reading, text: string, before: string): string[] {
  const bare = text.replaceAll(/\[[^\]]*\]/g, ' ');
  const asked = bare
    .split(/(?<=[?!.;\n])\s+|\n+/)
    .filter((part) => asksSomething(part) && !RULES.some(({ pattern }) => pattern.test(part)));
  const found = asked.map((part) => answerFrom(reading, part, `${bare} ${before}`));
  const said = [...new Set(found.filter((each) => each !== null))];
  const isUnknown = found.some((each, index) => each === null && ASKS.test(asked[index] ?? ''));
  if (said.length === 0) return isUnknown ? [UNKNOWN] : [];
  if (isUnknown) return [...said, UNKNOWN_REST];
  return said.some((each) => each.includes('pessoa da equipe')) ? [...said, OFFER] : said;
}

/** What the agent said last, in words. */
function saidBefore(messages: ApiMessage[]): string {
  const last = messages.findLast((message) => message.role === 'assistant' && blocksOf(message).some(({ type }) => type === 'text'));
  return last === undefined ? '' : textsOf(last).join('\n');
}

/** What the contact wrote before that. */
function askedBefore(messages: ApiMessage[]): string {
  const answer = messages.findLastIndex((message) => message.role === 'assistant' && blocksOf(message).some(({ type }) => type === 'text'));
  const asked = messages.slice(0, Math.max(0, answer)).findLast((message) => message.role === 'user');
  return asked === undefined
    ? ''
    : textsOf(asked)
        .filter((text) => !OF_THE_RUNTIME.test(text))
        .join(' ')
        .slice(0, 300);
}

function textsOf(message: ApiMessage): string[] {
  return blocksOf(message)
    .filter(({ type }) => type === 'text')
    .map((block) => String(block['text']));
}

/** Everything the user has written since the last answer in words. Tool rounds in between do not count as answers; one that is still to leave does. */
export function newestUserText(messages: ApiMessage[]): string {
  const texts: string[] = [];
  for (const message of messages.toReversed()) {
    if (message.role === 'system') continue;
    const blocks = blocksOf(message);
    if (message.role === 'assistant') {
      if (blocks.some((block) => block.type === 'tool_use')) continue;
      break;
    }
    const said = blocks.filter((block) => block.type === 'text').map((block) => String(block['text']));
    const answer = said.findLastIndex((text) => STILL_LEAVES.test(text));
    texts.unshift(...said.slice(answer + 1).filter((text) => !OF_THE_RUNTIME.test(text)));
    if (answer >= 0) break;
  }
  return texts.join('\n');
}

/** The first turn that fits the text; it is taken out of the list unless it repeats. `named`: only one that names some of it. Null: none fits. */
export function takeTurn(
  turns: ScriptTurn[],
  text: string,
  { afterTools, named = false }: { afterTools: boolean; named?: boolean },
): ScriptTurn | null {
  const low = text.toLowerCase();
  const index = turns.findIndex(
    (turn) =>
      (turn.match === undefined ? !named : low.includes(turn.match.toLowerCase())) &&
      (turn.afterTools === undefined || turn.afterTools === afterTools),
  );
  const turn = turns[index];
  if (!turn) return null;
  if (turn.repeat !== true) turns.splice(index, 1);
  return turn;
}

/** The request brings the results of tools. */
export function answersTools(messages: ApiMessage[]): boolean {
  const last = messages.findLast((message) => message.role !== 'system');
  return last !== undefined && blocksOf(last).some((block) => block.type === 'tool_result');
}

function offers(body: Json, name: string): boolean {
  const tools = (body['tools'] ?? []) as Json[];
  return tools.some((tool) => tool['name'] === name);
}
