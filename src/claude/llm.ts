/** The model: one call, its usage and its failures as values. No conversation here, no retry: the turn decides. */
import { cut } from '../words/cut.ts';
import Anthropic from '@anthropic-ai/sdk';
import type { DiagnosedMiss } from './cache.ts';
import { retryAfterMs } from './model-failure.ts';
import type { ModelFailureKind } from './model-failure.ts';
import { costUsd } from './prices.ts';
import type { Usage } from './prices.ts';
import { estimateTokens } from './models.ts';
import type { Settings } from './models.ts';
import { fetchOver, httpCall } from '../process/http-out.ts';
import { span } from '../process/trace.ts';
import type { Attributes } from '../process/trace.ts';

export type ModelRequest = {
  model: string;
  /** What claude/models.ts says for this model. */
  settings: Settings;
  system: Anthropic.TextBlockParam[];
  tools: Anthropic.Tool[];
  /** The model must answer in words. */
  wordsOnly?: boolean;
  messages: Anthropic.MessageParam[];
  /** What its pictures and documents cost at most, for a call that is broken off. */
  fileTokens?: number;
  /** The answer before this one in the conversation: the provider says what has changed since. Null: there was none; undefined: it is not asked. */
  previousId?: string | null;
};

export type ModelReply = {
  /** Of the answer, at the provider. */
  id: string;
  content: Anthropic.ContentBlock[];
  stopReason: Anthropic.StopReason | null;
  model: string;
  usage: Usage;
  /** US dollars; null: the model has no price. */
  costUsd: number | null;
  /** The category of a refusal. */
  category: string | null;
  /** What has changed since the answer before, in the provider's word; null: nothing, or it was not asked. */
  diagnosed: DiagnosedMiss | null;
};

/**
 * What each kind means stands in claude/model-failure.ts. `restMs`: the provider asked not to be called for so long. `paid`: the request was under way, so
 * its input is paid although nothing came of it; how much that was is an estimate, at the price of what no cache has.
 */
export type ModelFailure = {
  kind: ModelFailureKind;
  detail: string;
  restMs: number;
  paid?: { usage: Usage; costUsd: number | null };
};

export type Llm = {
  /** Contract: never throws; ends within `timeoutMs` or when the signal aborts. May be called any number of times at once. */
  call(
    request: ModelRequest,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<{ ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure }>;
};

/** A name that the provider does not know stays unknown for a while: each turn would ask for it in vain. Milliseconds. */
const GONE_MS = 600_000;

export function createLlm(options: { apiKey: string; baseUrl: string | null }): Llm {
  const client = new Anthropic({
    apiKey: options.apiKey,
    maxRetries: 0,
    logLevel: 'off',
    fetch: fetchOver(httpCall),
    ...(options.baseUrl === null ? {} : { baseURL: options.baseUrl }),
  });
  /** Models that the provider did not know, and until when it is not asked again. */
  const gone = new Map<string, number>();
  type Ended = Awaited<ReturnType<Llm['call']>>;
  async function ask(request: ModelRequest, signal: AbortSignal, timeoutMs: number): Promise<Ended> {
    if (signal.aborted) return { ok: false, failure: { kind: 'aborted', detail: 'before it was sent', restMs: 0 } };
    if ((gone.get(request.model) ?? 0) > performance.now())
      return { ok: false, failure: { kind: 'model_gone', detail: 'the provider did not know it a moment ago', restMs: 0 } };
    // The client's own limit ends with the headers; an answer that stops half way must end too.
    const limitMs = Math.ceil(timeoutMs); // both refuse fractions
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), limitMs); // ended with the call: AbortSignal.timeout would be kept for the whole limit
    try {
      const message = await client.messages.create(bodyOf(request), { signal: AbortSignal.any([signal, late.signal]), timeout: limitMs });
      const usage = usageOf(message.usage);
      return {
        ok: true,
        reply: {
          id: message.id,
          content: message.content,
          stopReason: message.stop_reason,
          model: message.model,
          usage,
          costUsd: isFree(message) ? 0 : costUsd(message.model, usage, new Date()),
          category: message.stop_details?.category ?? null,
          diagnosed: message.diagnostics?.cache_miss_reason?.type ?? null,
        },
      };
    } catch (error) {
      if (late.signal.aborted && !signal.aborted)
        return { ok: false, failure: { kind: 'timeout', detail: `no answer within ${limitMs} ms`, restMs: 0, paid: inputOf(request) } };
      const failure = failureOf(error);
      if (failure.kind === 'model_gone') gone.set(request.model, performance.now() + GONE_MS);
      return { ok: false, failure: failure.kind === 'aborted' ? { ...failure, paid: inputOf(request) } : failure };
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async call(request, { signal, timeoutMs }) {
      // GenAI semantic conventions; no text of anybody.
      const about = {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'anthropic',
        'gen_ai.request.model': request.model,
        'gen_ai.request.max_tokens': request.settings.maxTokens,
      };
      return span(`chat ${request.model}`, { kind: 'client', onlyWithin: true, attributes: about }, async (current) => {
        const result = await ask(request, signal, timeoutMs);
        if (!result.ok) current.fail(result.failure.kind);
        else current.set(answerAttributes(result.reply));
        return result;
      });
    },
  };
}

