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
  /** Local time of day, `HH:MM`; proactive messages leave from `start` on and before `end`. */
  readonly hours: { readonly start: string; readonly end: string };
  readonly maxPerHour: number;
  readonly maxPerDay: number;
  readonly maxRepliesPerHour: number;
  /** Seconds between proactive sends of an instance. */
  readonly intervalSeconds: { readonly min: number; readonly max: number };
};

export function outbound(v: Variables, production: boolean, report: Report): Outbound {
  if (v.HORARIO_FIM <= v.HORARIO_INICIO) report.problem('HORARIO_FIM: must be later on the day than HORARIO_INICIO');
  if (v.RATE_LIMIT_INTERVALO_MAX < v.RATE_LIMIT_INTERVALO_MIN) {
    report.problem('RATE_LIMIT_INTERVALO_MAX: must not be less than RATE_LIMIT_INTERVALO_MIN');
  }
  return {
    allowlist: allowlist(v, production, report),
    multiChip: v.MULTI_CHIP_ENABLED,
    managerPhone: v.GESTOR_WHATSAPP ?? null,
    hours: { start: v.HORARIO_INICIO, end: v.HORARIO_FIM },
    maxPerHour: v.MAX_MSGS_POR_HORA,
    maxPerDay: v.MAX_MSGS_POR_DIA,
    maxRepliesPerHour: v.MAX_RESPOSTAS_POR_HORA,
    intervalSeconds: { min: v.RATE_LIMIT_INTERVALO_MIN, max: v.RATE_LIMIT_INTERVALO_MAX },
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
