/**
 * The conditions that people are alerted of: each a pure function over one snapshot, which names what it holds for. Texts are for operators, in Portuguese.
 * How often and in which words they are told is said here too; that it is once is kept by apply_alerts in SQL.
 */
import { isThere, missingModes } from '../process/liveness.ts';
import { faultOf } from '../claude/model-failure.ts';
import { closedPt, isBanned } from '../numbers/trouble-words.ts';
import { isCuredByRestart } from '../whatsapp/send-fault.ts';
import type { SlaFigures } from './sla.ts';
import { burning } from './sla.ts';

export type Snapshot = {
  paused: string | null;
  processes: readonly ProcessRow[];
  breakers: readonly { breaker: string; instance: string | null; reason: string | null }[];
  numbers: readonly NumberRow[];
  unanswered: { count: number; oldest_seconds: number | null };
  /** Conversations that wait for the model. */
  deferred: { count: number; oldest_seconds: number | null; reasons: readonly string[] };
  outbound: { due: number; oldest_seconds: number | null; stuck: number };
  /** Where Evolution is; its page of the licence is below it. */
  gateway?: string | null;
  /** What is down, in words; empty when all that messages need answers. */
  down: readonly string[];
  // What follows is looked at less often.

  /** Models that were asked for within the hour, and that the provider does not know. */
  gone_models?: readonly string[] | null;
  /** Webhooks of the last quarter of an hour that may have held messages and found no place for them, by number (null: none is named) and reason. */
  unplaced?: readonly { instance: string | null; reason: string; count: number }[] | null;
  work?: { turns: number; failed_turns: number; sends: number; failed_sends: number; median_ms: number | null } | null;
  jobs?: readonly { job: string; stale: boolean; sla_seconds: number }[];
  /** Where there are ceilings of money: what each tenant has spent, with what is reserved. US dollars. */
  spend?: { sums: readonly { tenant: string; day: number; month: number }[]; day: number | null; month: number | null } | null;
  rates?: Readonly<Record<string, { hour: Used; day: Used }>>;
  suspicion?: { flagged: number; conversations: number; share: number } | null;
  /** Of the last hour and of the last 30 days. */
  sla?: { hour: SlaFigures; month: SlaFigures };
};

/** `code`: what WhatsApp said when it closed. `paired`: it was connected, and its pairing is not known to be gone. */
type NumberRow = { name: string; status: string; seconds: number; code?: number | null; paired?: boolean; deaf?: boolean };
type Used = { used: number; limit: number };
type ProcessRow = {
  id: string;
  mode: string;
  started_seconds: number;
  seen_seconds: number;
  figures: {
    cpu?: number | null | undefined;
    core?: number | null | undefined;
    memory?: number | null | undefined;
    disk_free?: number | null | undefined;
    http?: { count: number; slow: number; errors: number } | undefined;
  };
};

/** What a condition holds for. `subject` null: the installation. */
export type Held = {
  subject: string | null;
  text: string;
  recovery: string | null;
  about?: string;
  /** Instead of the condition's. */
  forSeconds?: number;
  /** 1 unless said: what gets worse after it was told is told again. */
  stage?: number;
};

export type Condition = {
  name: string;
  /** `seconds`: each look; `minute`, `quarter`: with what takes longer to find out. */
  each: 'seconds' | 'minute' | 'quarter';
  urgent: boolean;
  /** It has to hold for so long before anybody is told. Seconds. */
  forSeconds: number;
  /** After a message, nothing more is said of it for so long. Seconds. */
  cooldownSeconds: number;
  held(snapshot: Snapshot): Held[];
};

/** Webhooks of a quarter of an hour. A stray one is nothing; when a shape has changed, every message is one. */
const UNPLACED = 5;
const QUARTER_HOUR = 900;
const HALF_HOUR = 1_800;
const HOUR = 3_600;
const DAY = 86_400;

