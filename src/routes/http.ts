/** The HTTP edge that all modes share: request ids, errors, the server. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { requestId } from 'hono/request-id';
import type { RequestIdVariables } from 'hono/request-id';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { DatabaseAway } from '../db/failures.ts';
import type { Logger } from '../process/log.ts';
import { opsRoutes } from './ops.ts';
import type { Process } from './ops.ts';
import { createAuth, unauthorized } from './auth.ts';
import { createBodies } from './body.ts';
import { browserRules } from './browser.ts';
import { routesOf } from './table.ts';
import type { Routes } from './table.ts';
import { createSessions } from './session.ts';
import { span } from '../process/trace.ts';

export type Env = { Variables: RequestIdVariables };
export type ErrorCode =
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'timeout'
  | 'too_large'
  | 'too_many'
  | 'unavailable'
  | 'upstream'
  | 'internal';
export type ErrorBody = { error: { code: ErrorCode; message: string; request_id: string } };

/** What may become a message: its span is the first of whatever comes of it, in this process and in others. */
const TRACED = /^\/(?:webhook|api|admin)\//;

/** The app of a process: ops routes, `mount`ed routes of its mode, and one place where errors become answers. */
export function createApp(process: Process, log: Logger, mount: (routes: Routes) => void): Hono<Env> {
  const app = new Hono<Env>();
  const auth = createAuth(process);
  const { maxWebhookBytes } = process.config.http;
  const bodies = createBodies({ each: 2 * maxWebhookBytes, all: 4 * maxWebhookBytes });
  const routes = routesOf(app, auth, bodies, createSessions(process, auth));
  app.use(requestId({ limitLength: 64 }));
  app.use(async (c, next) => {
    if (!TRACED.test(c.req.path)) return next();
    const about = { 'http.request.method': c.req.method };
    await span(c.req.method, { kind: 'server', first: c.get('requestId'), attributes: about }, async (current) => {
      await next();
      // The pattern, not the path, which may hold a number.
      current.rename(`${c.req.method} ${c.req.routePath}`);
      current.set({ 'http.route': c.req.routePath, 'http.response.status_code': c.res.status });
      if (c.res.status >= 500) current.fail(String(c.res.status));
    });
  });
  app.use(async (c, next) => {
    const started = performance.now();
    await next();
    // The pattern, not the path: a label must not hold ids or numbers.
    const ms = performance.now() - started;
    process.context?.events.requestServed(c.req.routePath, c.res.status, ms / 1000);
    process.context?.figures.request(c.req.routePath, c.res.status, ms);
  });
  browserRules(app, process.config);
  opsRoutes(routes, process);
  mount(routes);
  app.notFound(async (c) => {
    // Who has no token does not learn which of these exist.
    if (/^\/(?:admin|api)(?:\/|$)/.test(c.req.path) && (await auth.callerOf(c.req.header('authorization'))) === null) throw unauthorized();
    return routes.trouble(c, 404) ?? c.json(errorBody('not_found', 'there is nothing at this address', c.get('requestId')), 404);
  });
  app.onError((error, c) => {
    const id = c.get('requestId');
    if (error instanceof HTTPException)
      return routes.trouble(c, error.status) ?? c.json(errorBody(codeOf(error.status), error.message, id), error.status);
    if (error instanceof DatabaseAway) {
      log.warning({ request_id: id, error }, 'Database away during a request');
      return routes.trouble(c, 503) ?? c.json(errorBody('unavailable', 'the database is away; try again', id), 503);
    }
    log.error({ request_id: id, error }, 'Request failed');
    return (
      routes.trouble(c, 500) ??
      c.json(errorBody('internal', 'something went wrong; the log has the details under this request_id', id), 500)
    );
  });
  return app;
}

