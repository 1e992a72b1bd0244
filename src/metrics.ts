/**
 * The figures of /metrics. Counters and times are of this process and written by events.ts; what waits in the database and the queue is asked for when
 * somebody asks, by the api alone. Labels have few values: never a phone number, a text or an id; `instance` and `job` are Prometheus' own.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Door } from './db/door.ts';
import { healthSnapshot } from './watch/health-calls.ts';
import { metricsSnapshot } from './watch/figure-calls.ts';
import type { ModelCallRecord } from './claude/call-record.ts';
import { MODES, runs } from './process/liveness.ts';
import type { Queues } from './queues.ts';
import { within } from './process/wait.ts';

/** Seconds; an answer takes from below one to some minutes. */
const ANSWER_BUCKETS = [0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320];
/** So many tenants have a label of their own; the others share `overflow`. */
const TENANT_LABELS = 100;

export function createMetrics(mode: string) {
  const registry = new Registry();
  registry.setDefaultLabels({ mode });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const started = performance.now();
  const received = new Counter({
    name: 'julia_mensagens_recebidas_total',
    help: 'Inbound messages stored',
    labelNames: ['tenant'],
    registers,
  });
  received.inc({ tenant: 'default' }, 0); // there before anything has happened: an alert on a missing series would fire
  let cached = 0;
  let prompted = 0;
  return {
    registry,
    uptime: new Gauge({
      name: 'julia_uptime_segundos',
      help: 'Time since this process started',
      registers,
      collect() {
        this.set((performance.now() - started) / 1000);
      },
    }),
    tenantLabel: createLabelCap(TENANT_LABELS),
    received,
    webhooks: new Counter({ name: 'julia_webhooks_total', help: 'Events of webhooks by outcome', labelNames: ['outcome'], registers }),
    ignored: new Counter({
      name: 'julia_webhooks_ignorados_total',
      help: 'Events of webhooks that were put aside, by reason',
      labelNames: ['reason'],
      registers,
    }),
    answered: new Histogram({
      name: 'julia_tempo_resposta_segundos',
      help: 'First inbound of a burst stored until its answer left',
      buckets: ANSWER_BUCKETS,
      registers,
    }),
    turns: new Counter({ name: 'julia_turnos_total', help: 'Turns by how they ended', labelNames: ['tenant', 'outcome'], registers }),
    sends: new Counter({ name: 'julia_envios_total', help: 'Sends by outcome and kind', labelNames: ['outcome', 'kind'], registers }),
    tokens: new Counter({ name: 'julia_modelo_tokens_total', help: 'Tokens of the model', labelNames: ['tenant', 'type'], registers }),
    cost: new Counter({
      name: 'julia_modelo_custo_usd_total',
      help: 'Estimated money spent on the model, US dollars',
      labelNames: ['tenant'],
      registers,
    }),
    thinking: new Counter({
      name: 'julia_modelo_pensamento_tokens_total',
      help: 'Tokens of the output that were thinking',
      labelNames: ['tenant'],
      registers,
    }),
    unpriced: new Counter({
      name: 'julia_modelo_sem_preco_total',
      help: 'Calls of a model that has no price, so they are in no sum of money',
      labelNames: ['model'],
      registers,
    }),
    refusals: new Counter({
      name: 'julia_modelo_recusas_total',
      help: 'Answers in which a model declined the words of a contact, by the category that it named',
      labelNames: ['model', 'category'],
      registers,
    }),
    modelCalls: new Histogram({
      name: 'julia_modelo_segundos',
      help: 'Calls of the model',
      labelNames: ['model', 'outcome'],
      buckets: [0.5, 1, 2, 4, 8, 15, 30, 60],
      registers,
    }),
    speech: new Histogram({
      name: 'julia_fala_segundos',
      help: 'Calls of the speech service',
      labelNames: ['outcome'],
      buckets: [0.5, 1, 2, 4, 8, 15, 30],
      registers,
    }),
    mediaUnread: new Counter({
      name: 'julia_midia_nao_lida_total',
      help: 'Media of messages that could not be read, by reason, and whether it is tried again',
      labelNames: ['reason', 'again'],
      registers,
    }),
    cacheHits: new Gauge({
      name: 'julia_modelo_cache_acerto',
      help: 'Share of the tokens given to the model that its cache had, since this process started',
      registers,
      collect() {
        this.set(prompted === 0 ? 0 : cached / prompted);
      },
    }),
    cacheMisses: new Counter({
      name: 'julia_modelo_cache_falhas_total',
      help: 'Calls whose prompt the cache of the model did not have, by reason',
      labelNames: ['model', 'reason'],
      registers,
    }),
    answerChecks: new Counter({
      name: 'julia_respostas_verificadas_total',
      help: 'Answers of the model by what came of their check (ok, repaired, again, refused) and by rule',
      labelNames: ['outcome', 'rule'],
      registers,
    }),
    /** Counts the tokens of a call for the share that the cache had. */
    modelCache(call: Pick<ModelCallRecord, 'input_tokens' | 'cache_read_tokens' | 'cache_write_tokens'>): void {
      cached += call.cache_read_tokens;
      prompted += call.input_tokens + call.cache_read_tokens + call.cache_write_tokens;
    },
    requests: new Histogram({
      name: 'julia_http_segundos',
      help: 'HTTP requests served',
      labelNames: ['route', 'status'],
      buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 1, 5],
      registers,
    }),
    handoffs: new Counter({ name: 'julia_handoffs_total', help: 'Steps of handoffs to people', labelNames: ['step'], registers }),
    toolWrites: new Counter({
      name: 'julia_ferramentas_escritas_total',
      help: 'Calls of business tools that write, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    operators: new Counter({
      name: 'julia_comandos_total',
      help: 'Commands by WhatsApp by outcome',
      labelNames: ['command', 'outcome'],
      registers,
    }),
    breakers: new Gauge({
      name: 'julia_disjuntor_aberto',
      help: '1 while a circuit breaker is not closed',
      labelNames: ['breaker', 'number'],
      registers,
    }),
    numbers: new Counter({
      name: 'julia_numeros_problemas_total',
      help: 'Answers that say something bad of the number that asked',
      labelNames: ['reason'],
      registers,
    }),
    jobs: new Counter({ name: 'julia_jobs_total', help: 'Scheduled jobs by outcome', labelNames: ['name', 'outcome'], registers }),
    alerts: new Counter({
      name: 'julia_alertas_total',
      help: 'Alerts that fired, and their ends',
      labelNames: ['alert', 'status'],
      registers,
    }),
    notices: new Counter({
      name: 'julia_avisos_total',
      help: 'Notices to people by what became of an attempt',
      labelNames: ['kind', 'outcome', 'channel'],
      registers,
    }),
  };
}

