/** Why the provider's cache had (nearly) nothing of a prompt: caching is silent, so each miss gets a reason. Pure. */
import type { Usage } from './prices.ts';

/**
 * `below_floor`: the prompt is shorter than what the model caches at all. `first`: nothing was asked in this conversation before. `expired`: the last
 * answer is longer ago than an entry lives. `evicted`: nothing has changed, and it is gone all the same. The others are the provider's own words for
 * what has changed since the last answer (build-with-claude/cache-diagnostics).
 */
export type CacheMiss = 'below_floor' | 'first' | 'expired' | 'evicted' | DiagnosedMiss;
export type DiagnosedMiss =
  | 'model_changed'
  | 'system_changed'
  | 'tools_changed'
  | 'messages_changed'
  | 'previous_message_not_found'
  | 'unavailable';

/** An entry lives so long after it was written or read (build-with-claude/prompt-caching). Milliseconds. */
const LIFE_MS = 300_000;

/**
 * Null: the cache had what it could have. The end of each prompt is new, so the provider names a change with every turn; it is a miss when nothing was read,
 * or more was written than was there before.
 */
export function cacheMiss(
  { usage, diagnosed }: { usage: Usage; diagnosed: DiagnosedMiss | null },
  { isFirst, agoMs }: { isFirst: boolean; agoMs: number },
): CacheMiss | null {
  const written = usage.cacheWrite + usage.cacheWriteHour;
  if (usage.cacheRead > 0 && written <= usage.cacheRead + usage.input) return null;
  if (usage.cacheRead + written === 0) return 'below_floor';
  if (isFirst) return 'first';
  if (agoMs > LIFE_MS) return 'expired';
  return diagnosed ?? 'evicted';
}
