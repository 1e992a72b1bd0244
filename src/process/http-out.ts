/**
 * HTTP out over connections that are kept for a moment: a new one for each call costs ten times the processor's time. An answer is read whole. Nothing
 * of which a byte was written is repeated here, and no redirect is followed: whether a repeat is safe is the caller's decision.
 *
 * What a caller must know after a failure is whether the request can have arrived. undici calls `onRequestStart` right before it writes the first byte, so what
 * fails before that call surely never left, and what fails after it may have arrived. A kept connection that the server ends is noticed before the write, unless
 * its end is on the way at that very moment, or this process stood still for seconds and has not read of it yet (seen on a machine with too much to do). So what
 * cannot be taken back, a message to a person, goes over a connection of its own.
 */
import { createRequire } from 'node:module';
import type { LookupFunction } from 'node:net';
import type { Agent, Dispatcher } from 'undici';
import { stringAt } from '../words/json.ts';

export type NetworkError = 'refused' | 'dns' | 'tls' | 'reset' | 'timeout' | 'aborted';

export type HttpRequest = {
  method: Dispatcher.HttpMethod;
  url: string;
  headers: Readonly<Record<string, string>>;
  body?: string | undefined;
  /** For all of it, the answer's body included. Milliseconds. */
  timeoutMs: number;
  /** A longer answer is broken off (code `TOO_LARGE`); left out: any length. Bytes. */
  mostBytes?: number | undefined;
  /** Over a connection of its own: for what cannot be taken back. */
  fresh?: boolean | undefined;
  signal?: AbortSignal | undefined;
};

/** `requestWritten` is false only when the request surely did not leave. `code` is for people. */
export type HttpAnswer =
  | { status: number; headers: Readonly<Record<string, string | string[] | undefined>>; text: string }
  | { networkError: NetworkError; requestWritten: boolean; code: string };

/** Contract: never rejects; ends within `timeoutMs`, or as soon as the signal aborts. Any number at once. */
export type HttpCall = (request: HttpRequest) => Promise<HttpAnswer>;

/**
 * Servers end a connection without a request after 5 s (Node's) or more, and some say so; ours is over well before that, so that they never end one that we are
 * about to use. A connection that comes too seldom for this costs a third of a millisecond. Milliseconds.
 */
const IDLE_MS = 2_000;
/** How much sooner than the server says. Milliseconds. */
const MARGIN_MS = 1_000;
const CONNECT_MS = 10_000;

/** The calls of a process share its connections. A connection that nobody uses keeps no process alive. */
export const httpCall: HttpCall = (request) => {
  shared ??= openHttp();
  return shared(request);
};
let shared: HttpCall | undefined;