/** The first so many values stay themselves, later ones become `overflow`. */
export function createLabelCap(most: number): (value: string) => string {
  const known = new Set<string>();
  return (value) => {
    if (known.has(value)) return value;
    if (known.size >= most) return 'overflow';
    known.add(value);
    return value;
  };
}

/** What was asked for so lately is told again: two collectors and a person cost no more than one. Milliseconds. */
const FRESH_MS = 5_000;
/** Who waits longer gets the metrics without these: a database that hangs must not take the rest along. Milliseconds. */
const PATIENCE_MS = 2_000;

/** Adds what only the database and the queue know. While they do not answer, these series are absent, which an alert can tell from zero. */
export function measureInstallation(registry: Registry, { db, queues }: { db: Door; queues: Pick<Queues, 'counts'> }): void {
  const gauges: Gauge[] = [];
  let asked = -Infinity;
  let asking: Promise<void> = Promise.resolve();
  const refresh = (): Promise<void> => {
    if (performance.now() - asked < FRESH_MS) return asking;
    asked = performance.now();
    asking = within(PATIENCE_MS, look()).then(
      (tell) => {
        for (const each of gauges) each.reset();
        tell();
      },
      () => {
        for (const each of gauges) each.reset();
      },
    );
    return asking;
  };
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> => {
    const made = new Gauge({ name, help, labelNames, registers: [registry], collect: refresh });
    gauges.push(made);
    return made;
  };

  const unanswered = gauge('julia_sem_resposta', 'Inbound messages without an outcome', ['tenant']);
  const unansweredAge = gauge('julia_sem_resposta_segundos', 'Age of the oldest of them', ['tenant']);
  const outbound = gauge('julia_fila_saida', 'Outbound messages that have not come to an end; dead: they need a person', [
    'tenant',
    'state',
  ]);
  const outboundAge = gauge('julia_fila_saida_segundos', 'How long the most overdue of them has been due', ['tenant']);
  const handoffs = gauge('julia_com_pessoas', 'Handoffs that are open', ['tenant']);
  const conversations = gauge('julia_conversas_respondidas_24h', 'Conversations that got an answer in the last 24 hours', ['tenant']);
  const cost = gauge('julia_custo_24h_usd', 'Money spent on the model in the last 24 hours, US dollars', ['tenant']);
  const each = gauge('julia_custo_por_conversa_usd', 'The same for one answered conversation', ['tenant']);
  const jobs = gauge('julia_fila_jobs', 'Jobs of the queue', ['queue', 'state']);
  const seen = gauge('julia_processo_visto_segundos', 'Since the youngest sign of life of a process of this mode', ['process']);
  const connected = gauge('julia_numero_conectado', '1 while WhatsApp is connected to this number', ['number']);
  const breakers = gauge('julia_disjuntores_abertos', 'Circuit breakers of all processes that are not closed', ['breaker']);
  const paused = gauge('julia_pausado', '1 while everything is paused', ['scope']);
  const tenantLabel = createLabelCap(TENANT_LABELS);

  async function look(): Promise<() => void> {
    const [figures, health, counts] = await Promise.all([metricsSnapshot(db), healthSnapshot(db), queues.counts()]);
    return () => {
      for (const tenant of figures) {
        const label = { tenant: tenantLabel(tenant.tenant) };
        unanswered.inc(label, tenant.unanswered);
        for (const state of ['queued', 'sending', 'uncertain', 'dead'] as const) outbound.inc({ ...label, state }, tenant[state]);
        handoffs.inc(label, tenant.handoffs);
        conversations.inc(label, tenant.answered_conversations);
        cost.inc(label, tenant.cost_usd);
        each.inc(label, tenant.answered_conversations === 0 ? 0 : tenant.cost_usd / tenant.answered_conversations);
      }
      // The oldest last: under one label it is the one that stays.
      for (const { tenant, unanswered_seconds: age } of figures.toSorted(
        (a, b) => (a.unanswered_seconds ?? 0) - (b.unanswered_seconds ?? 0),
      ))
        unansweredAge.set({ tenant: tenantLabel(tenant) }, age ?? 0);
      for (const { tenant, queued_seconds: age } of figures.toSorted((a, b) => (a.queued_seconds ?? 0) - (b.queued_seconds ?? 0)))
        outboundAge.set({ tenant: tenantLabel(tenant) }, age ?? 0);
      for (const [queue, states] of Object.entries(counts))
        for (const [state, count] of Object.entries(states)) jobs.set({ queue, state }, count);
      for (const { mode, seen_seconds } of health.processes.toSorted((a, b) => b.seen_seconds - a.seen_seconds))
        for (const part of MODES) if (runs(mode, part)) seen.set({ process: part }, seen_seconds);
      for (const { name, status } of health.instances) connected.set({ number: name }, status === 'open' ? 1 : 0);
      for (const breaker of health.processes.flatMap((process) => process.breakers))
        breakers.inc({ breaker: breaker.name }, breaker.state === 'closed' ? 0 : 1);
      paused.set({ scope: 'all' }, health.paused === null ? 0 : 1);
    };
  }
}
