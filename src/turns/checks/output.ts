/**
 * What an answer of the model must not say, found by code alone before it leaves: our rules, marks and names of the runtime, raw errors, unfilled places, and
 * facts (prices, numbers, addresses, dates, deeds) that stand in nothing that the model has read in this turn. Pure; some tenths of a millisecond, since what was
 * read is searched only for what the answer names.
 *
 * An answer with a fault is written once more by the same agent, which is told what was wrong; after that a person answers.
 */
import { cut } from '../../words/cut.ts';
import { foldWords } from '../../words/fold.ts';
import { dateForm, datesIn, datesNear, moneyIn, numbersIn, percentsIn } from './figures.ts';

export type Rule =
  | 'prompt_leak'
  | 'tool_words'
  | 'placeholder'
  | 'runtime_mark'
  | 'raw_error'
  | 'price'
  | 'phone'
  | 'web_address'
  | 'address'
  | 'date'
  | 'promise';
export type OutputFault = { rule: Rule; what: string };

export type Read = {
  /** What the runtime tells every agent, and its tone: not one line of it is for a contact. */
  rules: string;
  /** The agent's own instructions: facts may stand in them, so only long pieces count. */
  instructions: string;
  /** All that the model has read in this turn: system text, documents, conversation, results of tools. */
  all: readonly string[];
  /** Of that what was said in the conversation, on which sums may be built. */
  said: readonly string[];
  /** Names of the tools that it could call, and what it has called in this turn. */
  tools: readonly string[];
  called: readonly string[];
  /** Something was done outside for this conversation of late. */
  acted: boolean;
  now: Date;
  timeZone: string;
};

export function checkOutput(text: string, read: Read): OutputFault[] {
  const faults = CHECKS.flatMap(({ rule, find }) => {
    const what = find(text, read);
    return what === null ? [] : [{ rule, what }];
  });
  return faults;
}

/** Finds the first words that break a rule, or null. */
type Find = (text: string, read: Read) => string | null;

const CHECKS: readonly { rule: Rule; find: Find }[] = [
  { rule: 'prompt_leak', find: (text, { rules, instructions }) => sharedWords(text, rules, 8) ?? sharedWords(text, instructions, 16) },
  { rule: 'tool_words', find: toolWords },
  { rule: 'placeholder', find: (text) => firstOf(text, PLACEHOLDERS) },
  { rule: 'runtime_mark', find: (text) => firstOf(text, RUNTIME_MARKS) },
  { rule: 'raw_error', find: (text) => firstOf(text, RAW_ERRORS) },
  { rule: 'price', find: price },
  { rule: 'phone', find: phone },
  { rule: 'web_address', find: webAddress },
  { rule: 'address', find: address },
  { rule: 'date', find: date },
  { rule: 'promise', find: promise },
];

function firstOf(text: string, patterns: readonly RegExp[]): string | null {
  for (const pattern of patterns) {
    const found = pattern.exec(text);
    if (found) return found[0];
  }
  return null;
}

/** Runs of words of a text that hardly changes; the newest few are kept. */
const runsOf = new Map<string, Set<string>>();
const KEPT_RUNS = 40;

function sharedWords(text: string, of: string, length: number): string | null {
  const words = foldWords(text).split(' ');
  if (words.length < length) return null;
  const key = `${length} ${of}`;
  let runs = runsOf.get(key);
  if (runs === undefined) {
    const known = foldWords(of).split(' ');
    runs = new Set(known.slice(0, Math.max(0, known.length - length + 1)).map((_, at) => known.slice(at, at + length).join(' ')));
    runsOf.set(key, runs);
    const [oldest] = runsOf.keys();
    if (runsOf.size > KEPT_RUNS && oldest !== undefined) runsOf.delete(oldest);
  }
  for (let at = 0; at + length <= words.length; at++) {
    const run = words.slice(at, at + length).join(' ');
    if (runs.has(run)) return run;
  }
  return null;
}

