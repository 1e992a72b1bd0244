/**
 * The Evolution API over HTTP. Expected failures are values, never thrown: a send answers with a SendOutcome, everything else with
 * `ok` or `failed`. Nothing is retried here: whether a repeat is safe is the caller's decision.
 */

import { z } from 'zod';
import { isNumberName } from '../words/number-name.ts';
import { at, stringAt } from '../words/json.ts';
import { addressOf } from './payload.ts';
import { classifySend } from './send-outcome.ts';
import type { ConnectionState, NotSentClass, SendAnswer, SendOutcome } from './send-outcome.ts';
import { httpCall, TOO_LARGE } from '../process/http-out.ts';
import type { HttpCall, HttpRequest } from '../process/http-out.ts';
import { span } from '../process/trace.ts';

export type Failure = { kind: 'failed'; retryable: boolean; class: NotSentClass; detail: string };
export type CallOptions = { signal?: AbortSignal | undefined };
export type MessageKey = { id: string; remoteJid: string; fromMe: boolean };
export type Webhook = {
  url: string;
  enabled: boolean;
  events: string[];
  byEvents: boolean;
  base64: boolean;
  /** holds the secret in clear */ headers: Record<string, string>;
};

/** `records` are rows shaped like `messages.upsert`, newest first, as they came; `parseFoundMessages` in payload.ts reads them. */
export type FoundMessages = { kind: 'ok'; total: number; pages: number; page: number; records: unknown[] };

export type Evolution = {
  /**
   * `number` is an address, or bare digits, of which Evolution looks for both writings (contract 4.5). `messageId` is the id at WhatsApp where the release takes one
   * (5.3). One HTTP call, 90 s at most. Aborting or timing out does not stop the send at Evolution: the outcome is then ambiguous. */
  sendText(
    message: { instance: string; number: string; text: string; quoted?: Quoted | undefined; messageId?: string | undefined },
    options?: CallOptions,
  ): Promise<SendOutcome>;
  /** `emoji` empty removes the reaction. */
  sendReaction(reaction: { instance: string; key: MessageKey; emoji: string }, options?: CallOptions): Promise<SendOutcome>;
  /** Resolves only after `delayMs`, when Evolution has shown `paused`. */
  sendPresence(
    presence: { instance: string; number: string; presence: 'composing' | 'recording' | 'paused'; delayMs: number },
    options?: CallOptions,
  ): Promise<{ kind: 'ok' } | Failure>;
  /** Conditions are AND-ed. A missing bound of the time window is completed, and both are kept to what Evolution's database takes. */
  findMessages(query: FindQuery, options?: CallOptions): Promise<FoundMessages | Failure>;
  /**
   * The file of a message, decrypted (contract 4.4): the gateway fetches it from WhatsApp by the message's id. A message that it does not know, or of which WhatsApp
   * has the file no more, is a failure that is not retryable. Of a file above `mostBytes` no more is read.
   */
  mediaOf(
    message: { instance: string; id: string; mostBytes: number },
    options?: CallOptions,
  ): Promise<{ kind: 'ok'; bytes: Buffer; mimetype: string | null } | { kind: 'too_large' } | Failure>;
  connectionState(instance: string, options?: CallOptions): Promise<{ kind: 'ok'; state: ConnectionState } | Failure>;
  /** The phone that a number is paired with, in digits; null: Evolution knows of none. */
  ownPhone(instance: string, options?: CallOptions): Promise<{ kind: 'ok'; phone: string | null } | Failure>;
  /** `@lid` chats are silently skipped by Evolution although it answers success. */
  markRead(request: { instance: string; messages: readonly MessageKey[] }, options?: CallOptions): Promise<{ kind: 'ok' } | Failure>;
  /** `events` are UPPER_SNAKE names; an empty list would mean all of them. */
  setWebhook(
    webhook: {
      instance: string;
      url: string;
      events: readonly string[];
      headers: Record<string, string>;
      byEvents?: boolean;
      base64?: boolean;
    },
    options?: CallOptions,
  ): Promise<{ kind: 'ok' } | Failure>;
  findWebhook(instance: string, options?: CallOptions): Promise<{ kind: 'ok'; webhook: Webhook | null } | Failure>;
  /** Needs the global key. `id` is Evolution's uuid. */
  createInstance(
    created: { instance: string; url: string; events: readonly string[]; headers: Record<string, string> },
    options?: CallOptions,
  ): Promise<{ kind: 'ok'; id: string | null } | Failure>;
  /** Starts the pairing, or tells that the number is open. */
  connect(instance: string, options?: CallOptions): Promise<Pairing | Failure>;
  /** Fails for a number that is closed: it must be connected. */
  restart(instance: string, options?: CallOptions): Promise<{ kind: 'ok' } | Failure>;
  logout(instance: string, options?: CallOptions): Promise<{ kind: 'ok' } | Failure>;
  /** What `GET /` says of the release, `2.3.7`. Answered without a licence too; slow where Evolution has no way out. */
  version(options?: CallOptions): Promise<{ kind: 'ok'; version: string } | Failure>;
};

