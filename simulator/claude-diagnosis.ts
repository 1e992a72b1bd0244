// `diagnostics.previous_message_id`: where a request differs from an earlier one. Only hashes are kept, as the API says of its own.

import { createHash } from 'node:crypto';
import { blocksOf, type ApiMessage } from './claude-check.ts';
import type { Json } from './types.ts';

const KEPT = 5_000;

export type Fingerprint = { model: string; system: string; tools: string; messages: string[]; rest: string; tokens: number };
/** By the id of the answer. */
export type Fingerprints = Map<string, Fingerprint>;

export function fingerprintOf(body: Json, tokens: number): Fingerprint {
  return {
    model: String(body['model']),
    system: hash(body['system'] ?? null),
    tools: hash(body['tools'] ?? null),
    messages: (body['messages'] as ApiMessage[]).map((message) => hash([message.role, blocksOf(message)])),
    rest: hash([body['thinking'] ?? null, body['tool_choice'] ?? null, body['output_config'] ?? null]),
    tokens,
  };
}

export function rememberFingerprint(known: Fingerprints, id: string, fingerprint: Fingerprint): void {
  known.set(id, fingerprint);
  for (const oldest of known.keys()) {
    if (known.size <= KEPT) break;
    known.delete(oldest);
  }
}

/** The field `diagnostics` of the answer; undefined when the request did not ask. */
export function diagnose(known: Fingerprints, body: Json, now: Fingerprint): Json | null | undefined {
  const asked = body['diagnostics'] as Json | null | undefined;
  if (asked === undefined || asked === null) return undefined;
  const id = asked['previous_message_id'];
  if (typeof id !== 'string') return null;
  const before = known.get(id);
  if (before === undefined) return { cache_miss_reason: { type: 'previous_message_not_found' } };
  const changed = changedPart(before, now);
  if (changed !== null) return { cache_miss_reason: { type: changed, cache_missed_input_tokens: before.tokens } };
  return before.rest === now.rest ? null : { cache_miss_reason: { type: 'unavailable' } };
}

function changedPart(before: Fingerprint, now: Fingerprint): string | null {
  if (before.model !== now.model) return 'model_changed';
  if (before.tools !== now.tools) return 'tools_changed';
  if (before.system !== now.system) return 'system_changed';
  return before.messages.some((message, at) => now.messages[at] !== message) ? 'messages_changed' : null;
}

function hash(value: unknown): string {
  const text = JSON.stringify(value, (key, inner: unknown) => (key === 'cache_control' ? undefined : inner));
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}
