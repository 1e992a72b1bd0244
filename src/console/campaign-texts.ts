/** Campaigns in Portuguese. Pure. */
import type { Clock } from './clock.ts';
import { porque } from './reason-texts.ts';

type Campaign = {
  status: string;
  reason: 'opt_outs' | 'deliveries' | null;
  held: string | null;
  starts_at: string | null;
  started_at: string | null;
  ended_at: string | null;
};

const BY_ITSELF = {
  opt_outs: 'Parou sozinha: gente demais pediu para sair. Veja o texto e a lista antes de retomar.',
  deliveries: 'Parou sozinha: mensagens demais não chegam. Veja o número e a lista antes de retomar.',
} as const;

export function stateText(
  { status, reason, held, starts_at: at, started_at: began, ended_at: ended }: Campaign,
  { time }: Pick<Clock, 'time'>,
): string {
  const when = (moment: string | null): string => (moment === null ? '' : time(new Date(moment)));
  if (reason !== null) return BY_ITSELF[reason];
  const waits = held === null ? '' : ` Segura porque ${porque(held)}.`;
  switch (status) {
    case 'draft':
      return 'Rascunho: nada sai antes de começar.';
    case 'scheduled':
      return `Começa ${when(at)}.${waits}`;
    case 'running':
      return `Começou ${when(began)}.${waits}`;
    case 'paused':
      return 'Pausada por uma pessoa; continua de onde parou.';
    case 'done':
      return `Terminou ${when(ended)}.`;
    default:
      return `Encerrada ${when(ended)}.`;
  }
}

export function audienceText(audience: {
  tags?: string[] | undefined;
  not_tags?: string[] | undefined;
  wrote_days?: number | undefined;
  silent_days?: number | undefined;
}): string {
  const { tags = [], not_tags: not = [], wrote_days: wrote, silent_days: silent } = audience;
  return [
    ...(tags.length === 0 ? ['quem é conhecido'] : [`quem tem ${tags.join(' e ')}`]),
    ...(not.length === 0 ? [] : [`não tem ${not.join(' nem ')}`]),
    ...(wrote === undefined ? [] : [`escreveu nos últimos ${wrote} dias`]),
    ...(silent === undefined ? [] : [`está calado há ${silent} dias`]),
  ].join(', ');
}

const FATES: Readonly<Record<string, string>> = {
  duplicate: 'repete o telefone da linha',
  no_area_code: 'está sem DDD',
  no_phone: 'está sem telefone',
  broken: 'não tem um telefone que se leia',
};
/** Of rows that were not taken. */
const SHOWN = 50;

type List = {
  added: number;
  known: number;
  opted_out: number;
  rows: number;
  refused: { line: number; fate: string; given: string; of: number | null }[];
};

export function importTexts({ added, known, opted_out: out, rows, refused }: List): string[] {
  return [
    `${rows} linhas: ${added} contatos novos, ${known} já conhecidos${out === 0 ? '' : `, ${out} pediram para não receber`}; ${refused.length} não entraram.`,
    ...refused
      .filter((_, index) => index < SHOWN)
      .map(({ line, fate, given, of }) => `Linha ${line} ${FATES[fate] ?? fate}${of === null ? '' : ` ${of}`}: ${given}`),
    ...(refused.length > SHOWN ? [`E mais ${refused.length - SHOWN}.`] : []),
  ];
}
