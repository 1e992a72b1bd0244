// Token figures with prompt-cache accounting. A prefix (tools, then system, then messages) is stored at each
// cache_control breakpoint and read when a later request of the same model starts with the same blocks.

import { createHash } from 'node:crypto';
import { blocksOf, type ApiMessage, type Block } from './claude-check.ts';
import type { Json } from './types.ts';

const CHARS_PER_TOKEN = 4;
const FIVE_MINUTES_MS = 5 * 60_000;
const ONE_HOUR_MS = 60 * 60_000;
/** How far before a breakpoint the API looks for an older, shorter entry. */
const LOOKBACK_BLOCKS = 20;

export type Usage = {
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
  service_tier: 'standard';
};

/** Prefix hash to the time (ms) at which it is forgotten. */
export type PromptCache = Map<string, { expiresAt: number; lifeMs: number }>;

type Boundary = { hash: string; tokens: number; lifeMs: number | null };

/** Accounts one request and stores its prefixes. `now` in milliseconds; `minTokens` is the shortest prefix kept. */
export function accountUsage(cache: PromptCache, body: Json, output: unknown, now: number, minTokens: number): Usage {
  const boundaries = prefixes(body);
  const total = boundaries.at(-1)?.tokens ?? 0;
  const marked = boundaries.flatMap((boundary, index) => (boundary.lifeMs === null ? [] : [index]));
  const last = boundaries[marked.at(-1) ?? -1];
  const cacheable = last && last.tokens >= minTokens ? last : null;
  const read = cacheable ? longestRead(cache, boundaries, marked, now) : 0;
  for (const index of marked) {
    const boundary = boundaries[index];
    if (boundary?.lifeMs != null && boundary.tokens >= minTokens) {
      cache.set(boundary.hash, { expiresAt: now + boundary.lifeMs, lifeMs: boundary.lifeMs });
    }
  }
  const written = cacheable ? cacheable.tokens - read : 0;
  const isHour = cacheable?.lifeMs === ONE_HOUR_MS;
  return {
    input_tokens: total - read - written,
    output_tokens: tokensOf(JSON.stringify(output) ?? ''),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    cache_creation: {
      ephemeral_5m_input_tokens: isHour ? 0 : written,
      ephemeral_1h_input_tokens: isHour ? written : 0,
    },
    service_tier: 'standard',
  };
}

/** The tokens of the longest stored prefix within reach of a breakpoint; a hit lives on for its full time. */
function longestRead(cache: PromptCache, boundaries: Boundary[], marked: number[], now: number): number {
  for (const index of marked.toReversed()) {
    for (let at = index; at >= Math.max(0, index - LOOKBACK_BLOCKS); at -= 1) {
      const boundary = boundaries[at];
      const entry = boundary && cache.get(boundary.hash);
      if (!entry || entry.expiresAt <= now) continue;
      entry.expiresAt = now + entry.lifeMs;
      return boundary.tokens;
    }
  }
  return 0;
}

function prefixes(body: Json): Boundary[] {
  const hash = createHash('sha256').update(String(body['model']));
  const boundaries: Boundary[] = [];
  let chars = 0;
  for (const { label, block } of orderedBlocks(body)) {
    const { cache_control: control, ...rest } = block;
    const text = `${label}${JSON.stringify(rest)}`;
    hash.update(text);
    chars += text.length;
    boundaries.push({ hash: hash.copy().digest('base64url'), tokens: tokensOfLength(chars), lifeMs: lifeOf(control) });
  }
  const last = boundaries.at(-1);
  // A request-level cache_control marks the last block.
  if (last && last.lifeMs === null) last.lifeMs = lifeOf(body['cache_control']);
  return boundaries;
}

function orderedBlocks(body: Json): { label: string; block: Json }[] {
  const tools = ((body['tools'] ?? []) as Json[]).map((block) => ({ label: 'tool', block }));
  const system = systemBlocks(body['system']).map((block) => ({ label: 'system', block }));
  const messages = (body['messages'] as ApiMessage[]).flatMap((message) =>
    blocksOf(message).map((block) => ({ label: message.role, block: block as Json })),
  );
  return [...tools, ...system, ...messages];
}

function systemBlocks(system: unknown): Block[] {
  if (typeof system === 'string') return [{ type: 'text', text: system }];
  return Array.isArray(system) ? (system as Block[]) : [];
}

function lifeOf(control: unknown): number | null {
  if (typeof control !== 'object' || control === null) return null;
  return (control as Json)['ttl'] === '1h' ? ONE_HOUR_MS : FIVE_MINUTES_MS;
}

function tokensOf(text: string): number {
  return tokensOfLength(text.length);
}

function tokensOfLength(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN);
}
