// The Messages API look-alike: POST /anthropic/v1/messages, with persona, script or proxy behind it, faults on demand,
// and every request and answer on the wire log.

import type { Hono } from 'hono';
import { buildMessage, standingRefusal, type ClaudeState } from './claude-answer.ts';
import { checkRequest, ClaudeError, parseRequest, type ApiMessage } from './claude-check.ts';
import { modelOf } from './claude-models.ts';
import { streamMessage } from './claude-stream.ts';
import { checkThoughts } from './claude-thinking.ts';
import { promptTokens } from './claude-usage.ts';
import { remember, type Core } from './core.ts';
import { dropSocket, hang, json, type Env, type Http } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { answersTools, newestUserText, takeTurn } from './persona.ts';
import { asksForDescription } from './pictures.ts';
import { textField, type ClaudeMode, type Fault, type Json } from './types.ts';

const KEPT_REQUESTS = 5_000;
const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};
const ERROR_TEXTS: Record<number, string> = {
  429: "This request would exceed your organization's rate limit.",
  500: 'Internal server error',
  504: 'Request timed out',
  529: 'Overloaded',
};

export function createClaudeState(mode: ClaudeMode): ClaudeState {
  return { mode, baseMode: mode, turns: [], cache: new Map(), answers: new Map(), fingerprints: new Map(), refused: [] };
}

export function addClaudeRoutes(core: Core, app: Hono<Env>): void {
  app.get('/anthropic/v1/models/:id', (c) => {
    try {
      checkHeaders(c);
    } catch (error) {
      return failed(core, error).response;
    }
    const model = modelOf(c.req.param('id'));
    if (model === null) return json(404, errorBody(core, 'not_found_error', `model: ${c.req.param('id')}`));
    const limits = { max_input_tokens: model.context, max_tokens: model.maxOutput };
    return json(200, { type: 'model', id: model.id, display_name: model.id, created_at: '2026-01-01T00:00:00Z', ...limits });
  });
  app.post('/anthropic/v1/messages/count_tokens', async (c) => {
    try {
      checkHeaders(c);
      const body = parseRequest(await c.req.text());
      const checked = checkRequest(body, 'count');
      checkThoughts(body, checked, core.claude.answers);
      return json(200, { input_tokens: promptTokens(body, checked) });
    } catch (error) {
      return failed(core, error).response;
    }
  });
  app.post('/anthropic/v1/messages', async (c) => {
    const at = core.clock.now();
    const text = await c.req.text();
    const entry = { at, ms: 0, model: '', request: {} as Json, response: null as unknown, status: null as number | null, usd: 0 };
    remember(core.wire.claude, entry, KEPT_REQUESTS);
    const finish: Finish = (status, response, usd = 0) => {
      Object.assign(entry, { status, response, usd, ms: core.clock.now() - at });
      const usage = (response as Json | null)?.['usage'] ?? null;
      core.bus.emit({ type: 'claude', model: entry.model, status, ms: entry.ms, usage });
    };
    try {
      checkHeaders(c);
      entry.request = parseRequest(text);
      entry.model = textField(entry.request['model']);
      return await answer(core, c, { body: entry.request, at }, finish);
    } catch (error) {
      const { response, status, body } = failed(core, error);
      finish(status, body);
      return response;
    }
  });
}

type Finish = (status: number | null, response: unknown, usd?: number) => void;

function checkHeaders(c: Http): void {
  if (!c.req.header('x-api-key') && !c.req.header('authorization')) {
    throw new ClaudeError(401, 'authentication_error', 'x-api-key header is required');
  }
  if (!c.req.header('anthropic-version')) throw new ClaudeError(400, 'invalid_request_error', 'anthropic-version: header is required');
}

/** Rethrows what is a fault of ours. */
function failed(core: Core, error: unknown): { response: Response; status: number; body: Json } {
  if (!(error instanceof ClaudeError)) throw error;
  const body = errorBody(core, error.type, error.message);
  return { response: json(error.status, body), status: error.status, body };
}