/** `code` is what the QR code holds; null while Evolution has none yet. `base64` is a picture of it. */
export type Pairing = { kind: 'ok'; state: 'open' | 'connecting'; code: string | null; pairingCode: string | null; base64: string | null };

/** The full message spares Evolution a lookup, after which an unknown id would be silently unquoted. */
export type Quoted = MessageKey & { text: string };

export type FindQuery = {
  instance: string;
  remoteJid?: string | undefined;
  id?: string | undefined;
  /** Only `true` filters; Evolution ignores false. */
  fromMe?: true | undefined;
  from?: Date | undefined;
  to?: Date | undefined;
  page?: number | undefined;
  pageSize?: number | undefined;
};

export type EvolutionOptions = {
  /** Base address, a path included. */
  url: string;
  apiKey: string;
  /** A number's own key in place of `apiKey`; `unreadable`: it has one that cannot be opened, and no call is made. Contract: does not throw. */
  keyOf?: (instance: string) => Promise<{ kind: 'own'; key: string } | { kind: 'none' } | { kind: 'unreadable' }>;
  call?: HttpCall;
  /** Milliseconds; defaults 90,000 and 15,000. A send may take a number check and key queries of 60 s each, rarely both (contract 4.2). */
  timeouts?: { sendMs: number; otherMs: number };
};

const KEY_UNREADABLE = 'the own key of this number cannot be opened: SECRETS_KEY is another one (instance key sets it again)';

/** As Evolution answers to a name that it does not know. */
const NO_NAME: SendAnswer = {
  status: 404,
  body: { response: { message: ['such an instance does not exist: its name would be read as another address'] } },
};