const MODES = {
  api: 'Nenhuma api está rodando: os webhooks da Evolution não são recebidos. Inicie RUN_MODE=api.',
  worker: 'Nenhum worker está rodando: ninguém é respondido. Inicie RUN_MODE=worker.',
  scheduler: 'Nenhum scheduler está rodando: o que a fila esquece não é achado e nenhum alerta é avaliado. Inicie RUN_MODE=scheduler.',
} as const;

/** Told by the other modes too: who is not there cannot say so. */
export const SCHEDULER_ABSENT = 'process_absent';

export function absentHeld(mode: keyof typeof MODES, unanswered = 0): Held {
  const waiting = unanswered > 0 ? ` Mensagens sem resposta agora: ${unanswered}.` : '';
  return { subject: mode, text: `${MODES[mode]}${waiting}`, recovery: `Resolvido: ${mode} está rodando de novo.` };
}

export const CONDITIONS: readonly Condition[] = [
  {
    name: SCHEDULER_ABSENT,
    each: 'seconds',
    urgent: true,
    forSeconds: 45,
    cooldownSeconds: QUARTER_HOUR,
    held({ processes, unanswered }) {
      return missingModes(processes).map((mode) => absentHeld(mode, unanswered.count));
    },
  },
  {
    name: 'breaker_open',
    each: 'seconds',
    urgent: true,
    forSeconds: 0,
    cooldownSeconds: QUARTER_HOUR,
    held: (snapshot) => snapshot.breakers.filter(({ breaker }) => breaker !== 'claude').map((each) => breakerHeld(each, snapshot)), // claude is told as model_unavailable
  },
  { name: 'model_unavailable', each: 'seconds', urgent: true, forSeconds: 0, cooldownSeconds: QUARTER_HOUR, held: modelHeld },
  {
    name: 'model_gone',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: DAY,
    held: ({ gone_models: gone, deferred }) =>
      // when nobody answers instead, it is told as model_unavailable
      !gone || gone.length === 0 || deferred.reasons.includes('model_model_gone')
        ? []
        : [
            {
              subject: null,
              text: `O provedor não conhece mais ${gone.join(' e ')}: outro modelo responde no lugar. Corrija LLM_MODEL e LLM_MODEL_COMPLEX (ou o agente) e reinicie.`,
              recovery: 'Resolvido: há uma hora todos os modelos configurados existem.',
            },
          ],
  },
  {
    name: 'spend_ceiling',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: DAY,
    held: ({ spend }) => (spend == null ? [] : spend.sums.flatMap((sum) => spendHeld(sum, spend))),
  },
  {
    name: 'number_disconnected',
    each: 'seconds',
    urgent: true,
    forSeconds: 60,
    cooldownSeconds: HALF_HOUR,
    held: ({ numbers }) =>
      numbers
        .filter((each) => each.status === 'close' || each.status === 'refused' || (isPairing(each) && each.seconds > PAIRING_SECONDS))
        .map((each) => ({
          subject: each.name,
          text: `O número ${each.name} está desconectado do WhatsApp (${each.status}).${closedPt(each)} O que espera sai quando ele voltar.`,
          recovery: `Resolvido: o número ${each.name} está conectado.`,
          about: each.name,
        })),
  },
  {
    name: 'number_stuck',
    each: 'seconds',
    urgent: true,
    forSeconds: 0,
    cooldownSeconds: HALF_HOUR,
    held: ({ numbers }) =>
      numbers
        .filter((each) => each.status === 'connecting' && !isPairing(each) && each.seconds > CONNECTING_SECONDS)
        .map(({ name, seconds }) => ({
          subject: name,
          text:
            `O número ${name} está "conectando" há ${Math.round(seconds)} s e não termina: nada sai por ele, e o que espera sai sozinho quando ele voltar. ` +
            `${RESTARTS} À mão: npm run admin -- instance restart ${name}.`,
          recovery: `Resolvido: o número ${name} está conectado.`,
          about: name,
        })),
  },
  {
    name: 'number_deaf',
    each: 'seconds',
    urgent: true,
    forSeconds: 0,
    cooldownSeconds: HALF_HOUR,
    held: ({ numbers }) =>
      numbers
        .filter(({ deaf }) => deaf === true)
        .map(({ name }) => ({
          subject: name,
          text:
            `O número ${name} diz que está conectado e não ouve nada: ninguém escreveu num tempo em que sempre escrevem, e o teste para ele mesmo não voltou. Clientes podem estar sem resposta. ` +
            `${RESTARTS} Se não adiantar, reinicie a própria Evolution (a 2.3.6 fica surda depois de um logout; use a 2.3.7 ou mais nova).`,
          recovery: `Resolvido: o número ${name} ouve de novo.`,
          about: name,
        })),
  },
  {
    name: 'health_failing',
    each: 'minute',
    urgent: true,
    // three looks in a row, a minute apart
    forSeconds: 115,
    cooldownSeconds: QUARTER_HOUR,
    held: ({ down }) =>
      down.length === 0
        ? []
        : [
            {
              subject: null,
              text: `/health/deep falhou três vezes seguidas: ${down.join('; ')}.`,
              recovery: 'Resolvido: /health/deep responde bem.',
            },
          ],
  },
  {
    name: 'unanswered',
    each: 'minute',
    urgent: true,
    forSeconds: 0,
    cooldownSeconds: HALF_HOUR,
    held: ({ unanswered: { count, oldest_seconds: oldest } }) =>
      oldest === null || oldest <= HALF_HOUR
        ? []
        : [
            {
              subject: null,
              text: `${count} mensagens sem resposta, a mais antiga há ${minutes(oldest)} min. Veja npm run admin -- status.`,
              recovery: 'Resolvido: nenhuma mensagem espera resposta há mais de 30 min.',
            },
          ],
  },
  {
    name: 'queue_old',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: HOUR,
    held: ({ outbound: { oldest_seconds: oldest } }) =>
      oldest === null || oldest <= HOUR
        ? []
        : [
            {
              subject: null,
              text: `Fila de envio: a mensagem mais antiga deveria ter saído há ${minutes(oldest)} min. Veja /health/fila.`,
              recovery: 'Resolvido: a fila de envio está em dia.',
            },
          ],
  },
  {
    name: 'queue_backlog',
    each: 'minute',
    urgent: false,
    forSeconds: HALF_HOUR,
    cooldownSeconds: HOUR,
    held: ({ outbound: { due }, unanswered: { count } }) =>
      due + count <= 50
        ? []
        : [
            {
              subject: null,
              text: `Fila cheia há 30 min: ${due} envios vencidos e ${count} mensagens sem resposta.`,
              recovery: 'Resolvido: a fila voltou a menos de 50.',
            },
          ],
  },
  {
    name: 'unplaced',
    each: 'minute',
    urgent: true,
    forSeconds: 0,
    cooldownSeconds: DAY / 4,
    held: ({ unplaced }) =>
      (unplaced ?? [])
        .filter(({ count }) => count >= UNPLACED)
        .map(({ instance, reason, count }) => ({
          subject: `${instance ?? ''}:${reason}`,
          text:
            `${count} webhooks em 15 min ${instance === null ? 'sem número' : `do número ${instance}`} não têm lugar (${reason}): se há mensagens neles, ninguém é respondido. ` +
            `A Evolution ou um repassador mudou? Veja: npm run admin -- ignored list --reason ${reason}.`,
          recovery: `Resolvido: ${instance === null ? 'os webhooks sem número' : `os webhooks do número ${instance}`} têm lugar de novo (${reason}).`,
        })),
  },
  {
    name: 'error_rate',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: HALF_HOUR,
    held({ work }) {
      if (!work || work.turns + work.sends < 10) return [];
      const share = (work.failed_turns + work.failed_sends) / (work.turns + work.sends);
      return share <= 0.05
        ? []
        : [
            {
              subject: null,
              text: `Taxa de erro de ${percent(share)} em 15 min (${work.failed_turns} respostas e ${work.failed_sends} envios falharam).`,
              recovery: 'Resolvido: taxa de erro abaixo de 5 %.',
            },
          ];
    },
  },
  {
    name: 'latency',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: HALF_HOUR,
    held: ({ work }) =>
      !work || work.median_ms === null || work.turns < 5 || work.median_ms <= 5_000
        ? []
        : [
            {
              subject: null,
              text: `Respostas lentas: metade leva mais de ${(work.median_ms / 1000).toFixed(1).replace('.', ',')} s para ser gerada (15 min).`,
              recovery: 'Resolvido: metade das respostas é gerada em menos de 5 s.',
            },
          ],
  },
  {
    name: 'rate_hour',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: HOUR,
    held: ({ rates }) => nearLimit(rates, 'hour', 'da hora'),
  },
  {
    name: 'rate_day',
    each: 'minute',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: DAY,
    held: ({ rates }) => nearLimit(rates, 'day', 'do dia'),
  },
  {
    name: 'job_stale',
    each: 'minute',
    urgent: false,
    forSeconds: 60,
    cooldownSeconds: HOUR,
    held: ({ jobs = [] }) =>
      jobs
        .filter(({ stale }) => stale)
        .map(({ job, sla_seconds: sla }) => ({
          subject: job,
          text: `O job ${job} não termina bem há mais de ${minutes(sla)} min. Veja npm run admin -- job list.`,
          recovery: `Resolvido: o job ${job} voltou a rodar.`,
        })),
  },
  resource(
    'cpu',
    300,
    // The thread of the process is full long before a machine of several cores is.
    ({ cpu, core }) => Math.max(cpu ?? 0, core ?? 0) > 0.8,
    ({ cpu, core }) =>
      (core ?? 0) > (cpu ?? 0)
        ? `O processo está no limite: a sua única thread está ocupada em ${percent(core ?? 0)} do tempo há 5 min`
        : `CPU em ${percent(cpu ?? 0)} há 5 min`,
  ),
  resource(
    'memory',
    60,
    ({ memory }) => (memory ?? 0) > 0.9,
    ({ memory }) => `Memória em ${percent(memory ?? 0)}`,
  ),
  resource(
    'disk',
    0,
    ({ disk_free: free }) => (free ?? 1) < 0.1,
    ({ disk_free: free }) => `Disco quase cheio: ${percent(free ?? 0)} livre`,
  ),
  resource(
    'api_slow',
    0,
    ({ http }) => (http?.slow ?? 0) >= 3,
    ({ http }) => `API lenta: ${http?.slow ?? 0} de ${http?.count ?? 0} requisições levaram mais de 5 s em 5 min`,
  ),
  {
    name: 'bot_suspicion',
    each: 'quarter',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: DAY,
    held: ({ suspicion }) =>
      !suspicion || suspicion.conversations < 20 || suspicion.share <= 0.05
        ? []
        : [
            {
              subject: null,
              text: `Suspeita de robô em ${percent(suspicion.share)} das conversas de 7 dias (${suspicion.flagged} de ${suspicion.conversations}).`,
              recovery: 'Resolvido: suspeita de robô abaixo de 5 %.',
            },
          ],
  },
  {
    name: 'sla_burn',
    each: 'quarter',
    urgent: false,
    forSeconds: 0,
    cooldownSeconds: 6 * HOUR,
    held: ({ sla }) =>
      sla === undefined
        ? []
        : burning(sla.hour, sla.month).map(({ objective, text }) => ({
            subject: objective,
            text: `SLA em risco: ${text}`,
            recovery: `Resolvido: o consumo do SLA (${objective}) voltou ao normal.`,
          })),
  },
];