async function answer(core: Core, c: Http, { body, at }: { body: Json; at: number }, finish: Finish): Promise<Response> {
  const checked = checkRequest(body);
  checkThoughts(body, checked, core.claude.answers);
  const messages = body['messages'] as ApiMessage[];
  const userText = newestUserText(messages);
  const fault = core.faults.take('claude', { text: userText, model: textField(body['model']) });
  await fault?.until;
  if (fault?.kind === 'hang' || fault?.kind === 'drop') {
    finish(null, null);
    return fault.kind === 'hang' ? await hang(core, c) : dropSocket(c);
  }
  if (fault?.kind === 'slow') await core.clock.sleep(faultNumber(fault, 'ms', 1_000));
  if (fault?.kind === 'status') return fail(core, faultNumber(fault, 'status', 500), fault, finish);
  if (core.claude.mode === 'proxy') return await proxy(core, c, body, finish);
  const tokens = promptTokens(body, checked);
  const most = checked.model.context;
  if (tokens > most) throw new ClaudeError(400, 'invalid_request_error', `prompt is too long: ${tokens} tokens > ${most} maximum`);
  const refusal = standingRefusal(core, body);
  // A script that names no words is about conversations, not about what a file shows.
  const named = asksForDescription(body) !== null;
  const scripted = refusal === null && core.claude.mode === 'script';
  const turn = scripted ? takeTurn(core.claude.turns, userText, { afterTools: answersTools(messages), named }) : null;
  if (turn?.delayMs !== undefined) await core.clock.sleep(turn.delayMs);
  if (turn?.status !== undefined && turn.status >= 400) return fail(core, turn.status, null, finish);
  const { message, usd } = buildMessage(core, { body, checked, at }, { refusal, turn, fault });
  finish(200, message, usd);
  if (fault?.kind === 'invalid-json') {
    const cut = JSON.stringify(message).slice(0, -20);
    return new Response(cut, { status: 200, headers: { 'content-type': 'application/json' } });
  }
  const headers = { 'request-id': `req_${core.random.hex(24)}` };
  return body['stream'] === true ? streamMessage(message, headers) : Response.json(message, { headers });
}

/** `retry-after` comes with a 429 unless the fault says null, and with another status when the fault names it. */
function fail(core: Core, status: number, fault: Fault | null, finish: Finish): Response {
  const body = errorBody(core, ERROR_TYPES[status] ?? 'api_error', ERROR_TEXTS[status] ?? 'Error');
  finish(status, body);
  const retryAfter = fault?.['retryAfter'] === undefined ? (status === 429 ? 1 : null) : fault['retryAfter'];
  const headers = {
    ...(retryAfter === null ? {} : { 'retry-after': String(Number(retryAfter)) }),
    'x-should-retry': String(status >= 429),
  };
  return Response.json(body, { status, headers });
}

function errorBody(core: Core, type: string, message: string): Json {
  return { type: 'error', error: { type, message }, request_id: `req_${core.random.hex(24)}` };
}

/** Passes the request on to the real API, with its own key, and records what came back. */
async function proxy(core: Core, c: Http, request: Json, finish: Finish): Promise<Response> {
  const base = core.options.claudeBaseUrl ?? 'https://api.anthropic.com';
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'x-api-key': core.options.claudeApiKey ?? '',
    'anthropic-version': c.req.header('anthropic-version') ?? '2023-06-01',
  };
  const beta = c.req.header('anthropic-beta');
  if (beta !== undefined) headers['anthropic-beta'] = beta;
  try {
    const body = JSON.stringify(request);
    const response = await fetch(`${base}/v1/messages`, { method: 'POST', headers, body, signal: c.req.raw.signal });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    finish(response.status, isJson ? JSON.parse(text) : text);
    const shown = new Headers();
    for (const name of ['content-type', 'retry-after', 'request-id']) {
      const value = response.headers.get(name);
      if (value !== null) shown.set(name, value);
    }
    return new Response(text, { status: response.status, headers: shown });
  } catch (error) {
    throw new ClaudeError(502, 'api_error', error instanceof Error ? error.message : String(error));
  }
}