function toolWords(text: string, { tools }: Read): string | null {
  // a tool whose name is a word ("remember") is one only where it is called
  const name = tools.find((tool) => new RegExp(tool.includes('_') ? `\\b${tool}\\b` : `\\b${tool}\\s*\\(\\s*[{"]`, 'i').test(text));
  return name ?? firstOf(text, TOOL_FORMS);
}

const TOOL_FORMS = [
  /\{\s*"[\w-]+"\s*:/,
  /<\/?(?:antml:)?(?:function_calls|invoke|parameter|tool_use|tool_result|tool_call|thinking)\b[^>]*>/i,
  /\b(?:tool_use|tool_result|function_call|input_schema)\b/,
];

const PLACEHOLDERS = [
  /\{\{[^{}\n]{1,60}\}\}/,
  /\{[\p{L}_][\p{L}\d_ ]{1,30}\}/u,
  /\$\{[^}\n]{1,60}\}/,
  /\[(?:seu|sua|nome|cliente|empresa|valor|data|hora|inserir|insira|coloque|link|telefone|endere[çc]o|n[úu]mero|pre[çc]o|your|insert|name|x{2,})\b[^\]\n]{0,60}\](?!\()/iu,
  /<(?:nome|valor|link|data|cliente|empresa|telefone|endere[çc]o|name|your)\b[^>\n]{0,40}>/iu,
  /(?<![\p{L}\d])X{3,}(?![\p{L}\d])/u,
  /R\$\s?(?:X+|_{2,}|\.{3}|…)/,
  /(?<![\p{L}\d'"])(?:undefined|NaN|null|\[object Object\])(?![\p{L}\d'"])/u,
  /lorem ipsum/i,
];

const RUNTIME_MARKS = [
  /\[(?:sistema|system|em resposta|in reply|pessoa da equipe|mensagem|in[íi]cio da conversa|reagiu|retirou|imagem|v[íi]deo|[áa]udio|documento|figurinha|localiza[çc][ãa]o|enquete|contato)\b[^\]\n]{0,200}\]?/iu,
];

const RAW_ERRORS = [
  /\b(?:Type|Syntax|Reference|Range|Runtime|Value|Key|Attribute|Connection|Timeout)Error\b/,
  /\bTraceback \(most recent/,
  /\bat (?:async )?[\w$.<>]+ \([^)\n]+:\d+:\d+\)/,
  /\bE(?:CONNREFUSED|CONNRESET|TIMEDOUT|NOTFOUND|PIPE|AI_AGAIN)\b/,
  /\b(?:overloaded|rate_limit|invalid_request|authentication|api|permission|not_found)_error\b/,
  /\bHTTP(?:\/\d(?:\.\d)?)? ?(?:status )?[45]\d\d\b/i,
  /\b(?:status code|c[óo]digo de erro|error code):? ?[45]\d\d\b/i,
  /\b(?:SQLSTATE|Internal Server Error|Bad Gateway|stack trace)\b/i,
];

function price(text: string, { all, said }: Read): string | null {
  const named = moneyIn(text);
  const percents = percentsIn(text);
  if (named.length === 0 && percents.length === 0) return null;
  const known = numbersIn(all);
  const rates = new Set(all.flatMap((each) => percentsIn(each).map(({ value }) => value)));
  const rate = percents.find(({ value }) => !rates.has(value));
  if (rate !== undefined) return rate.text;
  // A sum, a multiple, a part or a discount of what stands beside it, or was said, is no invention.
  const base = new Set([
    ...named.filter(({ cents }) => known.has(cents)).map(({ cents }) => cents),
    ...said.flatMap((each) => moneyIn(each).map(({ cents }) => cents)),
  ]);
  let open = named.filter(({ cents }) => !base.has(cents));
  for (let grew = true; grew && open.length > 0;) {
    const before = open.length;
    for (const each of open) if (isDerived(each.cents, [...base], [...rates])) base.add(each.cents);
    open = open.filter(({ cents }) => !base.has(cents));
    grew = open.length < before;
  }
  return open[0]?.text ?? null;
}

/** Nobody orders or pays in more pieces than this, in a chat. */
const MOST_PIECES = 60;
const MOST_BASES = 40;

function isDerived(cents: number, given: number[], rates: number[]): boolean {
  const base = given.filter((each) => each > 0).slice(0, MOST_BASES);
  const near = (value: number): boolean => Math.abs(cents - value) <= 1;
  return base.some((each) => {
    const pieces = cents / each;
    if (Number.isInteger(pieces) && pieces <= MOST_PIECES) return true;
    const parts = Math.round(each / cents);
    if (parts >= 2 && parts <= MOST_PIECES && Math.abs(each / parts - cents) <= 1) return true;
    if (rates.some((rate) => near((each * (100 - rate)) / 100) || near((each * rate) / 100))) return true;
    return base.some((other) => {
      const rest = cents - other;
      return rest === each || Math.abs(each - other) === cents || (rest > 0 && Number.isInteger(rest / each) && rest / each <= MOST_PIECES);
    });
  });
}

const PHONE =
  /(?<![\d.,/])(?:\+?55[\s.-]?)?(?:\(?\d{2}\)?[\s.-]?)?(?:9[\s.-]?)?\d{4}[\s.-]?\d{4}(?![\d/])|(?<!\d)0[358]00[\s.-]?\d{3}[\s.-]?\d{4}(?!\d)/g;

function phone(text: string, { all }: Read): string | null {
  const named = text.match(PHONE) ?? [];
  if (named.length === 0) return null;
  return named.find((each) => !isRead(numberForm(each), all)) ?? null;
}

/** The last eight digits, however they are written apart. */
function numberForm(written: string): RegExp {
  return new RegExp(
    written
      .replaceAll(/\D/g, '')
      .slice(-8)
      .split('')
      .join(String.raw`[\s().-]{0,3}`),
  );
}

function isRead(form: RegExp, all: readonly string[]): boolean {
  return all.some((each) => form.test(each));
}

const WEB =
  /(?:https?:\/\/|www\.)[^\s)>\]"*]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<![\p{L}\d@.-])(?:[a-z\d-]+\.)+(?:com|net|org|br|io|app|dev|shop|store|link|site|online|me|ly|gl|example)(?:\.br)?(?:\/[^\s)>\]"*]*)?(?![\p{L}\d])/giu;