/** A number that was connected takes some seconds to be so again. Seconds. */
const CONNECTING_SECONDS = 30;
/** One that waits for its code to be scanned is somebody's business at this moment. Seconds. */
const PAIRING_SECONDS = 300;
const RESTARTS = 'Ele é reiniciado por aqui, com intervalos que crescem (EVOLUTION_AUTO_RESTART).';

function isPairing({ status, paired }: NumberRow): boolean {
  return status === 'connecting' && paired !== true;
}

function breakerHeld({ breaker, instance, reason }: Snapshot['breakers'][number], { numbers, gateway }: Snapshot): Held {
  const what = instance === null ? breaker : `${breaker} (número ${instance})`;
  const number = numbers.find(({ name }) => name === instance);
  return {
    subject: instance === null ? breaker : `${breaker}:${instance}`,
    text: `Disjuntor aberto: ${what}. Motivo: ${reason ?? 'não informado'}.${breakerAdvice(reason, number, gateway)}`,
    recovery: `Resolvido: o disjuntor ${what} fechou.`,
    ...(instance === null ? {} : { about: instance }),
  };
}

/** What to do about an open breaker: to close it by hand is right only where the other side is well. */
function breakerAdvice(reason: string | null, number: NumberRow | undefined, gateway: string | null | undefined): string {
  if (number !== undefined && (isBanned(number) || reason === 'restricted' || reason === 'number_restricted'))
    return closedPt({ name: number.name, status: 'close', code: 403 });
  if (reason === 'unlicensed')
    return ` A Evolution pede a ativação da licença (LICENSE_REQUIRED): abra ${gateway ?? 'o endereço da Evolution'}/manager/login. Veja /health/circuit.`;
  if (reason === 'unauthorized' || reason === 'number_unauthorized')
    return ' A Evolution recusa a chave: corrija EVOLUTION_API_KEY (ou a chave do número) e reinicie; o que espera sai sozinho. Veja npm run admin -- doctor.';
  if (number !== undefined && isCuredByRestart(reason))
    return ` A Evolution diz que o número está conectado, mas a conexão dele está morta: nada sai, e o que espera sai sozinho quando ele voltar. ${RESTARTS} À mão: npm run admin -- instance restart ${number.name}.`;
  return ' Veja /health/circuit; para fechar à mão: npm run admin -- breaker reset.';
}

