// startSimulator(): the WhatsApp and Claude look-alikes as one HTTP server on 127.0.0.1, and the object that drives it.
//
// Contract: methods act at once and return; what follows (webhooks, acks) happens in the background and is seen through
// waitFor(). close() ends every timer and socket and may be called twice.

import { randomInt } from 'node:crypto';
import { Agent, type Server } from 'node:http';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { addClaudeRoutes, createClaudeState } from './claude.ts';
import { createClock, createRandom } from './clock.ts';
import { setConnection, setTrouble } from './connection.ts';
import { onlyFromHere } from './visitors.ts';
import { addControlRoutes, ControlError, setScript } from './control.ts';
import { createBus, faultsEvent, type Core } from './core.ts';
import { EvolutionError, json, licenceGate, type Env } from './evolution-http.ts';
import { addInstanceRoutes } from './evolution-instance.ts';
import { addEvolutionRoutes } from './evolution.ts';
import { createFaults } from './faults.ts';
import {
  editMessage,
  inbound,
  ownerMessage,
  pickInstance,
  reactTo,
  readChat,
  removeMessage,
  typing,
  vote,
  type InboundInput,
} from './handset.ts';
import { resetCore } from './reset.ts';
import { addOrderRoutes, newOrderBook } from './orders.ts';
import { addSlackRoutes } from './slack.ts';
import { addSpeechRoutes } from './speech.ts';
import { addGoogleRoutes, createGoogle, type GoogleState } from './google.ts';
import { addVoyageRoutes } from './voyage.ts';
import type {
  Addressing,
  ConnectionState,
  Contact,
  Fault,
  FaultInput,
  Message,
  Product,
  ScriptTurn,
  SimulatorEvent,
  SimulatorOptions,
  Trouble,
  Wire,
  WireSend,
} from './types.ts';
import { DEFAULT_VERSION, rulesOf, type EvolutionVersion } from './version.ts';
import { createWebhookLog, post, rawWebhook, repeatWebhook, webhooksIdle } from './webhooks.ts';
import { World } from './world.ts';

export const DEFAULT_API_KEY = 'simulator-key';
const DEFAULT_SEED = 42;

export type SendFilter = {
  instance?: string;
  kind?: WireSend['kind'];
  /** Part of the text. */
  text?: string;
  jid?: string;
  /** True: only what really left for WhatsApp, whatever the caller was told. */
  sent?: boolean;
};

export type Simulator = {
  url: string;
  evolutionUrl: string;
  anthropicUrl: string;
  /** `/hook` is an incoming webhook, `/api` the Web API. */
  slackUrl: string;
  /** STT_BASE_URL. */
  speechUrl: string;
  /** The base address of the Voyage look-alike. */
  voyageUrl: string;
  /** GOOGLE_BASE_URL. */
  googleUrl: string;
  /** Its folders and documents, and the key of the one service account that it knows. */
  google: GoogleState;
  apiKey: string;
  close(): Promise<void>;
  /** Forgets messages, wire, faults and script; contacts too unless kept. */
  reset(options?: { keep?: 'contacts'[] }): void;
  addContact(input: { name: string; phone?: string; lid?: string; addressing?: Addressing; refuses?: Contact['refuses'] }): Contact;
  updateContact(id: string, change: { name?: string; addressing?: Addressing; refuses?: Contact['refuses'] }): Contact;
  inbound(input: InboundInput): Message;
  owner(input: { instance?: string; contactId: string; text: string; id?: string }): Message;
  edit(id: string, text: string, options?: { sealed?: boolean }): boolean;
  remove(id: string): boolean;
  react(id: string, emoji: string): boolean;
  typing(input: { instance?: string; contactId: string; presence: string; force?: boolean }): boolean;
  /** The contact opens the chat: READ for our messages. */
  read(input: { instance?: string; contactId: string }): number;
  /** A vote in a poll of ours; null where this Evolution tells of none. */
  vote(input: { instance?: string; contactId: string; pollId?: string; options: string[]; chosen: string[] }): string | null;
  /** The number is ill while Evolution says otherwise; null heals it. */
  trouble(trouble: Trouble | null, options?: { instance?: string }): void;
  /** Another Evolution from the next call on, over the same rows. */
  setVersion(version: EvolutionVersion): void;
  setProduct(product: Product | null): void;
  setLicensed(licensed: boolean): void;
  connection(state: ConnectionState, options?: { instance?: string; reason?: number }): void;
  fault(input: FaultInput): Fault;
  /** All of them, or the one of that id. */
  clearFaults(id?: string): void;
  script(turns: ScriptTurn[] | null): void;
  /** The live records, not a copy. */
  wire(): Wire;
  sends(filter?: SendFilter): WireSend[];
  /** Texts that Slack has taken, oldest first. */
  slackTexts(): string[];
  messages(contactId?: string): Message[];
  /**
   * Resolves with the first truthy answer of `check`, which is asked now and after every event. Rejects after
   * `timeoutMs` (default 5000) with what was on the wire, and when `check` throws.
   */
  waitFor<T>(check: (wire: Wire, event: SimulatorEvent | null) => T | false | null | undefined, timeoutMs?: number): Promise<T>;
  /** Resolves when no webhook request is under way; planned retries do not count. */
  webhooksIdle(): Promise<void>;
  on(listener: (event: SimulatorEvent) => void): () => void;
  /** Delivers a recorded messages.upsert again; resolves with the status of each first attempt. */
  repeatWebhook(options?: { messageId?: string; times?: number }): Promise<(number | null)[]>;
  rawWebhook(
    body: unknown,
    options?: { suffix?: string; instance?: string },
  ): Promise<{ status: number | null; body: string; error: string | null }>;
  /** Points every instance at this address; null switches webhooks off. All events unless some are named. */
  setWebhook(url: string | null, secret?: string, events?: readonly string[]): void;
};

