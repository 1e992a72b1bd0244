/** What an operator reads after a command in a chat: the result of the admin command in Portuguese. Pure and total: a result that it does not know is "Feito." */
import { lineForModel, oneLine, shownName } from '../words/foreign-text.ts';
import { missingModes } from '../process/liveness.ts';
import { z } from 'zod';

type FormatTime = (at: Date) => string;

/** `result` is what the admin command returned. */
export function replyText(command: string, result: unknown, format: FormatTime): string {
  const words = REPLIES[command]?.(result, format);
  return words ?? 'Feito.';
}

/** Why a command was refused, as far as the operator can do something about it. */
export function refusalText(kind: string): string {
  return REFUSALS[kind] ?? 'Não consegui executar este comando. Tente de novo, ou veja o painel.';
}

export const LATE_TEXT = 'Este comando chegou com atraso e não foi executado. Se ainda vale, envie de novo.';
export const NOTHING_TO_CONFIRM_TEXT = 'Não há nada para confirmar. Quem pede confirmação espera dois minutos por ela.';

export const EDITED_TEXT = 'Um comando editado não vale. Escreva de novo, em uma nova mensagem.';
export const WRONG_WORD_TEXT =
  'Este código não vale: cada código serve para um comando, uma vez, em até cinco minutos. Escreva o comando de novo para receber outro.';
export const LOCKED_TEXT =
  'Por uma hora nenhum comando é aceito por aqui: houve pedidos ou códigos errados demais em seu nome. Use o Slack ou a linha de comando.';

/** For the people of the installation: somebody speaks as the manager, or the manager errs a lot. */
export const LOCKED_NOTICE =
  'Comandos por WhatsApp em nome do gestor: códigos errados ou pedidos sem resposta demais na última hora. Por enquanto nenhum é aceito. Se não foi o gestor, alguém se faz passar por ele (docs/security.pt-BR.md).';

/** A command that came by WhatsApp is carried out when the word comes back. `words` as they were written. */
export function proveText(words: string, word: string): string {
  return `Para executar "${oneLine(words, 120)}", responda em até cinco minutos:\n*confirmar ${word}*\nSe não foi você que pediu, ignore e avise quem cuida do sistema.`;
}

/** What is about to happen, before it does. */
export function askText(command: string, args: Readonly<Record<string, string>>): string {
  const what =
    command === 'dlq retry'
      ? 'tentar de novo todas as mensagens que não saíram'
      : command === 'directive add'
        ? `dizer ao agente, a partir da próxima mensagem: ${lineForModel(`"${args['text'] ?? ''}"${args['until'] === undefined ? '' : ` até ${args['until']}`}`, 600)}`
        : `executar ${command}`;
  return `Vou ${what}. Escreva *confirmar* em até dois minutos.`;
}

const REFUSALS: Readonly<Record<string, string>> = {
  not_found: 'Não encontrei esse alvo: confira o nome ou o número.',
  conflict: 'Nada mudou: já estava assim.',
  forbidden: 'Este comando só vale para a instalação inteira.',
  bad_request: 'Não entendi o alvo deste comando. Escreva *ajuda* para ver os exemplos.',
};

const SCOPES: Readonly<Record<string, string>> = {
  all: 'Tudo',
  tenant: 'O tenant',
  instance: 'O número',
  campaign: 'A campanha',
  conversation: 'A conversa',
};

const pause = z.object({ scope: z.string(), target: z.string(), motivo: z.string().nullish(), since: z.coerce.date() });
const switched = z.object({ status: z.string(), scope: z.string(), target: z.string(), was: z.string(), still: z.array(pause) });
const status = z.object({
  pauses: z.array(pause),
  processes: z.array(z.object({ mode: z.string(), seen_seconds: z.number() })),
  instances: z.array(z.object({ name: z.string(), status: z.string() })),
  unanswered: z.object({ count: z.number(), oldest_seconds: z.number().nullable() }),
  outbound: z.object({ due: z.number(), later: z.number(), sending: z.number(), uncertain: z.number() }),
  dead_letters: z.number(),
  with_people: z.number(),
});
const held = z.object({
  conversations: z.array(
    z.object({ conversation_id: z.number(), contact: z.string().nullable(), instance: z.string(), last_text: z.string().nullable() }),
  ),
});
const letters = z.object({
  dead_letters: z.array(z.object({ id: z.number(), conversation_id: z.number(), status: z.string(), instance: z.string() })),
});
const retried = z.object({ retried: z.array(z.unknown()), left: z.number() });
const returned = z.object({ conversation_id: z.number(), mode: z.string(), paused: z.string().nullable() });
const drafts = z.object({
  drafts: z.array(z.object({ id: z.number(), conversation_id: z.number(), contact: z.string().nullable(), text: z.string() })),
});
const draftSettled = z.object({ draft: z.number(), conversation_id: z.number(), held: z.string().nullable() });

