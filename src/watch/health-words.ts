/** What figures mean for an operator: reasons in words, levels of the queue, one score. Pure. */
import { modesThere } from '../process/liveness.ts';
import { closedReason } from '../numbers/trouble-words.ts';
import { because, knownReason } from '../words/reasons.ts';
import type { Objective } from './sla.ts';

/** Unanswered for so long: somebody should know. Seconds. */
const UNANSWERED_SECONDS = 300;

/** Where the queue is a worry, and where it is trouble. */
/** Told by a process that waits for the fix, and by one that finds it while at work. */
export const WRONG_PROJECT =
  'the database belongs to another project than SUPABASE_PROJECT_REF says: nothing is started, and nothing leaves';

export const QUEUE_THRESHOLDS = {
  backlog: { warning: 100, critical: 500 },
  stuck: { warning: 1, critical: 10 },
  errors_last_hour: { warning: 10, critical: null },
  oldest_minutes: { warning: 60, critical: null },
} as const;

export type QueueFigures = Record<keyof typeof QUEUE_THRESHOLDS, number>;

/** `reasons` names what is beyond its threshold. */
export function queueLevel(figures: QueueFigures): { status: 'ok' | 'warning' | 'critical'; reasons: string[] } {
  const names = ['backlog', 'stuck', 'errors_last_hour', 'oldest_minutes'] as const;
  const over = names.flatMap((name): { level: 'warning' | 'critical'; reason: string }[] => {
    const { warning, critical } = QUEUE_THRESHOLDS[name];
    const value = figures[name];
    if (critical !== null && value >= critical) return [{ level: 'critical', reason: `${name} is ${value}, at least ${critical}` }];
    return value >= warning ? [{ level: 'warning', reason: `${name} is ${value}, at least ${warning}` }] : [];
  });
  const status = over.some(({ level }) => level === 'critical') ? 'critical' : over.length > 0 ? 'warning' : 'ok';
  return { status, reasons: over.map(({ reason }) => reason) };
}

/** `code`: what WhatsApp said when it closed. `held`: why proactive messages rest. */
type NumberRow = {
  name: string;
  status: string;
  seconds?: number;
  code?: number | null;
  paired?: boolean;
  deaf?: boolean;
  held?: string | null;
  /** What Evolution said when it was last asked for the number; null: its state. */
  fault?: string | null;
  webhook_wrong?: boolean;
};

export type HealthRows = {
  paused: string | null;
  processes: readonly { mode: string; seen_seconds: number }[];
  numbers: readonly NumberRow[];
  breakers: readonly { breaker: string; instance: string | null; reason: string | null }[];
  unanswered: { count: number; oldest_seconds: number | null };
  deferred: { count: number; oldest_seconds: number | null; reasons: readonly string[] };
  /** Conversations that wait for a person whom nobody could tell. */
  unheard: number;
  media: { waiting: number; reasons: Readonly<Record<string, number>> };
  outbound: { due: number; stuck: number; uncertain: number };
};

/** What is wrong although everything answers, worst first. `detailed` false: for everybody, without names and figures. */
export function degradations(rows: HealthRows, detailed: boolean): string[] {
  const { paused, processes, numbers, breakers, unanswered, deferred, unheard, media, outbound } = rows;
  const there = modesThere(processes);
  const reasons: { says: string; plain: string }[] = [];
  const add = (says: string, plain = says): void => void reasons.push({ says, plain });
  if (!there.has('worker')) add('no worker is running: nothing is answered (start RUN_MODE=worker)');
  if (!there.has('scheduler')) add('no scheduler is running: what a queue forgets is not found (start RUN_MODE=scheduler)');
  if (paused !== null) add('everything is paused (julia_status)');
  for (const number of numbers) {
    const says = numberInWords(number, breakers);
    if (says !== null) add(says, 'a number is not at work');
  }
  const model = modelInWords(breakers, deferred);
  if (model !== null) add(model, 'a model is unavailable');
  if (unheard > 0) add(unheardInWords(unheard), 'conversations wait for a person, and nobody could be told');
  const unread = mediaInWords(media);
  if (unread !== null) add(unread, 'voice notes, pictures or documents of contacts are not read');
  const { oldest_seconds: oldest, count } = unanswered;
  if (oldest !== null && oldest > UNANSWERED_SECONDS)
    add(`${count} messages are unanswered, the oldest for ${Math.round(oldest / 60)} minutes`, 'messages are unanswered for too long');
  const backlog = outbound.due + count;
  if (backlog >= QUEUE_THRESHOLDS.backlog.warning) add(`${backlog} messages wait in the queue`, 'too many messages wait in the queue');
  if (outbound.stuck > 0) add(`${outbound.stuck} sends or turns are stuck: whoever had them is gone`, 'sends or turns are stuck');
  if (outbound.uncertain > 0) add(`${outbound.uncertain} sends may or may not have left`, 'sends may or may not have left');
  return [...new Set(reasons.map(({ says, plain }) => (detailed ? says : plain)))];
}

/** A number that was connected is so again within some seconds. Seconds. */
const CONNECTING_SECONDS = 30;

