/** Every long-lived thing of a process, built in order and disposed in reverse, also when the start fails half way. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { openInbox } from './inbox/store.ts';
import type { Inbox } from './inbox/store.ts';
import { sendPolicyOf } from './outbox/policy.ts';
import { createBackground } from './process/background.ts';
import type { Background } from './process/background.ts';
import { createBreakers } from './breakers/breakers.ts';
import type { Breakers } from './breakers/breakers.ts';
import { endProcess } from './breakers/calls.ts';
import { behindBreaker } from './breakers/guarded.ts';
import { createProbe } from './breakers/probes.ts';
import { createTransitions } from './breakers/transitions.ts';
import type { Transitions } from './breakers/transitions.ts';
import { sharedTrials } from './breakers/trials.ts';
import type { Config } from './config.ts';
import { defaultAgent } from './turns/default-agent.ts';
import { WRONG_PROJECT } from './watch/health-words.ts';
import { WAITS_FOR_NUMBER } from './whatsapp/send-fault.ts';
import { openPostgres, openSupabase } from './db/door.ts';
import type { Door } from './db/door.ts';
import { DatabaseRefused, NeedsSession } from './db/failures.ts';
import { installationId } from './db/server-calls.ts';
import { mustHaveSessions } from './db/pooler.ts';
import { QUEUE_NEEDS_SESSION } from './db/pooler-words.ts';
import { releaseSends } from './outbox/calls.ts';
import { wakeLanes } from './outbox/wake.ts';
import { ensureSetup } from './turns/agent-calls.ts';
import { createVersions } from './turns/last-good.ts';
import type { Versions } from './turns/last-good.ts';
import { healthSnapshot } from './watch/health-calls.ts';
import type { SendPolicy } from './outbox/calls.ts';
import { createEvents } from './events.ts';
import type { Events } from './events.ts';
import { createFigures } from './watch/process-figures.ts';
import type { Figures } from './watch/process-figures.ts';
import type { Llm } from './claude/llm.ts';
import { toError } from './process/errors.ts';
import type { HttpCall } from './process/http-out.ts';
import { runs } from './process/liveness.ts';
import type { Logger } from './process/log.ts';
import { measureInstallation } from './metrics.ts';
import { openQueues } from './queues.ts';
import type { Queues } from './queues.ts';
import { span } from './process/trace.ts';
import { waitAtMost, within } from './process/wait.ts';
import { createInstanceKeys } from './numbers/keys.ts';
import { createKnowledge } from './knowledge/knowledge.ts';
import type { Knowledge } from './knowledge/knowledge.ts';
import { createLine } from './process/line.ts';
import type { Line } from './process/line.ts';
import { openOutside } from './process/http-outside.ts';
import { createToolClient } from './tools/client.ts';
import { createTools } from './tools/turn-tools.ts';
import type { Tools } from './tools/turn-tools.ts';
import { createVoyage } from './voyage/client.ts';
import type { Voyage } from './voyage/client.ts';
import { createSpeech } from './speech/client.ts';
import type { Speech } from './speech/client.ts';
import { createEvolution } from './whatsapp/client.ts';
import type { Evolution } from './whatsapp/client.ts';

export type Context = {
  config: Config;
  log: Logger;
  events: Events;
  db: Door;
  queues: Queues;
  /** Concurrent webhooks share one SQL call. */
  inbox: Inbox;
  /** null: EVOLUTION_* is not set; messages stay queued. */
  whatsapp: Evolution | null;
  /** null: STT_BASE_URL is not set; voice notes stay unheard. */
  speech: Speech | null;
  /** Files that are read at this moment: each may take 60 MB of this process. */
  reading: Line;
  /** What the companies know. */
  knowledge: Knowledge;
  /** What the agent may look up and do in the companies' own systems. */
  tools: Tools;
  /** null: VOYAGE_API_KEY is not set; passages are found by their words alone. */
  voyage: Voyage | null;
  /** null: no key (inbound is handed to a person), or not a worker. */
  llm: Llm | null;
  breakers: Breakers;
  /** Changes of the breakers that the database has not taken yet. */
  transitions: Transitions;
  figures: Figures;
  /** Which words of an agent may be read to a contact. */
  versions: Versions;
  background: Background;
  /** What claim_send checks; made of the configuration once. */
  sendPolicy: SendPolicy;
  process: { id: string; startedAt: Date };
  /** 0..1; tests pass their own. */
  random(): number;
};