const date = z.coerce.date().nullable();
const directiveAdded = z.object({ id: z.number(), text: z.string(), ends_at: date });
const directiveSettled = z.object({ id: z.number(), text: z.string() });
const directives = z.object({
  directives: z.array(
    z.object({
      id: z.number(),
      status: z.string(),
      text: z.string(),
      before: z.string().nullable(),
      document: z.string().nullable(),
      ends_at: date,
    }),
  ),
});
const approvals = z.object({
  approvals: z.array(
    z.object({
      id: z.number(),
      tool: z.string(),
      conversation_id: z.number(),
      contact: z.string().nullable(),
      input: z.record(z.string(), z.unknown()),
      expires_at: z.coerce.date(),
    }),
  ),
});
const approvalDecided = z.object({ approval: z.number(), again: z.boolean(), write: z.string().nullable() });

function inputWords(input: Readonly<Record<string, unknown>>): string {
  return Object.entries(input)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ');
}

/** What came of a call. */
const WRITES: Readonly<Record<string, string>> = {
  done: 'Feito.',
  failed: 'O sistema recusou, ou a chamada nem saiu: a conversa está com uma pessoa.',
  uncertain: 'Não se sabe se foi feito: confira no sistema; a conversa está com uma pessoa.',
  queued: 'O sistema não está disponível; tento de novo em instantes.',
};

/** At most so many lines of a list. */
const MOST = 15;