/** From this part of a ceiling on people are told. */
const NEARLY = 0.8;

/** Told at 80 %, and again when it is full: the one that is nearer. What it changes is told by the database when it does (tell_of_ceiling). */
function spendHeld(
  { tenant, ...spent }: { tenant: string; day: number; month: number },
  ceilings: { day: number | null; month: number | null },
): Held[] {
  const parts = (['month', 'day'] as const).flatMap((period) => {
    const ceiling = ceilings[period];
    return ceiling === null ? [] : [{ period, ceiling, part: spent[period] / ceiling }];
  });
  const [nearest] = parts.toSorted((a, b) => b.part - a.part);
  if (nearest === undefined || nearest.part < NEARLY) return [];
  const { period, ceiling, part } = nearest;
  const name = period === 'day' ? 'do dia (MAX_USD_DIA)' : 'do mês (MAX_USD_MES)';
  const usd = (value: number): string => `US$ ${value.toFixed(2).replace('.', ',')}`;
  return [
    {
      subject: tenant,
      stage: part >= 0.99 ? 2 : 1,
      text: `${tenant}: ${usd(spent[period])} dos ${usd(ceiling)} ${name} já foram gastos (${Math.floor(part * 100)} %). Quando não couber mais, o modelo mais caro para, depois pessoas respondem. Veja npm run admin -- spend.`,
      recovery: `Resolvido: ${tenant} está abaixo de 80 % dos tetos de gasto.`,
    },
  ];
}

