/**
 * Commands that operators write in Portuguese, on WhatsApp and in Slack, as admin commands of src/admin/all.ts. Pure, and strict: what is not exactly a
 * command is null, because the same person may also talk with the agent.
 *
 *   pausar [julia | conversa 7 | número NOME | campanha NOME | tenant NOME] [motivo: ...]      pause
 *   retomar [as above] [motivo: ...]                                                           resume
 *   status, fila                                                                               status
 *   fila parada, fila reenviar                                                                 dlq list, dlq retry --all (after "confirmar")
 *   handoffs, devolver 7 [motivo: ...]                                                         handoff list, handoff return
 *   rascunhos, aprovar 12, recusar 12                                                          draft list, draft approve, draft discard
 *   instrução [até sexta]: ..., instruções                                                     directive add, directive list
 *   aprovar instrução 3, recusar instrução 3, encerrar instrução 3                             directive approve, reject, end
 *   autorizações, autorizar 12, negar 12                                                        approval list, approval approve, approval refuse
 *   ajuda, confirmar [the word that was told]
 */

export type OperatorWords =
  /** `args` as the command's schema takes them from outside. `needsConfirmation`: ask first, and run it when `confirm` comes within two minutes. */
  | { kind: 'command'; command: string; args: Record<string, string>; needsConfirmation: boolean }
  | { kind: 'help' }
  /** `word`: digits that came with it, or null. */
  | { kind: 'confirm'; word: string | null }
  /** A command whose words were changed before it was carried out: it commands nothing. */
  | { kind: 'edited' };

/** Longer texts are talk; a reason has at most 500 characters. */
const MAX_CHARS = 700;

export function parseOperatorWords(text: string): OperatorWords | null {
  if (text.length > MAX_CHARS) return null;
  const told = instruction(withoutMentions(text));
  if (told !== null) return told;
  const [order, reason] = splitReason(withoutMentions(text));
  const words = fold(order).split(' ').filter(Boolean);
  const request = read(words);
  if (request === null || reason === undefined) return request;
  // Only what is audited with a reason takes one.
  if (request.kind !== 'command' || !WITH_REASON.has(request.command)) return null;
  return { ...request, args: { ...request.args, reason } };
}

/** Its words are kept as they were typed; it is asked back, since every contact may hear what it says. */
function instruction(text: string): OperatorWords | null {
  const found = /^\s*instru[cç][aã]o(?:\s+at[eé]\s+([^:\n]{1,60}))?\s*:\s*(\S[^]*)$/iu.exec(text.normalize('NFC'));
  if (found === null) return null;
  const [, until, words = ''] = found;
  const args = { text: words.trim().replaceAll(/\s+/g, ' '), ...(until === undefined ? {} : { until: until.trim() }) };
  return { kind: 'command', command: 'directive add', args, needsConfirmation: true };
}

/** What is understood, for who asks. */
export const OPERATOR_HELP = [
  '*pausar* (motivo: ...): para tudo. Também *pausar conversa 7*, *pausar número NOME*, *pausar campanha NOME*.',
  '*retomar*: continua o que foi pausado, com os mesmos alvos.',
  '*status* ou *fila*: o que está pausado, conectado, esperando ou com pessoas.',
  '*fila parada*: mensagens que não saíram. *fila reenviar*: tenta de novo (pede confirmação).',
  '*handoffs*: conversas que esperam por uma pessoa. *devolver 7*: devolve a conversa 7 ao agente.',
  '*instrução: ...*: diz algo ao agente, a partir da próxima mensagem (pede confirmação); *instrução até sexta: ...* acaba sozinha. *instruções*: as que valem e as propostas; *aprovar instrução 3*, *recusar instrução 3*, *encerrar instrução 3*.',
  '*autorizações*: ações do agente que esperam por um sim. *autorizar 12* deixa sair, *negar 12* não.',
  '*rascunhos*: respostas que esperam por um sim. *aprovar 12* envia, *recusar 12* não.',
].join('\n');

const WITH_REASON = new Set(['pause', 'resume', 'handoff return']);