/** Rejects when the port is taken. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const core = createCore(options);
  setWebhook(core, options.webhook?.url ?? null, options.webhook?.secret, options.webhook?.base64, options.webhook?.events);
  const server = await listen(createApp(core), options.port ?? 0);
  const address = server.address();
  core.url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  return createSimulator(core, server);
}

/** The look-alikes without a server; `parts` in the place of its own clock and of its way to the receiver of webhooks. */
export function createCore(options: SimulatorOptions, parts: Partial<Pick<Core, 'clock' | 'post'>> = {}): Core {
  const bus = createBus();
  const clock = parts.clock ?? createClock(options.timeScale ?? 1);
  const random = createRandom(options.seed ?? randomInt(2 ** 32));
  const world = new World(random);
  for (const name of options.instances ?? ['julia-dev']) world.addInstance({ name, connected: true });
  return {
    rules: rulesOf(options.version ?? DEFAULT_VERSION),
    licensed: options.licensed ?? true,
    product: options.product ?? null,
    options: { ...options, apiKey: options.apiKey ?? DEFAULT_API_KEY },
    url: '',
    clock,
    post: parts.post ?? post,
    random,
    chance: createRandom(options.seed ?? DEFAULT_SEED),
    world,
    wire: { sends: [], presences: [], claude: [], webhooks: [], slack: [], speech: [], voyage: [], google: [], orders: [] },
    orders: newOrderBook(),
    faults: createFaults(
      (faults) => bus.emit(faultsEvent(faults)),
      () => clock.now(),
    ),
    bus,
    webhookLog: createWebhookLog(),
    claude: createClaudeState(options.claude ?? 'persona'),
    google: createGoogle(),
    agent: new Agent({ keepAlive: true, maxSockets: 256 }),
    hung: new Set(),
  };
}

export function createApp(core: Core): Hono<Env> {
  const app = new Hono<Env>();
  for (const path of ['/sim/*', '/chat']) app.use(path, onlyFromHere());
  addControlRoutes(core, app);
  addClaudeRoutes(core, app);
  addSlackRoutes(core, app);
  addSpeechRoutes(core, app);
  addVoyageRoutes(core, app);
  addOrderRoutes(core, app);
  addGoogleRoutes(core, app);
  app.use(licenceGate(core));
  addInstanceRoutes(core, app);
  addEvolutionRoutes(core, app);
  app.notFound((c) => {
    const error = new EvolutionError(404, [`Cannot ${c.req.method} ${c.req.path}`]);
    return json(404, error.body);
  });
  app.onError((error, c) => {
    if (error instanceof EvolutionError) return json(error.status, error.body);
    if (c.req.path.startsWith('/sim/')) {
      return json(error instanceof ControlError ? 400 : 500, { error: error.message });
    }
    // Evolution turns whatever it throws into a 400 with the error's text.
    return json(400, new EvolutionError(400, [String(error)]).body);
  });
  return app;
}

function listen(app: Hono<Env>, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    // Without an override of the globals, only this server uses node-server's own Response.
    const options = { fetch: app.fetch, hostname: '127.0.0.1', port, overrideGlobalObjects: false };
    const server = serve(options, () => resolve(server)) as Server;
    server.once('error', reject);
  });
}

export function setWebhook(core: Core, url: string | null, secret?: string, base64 = false, events: readonly string[] = []): void {
  for (const instance of core.world.instances.values()) {
    const headers = secret === undefined ? {} : { jwt_key: secret };
    instance.webhook = url === null ? null : core.world.newWebhook({ url, headers, base64, events: [...events] }, instance.webhook);
    instance.base64 = instance.webhook?.base64 ?? false;
  }
}

