/** The model: one call, its usage and its failures as values. No conversation here, no retry: the turn decides. */
import Anthropic from '@anthropic-ai/sdk';
import { costUsd } from './core/prices.ts';
import type { Usage } from './core/prices.ts';
import { span } from './trace.ts';
import type { Attributes } from './trace.ts';

export type ModelRequest = {
  model: string;
  maxTokens: number;
  system: Anthropic.TextBlockParam[];
  tools: Anthropic.Tool[];
  messages: Anthropic.MessageParam[];
};

export type ModelReply = { content: Anthropic.ContentBlock[]; stopReason: string | null; model: string; usage: Usage; costUsd: number };

/** `retryable`: the same call may succeed later. `counts`: it says something about the provider's health (the breaker counts it). */
export type ModelFailure = {
  kind: 'aborted' | 'timeout' | 'unreachable' | 'overloaded' | 'rate_limited' | 'unauthorized' | 'model_gone' | 'refused' | 'breaker_open';
  retryable: boolean;
  counts: boolean;
  detail: string;
};

export type Llm = {
  /** Contract: never throws; ends within `timeoutMs` or when the signal aborts. May be called any number of times at once. */
  call(
    request: ModelRequest,
    options: { signal: AbortSignal; timeoutMs: number },
  ): Promise<{ ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure }>;
};

export function createLlm(options: { apiKey: string; baseUrl: string | null }): Llm {
  const client = new Anthropic({
    apiKey: options.apiKey,
    maxRetries: 0,
    logLevel: 'off',
    ...(options.baseUrl === null ? {} : { baseURL: options.baseUrl }),
  });
  type Ended = Awaited<ReturnType<Llm['call']>>;
  async function ask(request: ModelRequest, signal: AbortSignal, timeoutMs: number): Promise<Ended> {
    // The client's own limit ends with the headers; an answer that stops half way must end too.
    const limitMs = Math.ceil(timeoutMs); // both refuse fractions
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), limitMs); // ended with the call: AbortSignal.timeout would be kept for the whole limit
    try {
      const message = await client.messages.create(
        { model: request.model, max_tokens: request.maxTokens, system: request.system, tools: request.tools, messages: request.messages },
        { signal: AbortSignal.any([signal, late.signal]), timeout: limitMs },
      );
      const usage: Usage = {
        input: message.usage.input_tokens,
        output: message.usage.output_tokens,
        cacheRead: message.usage.cache_read_input_tokens ?? 0,
        cacheWrite: message.usage.cache_creation_input_tokens ?? 0,
      };
      return {
        ok: true,
        reply: {
          content: message.content,
          stopReason: message.stop_reason,
          model: message.model,
          usage,
          costUsd: costUsd(message.model, usage),
        },
      };
    } catch (error) {
      if (late.signal.aborted && !signal.aborted)
        return {
          ok: false,
          failure: { kind: 'timeout', retryable: true, counts: true, detail: `no answer within ${limitMs} ms` },
        };
      return { ok: false, failure: failureOf(error) };
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
        'gen_ai.request.max_tokens': request.maxTokens,
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

function answerAttributes({ model, stopReason, usage, costUsd }: ModelReply): Attributes {
  return {
    'gen_ai.response.model': model,
    'gen_ai.response.finish_reasons': stopReason === null ? [] : [stopReason],
    'gen_ai.usage.input_tokens': usage.input + usage.cacheRead + usage.cacheWrite,
    'gen_ai.usage.output_tokens': usage.output,
    'gen_ai.usage.cache_read.input_tokens': usage.cacheRead,
    'gen_ai.usage.cache_creation.input_tokens': usage.cacheWrite,
    'julia.cost_usd': costUsd,
  };
}

function failureOf(error: unknown): ModelFailure {
  const detail = error instanceof Error ? error.message.slice(0, 300) : String(error);
  if (error instanceof Anthropic.APIUserAbortError) return { kind: 'aborted', retryable: true, counts: false, detail };
  if (error instanceof Anthropic.APIConnectionTimeoutError) return { kind: 'timeout', retryable: true, counts: true, detail };
  if (error instanceof Anthropic.APIConnectionError) return { kind: 'unreachable', retryable: true, counts: true, detail };
  if (error instanceof Anthropic.APIError) {
    const status = error.status as number | undefined;
    if (status === 401 || status === 403) return { kind: 'unauthorized', retryable: false, counts: true, detail };
    if (status === 404) return { kind: 'model_gone', retryable: false, counts: false, detail };
    if (status === 429) return { kind: 'rate_limited', retryable: true, counts: true, detail };
    if (status === 408 || (status !== undefined && status >= 500)) return { kind: 'overloaded', retryable: true, counts: true, detail };
    return { kind: 'refused', retryable: false, counts: false, detail };
  }
  // What is left is an answer that is no JSON, or a bug of ours; either way this turn has no answer.
  return { kind: 'unreachable', retryable: true, counts: true, detail };
}