/** Connections of their own. `lookup`: how names become addresses; what it answers is what is connected to. */
export function openHttp({ lookup }: { lookup?: LookupFunction } = {}): HttpCall {
  // The whole of undici (its fetch, caches and mocks) would take 12 MB of each process.
  const Connections = createRequire(import.meta.url)('undici/lib/dispatcher/agent.js') as typeof Agent;
  const open = (): Agent =>
    new Connections({
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      keepAliveTimeoutThreshold: MARGIN_MS,
      connectTimeout: CONNECT_MS,
      ...(lookup === undefined ? {} : { connect: { lookup } }),
      // One request at a time on a connection: of several, one failure would be the failure of all.
      pipelining: 1,
      allowH2: false,
      // One timer for the whole call, below.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  const kept = open();
  const fresh = open();
  return (request) => {
    const { promise, resolve } = Promise.withResolvers<HttpAnswer>();
    dispatch(request.fresh === true ? fresh : kept, request, resolve);
    return promise;
  };
}

function dispatch(connections: Dispatcher, request: HttpRequest, resolve: (answer: HttpAnswer) => void): void {
  const { method, headers, body, timeoutMs, signal, mostBytes = Number.POSITIVE_INFINITY } = request;
  if (signal?.aborted) return resolve(surelyNotSent('aborted', 'ABORT_ERR'));
  const url = URL.parse(request.url);
  if (url === null) return resolve(surelyNotSent('refused', 'ERR_INVALID_URL'));
  const { origin, pathname, search } = url;

  let ended = false;
  /** Set once the first byte may leave. */
  let controller: Dispatcher.DispatchController | null = null;
  let status = 0;
  let answered: HttpAnswerHeaders = {};
  const chunks: Buffer[] = [];
  let bytes = 0;

  function end(answer: HttpAnswer): void {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    resolve(answer);
  }
  function cut(networkError: 'timeout' | 'aborted'): void {
    end({ networkError, requestWritten: controller !== null, code: networkError });
    controller?.abort(new Error(networkError));
  }
  const onAbort = (): void => cut('aborted');
  const timer = setTimeout(() => cut('timeout'), timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(started) {
      // undici would write it now: what has ended is never written, and nothing is written twice. An error here keeps the connection.
      if (ended || controller !== null) throw new Error('not to be written');
      controller = started;
    },
    onResponseStart(_, code, received) {
      // 1xx come before the answer.
      status = code;
      answered = received;
    },
    onResponseData(_, chunk) {
      bytes += chunk.length;
      if (bytes <= mostBytes) return void chunks.push(chunk);
      end({ networkError: 'reset', requestWritten: true, code: TOO_LARGE });
      controller?.abort(new Error(TOO_LARGE));
    },
    onResponseEnd() {
      end({ status, headers: answered, text: textOf(chunks) });
    },
    onResponseError(_, error) {
      const failure = failureOf(error, controller !== null);
      // A kept connection was reset while this one waited for it. Not a byte of it was written, so it may go over another, once.
      if ('networkError' in failure && failure.networkError === 'reset' && !failure.requestWritten && !again && !ended) {
        again = true;
        return queueMicrotask(start);
      }
      end(failure);
    },
  };
  let again = false;
  function start(): void {
    try {
      const { fresh: reset = false } = request;
      connections.dispatch(
        { origin, path: pathname + search, method, headers: { ...OURS, ...headers }, body: body ?? null, reset },
        handler,
      );
    } catch (error) {
      end(failureOf(error, controller !== null));
    }
  }
  start();
}

/** What is not asked for comes in no coding; some proxies refuse who has no name. */
const OURS = { 'accept-encoding': 'identity', 'user-agent': 'whats-agents' };

/** The code of an answer that was longer than asked for. */
export const TOO_LARGE = 'TOO_LARGE';

type HttpAnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

function textOf(chunks: readonly Buffer[]): string {
  const [first] = chunks;
  return utf8.decode(chunks.length === 1 ? first : Buffer.concat(chunks));
}

const utf8 = new TextDecoder();

function surelyNotSent(networkError: NetworkError, code: string): HttpAnswer {
  return { networkError, requestWritten: false, code };
}

function failureOf(error: unknown, requestWritten: boolean): HttpAnswer {
  // An AggregateError has tried several addresses of one name.
  const code = stringAt(error, 'code') ?? (error instanceof Error ? error.name : '');
  return { networkError: kindOf(code, requestWritten), requestWritten, code };
}

/** What a connection that never stood says of itself. */
const HANDSHAKE = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_|EPROTO$|HOSTNAME_MISMATCH$|INVALID_CA$)/;

function kindOf(code: string, requestWritten: boolean): NetworkError {
  if (code === 'ETIMEDOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout';
  if (requestWritten) return 'reset';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'dns';
  return HANDSHAKE.test(code) ? 'tls' : code === 'ECONNRESET' || code.startsWith('UND_ERR_SOCKET') ? 'reset' : 'refused';
}

/**
 * As fetch, for packages that ask for one and whose requests are text. They bring their own time limit by the signal.
 * Rejects as fetch does: an AbortError, or a TypeError whose cause has the code.
 */
export function fetchOver(call: HttpCall): typeof globalThis.fetch {
  return async (input, init = {}) => {
    const { method = 'GET', body, signal } = init;
    if (body !== undefined && body !== null && typeof body !== 'string') throw new TypeError('only text is sent');
    const answer = await call({
      method,
      url: input instanceof Request ? input.url : String(input),
      headers: Object.fromEntries(new Headers(init.headers)),
      body: body ?? undefined,
      timeoutMs: NO_LIMIT_MS,
      signal: signal ?? undefined,
    });
    if ('networkError' in answer) {
      if (answer.networkError === 'aborted') throw new DOMException('This operation was aborted', 'AbortError');
      throw new TypeError('fetch failed', {
        cause: Object.assign(new Error(`${answer.networkError} (${answer.code})`), { code: answer.code }),
      });
    }
    const headers = new Headers();
    for (const [name, value] of Object.entries(answer.headers)) for (const one of [value ?? []].flat()) headers.append(name, one);
    return new Response(BODILESS.has(answer.status) ? null : answer.text, { status: answer.status, headers });
  };
}

/** The longest that a timer can be: some weeks. */
const NO_LIMIT_MS = 2 ** 31 - 1;
const BODILESS = new Set([204, 205, 304]);
