/** What is written down of one call of the model. Pure. */
import type { CacheMiss } from './cache.ts';
import type { ModelFailure, ModelReply } from './llm.ts';

export type ModelCallRecord = {
  model: string;
  outcome: string;
  ms: number;
  input_tokens: number;
  output_tokens: number;
  /** Of the output. */
  thinking_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  /** null: the model has no price. */
  cost_usd: number | null;
  /** It was broken off: its input is paid, and nobody told how much that was. */
  estimated: boolean;
  /** The category of a refusal. */
  detail: string | null;
  /** Why the cache had nothing of the prompt: a word of claude/cache.ts. */
  cache_miss: string | null;
};

/** `worstUsd`: reserved for it; what has no price counts as that much, where there is a ceiling of money. */
export function callRecord(
  model: string,
  result: { ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure },
  { ms, miss, worstUsd = null }: { ms: number; miss: CacheMiss | null; worstUsd?: number | null },
): ModelCallRecord {
  const paid = result.ok ? result.reply : result.failure.paid;
  const { usage, costUsd } = paid ?? { usage: NOTHING_USED, costUsd: 0 };
  return {
    model,
    outcome: result.ok ? (result.reply.stopReason ?? 'ok') : result.failure.kind,
    ms: Math.round(ms),
    input_tokens: usage.input,
    output_tokens: usage.output,
    thinking_tokens: usage.thinking,
    cache_read_tokens: usage.cacheRead,
    cache_write_tokens: usage.cacheWrite + usage.cacheWriteHour,
    cost_usd: costUsd ?? worstUsd,
    estimated: (!result.ok && paid !== undefined) || (costUsd === null && worstUsd !== null),
    detail: result.ok ? result.reply.category : null,
    cache_miss: miss,
  };
}

const NOTHING_USED = { input: 0, output: 0, thinking: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 };