function webAddress(text: string, { all }: Read): string | null {
  const named = text.match(WEB) ?? [];
  if (named.length === 0) return null;
  const read = all.map((each) => each.toLowerCase());
  return named.find((each) => !read.some((one) => one.includes(bare(each)))) ?? null;
}

function bare(address: string): string {
  return address
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .replace(/^www\./, '')
    .replace(/[.,;:!?/]+$/, '');
}

const STREET =
  /(?<![\p{L}])(?:rua|av\.|avenida|alameda|travessa|pra[çc]a|rodovia|estrada|largo)\s+((?:[\p{L}'’.]+\s+){0,5}[\p{L}'’.]+)\s*,?\s*(?:n[ºo°.]{1,2}\s*)?(\d{1,5})(?![\d.,]*\d)/giu;
const POSTCODE = /(?<!\d)\d{5}-\d{3}(?!\d)/g;

function address(text: string, { all }: Read): string | null {
  const code = (text.match(POSTCODE) ?? []).find((each) => !all.some((one) => one.includes(each) || one.includes(each.replace('-', ''))));
  if (code !== undefined) return code;
  const named = [...text.matchAll(STREET)];
  if (named.length === 0) return null;
  const missing = named.find(([, street = '', number = '']) => {
    const words = foldWords(street.replace(/\s+n[ºo°.]{0,2}$/iu, ''));
    return !all.some((each) =>
      [...each.matchAll(new RegExp(String.raw`(?<!\d)${number}(?!\d)`, 'g'))].some(({ index }) => {
        const before = foldWords(each.slice(Math.max(0, index - STREET_CHARS), index));
        return before.endsWith(words) || before.endsWith(`${words} n`) || before.endsWith(`${words} no`);
      }),
    );
  });
  return missing?.[0] ?? null;
}

/** A street's name is not longer. */
const STREET_CHARS = 120;

function date(text: string, { all, now, timeZone }: Read): string | null {
  const named = datesIn(text);
  if (named.length === 0) return null;
  const near = datesNear(now, timeZone);
  return named.find(({ day }) => !near.includes(day) && !isRead(dateForm(day), all))?.text ?? null;
}

/** Somebody is called only by the tool that does it. */
const CALLS_PERSON =
  /(?<!n[ãa]o )(?<!\p{L})(?:vou|irei|j[áa]|acabei de|estou) (?:(?:te|lhe|o|a|voc[êe]) )?(?:cham(?:ar|ei|ando)|pass(?:ar|ei|ando)|transfer(?:ir|i|indo)|encaminh(?:ar|ei|ando)|acion(?:ar|ei|ando)|avis(?:ar|ei|ando))(?!\p{L})[^.!?\n]{0,60}(?<!\p{L})(?:pessoa|equipe|atendente|humano|colega|gerente|time|vendedora?)(?!\p{L})/iu;
/** Done by a business tool or by nobody, and not before the answer has left: what is asked for in this turn is not done yet. */
const DEEDS =
  /(?<!n[ãa]o )(?<!\p{L})(?:cancelei|estornei|reembolsei|agendei|reagendei|reservei|troquei (?:o|a|seu|sua) (?:pedido|produto|pe[çc]a)|apliquei (?:o|um) (?:desconto|cupom)|gerei (?:o|um|seu) (?:boleto|link|pix|c[óo]digo)|(?:fiz|realizei|efetuei) (?:o|a|seu|sua) (?:pedido|compra|estorno|cancelamento|troca|reserva|agendamento|pagamento)|confirmei (?:o|seu) (?:pedido|pagamento))(?!\p{L})/iu;

function promise(text: string, { called, tools, acted }: Read): string | null {
  if (tools.includes('handoff_to_human') && !called.includes('handoff_to_human')) {
    const calls = CALLS_PERSON.exec(text);
    // an offer waits for a yes
    if (calls && !/\?\s*$/.test(text.slice(calls.index).split('\n', 1)[0] ?? '')) return calls[0];
  }
  return acted ? null : firstOf(text, [DEEDS]);
}

const SAYS: Readonly<Record<Rule, string>> = {
  prompt_leak: 'repete as suas regras internas',
  tool_words: 'fala de ferramentas ou mostra código',
  placeholder: 'tem um lugar que ficou por preencher',
  runtime_mark: 'repete uma marca do sistema entre colchetes',
  raw_error: 'mostra um erro técnico',
  price: 'diz um valor que não está em nenhuma informação que você tem (se é uma conta, mostre as parcelas dela)',
  phone: 'diz um telefone ou número que não está em nenhuma informação que você tem',
  web_address: 'diz um site, link ou e-mail que não está em nenhuma informação que você tem',
  address: 'diz um endereço que não está em nenhuma informação que você tem',
  date: 'diz uma data que não está em nenhuma informação que você tem',
  promise: 'diz que algo foi ou será feito, e nada o faz',
};

/** What the agent is told when its answer is asked for once more. */
export function faultNote(faults: readonly OutputFault[]): string {
  const lines = faults.map(({ rule, what }) => `- ela ${SAYS[rule]}: ${JSON.stringify(cut(what, 120))}`);
  return `[sistema: a sua resposta não foi enviada, o cliente não a leu:\n${lines.join('\n')}\nEscreva a resposta inteira de novo sem isso. O que você não sabe, diga que não sabe. Não fale desta nota.]`;
}
