/** Who may get messages, when, and how many. */
import type { Report } from './environment.ts';
import { isLoopback } from './variable-types.ts';
import type { Variables } from './variables.ts';

export type Outbound = {
  /** Who may get messages. A list holds canonical phones; an empty one means nobody. */
  readonly allowlist: 'everyone' | readonly string[];
  readonly multiChip: boolean;
  /** Canonical phone of the manager who may give commands by WhatsApp. */
  readonly managerPhone: string | null;
  /** The manager's "pausar" is obeyed without the word that proves it. */
  readonly managerPausesFreely: boolean;
  /** null: proactive messages leave at any time. */
  readonly hours: Hours | null;
  readonly maxPerHour: number;
  readonly maxPerDay: number;
  readonly maxRepliesPerHour: number;
  /** Order notices of a number in an hour. */
  readonly maxNoticesPerHour: number;
  /** In an hour, of one kind; null: a share of the cap of all kinds, see first_guard in SQL. */
  readonly maxPerKind: { readonly campaign: number | null; readonly follow_up: number | null; readonly prospecting: number | null };
  /** Campaigns and follow-ups in a day to people who have never written; null: no cap of their own. */
  readonly maxStrangersPerDay: number | null;
  readonly maxPerContactHour: number;
  /** Campaigns and follow-ups in seven days. */
  readonly maxPerContactWeek: number;
  /** So many unanswered ones, and the contact gets no further campaign. */
  readonly maxUnanswered: number;
  readonly campaignGapDays: number;
  /** Campaigns wait while fewer than so many in a hundred were answered; 0: never. */
  readonly minReplyPercent: number;
  /** Seconds between proactive sends of an instance. */
  readonly intervalSeconds: { readonly min: number; readonly max: number };
};

/** Local time of day, `HH:MM`; proactive messages leave from `start` on and before `end`, on these weekdays (1 Monday to 7), on holidays or not. */
export type Hours = { readonly start: string; readonly end: string; readonly weekdays: readonly number[]; readonly holidays: boolean };

export function outbound(v: Variables, production: boolean, report: Report): Outbound {
  if (v.HORARIO_FIM <= v.HORARIO_INICIO) report.problem('HORARIO_FIM: must be later on the day than HORARIO_INICIO');
  if (v.RATE_LIMIT_INTERVALO_MAX < v.RATE_LIMIT_INTERVALO_MIN) {
    report.problem('RATE_LIMIT_INTERVALO_MAX: must not be less than RATE_LIMIT_INTERVALO_MIN');
  }
  return {
    allowlist: allowlist(v, production, report),
    multiChip: v.MULTI_CHIP_ENABLED,
    managerPhone: v.GESTOR_WHATSAPP ?? null,
    managerPausesFreely: v.GESTOR_PAUSAR_SEM_CODIGO,
    hours: hours(v, report),
    maxPerHour: v.MAX_MSGS_POR_HORA,
    maxPerDay: v.MAX_MSGS_POR_DIA,
    maxRepliesPerHour: v.MAX_RESPOSTAS_POR_HORA,
    maxNoticesPerHour: v.MAX_AVISOS_POR_HORA,
    maxPerKind: {
      campaign: v.MAX_CAMPANHAS_POR_HORA ?? null,
      follow_up: v.MAX_FOLLOW_UPS_POR_HORA ?? null,
      prospecting: v.MAX_PROSPECCOES_POR_HORA ?? null,
    },
    maxStrangersPerDay: v.MAX_DESCONHECIDOS_POR_DIA ?? null,
    maxPerContactHour: v.MAX_POR_CONTATO_HORA,
    maxPerContactWeek: v.MAX_POR_CONTATO_SEMANA,
    maxUnanswered: v.MAX_SEM_RESPOSTA,
    campaignGapDays: v.DIAS_ENTRE_CAMPANHAS,
    minReplyPercent: v.MIN_RESPOSTAS_PERCENT,
    intervalSeconds: { min: v.RATE_LIMIT_INTERVALO_MIN, max: v.RATE_LIMIT_INTERVALO_MAX },
  };
}

/** Who opens around the clock means Sundays and holidays too, unless HORARIO_DIAS or HORARIO_FERIADOS is set. */
function hours(v: Variables, report: Report): Hours | null {
  const aroundTheClock = v.HORARIO_INICIO === '00:00' && v.HORARIO_FIM === '23:59';
  if (aroundTheClock && !report.isSet('HORARIO_DIAS') && !report.isSet('HORARIO_FERIADOS')) return null;
  return {
    start: v.HORARIO_INICIO,
    end: aroundTheClock ? '24:00' : v.HORARIO_FIM,
    weekdays: v.HORARIO_DIAS,
    holidays: v.HORARIO_FERIADOS,
  };
}

/** Outside production everyone is reachable only where no real WhatsApp can be: on an Evolution address of this very machine. */
function allowlist(v: Variables, production: boolean, report: Report): Outbound['allowlist'] {
  if (production) {
    if (report.isSet('OUTBOUND_ALLOWLIST')) report.warn('OUTBOUND_ALLOWLIST: ignored in production, everyone may get messages');
    return 'everyone';
  }
  if (v.OUTBOUND_ALLOWLIST !== '*') return v.OUTBOUND_ALLOWLIST;
  if (v.EVOLUTION_API_URL && isLoopback(v.EVOLUTION_API_URL)) return 'everyone';
  report.problem('OUTBOUND_ALLOWLIST: * is allowed only when EVOLUTION_API_URL is on loopback; list the numbers that may get messages');
  return [];
}