export function createEvolution(options: EvolutionOptions): Evolution {
  const timeouts = options.timeouts ?? { sendMs: 90_000, otherMs: 15_000 };
  const base = options.url.replace(/\/+$/, '');
  const host = new URL(base).hostname;

  async function call(
    method: 'GET' | 'POST' | 'DELETE',
    route: string,
    instance: string | null,
    body: unknown,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    mostBytes?: number,
  ): Promise<SendAnswer> {
    if (instance !== null && !isNumberName(instance)) return NO_NAME;
    const own = (instance === null ? undefined : await options.keyOf?.(instance)) ?? { kind: 'none' };
    // As Evolution would answer to a wrong key: surely not sent, retried, and then a person's.
    if (own.kind === 'unreadable') return { status: 401, body: { response: { message: KEY_UNREADABLE } } };
    // One route wants the name behind its question mark, all others at the end of the path.
    const place = route.endsWith('=') ? '' : '/';
    const request: HttpRequest = {
      method,
      // Redirects are not followed: a followed 307 would send twice, a followed 302 would turn the send into a GET.
      url: `${base}/${route}${instance === null ? '' : `${place}${encodeURIComponent(instance)}`}`,
      headers: {
        apikey: own.kind === 'own' ? own.key : options.apiKey,
        accept: 'application/json',
        ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
      },
      body: method === 'POST' ? JSON.stringify(body) : undefined,
      timeoutMs,
      signal,
      mostBytes,
      // Evolution knows no repeat: a kept connection that ends under a message would leave it in doubt.
      fresh: route === 'message/sendText' || route === 'message/sendReaction',
    };
    const about = {
      'http.request.method': method,
      'url.template': instance === null ? `/${route}` : `/${route}${place}{instance}`,
      'server.address': host,
    };
    return span(`${method} /${route}`, { kind: 'client', onlyWithin: true, attributes: about }, async (current) => {
      const answer = await (options.call ?? httpCall)(request);
      if ('networkError' in answer) {
        current.fail(answer.networkError);
        return answer;
      }
      current.set({ 'http.response.status_code': answer.status });
      if (answer.status >= 400) current.fail(String(answer.status));
      return { status: answer.status, body: jsonOrText(answer.text) };
    });
  }

  return {
    async sendText({ instance, number, text, quoted, messageId }, { signal } = {}) {
      const body = {
        number,
        text,
        linkPreview: false,
        ...(quoted ? { quoted: quotedBody(quoted) } : {}),
        ...(messageId === undefined ? {} : { messageId }),
      };
      return classifySend(await call('POST', 'message/sendText', instance, body, timeouts.sendMs, signal));
    },

    async sendReaction({ instance, key, emoji }, { signal } = {}) {
      return classifySend(await call('POST', 'message/sendReaction', instance, { key, reaction: emoji }, timeouts.sendMs, signal));
    },

    async sendPresence({ instance, number, presence, delayMs }, { signal } = {}) {
      const delay = Math.max(0, Math.round(delayMs));
      return done(await call('POST', 'chat/sendPresence', instance, { number, presence, delay }, timeouts.otherMs + delay, signal));
    },

    async findMessages(query, { signal } = {}) {
      const answer = await call('POST', 'chat/findMessages', query.instance, findBody(query), timeouts.otherMs, signal);
      return parsed(answer, foundSchema, ({ messages }) => ({
        kind: 'ok',
        total: messages.total,
        pages: messages.pages,
        page: messages.currentPage,
        records: messages.records,
      }));
    },

    async mediaOf({ instance, id, mostBytes }, { signal } = {}) {
      const body = { message: { key: { id } }, convertToMp4: false };
      const most = base64Length(mostBytes) + BESIDE_FILE_BYTES;
      const answer = await call('POST', 'chat/getBase64FromMediaMessage', instance, body, timeouts.otherMs, signal, most);
      if ('networkError' in answer && answer.code === TOO_LARGE) return { kind: 'too_large' };
      return parsed(answer, mediaSchema, ({ base64, mimetype }) => ({ kind: 'ok', bytes: Buffer.from(base64, 'base64'), mimetype }));
    },

    async connectionState(instance, { signal } = {}) {
      const answer = await call('GET', 'instance/connectionState', instance, null, timeouts.otherMs, signal);
      return parsed(answer, stateSchema, (body) => ({ kind: 'ok', state: body.instance.state ?? 'not_loaded' }));
    },

    async ownPhone(instance, { signal } = {}) {
      const answer = await call('GET', 'instance/fetchInstances?instanceName=', instance, null, timeouts.otherMs, signal);
      return parsed(answer, ownersSchema, (all) => ({
        kind: 'ok',
        phone: addressOf(all.find(({ name }) => name === instance)?.ownerJid ?? '').pn,
      }));
    },

    async markRead({ instance, messages }, { signal } = {}) {
      const readMessages = messages.map(({ id, remoteJid, fromMe }) => ({ id, remoteJid, fromMe }));
      return done(await call('POST', 'chat/markMessageAsRead', instance, { readMessages }, timeouts.otherMs, signal));
    },

    async setWebhook({ instance, url, events, headers, byEvents = false, base64 = false }, { signal } = {}) {
      const body = { webhook: { enabled: true, url, events, headers, byEvents, base64 } };
      return done(await call('POST', 'webhook/set', instance, body, timeouts.otherMs, signal));
    },

    async findWebhook(instance, { signal } = {}) {
      const answer = await call('GET', 'webhook/find', instance, null, timeouts.otherMs, signal);
      return parsed(answer, webhookSchema, (webhook) => ({ kind: 'ok', webhook }));
    },

    async createInstance({ instance, url, events, headers }, { signal } = {}) {
      const webhook = { enabled: true, url, events, headers, byEvents: false, base64: false };
      const body = { instanceName: instance, integration: 'WHATSAPP-BAILEYS', qrcode: false, webhook };
      const answer = isNumberName(instance) ? await call('POST', 'instance/create', null, body, timeouts.otherMs, signal) : NO_NAME;
      return parsed(answer, createdSchema, (made) => ({ kind: 'ok', id: made.instance.instanceId }));
    },

    async connect(instance, { signal } = {}) {
      const answer = await call('GET', 'instance/connect', instance, null, timeouts.otherMs, signal);
      return parsed(answer, pairingSchema, (body): Pairing | Failure => {
        const open = body.instance?.state === 'open';
        return { kind: 'ok', state: open ? 'open' : 'connecting', code: body.code, pairingCode: body.pairingCode, base64: body.base64 };
      });
    },

    async restart(instance, { signal } = {}) {
      return done(await call('POST', 'instance/restart', instance, {}, timeouts.otherMs, signal));
    },

    async logout(instance, { signal } = {}) {
      return done(await call('DELETE', 'instance/logout', instance, null, timeouts.otherMs, signal));
    },

    async version({ signal } = {}) {
      return parsed(await call('GET', '', null, null, timeouts.otherMs, signal), rootSchema, ({ version }) => ({ kind: 'ok', version }));
    },
  };
}

const foundSchema = z.object({
  messages: z.object({
    total: z.number().catch(0),
    pages: z.number().catch(0),
    currentPage: z.number().catch(1),
    records: z.array(z.unknown()),
  }),
});

function base64Length(bytes: number): number {
  return 4 * Math.ceil(bytes / 3);
}