function read(words: string[]): OperatorWords | null {
  const [verb, ...rest] = words;
  switch (verb) {
    case 'pausar':
    case 'pausa':
    case 'pause':
      return switched('pause', rest);
    case 'retomar':
    case 'retoma':
    case 'retome':
      return switched('resume', rest);
    case 'status':
    case 'situacao':
      return isEverything(rest) ? command('status') : null;
    case 'fila':
      return queue(rest);
    case 'handoff':
    case 'handoffs':
    case 'atendimentos':
      return handoff(rest);
    case 'devolver':
    case 'devolve':
    case 'devolva':
      return giveBack(rest);
    case 'rascunho':
    case 'rascunhos':
      return rest.length === 0 ? command('draft list') : null;
    case 'aprovar':
    case 'aprova':
    case 'aprovo':
      return rest[0] === 'instrucao' ? numbered('directive approve', 'instrucao', rest) : numbered('draft approve', 'rascunho', rest);
    case 'recusar':
    case 'recusa':
    case 'recuso':
      return rest[0] === 'instrucao' ? numbered('directive reject', 'instrucao', rest) : numbered('draft discard', 'rascunho', rest);
    case 'encerrar':
    case 'encerra':
    case 'encerre':
      return rest[0] === 'instrucao' ? numbered('directive end', 'instrucao', rest) : null;
    case 'instrucoes':
      return rest.length === 0 ? command('directive list') : null;
    case 'autorizacao':
    case 'autorizacoes':
      return rest.length === 0 ? command('approval list') : null;
    case 'autorizar':
    case 'autoriza':
    case 'autorizo':
      return numbered('approval approve', 'autorizacao', rest);
    case 'negar':
    case 'nega':
    case 'nego':
      return numbered('approval refuse', 'autorizacao', rest);
    case 'ajuda':
    case 'help':
    case 'comandos':
      return rest.length === 0 ? { kind: 'help' } : null;
    case 'confirmar':
    case 'confirmo':
    case 'confirma':
      return confirmation(rest.join(''));
    case undefined:
    default:
      return null;
  }
}

/** A word may be typed in groups. */
function confirmation(word: string): OperatorWords | null {
  if (word === '') return { kind: 'confirm', word: null };
  return /^\d{4,12}$/.test(word) ? { kind: 'confirm', word } : null;
}

function switched(name: 'pause' | 'resume', rest: string[]): OperatorWords | null {
  if (isEverything(rest)) return command(name);
  const [noun, target, ...more] = rest[0] !== undefined && ARTICLES.has(rest[0]) ? rest.slice(1) : rest;
  const scope = noun === undefined ? undefined : SCOPES[noun];
  if (scope === undefined || target === undefined || more.length > 0) return null;
  if (scope === 'conversation' && !/^\d{1,15}$/.test(target)) return null;
  return command(name, { scope, target });
}

const ARTICLES = new Set(['a', 'o', 'da', 'do']);
const SCOPES: Readonly<Record<string, string>> = {
  conversa: 'conversation',
  numero: 'instance',
  chip: 'instance',
  instancia: 'instance',
  campanha: 'campaign',
  tenant: 'tenant',
};

/** Nothing, the agent by its name, or a word for all of it. */
function isEverything(rest: string[]): boolean {
  const words = rest[0] !== undefined && ARTICLES.has(rest[0]) ? rest.slice(1) : rest;
  return rest.length === 0 || (words.length === 1 && ['julia', 'agente', 'bot', 'robo', 'tudo', 'todos'].includes(words[0] ?? ''));
}

function queue(rest: string[]): OperatorWords | null {
  if (rest.length === 0) return command('status'); // what waits is part of the status
  if (rest.length !== 1) return null;
  if (rest[0] === 'parada' || rest[0] === 'morta' || rest[0] === 'erros') return command('dlq list');
  if (rest[0] === 'reenviar') return { kind: 'command', command: 'dlq retry', args: { all: 'true' }, needsConfirmation: true };
  return null;
}

function handoff(rest: string[]): OperatorWords | null {
  const [first, ...more] = rest;
  if (first === undefined || (['lista', 'listar', 'abertos'].includes(first) && more.length === 0)) return command('handoff list');
  return ['devolver', 'devolve', 'retornar'].includes(first) ? giveBack(more) : null;
}

function giveBack(rest: string[]): OperatorWords | null {
  const words = rest.filter((word) => word !== 'a' && word !== 'conversa');
  const [id] = words;
  return words.length === 1 && id !== undefined && /^\d{1,15}$/.test(id) ? command('handoff return', { id }) : null;
}

function numbered(name: string, noun: string, rest: string[]): OperatorWords | null {
  const words = rest.filter((word) => word !== noun);
  const [id] = words;
  return words.length === 1 && id !== undefined && /^\d{1,15}$/.test(id) ? command(name, { id }) : null;
}

function command(name: string, args: Record<string, string> = {}): OperatorWords {
  return { kind: 'command', command: name, args, needsConfirmation: false };
}

/** `@julia`, a phone number as WhatsApp writes mentions, or `<@U123>` and `<@U123|julia>` as Slack does. */
function withoutMentions(text: string): string {
  return text.replace(/^(?:\s*(?:<@[^>\s]*>|@[\p{L}\p{N}._-]+)[\s,:]*)+/u, '');
}

/** The order, and the words after "motivo:" as they were typed. */
function splitReason(text: string): [string, string?] {
  const found = /(?:^|\s)(?:motivo\s*[:=-]?|porque)\s+(?=\S)/iu.exec(text) ?? /(?:^|\s)motivo[:=-](?=\S)/iu.exec(text);
  if (!found) return [text];
  return [text.slice(0, found.index), text.slice(found.index + found[0].length).trim()];
}

/** Lower case, no accents, single spaces, no punctuation at the end; names keep their dots and hyphens. */
function fold(text: string): string {
  return text
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[,;:]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .replace(/[\s.!?…]+$/u, '');
}