/** A conversation that waits for so long is news, whatever the breakers say. Seconds. */
const WAITING_SECONDS = 60;
/** While the other model answers, a breaker is told of after this: both may be about to open, and that is one message. Seconds. */
const ONE_MODEL_SECONDS = 25;

/** One condition for all models and everybody who waits: it is told once, and once more when it gets worse, that is when conversations begin to wait. */
function modelHeld({ breakers, deferred: { count, oldest_seconds: oldest, reasons } }: Snapshot): Held[] {
  const open = breakers.filter(({ breaker }) => breaker === 'claude');
  const wrong = reasons.find((reason) => faultOf(reason) === 'configuration');
  if (open.length === 0 && wrong === undefined && (oldest ?? 0) < WAITING_SECONDS) return [];
  const names = open.flatMap(({ instance }) => instance ?? []).join(', ');
  const breaker = open.length === 0 ? '' : `Disjuntor aberto: claude${names === '' ? '' : ` (${names})`}. `;
  const why = open.find(({ reason }) => reason !== null)?.reason ?? reasons[0]?.replace('model_', '') ?? 'não informado';
  const recovery = 'Resolvido: o modelo responde de novo, e quem esperava é respondido pelo agente.';
  if (count === 0)
    return [
      {
        subject: null,
        text: `${breaker}Motivo: ${why}. O outro modelo responde enquanto isso. Veja /health/circuit.`,
        recovery,
        forSeconds: ONE_MODEL_SECONDS,
      },
    ];
  const who = count === 1 ? '1 conversa espera' : `${count} conversas esperam`;
  const what = wrong === undefined ? 'O modelo não responde' : (WRONG[wrong] ?? 'A configuração do modelo está errada');
  return [
    {
      subject: null,
      text:
        `${what}: ${who}. ${breaker}Motivo: ${why}. Quem espera ouve uma frase em até 2 min, e o agente responde sozinho quando ` +
        `${wrong === undefined ? 'o modelo voltar' : 'isso for corrigido'}. Veja npm run admin -- doctor.`,
      recovery,
      stage: 2,
    },
  ];
}