export type OwnedContext = Context & AsyncDisposable;

/** Parts that a test or a simulation brings itself. `http`: the calls to Evolution. */
export type ContextOverrides = Partial<Pick<Context, 'db' | 'random' | 'queues' | 'llm'>> & {
  sendPolicy?: Partial<SendPolicy>;
  http?: HttpCall;
};

/**
 * Opens everything. While the database or the queue is unavailable it says so once a try and tries again with a growing wait, until `signal` aborts.
 * `databaseUrl` is the address of an embedded database when the configuration names none.
 */
export async function openContext(
  config: Config,
  log: Logger,
  options: { databaseUrl?: string; signal?: AbortSignal; overrides?: ContextOverrides; onWait?: (why: string) => void } = {},
): Promise<OwnedContext> {
  await using stack = new AsyncDisposableStack();
  const signal = options.signal ?? new AbortController().signal;
  const processId = processIdOf(config);
  const figures = createFigures();
  const events = createEvents(log, config.mode);
  const background = createBackground(log);

  const databaseUrl = config.database.kind === 'postgres' ? config.database.url : options.databaseUrl;
  const door = tracedDoor(options.overrides?.db ?? openDoor(config, databaseUrl, log));
  stack.defer(() => door.close());
  const waits = { log, signal, onWait: options.onWait ?? (() => {}) };
  const setup = { instance: config.evolution?.instance ?? null, project_ref: config.supabaseProjectRef, agent: defaultAgent };
  await untilThere('database', waits, () => ensureSetup(door, setup));

  const queues = options.overrides?.queues ?? (await untilThere('queue', waits, () => openStore(config, door, databaseUrl, log)));
  stack.use(queues);
  const whatsapp = openWhatsapp(config, door, log, options.overrides?.http ?? figures.brokerCall);
  const llm = options.overrides?.llm ?? (await openLlm(config));
  const transitions = createTransitions(door, processId);
  const breakers = createBreakers(config.breakers, {
    process: processId,
    probe: createProbe({ whatsapp, llm, door }),
    ...sharedTrials(door, processId, background),
    onTransition(transition) {
      events.breakerChanged(transition);
      transitions.add(transition);
      if (transition.breaker !== 'database') background.run('record breaker transition', () => transitions.flush());
      const { breaker, instance, state } = transition;
      if (breaker === 'evolution' && instance !== null && state === 'closed' && runs(config.mode, 'worker'))
        background.run('release sends', async () => wakeLanes({ queues }, await releaseSends(door, instance, WAITS_FOR_NUMBER)));
    },
  });
  stack.use(breakers);
  const db = behindBreaker(door, breakers.database());
  if (runs(config.mode, 'api')) measureInstallation(events.registry, { db, queues });
  // Disposed first: work that nobody waits for still needs the database and the queues.
  stack.defer(() => endProcess(db, processId).catch(() => {}));
  stack.defer(() => background.drain(5_000));

  const voyage = openVoyage(config);
  const policy = sendPolicyOf(config);
  const context: Context = {
    config,
    log,
    events,
    db,
    queues,
    inbox: openInbox(db, config),
    whatsapp,
    speech: openSpeech(config),
    reading: createLine(MOST_READING),
    knowledge: createKnowledge(db, voyage),
    tools: openTools(config, db),
    voyage,
    llm,
    breakers,
    transitions,
    figures,
    versions: createVersions(config.app.company),
    background,
    sendPolicy: { ...policy, ...options.overrides?.sendPolicy },
    process: { id: processId, startedAt: new Date() },
    random: options.overrides?.random ?? Math.random,
  };
  const owned = stack.move();
  return Object.assign(context, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

/** What an admin command on the command line works with; see openAdminContext. */
type AdminParts = Pick<
  Context,
  'config' | 'log' | 'events' | 'db' | 'inbox' | 'background' | 'whatsapp' | 'voyage' | 'tools' | 'sendPolicy'
> & {
  process: Pick<Context['process'], 'id'>;
  /** Opened at the first call, which in Redis also asks the database who it is. */
  queues: Pick<Queues, 'wakeTurn' | 'wakeSend' | 'wakeReconcile' | 'ping' | 'counts'> & { installation(): Promise<string | null> };
};

/** A queue that does not answer for so long is unavailable. Milliseconds. */
const ADMIN_QUEUE_MS = 5_000;
/** Closing may take so long. Milliseconds. */
const ADMIN_CLOSE_MS = 2_000;

/**
 * Opens what an admin command needs: the database at its first call, the queue when something is to be woken, so that a pause works while Redis is
 * away. Waits for nothing: what does not answer is an error (DatabaseAway, DatabaseRefused) of the call.
 */
export async function openAdminContext(config: Config, log: Logger): Promise<AdminParts & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const databaseUrl = config.database.kind === 'postgres' ? config.database.url : undefined;
  const db = openDoor(config, databaseUrl, log);
  stack.defer(() => db.close());
  if (config.supabaseProjectRef !== null) {
    const { project_ref } = await healthSnapshot(db);
    if (project_ref !== null && project_ref !== config.supabaseProjectRef)
      throw new Error('SUPABASE_PROJECT_REF: the database says that it belongs to another project; nothing was done.');
  }
  let opening: Promise<Queues> | null = null;
  const queues = (): Promise<Queues> => (opening ??= openStore(config, db, databaseUrl, log));
  // A Redis that is unavailable is waited for without end; who runs one command ends the process after it.
  stack.defer(() => waitAtMost(ADMIN_CLOSE_MS, (async () => (await opening?.catch(() => null))?.[Symbol.asyncDispose]())()));
  const background = createBackground(log);
  stack.defer(() => background.drain(5_000));
  const parts: AdminParts = {
    config,
    log,
    events: createEvents(log, config.mode),
    db,
    inbox: openInbox(db, config),
    background,
    whatsapp: openWhatsapp(config, db, log),
    voyage: openVoyage(config),
    tools: openTools(config, db),
    sendPolicy: sendPolicyOf(config),
    process: { id: processIdOf(config) },
    queues: {
      wakeTurn: async (conversation, delayMs) =>
        within(
          ADMIN_QUEUE_MS,
          queues().then((open) => open.wakeTurn(conversation, delayMs)),
        ),
      wakeSend: async (conversation) =>
        within(
          ADMIN_QUEUE_MS,
          queues().then((open) => open.wakeSend(conversation)),
        ),
      wakeReconcile: async (instance) =>
        within(
          ADMIN_QUEUE_MS,
          queues().then((open) => open.wakeReconcile(instance)),
        ),
      ping: async () =>
        within(
          ADMIN_QUEUE_MS,
          queues().then((open) => open.ping()),
        ),
      installation: async () =>
        within(
          ADMIN_QUEUE_MS,
          queues().then((open) => open.installation),
        ),
      counts: async () =>
        within(
          ADMIN_QUEUE_MS,
          queues().then((open) => open.counts()),
        ),
    },
  };
  const owned = stack.move();
  return Object.assign(parts, { [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

function processIdOf({ mode }: Config): string {
  return `${mode}-${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
}

function openWhatsapp({ evolution, secrets }: Config, db: Door, log: Logger, call?: HttpCall): Evolution | null {
  if (evolution === null) return null;
  const keyOf = createInstanceKeys(db, secrets, log);
  return createEvolution({ url: evolution.url, apiKey: evolution.apiKey, keyOf, ...(call === undefined ? {} : { call }) });
}

/** Half a gigabyte at worst, and more than a busy number has. */
const MOST_READING = 8;

/** Only a worker talks with the model: the others save its client's 25 MB. */
function openVoyage({ voyage }: Config): Voyage | null {
  return voyage === null ? null : createVoyage(voyage);
}

function openTools({ secrets, allowPrivate }: Config, db: Door): Tools {
  return createTools(db, createToolClient(db, secrets, openOutside(allowPrivate)));
}

function openSpeech({ speech }: Config): Speech | null {
  return speech === null ? null : createSpeech({ ...speech, language: 'pt' });
}

async function openLlm({ mode, claude }: Config): Promise<Llm | null> {
  if (!runs(mode, 'worker') || claude === null) return null;
  const { createLlm } = await import('./claude/llm.ts');
  return createLlm({ apiKey: claude.apiKey, baseUrl: claude.baseUrl });
}

/** Turns that wait for the row of a number must not keep webhooks waiting for a connection: the three processes have ten each. */
const ALL_POOL_SIZE = 20;

function openDoor(config: Config, databaseUrl: string | undefined, log: Logger): Door {
  if (config.database.kind === 'supabase') return openSupabase(config.database.url, config.database.serviceKey);
  if (databaseUrl === undefined) throw new Error('no address of a database: set DATABASE_URL');
  return openPostgres(databaseUrl, {
    onError: (error) => log.warning({ error }, 'Database connection lost'),
    onPooler: () => log.info({}, 'The database is reached through a pooler in transaction mode: statements have no names'),
    ...(config.mode === 'all' ? { poolSize: ALL_POOL_SIZE } : {}),
  });
}

/** Calls made for a message are part of its trace; a look by itself is none. */
function tracedDoor(db: Door): Door {
  return {
    call: (name, args) =>
      span(
        name,
        { kind: 'client', onlyWithin: true, attributes: { 'db.system.name': 'postgresql', 'db.stored_procedure.name': name } },
        () => db.call(name, args),
      ),
    close: () => db.close(),
  };
}

/** Rejects with NeedsSession when the queue would live in Postgres behind a pooler in transaction mode. */
async function openStore({ queue }: Config, db: Door, databaseUrl: string | undefined, log: Logger): Promise<Queues> {
  if (queue.kind === 'redis') return openQueues({ ...queue, installation: queue.installation ?? (await installationId(db)) }, log);
  if (databaseUrl === undefined) throw new Error('REDIS_URL: is required when the database is reached through SUPABASE_URL only');
  await mustHaveSessions(databaseUrl, QUEUE_NEEDS_SESSION);
  return openQueues({ kind: 'postgres', url: databaseUrl }, log);
}

/** Runs `open` until it succeeds, waiting 0.5 s, 1 s, 2 s ... up to 15 s between the tries. `onWait` is told why it waits, in words for a person. */
async function untilThere<T>(
  what: string,
  { log, signal, onWait }: { log: Logger; signal: AbortSignal; onWait: (why: string) => void },
  open: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await open();
    } catch (error) {
      if (error instanceof NeedsSession) throw error;
      const mend = error instanceof DatabaseRefused ? REFUSALS[error.code] : undefined;
      if (error instanceof DatabaseRefused && mend === undefined) throw error;
      const waitMs = Math.min(15_000, 500 * 2 ** attempt);
      log.warning({ what, attempt: attempt + 1, retry_ms: waitMs, hint: mend ?? toError(error).message }, `Waiting for the ${what}`);
      onWait(mend ?? `the ${what} does not answer`);
      await delay(waitMs, undefined, { signal });
    }
  }
}

const SCHEMA_MISSING = 'the schema is missing or old: run `npm run migrate`';
/** Refusals that end when somebody has fixed something, by SQL state. */
const REFUSALS: Readonly<Record<string, string>> = {
  '42883': SCHEMA_MISSING,
  PGRST202: SCHEMA_MISSING,
  '42P01': SCHEMA_MISSING,
  WA003: WRONG_PROJECT,
};