const REPLIES: Readonly<Record<string, (result: unknown, format: FormatTime) => string | undefined>> = {
  pause: told(switched, ({ scope, target, was }) =>
    [
      `⏸️ ${nameOf(scope, target)} está em pausa${was === 'pausado' ? ' (já estava)' : ''}. Nada novo é respondido nem enviado; o que chegar fica guardado.`,
      `Para continuar: *retomar${target === '' ? '' : ` ${ORDER[scope] ?? scope} ${lineForModel(target, 100)}`}*.`,
    ].join('\n'),
  ),
  resume: told(switched, ({ scope, target, was, still }, format) =>
    [
      `▶️ ${nameOf(scope, target)} continua${was === 'ativo' ? ' (não estava em pausa)' : ''}. O que é recente é respondido; o resto fica listado em *handoffs*.`,
      ...(still.length === 0 ? [] : ['Ainda em pausa:', ...still.map((each) => pauseLine(each, format))]),
    ].join('\n'),
  ),
  status: told(status, (found, format) => {
    const missing = missingModes(found.processes);
    const { unanswered, outbound } = found;
    const oldest = unanswered.oldest_seconds === null ? '' : `, a mais antiga há ${Math.round(unanswered.oldest_seconds / 60)} min`;
    return [
      ...(found.pauses.length === 0 ? ['▶️ Nada em pausa.'] : ['⏸️ Em pausa:', ...found.pauses.map((each) => pauseLine(each, format))]),
      missing.length === 0 ? 'Processos: todos ativos' : `Processos parados: ${missing.join(', ')}`,
      `Números: ${found.instances.map((each) => `${each.name} ${STATES[each.status] ?? each.status}`).join(', ') || 'nenhum'}`,
      `Sem resposta: ${unanswered.count}${oldest}`,
      `Para sair: ${outbound.due} agora, ${outbound.later} depois, ${outbound.uncertain} em verificação, ${found.dead_letters} paradas`,
      `Com pessoas: ${found.with_people}`,
    ].join('\n');
  }),
  'handoff list': told(held, ({ conversations }) =>
    conversations.length === 0
      ? 'Nenhuma conversa espera por uma pessoa.'
      : list(
          conversations.map(
            (each) => `${each.conversation_id}: ${shownName(each.contact) ?? 'sem nome'} (${each.instance}) ${quote(each.last_text ?? '')}`,
          ),
        ),
  ),
  'handoff return': told(returned, ({ conversation_id: id, mode, paused }) => {
    const quiet = paused !== null ? 'há uma pausa' : mode === 'manual' ? 'o modo dela é manual' : null;
    return `A conversa ${id} voltou para o agente${quiet === null ? '.' : `, mas ele continua em silêncio: ${quiet}.`}`;
  }),
  'dlq list': told(letters, ({ dead_letters: all }) =>
    all.length === 0
      ? 'Nenhuma mensagem parada.'
      : list(
          all.map(
            (each) =>
              `${each.id}: conversa ${each.conversation_id} (${each.instance}), ${each.status === 'failed' ? 'não saiu' : 'pode ter saído'}`,
          ),
        ),
  ),
  'dlq retry': told(
    retried,
    ({ retried: all, left }) => `${all.length} de volta na fila.${left === 0 ? '' : ` ${left} ficaram: pode ser que já tenham saído.`}`,
  ),
  'draft list': told(drafts, ({ drafts: all }) =>
    all.length === 0
      ? 'Nenhum rascunho espera.'
      : list(
          all.map((each) => `${each.id}: conversa ${each.conversation_id} (${shownName(each.contact) ?? 'sem nome'}) ${quote(each.text)}`),
        ),
  ),
  'draft approve': told(
    draftSettled,
    ({ draft, held }) => `Rascunho ${draft} aprovado${held === null ? ': está saindo.' : ', mas espera: há uma pausa.'}`,
  ),
  'directive add': told(directiveAdded, ({ id, text, ends_at: end }, format) =>
    [
      `📌 Instrução ${id} em vigor${end === null ? '' : ` até ${format(end)}`}: ${quote(text)}`,
      `Para encerrar: *encerrar instrução ${id}*.`,
    ].join('\n'),
  ),
  'directive list': told(directives, ({ directives: all }, format) =>
    all.length === 0
      ? 'Nenhuma instrução em vigor.'
      : list(
          all.map(
            ({ id, status, text, before, document, ends_at: end }) =>
              `${id}${status === 'proposed' ? ' (proposta)' : ''}: ${quote(text)}${before === null ? '' : `, no lugar de ${quote(before)}`}${end === null ? '' : `, até ${format(end)}`}${document === null ? '' : `, de ${quote(document)}`}`,
          ),
        ),
  ),
  'directive approve': told(directiveSettled, ({ id, text }) => `📌 Instrução ${id} em vigor: ${quote(text)}`),
  'directive reject': told(directiveSettled, ({ id }) => `Instrução ${id} recusada: não vale.`),
  'directive end': told(directiveSettled, ({ id }) => `Instrução ${id} encerrada: não vale mais.`),
  'approval list': told(approvals, ({ approvals: all }, format) =>
    all.length === 0
      ? 'Nada espera por um sim.'
      : list(
          all.map(
            (each) =>
              `${each.id}: ${each.tool}, conversa ${each.conversation_id} (${shownName(each.contact) ?? 'sem nome'}), até ${format(each.expires_at)} ${lineForModel(inputWords(each.input), 120)}`,
          ),
        ),
  ),
  'approval approve': told(
    approvalDecided,
    ({ approval, again, write }) =>
      `Autorização ${approval} ${again ? 'já tinha o seu sim' : 'dada'}. ${write === null ? 'A chamada já está em andamento, ou sai quando a pausa acabar.' : (WRITES[write] ?? write)}`,
  ),
  'approval refuse': told(approvalDecided, ({ approval }) => `Autorização ${approval} negada: nada sai, e o cliente é avisado.`),
  'draft discard': told(draftSettled, ({ draft }) => `Rascunho ${draft} recusado. A conversa fica com você.`),
};

const ORDER: Readonly<Record<string, string>> = { tenant: 'tenant', instance: 'número', campaign: 'campanha', conversation: 'conversa' };
const STATES: Readonly<Record<string, string>> = {
  open: 'conectado',
  close: 'desconectado',
  connecting: 'conectando',
  refused: 'recusado',
  unknown: 'sem notícia',
};

function told<Shape extends z.ZodType>(shape: Shape, words: (result: z.output<Shape>, format: FormatTime) => string) {
  return (result: unknown, format: FormatTime): string | undefined => {
    const parsed = shape.safeParse(result);
    return parsed.success ? words(parsed.data, format) : undefined;
  };
}

function nameOf(scope: string, target: string): string {
  return target === '' ? (SCOPES[scope] ?? scope) : `${SCOPES[scope] ?? scope} ${lineForModel(target, 100)}`;
}

function pauseLine({ scope, target, motivo, since }: z.output<typeof pause>, format: FormatTime): string {
  return `• ${nameOf(scope, target)} desde ${format(since)}${motivo == null ? '' : `: ${oneLine(motivo, 300)}`}`;
}

function list(lines: string[]): string {
  const more = lines.length > MOST ? [`... e mais ${lines.length - MOST}`] : [];
  return [...lines.slice(0, MOST).map((each) => `• ${each}`), ...more].join('\n');
}

function quote(text: string): string {
  return `"${lineForModel(text, 80)}"`;
}
