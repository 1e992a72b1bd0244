/** What a turn may cost before it is asked for: the ceilings, and the worst case of a call. Pure. */
import { perTokenUsd, PRICED_MODELS, worstUsd } from '../claude/prices.ts';
import { settingsFor } from '../claude/models.ts';
import type { Effort } from '../claude/models.ts';

/** US dollars; null: no ceiling. Of a contact and a day, of a tenant and a day, of a tenant and a month. */
export type Ceilings = { readonly contactDay: number | null; readonly day: number | null; readonly month: number | null };

/** What SQL reserve_turns takes. `byte`, `call`: US dollars for each byte that a model reads, and for what each call has anyway. */
export type SpendPolicy = Ceilings & { readonly model: string; readonly models: Readonly<Record<string, { byte: number; call: number }>> };

/** The rules of the runtime, its tools and the frame of a request, as tokens: what a claim cannot see. More than that is asked for before the call. */
const FRAME_TOKENS = 5_000;

export function spendPolicyOf(
  claude: { ceilings: Ceilings | null; model: string; complexModel: string; maxTokens: number; effort: Effort } | null,
  at: Date,
): SpendPolicy | null {
  if (claude === null || claude.ceilings === null) return null;
  const names = new Set([...PRICED_MODELS, claude.model, claude.complexModel]);
  const models = [...names].flatMap((name) => {
    const byte = perTokenUsd(name, at);
    const { maxTokens } = settingsFor(name, { effort: claude.effort, answerTokens: claude.maxTokens });
    const call = worstUsd(name, { input: FRAME_TOKENS, output: maxTokens }, at);
    return byte === null || call === null ? [] : [[name, { byte, call }] as const];
  });
  return { ...claude.ceilings, model: claude.model, models: Object.fromEntries(models) };
}

/** Tokens of what the provider adds to a request by itself (tools have a text of its own). */
const HIDDEN_TOKENS = 1_000;
/** The most that one picture is, and what a page of a document is at most, with its picture and its words. Tokens. */
const PICTURE_TOKENS = 5_000;
const MOST_DOCUMENT_TOKENS = 450_000;
/** Our own words are prose, and no model has tokens of less than two bytes for it on average (claude/models.ts: 2.5 characters). */
const PROSE_BYTES = 2;

/**
 * Tokens that a request is at most. What a contact writes may be anything, and a token is never less than a byte; a file counts by what it becomes, not by
 * the letters that carry it. `fileTokens`: of all its files, by their pages (claude/files.ts); without it they are guessed by their size, and a small file may
 * have many pages.
 */
export function mostTokens(request: { system: unknown; tools: unknown; messages: unknown; fileTokens?: number }): number {
  let files = 0;
  const said = JSON.stringify(request.messages, (key, value: unknown) => {
    const carried = key === 'source' && typeof value === 'object' && value !== null && 'data' in value ? value : null;
    if (carried === null || typeof carried.data !== 'string') return value;
    const isPicture = 'media_type' in carried && String(carried.media_type).startsWith('image/');
    files += isPicture ? PICTURE_TOKENS : Math.min(MOST_DOCUMENT_TOKENS, PICTURE_TOKENS + carried.data.length / 4);
    return null;
  });
  const ours = Buffer.byteLength(JSON.stringify([request.system, request.tools])) / PROSE_BYTES;
  return Math.ceil(HIDDEN_TOKENS + ours + Buffer.byteLength(said) + (request.fileTokens ?? files));
}
