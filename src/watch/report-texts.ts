/** The report that operators read in Slack, in Portuguese, and the span of time that it is about. Pure. */
import type { Zone } from '../words/zone.ts';
import { share, WORDS } from './sla.ts';
import type { Objective } from './sla.ts';

export type ReportKind = 'morning' | 'evening' | 'weekly';

type Figures = {
  received: number;
  conversations: number;
  new_contacts: number;
  answered: number;
  handed_over: number;
  failed_turns: number;
  sent: Readonly<Record<string, number>>;
  failed: number;
  reply_seconds_median: number | null;
  reply_seconds_p95: number | null;
  opt_outs: number;
  tokens: number;
  cost_usd: number;
  unpriced_calls: number;
  unanswered: number;
  with_people: number;
};

const DAY_MS = 86_400_000;

/** Morning: yesterday; evening: today until now; weekly: the seven days before today. In local days, whatever the clocks did. */
export function reportSpan(kind: ReportKind, zone: Zone, now: Date): { from: Date; to: Date } {
  const today = localMidnight(zone, now, 0);
  switch (kind) {
    case 'morning':
      return { from: localMidnight(zone, now, -1), to: today };
    case 'evening':
      return { from: today, to: now };
    case 'weekly':
      return { from: localMidnight(zone, now, -7), to: today };
  }
}

/** The instant at which the local day begins, `days` from that of `now`. */
function localMidnight(zone: Zone, now: Date, days: number): Date {
  const wall = Math.floor((now.getTime() + zone.offset(now.getTime())) / DAY_MS) * DAY_MS + days * DAY_MS;
  const guess = wall - zone.offset(wall);
  // The offset at that midnight, not at the same time in UTC.
  return new Date(wall - zone.offset(guess));
}

const TITLES: Readonly<Record<ReportKind, string>> = {
  morning: 'Relatório de ontem',
  evening: 'Relatório de hoje',
  weekly: 'Relatório da semana',
};

const KINDS: Readonly<Record<string, string>> = {
  reply: 'respostas',
  handoff: 'avisos de transferência',
  follow_up: 'retornos',
  notification: 'notificações',
  transactional: 'avisos de pedidos',
  campaign: 'campanha',
  prospecting: 'prospecção',
  manual: 'manuais',
  operator: 'a operadores',
};

/** `span` in words, such as "26/11". */
export function reportText(kind: ReportKind, span: string, figures: Figures, sla: readonly Objective[]): string {
  const sent = Object.entries(figures.sent).toSorted(([a], [b]) => a.localeCompare(b));
  const total = sent.reduce((sum, [, n]) => sum + n, 0);
  const median = figures.reply_seconds_median;
  return [
    `📊 ${TITLES[kind]} (${span})`,
    `Recebidas: ${figures.received} mensagens em ${figures.conversations} conversas, ${figures.new_contacts} contatos novos.`,
    `Respondidas: ${figures.answered} turnos; ${figures.handed_over} passados a pessoas; ${figures.failed_turns} falharam.`,
    ...(median === null
      ? []
      : [`Tempo até a resposta: metade em até ${seconds(median)}, 95 % em até ${seconds(figures.reply_seconds_p95 ?? median)}.`]),
    `Enviadas: ${total}${total === 0 ? '' : ` (${sent.map(([name, n]) => `${n} ${KINDS[name] ?? name}`).join(', ')})`}; ${figures.failed} falharam.`,
    `Pediram para sair: ${figures.opt_outs}.`,
    `Modelo: ${figures.tokens} tokens, US$ ${figures.cost_usd.toFixed(2).replace('.', ',')}${unpriced(figures.unpriced_calls)}.`,
    `Agora: ${figures.unanswered} sem resposta, ${figures.with_people} com pessoas.`,
    `SLA de 30 dias: ${sla.map(({ name, actual, target, met }) => `${met ? '✅' : '❌'} ${WORDS[name]} ${actual === null ? 'sem dados' : share(actual)} (meta ${share(target)})`).join('; ')}.`,
  ].join('\n');
}

function unpriced(calls: number): string {
  return calls === 0 ? '' : ` (sem ${calls} chamadas de modelos sem preço conhecido)`;
}

function seconds(value: number): string {
  return value < 120 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}