/** The other fields of the answer: a name, a caption. */
const BESIDE_FILE_BYTES = 200_000;

const mediaSchema = z.object({ base64: z.string(), mimetype: z.string().nullable().catch(null) });

const stateSchema = z.object({ instance: z.object({ state: z.enum(['open', 'connecting', 'close', 'refused']).nullish() }) });

const ownersSchema = z.array(z.object({ name: z.string(), ownerJid: z.string().nullish() }));

const createdSchema = z.object({ instance: z.object({ instanceId: z.string().nullable().catch(null) }) });

const rootSchema = z.object({ version: z.string().regex(/^\d+\.\d+/) });

const pairingSchema = z.object({
  instance: z.object({ state: z.string().nullish() }).nullish(),
  code: z.string().nullable().catch(null),
  pairingCode: z.string().nullable().catch(null),
  base64: z.string().nullable().catch(null),
});

const webhookSchema = z
  .object({
    url: z.string(),
    enabled: z.boolean().catch(false),
    events: z.array(z.string()).catch([]),
    webhookByEvents: z.boolean().catch(false),
    webhookBase64: z.boolean().catch(false),
    headers: z.record(z.string(), z.string()).catch({}),
  })
  .transform((row): Webhook => ({
    url: row.url,
    enabled: row.enabled,
    events: row.events,
    byEvents: row.webhookByEvents,
    base64: row.webhookBase64,
    headers: row.headers,
  }))
  .nullable();

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function quotedBody({ id, remoteJid, fromMe, text }: Quoted): object {
  return { key: { id, remoteJid, fromMe }, message: { conversation: text } };
}

function findBody({ remoteJid, id, fromMe, from, to, page = 1, pageSize = 50 }: FindQuery): object {
  const key = { ...(remoteJid ? { remoteJid } : {}), ...(id ? { id } : {}), ...(fromMe ? { fromMe } : {}) };
  // Evolution ignores half a window. "Until now" is a day more than now: its clock may be ahead of ours.
  const window =
    from || to ? { messageTimestamp: { gte: bounded(from ?? new Date(0)), lte: bounded(to ?? new Date(Date.now() + DAY_MS)) } } : {};
  // `offset` is Evolution's name for the page size.
  return { where: { ...(Object.keys(key).length > 0 ? { key } : {}), ...window }, page, offset: pageSize };
}

/** The column is a 32-bit integer of seconds: a bound outside of it is a 500, and nothing is found. */
function bounded(bound: Date): string {
  return new Date(Math.min(Math.max(bound.getTime(), 0), LARGEST_MS)).toISOString();
}

const DAY_MS = 86_400_000;
/** 2038-01-19T03:14:07Z */
const LARGEST_MS = (2 ** 31 - 1) * 1_000;

function done(answer: SendAnswer): { kind: 'ok' } | Failure {
  return parsed(answer, z.unknown(), () => ({ kind: 'ok' }));
}

function parsed<Body, Value>(answer: SendAnswer, schema: z.ZodType<Body>, read: (body: Body) => Value): Value | Failure {
  if (!('status' in answer) || answer.status < 200 || answer.status >= 300) return failureOf(answer);
  const failure = failedWithin(answer.body);
  if (failure !== null) return failure;
  const body = schema.safeParse(answer.body);
  if (body.success) return read(body.data);
  return { kind: 'failed', retryable: true, class: 'provider_error', detail: `HTTP ${answer.status} with an unexpected body` };
}

/**
 * connect and restart tell what was thrown in a 200, `{error: true, message}`. An error of Evolution's own has no text there, and for both
 * it means the state of the number.
 */
function failedWithin(body: unknown): Failure | null {
  if (at(body, 'error') !== true) return null;
  const said = stringAt(body, 'message') ?? '';
  const detail = said === '' || said.startsWith('[object') ? 'it is not connected, or Evolution has not loaded it' : said;
  return { kind: 'failed', retryable: true, class: detail === said ? 'provider_error' : 'disconnected', detail };
}

/** These calls change nothing that a repeat would double, so what is ambiguous for a send is simply retryable here. */
function failureOf(answer: SendAnswer): Failure {
  const outcome = classifySend(answer);
  switch (outcome.kind) {
    case 'not_sent':
      return { kind: 'failed', retryable: outcome.retryable, class: outcome.class, detail: outcome.detail };
    case 'ambiguous': {
      const kind = outcome.class === 'provider_error' ? 'provider_error' : 'unavailable';
      return { kind: 'failed', retryable: true, class: kind, detail: outcome.detail };
    }
    case 'sent':
      return { kind: 'failed', retryable: true, class: 'provider_error', detail: 'unexpected answer' };
  }
}
