// What a request costs: tokens, the prompt cache, and dollars by the tiers of the model. A prefix (tools, then system, then messages) is
// stored at each cache_control mark and read when a later request of the same model and settings begins with the same blocks.

import { createHash } from 'node:crypto';
import { blocksOf, type ApiMessage, type Block, type Checked } from './claude-check.ts';
import { mediaTokens } from './claude-media.ts';
import type { ClaudeModel } from './claude-models.ts';
import type { Json } from './types.ts';

const FIVE_MINUTES_MS = 5 * 60_000;
const ONE_HOUR_MS = 60 * 60_000;
/** At how many places the API looks for an older entry, the mark itself being the first. */
const LOOKBACK_BLOCKS = 20;
/** From here on, those whose time is over are forgotten. */
const KEPT_PREFIXES = 50_000;

export type Usage = {
  input_tokens: number;
  output_tokens: number;
  output_tokens_details: { thinking_tokens: number };
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
  service_tier: 'standard';
};

/** Prefix hash to the time (ms) at which it is forgotten. */
export type PromptCache = Map<string, { expiresAt: number; lifeMs: number }>;

type Boundary = { hash: string; tokens: number; lifeMs: number | null };

/**
 * Accounts one request and stores its prefixes. `at`: when the request began, in milliseconds; `floor`: the shortest prefix that is kept;
 * `output` and `thinking` in tokens.
 */
export function accountUsage(
  cache: PromptCache,
  body: Json,
  checked: Checked,
  { at, floor, output, thinking }: { at: number; floor: number; output: number; thinking: number },
): Usage {
  const boundaries = prefixes(body, checked);
  const total = boundaries.at(-1)?.tokens ?? 0;
  const marked = boundaries.flatMap((boundary, index) => (boundary.lifeMs === null ? [] : [index]));
  const last = boundaries[marked.at(-1) ?? -1];
  const cacheable = last && last.tokens >= floor ? last : null;
  const read = cacheable ? longestRead(cache, boundaries, marked, at) : 0;
  for (const index of marked) {
    const boundary = boundaries[index];
    if (boundary?.lifeMs != null && boundary.tokens >= floor) {
      cache.set(boundary.hash, { expiresAt: at + boundary.lifeMs, lifeMs: boundary.lifeMs });
    }
  }
  if (cache.size > KEPT_PREFIXES) for (const [hash, entry] of cache) if (entry.expiresAt <= at) cache.delete(hash);
  const written = cacheable ? cacheable.tokens - read : 0;
  // Marks of an hour stand before those of five minutes.
  const lastHour = boundaries[marked.findLast((index) => boundaries[index]?.lifeMs === ONE_HOUR_MS) ?? -1]?.tokens ?? 0;
  const forAnHour = Math.min(written, Math.max(0, lastHour - read));
  return {
    input_tokens: total - read - written,
    output_tokens: output,
    output_tokens_details: { thinking_tokens: thinking },
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    cache_creation: { ephemeral_5m_input_tokens: written - forAnHour, ephemeral_1h_input_tokens: forAnHour },
    service_tier: 'standard',
  };
}

/** Tokens of the whole prompt. */
export function promptTokens(body: Json, checked: Checked): number {
  return prefixes(body, checked).at(-1)?.tokens ?? 0;
}

/** US dollars, by the rate that the length of the whole prompt falls under. */
export function billOf(model: ClaudeModel, usage: Usage): number {
  const prompt = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
  const rate = model.rates.findLast(({ above }) => prompt > above) ?? model.rates[0];
  if (rate === undefined) return 0;
  return (
    (usage.input_tokens * rate.input +
      usage.cache_read_input_tokens * rate.cacheRead +
      usage.cache_creation.ephemeral_5m_input_tokens * rate.write5m +
      usage.cache_creation.ephemeral_1h_input_tokens * rate.write1h +
      usage.output_tokens * rate.output) /
    1e6
  );
}

export function tokensOf(text: string, model: ClaudeModel): number {
  return Math.ceil(text.length / model.charsPerToken);
}

/** The tokens of the longest stored prefix within reach of a mark; a hit lives on for its full time. */
function longestRead(cache: PromptCache, boundaries: Boundary[], marked: number[], now: number): number {
  for (const index of marked.toReversed()) {
    for (let at = index; at > Math.max(-1, index - LOOKBACK_BLOCKS); at -= 1) {
      const boundary = boundaries[at];
      const entry = boundary && cache.get(boundary.hash);
      if (!entry || entry.expiresAt <= now) continue;
      entry.expiresAt = now + entry.lifeMs;
      return boundary.tokens;
    }
  }
  return 0;
}

function prefixes(body: Json, checked: Checked): Boundary[] {
  const { model, thinking, effort } = checked;
  // What changes the way in which a prompt is rendered changes its cache: thinking and effort all of it, tool_choice and images the messages.
  const hash = createHash('sha256').update(JSON.stringify([model.id, thinking, effort]));
  const ofMessages = JSON.stringify([body['tool_choice'] ?? null, hasImages(body['messages'] as ApiMessage[])]);
  const boundaries: Boundary[] = [];
  let chars = 0;
  let media = 0;
  let isInMessages = false;
  for (const { label, block } of orderedBlocks(body)) {
    const isMessage = label !== 'tool' && label !== 'system';
    if (isMessage && !isInMessages) hash.update(ofMessages);
    isInMessages = isMessage;
    const { cache_control: control, ...rest } = block;
    const text = `${label}${JSON.stringify(rest)}`;
    hash.update(text);
    const tokens = mediaTokens(rest as Block, model);
    if (tokens === null) chars += text.length;
    else media += tokens;
    boundaries.push({
      hash: hash.copy().digest('base64url'),
      tokens: Math.ceil(chars / model.charsPerToken) + media,
      lifeMs: lifeOf(control),
    });
  }
  const last = boundaries.at(-1);
  // A request-level cache_control marks the last block.
  if (last && last.lifeMs === null) last.lifeMs = lifeOf(body['cache_control']);
  return boundaries;
}

function hasImages(messages: ApiMessage[]): boolean {
  return messages.some((message) => blocksOf(message).some((block) => block.type === 'image'));
}

function orderedBlocks(body: Json): { label: string; block: Json }[] {
  const tools = ((body['tools'] ?? []) as Json[]).map((block) => ({ label: 'tool', block }));
  const system = systemBlocks(body['system']).map((block) => ({ label: 'system', block }));
  const messages = (body['messages'] as ApiMessage[]).flatMap((message) =>
    blocksOf(message).map((block) => ({ label: message.role === 'system' ? 'told' : message.role, block: block as Json })),
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