/** What is the matter with a number, in words; null when nothing is. */
export function numberInWords(number: NumberRow, breakers: HealthRows['breakers']): string | null {
  const { name, status, seconds, paired } = number;
  const fault = faultInWords(number);
  if (fault !== null) return fault;
  const why = closedReason(number);
  if (status === 'close' || status === 'refused') return `the number ${name} is disconnected${why === null ? '' : ` (${why})`}`;
  if (status === 'connecting' && paired === true && (seconds ?? 0) > CONNECTING_SECONDS)
    return `the number ${name} has been connecting for ${Math.round(seconds ?? 0)} s and does not come to an end`;
  if (number.deaf === true)
    return `the number ${name} says that it is connected and hears nothing (npm run admin -- instance restart ${name})`;
  if (number.webhook_wrong === true)
    return `the webhook of the number ${name} at Evolution is wrong, so nothing arrives (npm run admin -- instance connect ${name})`;
  const open = breakers.find((each) => each.breaker === 'evolution' && each.instance === name);
  // A setting that is wrong stops everything, also before the breaker has seen enough of it.
  const setting = number.held === 'number_unauthorized' || number.held === 'number_unlicensed' ? number.held : null;
  if (setting !== null) return `sends of the number ${name} are refused: ${because(setting)}`;
  if (open === undefined) return null;
  return `nothing leaves from the number ${name}: ${knownReason(open.reason ?? '') ?? open.reason ?? 'no reason'}`;
}

function faultInWords({ name, fault }: NumberRow): string | null {
  switch (fault) {
    case 'unavailable':
    case 'service_unavailable':
      return 'Evolution does not answer at EVOLUTION_API_URL: nothing arrives, and what waits leaves when it is back';
    case 'unlicensed':
      return `${because('number_unlicensed')}: nothing arrives and nothing leaves`;
    case 'unauthorized':
      return `Evolution refuses the key of the number ${name} (EVOLUTION_API_KEY): nothing leaves`;
    case 'unknown_instance':
      return `Evolution does not know the number ${name} (npm run admin -- instance connect ${name})`;
    default:
      return null;
  }
}

/** What is the matter with the model, in words; null when nothing is. */
export function modelInWords(
  breakers: HealthRows['breakers'],
  { count, oldest_seconds: oldest, reasons }: HealthRows['deferred'],
): string | null {
  const open = breakers.filter(({ breaker }) => breaker === 'claude');
  const names = open.flatMap(({ instance }) => instance ?? []).join(', ');
  if (count > 0) {
    const waits = count === 1 ? '1 conversation waits' : `${count} conversations wait`;
    const broken = open.find(({ reason }) => reason !== null)?.reason;
    const why = reasons.find((reason) => reason !== 'model_breaker_open') ?? (broken == null ? reasons[0] : `model_${broken}`);
    return `the model is unavailable: ${waits} for it, the longest for ${Math.round((oldest ?? 0) / 60)} minutes, because ${because(why ?? null)}`;
  }
  return open.length === 0 ? null : `the model ${names} is unavailable (${open[0]?.reason ?? 'no reason'}): the other one answers`;
}

/** Of what a contact sent: another file would be read. The others are for those who run this. */
const OF_THE_FILE: ReadonlySet<string> = new Set([
  'media_too_large',
  'media_too_long',
  'media_many',
  'media_locked',
  'media_broken',
  'media_unknown_kind',
  'media_no_audio',
  'model_refused',
  'model_refusal',
  'model_context_exceeded',
  'speech_refused',
]);

/** Media that is not read through no fault of its own, in words; null when there is none. */
export function mediaInWords({ reasons }: HealthRows['media']): string | null {
  const found = Object.entries(reasons).filter(([reason]) => !OF_THE_FILE.has(reason));
  const count = found.reduce((sum, [, each]) => sum + each, 0);
  const [most] = found.toSorted(([, a], [, b]) => b - a);
  if (most === undefined) return null;
  const files = count === 1 ? '1 voice note, picture or document was' : `${count} voice notes, pictures or documents were`;
  return `${files} not read within the last hour, mostly because ${because(most[0])}`;
}

/** Of conversations that wait for a person whom nobody could tell. */
export function unheardInWords(count: number): string {
  const waits = count === 1 ? '1 conversation waits' : `${count} conversations wait`;
  return `${waits} for a person, and nobody could be told: no channel took the notice (SLACK_WEBHOOK_URL or GESTOR_WHATSAPP; handoff list)`;
}

/** 100 less what is wrong; each part says how much it costs and why. */
export function scoreOf(state: {
  down: readonly string[];
  alerts: readonly { urgent: boolean; name: string; subject: string | null }[];
  objectives: readonly Objective[];
}): { score: number; costs: { points: number; why: string }[] } {
  const costs = [
    ...state.down.map((why) => ({ points: 60, why })),
    ...state.alerts.map(({ urgent, name, subject }) => ({
      points: urgent ? 20 : 10,
      why: `alert ${name}${subject === null ? '' : ` (${subject})`}`,
    })),
    ...state.objectives.filter(({ met }) => !met).map(({ name }) => ({ points: 10, why: `the objective of ${name} is missed` })),
  ];
  return { score: Math.max(0, 100 - costs.reduce((sum, { points }) => sum + points, 0)), costs };
}
