/** Steps of a timeline, in Portuguese. Pure. */
import type { TimelineEntry } from '../watch/timeline.ts';
import { oneLine } from '../words/foreign-text.ts';
import { costText, routeText, tickOf } from './conversation-texts.ts';
import { porque } from './reason-texts.ts';

const WRITES: Readonly<Record<string, string>> = {
  waiting: 'espera por um sim',
  queued: 'vai sair',
  sending: 'está saindo',
  done: 'feito',
  failed: 'não deu certo',
  uncertain: 'não se sabe se foi feito',
  refused: 'não saiu',
  expired: 'ninguém autorizou a tempo',
};
const CHARS = 300;

const AUTHORS: Readonly<Record<string, string>> = {
  contact: 'O contato escreveu',
  agent: 'O agente respondeu',
  human: 'Alguém da equipe escreveu no celular',
  automatic: 'O celular mandou sozinho',
  system: 'Mensagem pedida pela API ou pelo console',
};

const TURNS: Readonly<Record<string, string>> = {
  open: 'está trabalhando',
  committed: 'respondeu',
  superseded: 'desistiu',
  deferred: 'deixou para depois',
  suppressed: 'escreveu, e a resposta não foi enviada',
  skipped: 'decidiu não responder',
  handed_over: 'deixou para uma pessoa',
  failed: 'falhou, e tenta de novo',
  expired: 'terminou sem uma palavra',
};

const WEBHOOKS: Readonly<Record<string, string>> = {
  stored: 'trouxe a mensagem',
  duplicate: 'era uma repetição',
  echo: 'contou que a nossa mensagem está a caminho',
  ack: 'contou até onde ela chegou',
  edit: 'mudou o texto',
  delete: 'apagou a mensagem',
};

export function entryText(entry: TimelineEntry, time: (at: Date) => string): { says: string; why: string | null; tone: string } {
  switch (entry.what) {
    case 'message': {
      const says = `${AUTHORS[entry.author] ?? entry.author}: “${oneLine(entry.text, CHARS)}”`;
      const steps = [
        entry.claimed_at === null ? null : `saiu ${time(entry.claimed_at)}`,
        entry.delivered_at === null ? null : `entregue ${time(entry.delivered_at)}`,
        entry.read_at === null ? null : `lida ${time(entry.read_at)}`,
        entry.attempts > 1 ? `${entry.attempts} tentativas` : null,
        entry.goes_at === null || entry.status !== 'queued' ? null : `não antes de ${time(entry.goes_at)}`,
      ];
      const state = entry.direction === 'in' ? inbound(entry.status) : tickOf(entry).says;
      const reason = entry.reason === null ? null : `porque ${porque(entry.reason)}`;
      const told = [state, reason, ...steps].filter((each) => each !== null && each !== '');
      return { says, why: told.length === 0 ? null : told.join('; '), tone: entry.direction };
    }
    case 'turn':
      return {
        says: `Turno ${entry.id} ${TURNS[entry.status] ?? entry.status}`,
        why: [
          entry.reason === null ? null : `porque ${porque(entry.reason)}`,
          entry.model === null
            ? null
            : `${entry.model}${routeText(entry.route) === null ? '' : ` (${routeText(entry.route)})`}, ${tokens(entry.input_tokens + entry.cache_read_tokens + entry.cache_write_tokens)} lidos, ${tokens(entry.output_tokens)} escritos, ${costText(entry.cost_usd)}`,
        ]
          .filter((each) => each !== null)
          .join('; '),
        tone: 'turn',
      };
    case 'model_call':
      return {
        says: `O modelo ${entry.model} trabalhou ${(entry.ms / 1000).toFixed(1).replace('.', ',')} s`,
        why: `${tokens(entry.input_tokens)} novos, ${tokens(entry.cache_read_tokens)} do cache, ${tokens(entry.cache_write_tokens)} guardados no cache, ${tokens(entry.output_tokens)} escritos${entry.cost_usd === null ? '' : `, ${costText(entry.cost_usd)}`}`,
        tone: 'turn',
      };
    case 'media_call':
      return {
        says: `O modelo ${entry.model} olhou o arquivo da mensagem ${entry.message_id}`,
        why: entry.cost_usd === null ? null : costText(entry.cost_usd),
        tone: 'turn',
      };
    case 'tool_call':
      return {
        says: `Ferramenta ${entry.name} ${entry.ok ? 'usada' : 'recusada'}`,
        why: `${oneLine(JSON.stringify(entry.input), CHARS)} → ${oneLine(entry.output, CHARS)}`,
        tone: 'turn',
      };
    case 'tool_write':
      return {
        says: `${entry.name}: ${WRITES[entry.status] ?? entry.status}`,
        why: [
          oneLine(JSON.stringify(entry.input), CHARS),
          ...(entry.approval_id === null ? [] : [`autorização ${entry.approval_id}`]),
          ...(entry.decided_by === null ? [] : [`${entry.decided === 'approved' ? 'sim' : 'não'} de ${entry.decided_by}`]),
          ...(entry.reason === null ? [] : [`porque ${porque(entry.reason)}`]),
          ...(entry.answer === null ? [] : [oneLine(entry.answer, CHARS)]),
        ].join('; '),
        tone: 'turn',
      };
    case 'handoff': {
      const steps = [
        entry.notified_at === null ? null : `equipe avisada ${time(entry.notified_at)}`,
        entry.reminded_at === null ? null : `lembrada ${time(entry.reminded_at)}`,
        entry.taken_at === null ? null : `assumida ${time(entry.taken_at)}`,
        entry.returned_at === null ? null : `devolvida ${time(entry.returned_at)} por ${entry.returned_by ?? 'alguém'}`,
      ].filter((each) => each !== null);
      return {
        says: entry.controls ? 'Uma pessoa foi chamada' : 'A equipe foi avisada',
        why: [`porque ${porque(entry.reason)}`, ...(entry.summary === null ? [] : [oneLine(entry.summary, CHARS)]), ...steps].join('; '),
        tone: 'person',
      };
    }
    case 'opt_out':
      return {
        says: 'O contato pediu para não receber mensagens',
        why: entry.revoked_at === null ? null : `voltou a querer ${time(entry.revoked_at)}`,
        tone: 'person',
      };
    case 'webhook':
      return { says: `Webhook ${WEBHOOKS[entry.outcome] ?? entry.outcome}`, why: null, tone: 'webhook' };
  }
}

function inbound(status: string): string {
  if (status === 'received') return 'guardada, ainda sem resposta';
  if (status === 'answered') return 'guardada e respondida';
  if (status === 'handed_over') return 'deixada para uma pessoa';
  return 'guardada, sem resposta';
}

function tokens(count: number): string {
  return `${count.toLocaleString('pt-BR')} tokens`;
}

/** Writes a moment to the second: `30/11 16:08:59`. */
export function clockWithSeconds(timeZone: string): (at: Date) => string {
  const format = new Intl.DateTimeFormat('pt-BR', {
    timeZone,
    day: '2-digit',
    month: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  return (at) => format.format(at).replace(',', '');
}
