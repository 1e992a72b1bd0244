/** Vectors of passages: made once for each text and model, and compared in the worker's memory. */
import type { Door } from '../db/door.ts';
import { MOST_TEXTS } from '../voyage/client.ts';
import type { Embedded, Voyage } from '../voyage/client.ts';
import { addEmbeddingSpend, missingEmbeddings, saveEmbeddings } from './calls.ts';

/** What was made, and why not the rest; null: nothing is left. */
export type Embedding = { made: number; failure: Exclude<Embedded, { ok: true }> | null };

/**
 * Makes the vectors that are missing, of companies with more than `whole` characters of documents. Stops at the first failure: what was made is kept, and the next
 * run goes on. Any number at once: the same text may then be paid twice. Errors: those of the database.
 */
export async function embedMissing(db: Door, voyage: Voyage, whole: number, signal: AbortSignal): Promise<Embedding> {
  let made = 0;
  for (;;) {
    const missing = await missingEmbeddings(db, voyage.model, whole, MOST_TEXTS);
    const [first] = missing;
    if (first === undefined) return { made, failure: null };
    // Of one company at a time, so that each pays for its own.
    const own = missing.filter(({ tenant_id: tenant }) => tenant === first.tenant_id);
    const answer = await voyage.embed(
      own.map(({ text }) => text),
      'document',
      signal,
    );
    if (!answer.ok) return { made, failure: answer };
    await saveEmbeddings(
      db,
      voyage.model,
      own.map((each, index) => ({ ...each, vector: answer.vectors[index] ?? new Int8Array() })),
    );
    await addEmbeddingSpend(db, first.tenant_id, answer);
    made += own.length;
  }
}

/** The passages whose direction is nearest to that of the question (cosine), best first. */
export function nearest(query: Int8Array, vectors: readonly { id: number; vector: Int8Array; norm: number }[], limit: number): number[] {
  return vectors
    .map(({ id, vector, norm }) => ({ id, score: norm === 0 ? 0 : product(query, vector) / norm }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score || a.id - b.id)
    .slice(0, limit)
    .map(({ id }) => id);
}

export function normOf(vector: Int8Array): number {
  return Math.sqrt(product(vector, vector));
}

function product(a: Int8Array, b: Int8Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += (a[index] ?? 0) * (b[index] ?? 0);
  return sum;
}
