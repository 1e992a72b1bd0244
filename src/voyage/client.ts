/**
 * Embeddings of Voyage over HTTP: `POST {base}/embeddings`. Sources: docs/voyage.md. Expected failures are values, never thrown; nothing is retried here.
 * After a failure that the next call would meet too, calls rest for a while: a search by words goes on without them, and should not wait.
 */
import { jsonOf } from '../words/json.ts';
import { z } from 'zod';
import { cut } from '../words/cut.ts';

/** Whole numbers of one byte: a tenth of the room of floats, and the ranks are nearly the same. */
export const DIMENSIONS = 512;
/** Texts of one call; the API takes 1,000. */
export const MOST_TEXTS = 128;

export type Embedded =
  | { ok: true; vectors: Int8Array[]; tokens: number; usd: number | null }
  | { ok: false; reason: 'unreachable' | 'timeout' | 'key' | 'credit' | 'rate_limited' | 'refused' | 'answer' | 'resting'; detail: string };

export type Voyage = {
  /** What the vectors belong to: those of another model or length cannot be compared. */
  model: string;
  /** One paid call, for at most `MOST_TEXTS` texts. Contract: never rejects; ends when the signal aborts. Any number at once. */
  embed(texts: string[], kind: 'query' | 'document', signal: AbortSignal): Promise<Embedded>;
};

/** US dollars for a million tokens (docs/voyage.md, 2026-11). */
const PRICES: Readonly<Record<string, number>> = {
  'voyage-4-large': 0.12,
  'voyage-4': 0.06,
  'voyage-4-lite': 0.02,
  'voyage-3-large': 0.18,
  'voyage-3.5': 0.06,
  'voyage-3.5-lite': 0.02,
};

/** How long calls rest after such a failure. Milliseconds. */
const REST_MS = { key: 300_000, credit: 300_000, rate_limited: 20_000, unreachable: 30_000, timeout: 30_000 } as const;

const answer = z.object({
  data: z.array(z.object({ embedding: z.array(z.number().int().min(-128).max(127)), index: z.number().int() })),
  usage: z.object({ total_tokens: z.number() }),
});

export function createVoyage({ apiKey, model, baseUrl }: { apiKey: string; model: string; baseUrl: string }): Voyage {
  let restUntil = 0;
  const failed = (reason: Exclude<Embedded, { ok: true }>['reason'], detail: string): Embedded => {
    if (reason in REST_MS) restUntil = performance.now() + REST_MS[reason as keyof typeof REST_MS];
    return { ok: false, reason, detail: cut(detail, 300) };
  };
  return {
    model,
    async embed(texts, kind, signal) {
      if (performance.now() < restUntil) return { ok: false, reason: 'resting', detail: 'a call failed a moment ago' };
      try {
        const response = await fetch(`${baseUrl}/embeddings`, {
          method: 'POST',
          headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
          body: JSON.stringify({ input: texts, model, input_type: kind, output_dimension: DIMENSIONS, output_dtype: 'int8' }),
          signal,
          redirect: 'error', // a key goes to its own address only
        });
        const text = await response.text();
        if (response.status !== 200) return failed(reasonOf(response.status), `${response.status}: ${text}`);
        const parsed = answer.safeParse(jsonOf(text));
        if (!parsed.success) return failed('answer', `no embeddings: ${text}`);
        const { data, usage } = parsed.data;
        const vectors = texts.map((_, index) => Int8Array.from(data.find((each) => each.index === index)?.embedding ?? []));
        if (vectors.some(({ length }) => length !== DIMENSIONS))
          return failed('answer', `${model} gave vectors of another length than ${DIMENSIONS}`);
        const price = PRICES[model];
        return { ok: true, vectors, tokens: usage.total_tokens, usd: price === undefined ? null : (price * usage.total_tokens) / 1e6 };
      } catch (error) {
        const cause = error instanceof Error ? (error.cause ?? error) : error;
        return failed(signal.aborted ? 'timeout' : 'unreachable', String(cause));
      }
    },
  };
}

function reasonOf(status: number): 'key' | 'credit' | 'rate_limited' | 'refused' | 'unreachable' {
  if (status === 401 || status === 403) return 'key';
  if (status === 402) return 'credit';
  if (status === 429) return 'rate_limited';
  return status >= 500 ? 'unreachable' : 'refused';
}