function createSimulator(core: Core, server: Server): Simulator {
  const waiting = new Set<() => void>();
  let closing: Promise<void> | null = null;
  return {
    url: core.url,
    evolutionUrl: core.url,
    anthropicUrl: `${core.url}/anthropic`,
    slackUrl: `${core.url}/slack`,
    speechUrl: `${core.url}/speech`,
    voyageUrl: `${core.url}/voyage`,
    googleUrl: `${core.url}/google`,
    google: core.google,
    apiKey: core.options.apiKey ?? DEFAULT_API_KEY,
    close: () => {
      closing ??= close(core, server, waiting);
      return closing;
    },
    reset: (options) => resetCore(core, options?.keep ?? []),
    addContact: (input) => {
      const contact = core.world.addContact(input);
      core.bus.emit({ type: 'contact', contact });
      return contact;
    },
    updateContact: (id, change) => {
      const contact = core.world.contacts.get(id);
      if (!contact) throw new Error(`no contact ${id}`);
      Object.assign(contact, change);
      core.bus.emit({ type: 'contact', contact });
      return contact;
    },
    inbound: (input) => inbound(core, input),
    owner: (input) => ownerMessage(core, input),
    edit: (id, text, options) => editMessage(core, id, text, options),
    remove: (id) => removeMessage(core, id),
    react: (id, emoji) => reactTo(core, id, emoji),
    typing: (input) => typing(core, input),
    read: (input) => readChat(core, input),
    vote: (input) => vote(core, input),
    trouble: (trouble, options) => setTrouble(core, pickInstance(core, options?.instance), trouble),
    setVersion: (version) => void (core.rules = rulesOf(version)),
    setProduct: (product) => void (core.product = product),
    setLicensed: (licensed) => void (core.licensed = licensed),
    connection: (state, options) => setConnection(core, pickInstance(core, options?.instance), state, options?.reason),
    fault: (input) => core.faults.add(input),
    clearFaults: (id) => {
      if (id === undefined) core.faults.clear();
      else core.faults.remove(id);
    },
    script: (turns) => setScript(core, turns),
    wire: () => core.wire,
    slackTexts: () => core.wire.slack.filter(({ taken }) => taken).map(({ text }) => text),
    sends: (filter = {}) => core.wire.sends.filter((send) => fits(send, filter)),
    messages: (contactId) => (contactId === undefined ? [...core.world.messages.values()] : core.world.messagesOf(contactId)),
    waitFor: (check, timeoutMs = 5_000) => waitFor(core, waiting, check, timeoutMs),
    webhooksIdle: () => webhooksIdle(core.webhookLog),
    on: (listener) => core.bus.on(listener),
    repeatWebhook: (options) => repeatWebhook(core, options?.messageId ?? null, options?.times ?? 1),
    rawWebhook: (body, options) => rawWebhook(core, pickInstance(core, options?.instance), body, options?.suffix),
    setWebhook: (url, secret, events) => setWebhook(core, url, secret, false, events),
  };
}

function fits(send: WireSend, filter: SendFilter): boolean {
  return (
    (filter.instance === undefined || send.instance === filter.instance) &&
    (filter.kind === undefined || send.kind === filter.kind) &&
    (filter.jid === undefined || send.jid === filter.jid) &&
    (filter.text === undefined || send.text.includes(filter.text)) &&
    (filter.sent === undefined || filter.sent === (send.id !== null))
  );
}

function waitFor<T>(
  core: Core,
  waiting: Set<() => void>,
  check: (wire: Wire, event: SimulatorEvent | null) => T | false | null | undefined,
  timeoutMs: number,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      end();
      waiting.delete(giveUp);
      act();
    };
    const look = (event: SimulatorEvent | null): void => {
      try {
        const answer = check(core.wire, event);
        if (answer) settle(() => resolve(answer));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const giveUp = (): void => settle(() => reject(new Error('the simulator was closed while waiting')));
    const timer = setTimeout(() => settle(() => reject(new Error(summary(core, timeoutMs)))), timeoutMs);
    const end = core.bus.on(look);
    waiting.add(giveUp);
    look(null);
  });
}

function summary(core: Core, timeoutMs: number): string {
  const { sends, webhooks, claude } = core.wire;
  const last = JSON.stringify({ sends: sends.slice(-3), webhooks: webhooks.slice(-3) });
  const counts = `${sends.length} sends, ${webhooks.length} webhooks, ${claude.length} model calls`;
  return `waitFor: nothing fitted within ${timeoutMs} ms; on the wire: ${counts}; the last: ${last}`;
}

async function close(core: Core, server: Server, waiting: Set<() => void>): Promise<void> {
  core.clock.close();
  for (const giveUp of waiting) giveUp();
  core.agent.destroy();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
