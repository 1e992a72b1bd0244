// The Messages API look-alike: POST /anthropic/v1/messages, with persona, script or proxy behind it, faults on demand,
// and every request and answer on the wire log.

import type { Hono } from 'hono';
import { checkRequest, ClaudeError, type ApiMessage, type Block } from './claude-check.ts';
import { accountUsage, type PromptCache } from './claude-usage.ts';
import { streamMessage } from './claude-stream.ts';
import { remember, type Core } from './core.ts';
import { dropSocket, hang, json, type Env, type Http } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { answersTools, newestUserText, personaReply, takeTurn } from './persona.ts';
import { textField, type ClaudeMode, type Fault, type Json, type ScriptTurn } from './types.ts';

const KEPT_REQUESTS = 5_000;
const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  529: 'overloaded_error',
};
const ERROR_TEXTS: Record<number, string> = {
  429: "This request would exceed your organization's rate limit.",
  500: 'Internal server error',
  529: 'Overloaded',
};

export type ClaudeState = { mode: ClaudeMode; baseMode: ClaudeMode; turns: ScriptTurn[]; cache: PromptCache };

export function createClaudeState(mode: ClaudeMode): ClaudeState {
  return { mode, baseMode: mode, turns: [], cache: new Map() };
}

/** Whatever is a Claude by its name is there. */
const MODEL = /^claude-[\w.-]+$/;

export function addClaudeRoutes(core: Core, app: Hono<Env>): void {
  app.get('/anthropic/v1/models/:id', (c) => {
    const id = c.req.param('id');
    if (!c.req.header('x-api-key')) return json(401, errorBody(core, 'authentication_error', 'x-api-key header is required'));
    if (!MODEL.test(id)) return json(404, errorBody(core, 'not_found_error', `model: ${id}`));
    return json(200, { type: 'model', id, display_name: id, created_at: '2026-01-01T00:00:00Z' });
  });
  app.post('/anthropic/v1/messages', async (c) => {
    const at = core.clock.now();
    const text = await c.req.text();
    const entry = { at, ms: 0, model: '', request: {} as Json, response: null as unknown, status: null as number | null };
    remember(core.wire.claude, entry, KEPT_REQUESTS);
    const finish = (status: number | null, response: unknown): void => {
      Object.assign(entry, { status, response, ms: core.clock.now() - at });
      const usage = (response as Json | null)?.['usage'] ?? null;
      core.bus.emit({ type: 'claude', model: entry.model, status, ms: entry.ms, usage });
    };
    try {
      if (!c.req.header('x-api-key') && !c.req.header('authorization')) {
        throw new ClaudeError(401, 'authentication_error', 'x-api-key header is required');
      }
      entry.request = parse(text);
      entry.model = textField(entry.request['model']);
      return await answer(core, c, entry.request, finish);
    } catch (error) {
      if (!(error instanceof ClaudeError)) throw error;
      const body = errorBody(core, error.type, error.message);
      finish(error.status, body);
      return json(error.status, body);
    }
  });
}

async function answer(core: Core, c: Http, request: Json, finish: (status: number | null, response: unknown) => void): Promise<Response> {
  checkRequest(request);
  const messages = request['messages'] as ApiMessage[];
  const userText = newestUserText(messages);
  const fault = core.faults.take('claude', { text: userText });
  await fault?.until;
  if (fault?.kind === 'hang' || fault?.kind === 'drop') {
    finish(null, null);
    return fault.kind === 'hang' ? await hang(core, c) : dropSocket(c);
  }
  if (fault?.kind === 'slow') await core.clock.sleep(faultNumber(fault, 'ms', 1_000));
  if (fault?.kind === 'status') return fail(core, faultNumber(fault, 'status', 500), fault, finish);
  if (core.claude.mode === 'proxy') return await proxy(core, c, request, finish);
  const turn = core.claude.mode === 'script' ? takeTurn(core.claude.turns, userText, answersTools(messages)) : null;
  if (turn?.delayMs !== undefined) await core.clock.sleep(turn.delayMs);
  if (turn?.status !== undefined && turn.status >= 400) return fail(core, turn.status, null, finish);
  const message = buildMessage(core, request, turn, fault);
  finish(200, message);
  if (fault?.kind === 'invalid-json') {
    const cut = JSON.stringify(message).slice(0, -20);
    return new Response(cut, { status: 200, headers: { 'content-type': 'application/json' } });
  }
  const headers = { 'request-id': `req_${core.random.hex(24)}` };
  return request['stream'] === true ? streamMessage(message, headers) : Response.json(message, { headers });
}

function fail(core: Core, status: number, fault: Fault | null, finish: (status: number | null, response: unknown) => void): Response {
  const body = errorBody(core, ERROR_TYPES[status] ?? 'api_error', ERROR_TEXTS[status] ?? 'Error');
  finish(status, body);
  const retryAfter = fault ? faultNumber(fault, 'retryAfter', 1) : 1;
  return Response.json(body, { status, headers: status === 429 ? { 'retry-after': String(retryAfter) } : {} });
}

function errorBody(core: Core, type: string, message: string): Json {
  return { type: 'error', error: { type, message }, request_id: `req_${core.random.hex(24)}` };
}

function buildMessage(core: Core, request: Json, turn: ScriptTurn | null, fault: Fault | null): Json {
  const reply = turn ? { text: turn.text ?? '', tools: turn.tools ?? [] } : personaReply(request);
  let stopReason = turn?.stop_reason ?? (reply.tools.length > 0 ? 'tool_use' : 'end_turn');
  let content: Block[] = [];
  // Beside a tool call the persona stays silent: its text comes with the next round, when the tool has answered.
  if (reply.text !== '' && (turn !== null || reply.tools.length === 0)) {
    content.push({ type: 'text', text: reply.text });
  }
  for (const { name, input } of reply.tools) {
    content.push({ type: 'tool_use', id: `toolu_${core.random.hex(24)}`, name, input });
  }
  if (fault?.kind === 'no-text') {
    content = [];
    stopReason = 'end_turn';
  }
  const limit = Number(request['max_tokens']) * 4;
  const isTruncated = fault?.kind === 'truncated' || reply.text.length > limit;
  if (isTruncated && fault?.kind !== 'no-text') {
    const length = Math.min(limit, Math.ceil(reply.text.length / 2));
    content = [{ type: 'text', text: reply.text.slice(0, length) || '…' }];
    stopReason = 'max_tokens';
  }
  return {
    id: `msg_${core.random.hex(24)}`,
    type: 'message',
    role: 'assistant',
    model: request['model'],
    content,
    stop_reason: stopReason,
    stop_sequence: null,
    usage: accountUsage(core.claude.cache, request, content, core.clock.now(), core.options.cacheMinTokens ?? 0),
  };
}

/** Passes the request on to the real API, with its own key, and records what came back. */
async function proxy(core: Core, c: Http, request: Json, finish: (status: number | null, response: unknown) => void): Promise<Response> {
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

function parse(text: string): Json {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Json;
  } catch {
    // Falls through to the same answer.
  }
  throw new ClaudeError(400, 'invalid_request_error', 'The request body is not valid JSON');
}
