// What the persona knows: the lines of the prompt that say something about the company, and which of them answers a question. No invention: a line is said as it
// stands, or nothing is. Deterministic: words, the words that mean the same in a shop, and how rare each is in what was read.

import { sourcesIn, type ApiMessage, type Block } from './claude-check.ts';
import { textField, type Json } from './types.ts';

/** `heading`: what stands above it; `label`: before its colon. `says`: the words to say, which for an order such as "diga que fechamos" are only those behind it. */
type Line = { section: number; says: string; label: Set<string>; words: Set<string>; heading: Set<string> };

export type Reading = { name: string | null; company: string | null; lines: Line[] };

export function readPrompt(body: Json): Reading {
  const system = systemTexts(body);
  const lines: Line[] = [];
  const sources = (body['messages'] as ApiMessage[]).flatMap(sourcesIn).filter(({ type }) => type === 'search_result');
  for (const source of sources)
    for (const block of source['content'] as Block[]) addSection(lines, headed(textField(block['text']), textField(source['title'])));
  for (const text of system) for (const section of sectionsOf(text)) addSection(lines, section);
  const [, name = null, company = null] = INTRODUCED.exec(system[0] ?? '') ?? [];
  return { name, company, lines };
}

/** What is said to a question; null: nothing that was read answers it. `around`: what else was asked, which only helps to choose. */
export function answerFrom(reading: Reading, question: string, around: string): string | null {
  const asked = termsOf(question);
  if (asked.length === 0) return null;
  const weigh = weights(reading.lines);
  const total = asked.reduce((sum, term) => sum + weigh(term), 0);
  const beside = termsOf(around).filter((term) => !asked.some((each) => each.word === term.word));
  const scored = reading.lines.map((line) => {
    const own = asked.reduce((sum, term) => sum + weigh(term) * fitOf(term, line), 0);
    return {
      line,
      share: own / total,
      score: own / total + (0.2 * beside.reduce((sum, term) => sum + weigh(term) * fitOf(term, line), 0)) / total,
    };
  });
  const best = scored.reduce((most, each) => (each.score > most.score ? each : most), { line: null as Line | null, share: 0, score: 0 });
  if (best.line === null || best.share < ENOUGH) return null;
  // Of a list that fits as a whole, such as the hours of each day, all is said.
  const { section } = best.line;
  const alike = scored.filter((each) => each.line.section === section && each.score >= best.score * ALIKE).map(({ line }) => line.says);
  const said: string[] = [];
  for (const each of alike.includes(best.line.says) ? [...new Set(alike)] : [best.line.says])
    if (said.length < MOST_LINES && said.join(' ').length + each.length <= MOST_CHARS) said.push(each);
  return (said.length === 0 ? [best.line.says] : said).map(asSentence).join(' ');
}

/** Whether a text asks anything that could be looked for. */
export function asksSomething(text: string): boolean {
  return termsOf(text).length > 0;
}

/** So much of what is asked for must stand in a line, by weight. */
const ENOUGH = 0.5;
const ALIKE = 0.97;
const MOST_LINES = 4;
const MOST_CHARS = 320;

/** `Você é Ana, assistente virtual da Loja Pitanga, e conversa ...`, in the languages of the product. */
const INTRODUCED =
  /^(?:Você é|Eres|You are) ([^,\n]+), (?:a |an )?(?:assistente virtual|asistente virtual|virtual assistant)(?: (?:da|de|of) ([^,\n]+?))?,? (?:e|y|and) /;

function systemTexts(body: Json): string[] {
  const { system } = body;
  return typeof system === 'string'
    ? [system]
    : ((system ?? []) as Block[]).filter(({ type }) => type === 'text').map((block) => textField(block['text']));
}

type Section = { heading: string; text: string };

/** Of what orders the agent about nothing is to be told to a contact. */
const NOT_TOLD = /^(tom|tono|tone|regras|reglas|rules|documentos da empresa|documentos de la empresa|documents|the company|frases)/;

function sectionsOf(text: string): Section[] {
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [heading = '', ...rest] = part.split('\n');
      return { heading, text: rest.join('\n') };
    })
    .filter(({ heading }) => !NOT_TOLD.test(folded(heading)))
    .map(({ heading, text: own }) => ({ heading: PARTS.test(folded(heading)) ? '' : heading, text: own }));
}

/** Headings of the product's own, which say nothing of the company. */
const PARTS = /^(o que fazer|que hacer|what to do|o que pode prometer|que puedes prometer|what you may promise)/;

/** A block of a document begins with its headings, when it has any. */
function headed(text: string, title: string): Section {
  const name = title.replace(/\.\w+$/, '').replaceAll(/[-_]/g, ' ');
  const [first = '', ...rest] = text.split('\n');
  const isHeading = rest.length > 0 && first.length <= 200 && !/[.;:|]\s*$|: |^\s*[-*|]/.test(first);
  return isHeading ? { heading: `${name} ${first}`, text: rest.join('\n') } : { heading: name, text };
}