const WRONG: Readonly<Record<string, string>> = {
  model_unauthorized: 'O modelo recusa a chave (ANTHROPIC_API_KEY)',
  model_forbidden: 'A chave (ANTHROPIC_API_KEY) não pode usar o modelo (LLM_MODEL, LLM_MODEL_COMPLEX)',
  model_billing: 'A conta na Anthropic está sem saldo',
  model_model_gone: 'O modelo configurado não existe mais (LLM_MODEL, LLM_MODEL_COMPLEX)',
};

/** What holds now, of the conditions that are looked at `each` so often, as SQL takes it. */
export function heldAlerts(snapshot: Snapshot, each: readonly Condition['each'][]) {
  const looked = CONDITIONS.filter((condition) => each.includes(condition.each));
  return {
    looked: looked.map(({ name }) => name),
    holds: looked.flatMap((condition) => condition.held(snapshot).map((held) => alertOf(condition, held))),
  };
}

export function alertOf({ name, urgent, forSeconds, cooldownSeconds }: Condition, held: Held) {
  const { subject, text, recovery } = held;
  return {
    key: subject === null ? name : `${name}:${subject}`,
    name,
    subject,
    urgent,
    about: held.about ?? null,
    text,
    recovery,
    for_seconds: held.forSeconds ?? forSeconds,
    cooldown_seconds: cooldownSeconds,
    stage: held.stage ?? 1,
  };
}

function nearLimit(rates: Snapshot['rates'], window: 'hour' | 'day', words: string): Held[] {
  return Object.entries(rates ?? {})
    .filter(([, rate]) => rate[window].limit > 0 && rate[window].used > 0.9 * rate[window].limit)
    .map(([name, rate]) => ({
      subject: name,
      text: `O número ${name} usou ${rate[window].used} de ${rate[window].limit} mensagens ${words} (mais de 90 %). O resto espera a sua vez.`,
      recovery: null, // the window moves on by itself
    }));
}

/** Of each process that lives. */
function resource(
  name: string,
  forSeconds: number,
  holds: (figures: ProcessRow['figures']) => boolean,
  words: (figures: ProcessRow['figures']) => string,
): Condition {
  return {
    name,
    each: 'minute',
    urgent: false,
    forSeconds,
    cooldownSeconds: HALF_HOUR,
    held: ({ processes }) =>
      processes
        .filter(({ seen_seconds: seen, figures }) => isThere(seen) && holds(figures))
        .map(({ id, figures }) => ({ subject: id, text: `${words(figures)} (${id}).`, recovery: `Resolvido: ${name} de ${id} normal.` })),
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1).replace('.', ',').replace(/,0$/, '')} %`;
}

function minutes(seconds: number): number {
  return Math.round(seconds / 60);
}