export function errorBody(code: ErrorCode, message: string, requestId: string): ErrorBody {
  return { error: { code, message, request_id: requestId } };
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 408) return 'timeout';
  if (status === 409) return 'conflict';
  if (status === 413) return 'too_large';
  if (status === 429) return 'too_many';
  if (status === 502) return 'upstream';
  if (status === 503) return 'unavailable';
  return status < 500 ? 'bad_request' : 'internal';
}

/**
 * How long a client may take: for the head of a request, and for all of it. Evolution gives up after 30 to 60 s itself (contract 1.4: it comes again), a
 * browser sends in one go. Looked at each CHECK_MS. Milliseconds.
 */
const HEAD_MS = 10_000;
const REQUEST_MS = 60_000;
const CHECK_MS = 2_000;

/** How often a server that closes looks for connections without a request, in milliseconds. */
const CUT_MS = 50;

export type Server = {
  port: number;
  /** Takes nothing new and waits for the requests under way. May be called again. */
  close(): Promise<void>;
};

/** Listens; rejects with words that name the variable when the port is taken. `patience`: other times than those above, for tests. */
export async function listen(
  app: Hono<Env>,
  host: string,
  port: number,
  patience: { headMs: number; requestMs: number; checkMs: number } = { headMs: HEAD_MS, requestMs: REQUEST_MS, checkMs: CHECK_MS },
): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  const serverOptions = {
    headersTimeout: patience.headMs,
    requestTimeout: patience.requestMs,
    connectionsCheckingInterval: patience.checkMs,
  };
  const streams = new Set<ServerResponse>();
  const server = serve({ fetch: app.fetch, hostname: host, port, serverOptions, autoCleanupIncoming: false }, (info: AddressInfo) => {
    resolve({
      port: info.port,
      close: () =>
        new Promise((done) => {
          // these never end by themselves, and who listens comes again
          for (const each of streams) each.destroy();
          // Requests under way end; kept-alive connections without one are cut, also those whose request ends after this moment: nobody else
          // ends them before the client or 5 s do.
          const cutting = setInterval(() => 'closeIdleConnections' in server && server.closeIdleConnections(), CUT_MS);
          server.close(() => {
            clearInterval(cutting);
            done();
          });
        }),
    });
  });
  server.on('request', endUnread);
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (incoming.url?.startsWith(STREAM) !== true) return;
    streams.add(outgoing);
    outgoing.once('close', () => streams.delete(outgoing));
  });
  server.on('clientError', refuse);
  server.on('error', (error: NodeJS.ErrnoException) => {
    reject(error.code === 'EADDRINUSE' ? new Error(`PORT: ${port} is taken by another program; set another PORT`) : error);
  });
  return await promise;
}

/** The one answer without an end: see console/live.ts. */
const STREAM = '/console/stream';

/** For so long an answer may be on its way to a client who still writes. Milliseconds. */
const LINGER_MS = 500;

/**
 * What was answered before its body had arrived ends its connection, and nothing of the rest is read: to read it away, as node and the adapter would, costs as
 * much memory as the client is quick. Not at once: a connection that is closed with unread bytes is reset, and the answer would be lost.
 */
function endUnread(incoming: IncomingMessage, outgoing: ServerResponse): void {
  outgoing.once('finish', () => {
    if (incoming.complete) return;
    const { socket } = incoming;
    // node begins to read away what is left in this very moment, so it is stopped in the next one
    setImmediate(() => socket.pause());
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
}

/** What no route can answer: a request that is no HTTP, or that does not end. In the form of all errors. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const [status, words, code, message] = UNREAD[error.code ?? ''] ?? [400, 'Bad Request', 'bad_request', 'this is no HTTP request'];
  const body = JSON.stringify(errorBody(code, message, randomUUID()));
  socket.end(
    `HTTP/1.1 ${status} ${words}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** By the error codes of node's HTTP parser. */
const UNREAD: Readonly<Record<string, readonly [status: number, words: string, code: ErrorCode, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'timeout', 'the request did not arrive in time'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'too_large', 'the headers are larger than 16 kB'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'Payload Too Large', 'too_large', 'the chunk extensions are larger than 16 kB'],
};