function addSection(lines: Line[], { heading, text }: Section): void {
  const section = (lines.at(-1)?.section ?? -1) + 1;
  const above = new Set(stemsOf(heading));
  let columns: string[] | null = null;
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (!line.startsWith('|')) columns = null;
    if (line === '' || /^\|[\s|:-]+\|$/.test(line)) continue;
    if (line.startsWith('|')) {
      const cells = line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim());
      if (columns === null) columns = cells;
      else add(rowOf(columns.map((name, index) => [name, cells[index] ?? ''])), columns.join(' '));
      continue;
    }
    const sub = /^#{2,6} (.+)/.exec(line)?.[1];
    if (sub !== undefined) {
      for (const word of stemsOf(sub)) above.add(word);
      continue;
    }
    const fields = line.split('; ').map((field) => /^([^:]{1,30}): (.+)$/.exec(field));
    if (fields.length > 2 && fields.every((field) => field !== null))
      add(rowOf(fields.map((field) => [field?.[1] ?? '', field?.[2] ?? ''])), '');
    // What stands in one point of a list belongs together.
    else if (/^[-*] /.test(line)) add(line.slice(2), '');
    else for (const sentence of line.split(/(?<=[.!?]) +(?=\p{Lu})/u)) add(sentence, '');
  }

  function add(whole: string, columnNames: string): void {
    const says = sayable(whole);
    if (says === null) return;
    const label = new Set(stemsOf(/^[^:]{1,40}(?=:)/.exec(whole)?.[0] ?? ''));
    lines.push({ section, says, label, words: new Set([...stemsOf(`${whole} ${columnNames}`), ...kindsOf(whole)]), heading: above });
  }
}

/** The first thing names the row; a code is nobody's business. */
function rowOf(fields: [name: string, value: string][]): string {
  const told = fields.filter(([name, value]) => value !== '' && !/^(c[oó]digo|code|sku|id)$/i.test(name));
  const [first, ...rest] = told;
  return `${first?.[1] ?? ''}: ${rest.map(([name, value]) => (/^(obs|nota)/.test(folded(name)) ? value : `${name.toLowerCase()} ${value}`)).join('; ')}`;
}

/** Words that only order the agent about. */
const ORDERS =
  /(?:^| )(?:diga|responda|ofereca|peca|pergunte|passe|trate|cumprimente|prometa|prometer|invente|use|fale|chame|descubra|entenda|faca|evite|explique|mantenha|informe|confirme|greet|ask|offer|promise|saluda|pregunta|promete)(?: |$)/;
/** What they order to say is said. */
const ORDERED = /(?:diga|responda|informe|avise|explique)(?: (?:ao cliente|sempre|a ele))?(?: que|:) (.+)$/i;