/** No field is sent that says nothing: a model may refuse one that it does not know. */
function bodyOf({
  model,
  settings,
  system,
  tools,
  wordsOnly,
  messages,
  previousId,
}: ModelRequest): Anthropic.MessageCreateParamsNonStreaming {
  return {
    model,
    max_tokens: settings.maxTokens,
    ...(settings.thinking === null ? {} : { thinking: { type: settings.thinking } }),
    ...(settings.effort === null ? {} : { output_config: { effort: settings.effort } }),
    ...(system.length === 0 ? {} : { system }),
    ...(tools.length === 0 ? {} : { tools }),
    ...(wordsOnly === true && tools.length > 0 ? { tool_choice: { type: 'none' } } : {}),
    messages,
    ...(previousId === undefined ? {} : { diagnostics: { previous_message_id: previousId } }),
  };
}

function usageOf(usage: Anthropic.Usage): Usage {
  const hour = usage.cache_creation?.ephemeral_1h_input_tokens ?? 0;
  return {
    input: usage.input_tokens,
    output: usage.output_tokens,
    thinking: usage.output_tokens_details?.thinking_tokens ?? 0,
    cacheRead: usage.cache_read_input_tokens ?? 0,
    cacheWrite: (usage.cache_creation_input_tokens ?? 0) - hour,
    cacheWriteHour: hour,
  };
}

/** Of these categories a refusal before any output is billed all the same (release notes of 2026-09-24). */
const BILLED_REFUSALS: readonly unknown[] = ['bio', 'frontier_llm', 'reasoning_extraction'];

/** A refusal before any output tells its tokens, and is not billed (build-with-claude/refusals-and-fallback, 2026-08-22). */
function isFree({ stop_reason: end, stop_details: details, content }: Anthropic.Message): boolean {
  return end === 'refusal' && content.length === 0 && !BILLED_REFUSALS.includes(details?.category);
}

function inputOf(request: ModelRequest): { usage: Usage; costUsd: number | null } {
  const { system, tools, messages, fileTokens = 0 } = request;
  const words = JSON.stringify([system, tools, messages], (key, value: unknown) => (key === 'source' ? null : value));
  const input = estimateTokens(request.model, words.length) + fileTokens;
  const usage = { input, output: 0, thinking: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 };
  return { usage, costUsd: costUsd(request.model, usage, new Date()) };
}

function answerAttributes({ model, stopReason, usage, costUsd }: ModelReply): Attributes {
  return {
    'gen_ai.response.model': model,
    'gen_ai.response.finish_reasons': stopReason === null ? [] : [stopReason],
    'gen_ai.usage.input_tokens': usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWriteHour,
    'gen_ai.usage.output_tokens': usage.output,
    'gen_ai.usage.cache_read.input_tokens': usage.cacheRead,
    'gen_ai.usage.cache_creation.input_tokens': usage.cacheWrite + usage.cacheWriteHour,
    ...(costUsd === null ? {} : { 'julia.cost_usd': costUsd }),
  };
}

function failureOf(error: unknown): ModelFailure {
  const detail = error instanceof Error ? cut(error.message, 300) : String(error);
  const restMs = error instanceof Anthropic.APIError ? retryAfterMs(error.headers as Headers | undefined, new Date()) : 0;
  return { kind: kindOf(error, detail), detail, restMs };
}

function kindOf(error: unknown, detail: string): ModelFailureKind {
  if (error instanceof Anthropic.APIUserAbortError) return 'aborted';
  if (error instanceof Anthropic.APIConnectionTimeoutError) return 'timeout';
  // What is no answer of the API is one that is no JSON, or a bug of ours; either way this turn has no answer.
  if (error instanceof Anthropic.APIConnectionError || !(error instanceof Anthropic.APIError)) return 'unreachable';
  const status = error.status as number | undefined;
  if (status === 401) return 'unauthorized';
  // Anthropic tells an empty account as a 400 of the type invalid_request_error.
  if (status === 402 || (status === 400 && /credit balance/i.test(detail))) return 'billing';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'model_gone';
  if (status === 429) return 'rate_limited';
  return status === undefined || status === 408 || status >= 500 ? 'overloaded' : 'refused';
}