/** Null: it is nothing to say to a contact. */
function sayable(line: string): string | null {
  if (!ORDERS.test(folded(line))) return line;
  const words = ORDERED.exec(line)?.[1];
  return words === undefined || ORDERS.test(folded(words)) ? null : `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

function asSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** What a figure is about, as a word. */
function kindsOf(text: string): string[] {
  return [
    ...(/R\$/.test(text) ? ['preco'] : []),
    ...(/\b\d{1,2}h/.test(text) ? ['hora'] : []),
    ...(/\d+ (?:dias?|horas?|meses|minutos)/.test(text) ? ['praz'] : []),
    ...(/%/.test(text) ? ['descon'] : []),
  ].map(stem);
}

/** `also`: words that mean the same to who asks. */
type Term = { word: string; also: Set<string> };

function termsOf(text: string): Term[] {
  const words = wordsOf(text).filter((word) => word.length > 1 && !COMMON.has(word) && !/^\d/.test(word));
  const seen = new Map<string, Term>();
  for (const word of words) {
    const own = stem(word);
    if (!seen.has(own))
      seen.set(own, { word: own, also: new Set(GROUPS.filter((group) => group.has(own)).flatMap((group) => [...group])) });
  }
  return [...seen.values()];
}

function fitOf({ word, also }: Term, { label, words, heading }: Line): number {
  const above = heading.has(word) ? 0.7 : [...also].some((each) => heading.has(each)) ? 0.6 : 0;
  const own = words.has(word) ? 1 : [...also].some((each) => words.has(each)) ? 0.8 : 0;
  return own === 0 ? above : own + above / 5 + (label.has(word) ? 0.2 : 0);
}

const UNKNOWN_WEIGHT = 0.95;

/** A word that stands in few lines says more; one that stands in none says that the question is about something else. */
function weights(lines: Line[]): (term: Term) => number {
  return (term) => {
    const found = lines.filter((line) => fitOf(term, line) > 0).length;
    return found === 0 ? UNKNOWN_WEIGHT * Math.log(1 + lines.length) : Math.log(1 + lines.length / found);
  };
}

function folded(text: string): string {
  return wordsOf(text).join(' ');
}

function wordsOf(text: string): string[] {
  return (
    text
      .normalize('NFD')
      .replaceAll(/\p{M}/gu, '')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

function stemsOf(text: string): string[] {
  return wordsOf(text).map(stem);
}

/** Rough: number, gender and the ends of verbs. */
function stem(word: string): string {
  const bare = word.replace(/(?:oes|aes)$/, 'ao').replace(/s$/, '');
  if (bare.length <= 4) return bare;
  const cut = bare.replace(
    /(?:amento|imento|adora?|acao|icao|ando|endo|indo|aram|eram|iram|aria|amos|emos|imos|ada|ado|ida|ido|ar|er|ir|am|em|ou|ei|a|e|o)$/,
    '',
  );
  return (cut.length < 3 ? bare : cut).slice(0, 7);
}

/** Words that stand in any question. */
const COMMON = new Set(
  `a o as os um uma uns umas de do da dos das no na nos nas em por pelo pela para pra pro com sem sob sobre ate e ou mas que se eu tu ele ela nos voces vcs vc voce voceis me te lhe meu minha
  meus minhas seu sua seus suas esse essa isso este esta isto aquele aquela ai ali la aqui ja ainda so tambem tb nao n sim sei ser sou era foi for estou esta estao estava to ta tao tava tem tens tenho
  temos tinha ter ha vai vou ir queria quero quer gostaria poderia pode posso podem consigo consegue saber dizer fala falar favor pf pfv oi ola opa bom boa dia tarde noite obrigado obrigada valeu gente moca
  moco amigo amiga entao tipo assim como qual quais quem quando mais muito muita pouco algum alguma algo tudo todo toda todos todas coisa fazer faz fiz faco fazem da dar deu mim mesmo mesma agora
  ne eh ah alguem nenhum nenhuma num numa pq porque la depois ganho usar uso usa bem beleza blz td legal nome ficou vende vender vendem vendo levar botar colocar coloquei mudar lugar gostar dai perto irma irmao mae pai marido esposa filho comprar compra serve veio vem veio vir existe preciso precisa loja empresa senhor senhora oque cada pois
  the a an is are do you your i my me what how of to in it for and or can have`
    .split(/\s+/)
    .filter(Boolean),
);

/** Words that mean the same, or are answered by the same line. */
const GROUPS: readonly ReadonlySet<string>[] = [
  'preco valor custa custo quanto qto sai fica preços tabela orcamento cobram taxa quanta',
  'hora horario abre abrem aberta aberto fecha fecham fechada fechado funciona funcionamento funcionam atende atendem atendimento expediente',
  'prazo demora demoram tempo leva quantos quanto dias',
  'entrega entregamos entregam entregar envia enviamos enviar envio enviam manda mandam mandar despacha chega chegar chegou chegam',
  'frete entrega envio',
  'atraso atrasado atrasada atrasou chegou',
  'rastreio rastrear rastreamento acompanhar codigo cade pacote encomenda',
  'troca trocar trocam trocados trocado',
  'devolver devolucao devolvidas arrependi arrependimento devolvo reembolso',
  'estorno reembolso dinheiro volta devolucao',
  'defeito estragado estragada rasgado rasgada rasgou furado furada quebrado quebrou descosturou manchada',
  'pagamento pagar pago paga aceita aceitamos aceitam formas passa',
  'parcela parcelar parcelado vezes juros dividir divide',
  'cartao amex american visa mastercard elo credito debito',
  'endereco onde fica ficamos estamos localizacao localizada rua bairro chegar',
  'estacionamento estacionar carro vaga',
  'metro estacao trem',
  'acessibilidade cadeira rodas rampa cadeirante',
  'animais cachorro gato pet cao cachorros gatos',
  'filial unidade outra lojas',
  'desconto descontos promocao cupom barato oferta abatimento',
  'aniversario niver',
  'embrulho embrulha embrulhar embalagem embalar embala',
  'retirada retirar buscar busco pegar pego',
  'telefone ligar fone',
  'email mail',
  'instagram insta ig',
  'curriculo emprego contratando contratam trabalhar trabalhe selecao',
  'nota fiscal nf nfe cnpj',
  'cancelar cancelamento cancelado cancela desistir desisti',
  'atacado revender revenda revendo quantidade',
  'gratis gratuita gratuito graca',
  'tamanho medida medidas numeracao pequeno grande apertado largo justo busto cintura quadril torax',
  'camiseta blusa',
  'infantil crianca criancas menino menina',
  'bebe recem',
  'lava lavar lavagem maquina',
  'encolhe encolher encolhem',
  'barra bainha',
  'bordado bordam bordar borda',
  'secadora secar',
  'exterior internacional pais fora portugal',
  'brasil todo inteiro',
  'couro pele material materiais tecido algodao',
  'atrasado prazo passou',
].map(
  (line) =>
    new Set(
      line
        .split(' ')
        .flatMap((word) => wordsOf(word))
        .map(stem),
    ),
);
