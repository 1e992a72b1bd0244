/** Finds the passages that answer a question: by words, and by meaning where there is a service for it. */
import { cut } from '../words/cut.ts';
import type { Door } from '../db/door.ts';
import type { Voyage } from '../voyage/client.ts';
import { addEmbeddingSpend, knowledgeVectors, passagesById, searchKnowledge } from './calls.ts';
import type { FoundPassage } from './calls.ts';
import { joined } from './decide.ts';
import { nearestWord, wantedIn } from './query-words.ts';
import { nearest, normOf } from './vectors.ts';

/** So many passages go into a prompt. */
export const PASSAGES = 5;
/** Of each way of looking, so many are joined. */
const OF_EACH = 10;
/** A contact waits: without an answer in this time words alone are looked for. Milliseconds. */
const QUERY_MS = 2_000;
/** Of a question; what is longer says no more. Characters. */
const QUERY_CHARS = 2_000;
/** While some vectors are still to be made, they are looked for again after this time. Milliseconds. */
const INCOMPLETE_MS = 30_000;
/** Vectors of so many companies are kept in memory. */
const MAX_TENANTS = 20;

export type Search = {
  /** The passages for what is asked now, best first; what was said before counts less. Errors: those of the database. Any number at once. */
  find(tenant: string, asked: { now: string; before?: string }, limit?: number): Promise<FoundPassage[]>;
};

type Vectors = { at: number; revision: number; missing: number; list: { id: number; vector: Int8Array; norm: number }[] };

/** `voyage` null: by words alone. */
export function createSearch(db: Door, voyage: Voyage | null): Search {
  const known = new Map<string, Vectors>();

  async function vectorsOf(tenant: string, model: string): Promise<Vectors> {
    const old = known.get(tenant);
    const isDue = old !== undefined && old.missing > 0 && performance.now() - old.at > INCOMPLETE_MS;
    const fresh = await knowledgeVectors(db, tenant, model, isDue ? null : (old?.revision ?? null));
    if (fresh === null && old !== undefined) return old;
    const made: Vectors = {
      at: performance.now(),
      revision: fresh?.revision ?? 0,
      missing: fresh?.missing ?? 0,
      list: (fresh?.vectors ?? []).map(({ id, vector }) => ({ id, vector, norm: normOf(vector) })),
    };
    known.delete(tenant);
    known.set(tenant, made);
    const [oldest] = known.keys();
    if (known.size > MAX_TENANTS && oldest !== undefined) known.delete(oldest);
    return made;
  }

  async function byMeaning(tenant: string, question: string): Promise<FoundPassage[]> {
    if (voyage === null || question.trim() === '') return [];
    const { list } = await vectorsOf(tenant, voyage.model);
    if (list.length === 0) return [];
    const answer = await voyage.embed([cut(question, QUERY_CHARS)], 'query', AbortSignal.timeout(QUERY_MS));
    if (!answer.ok) return [];
    await addEmbeddingSpend(db, tenant, answer);
    const [vector] = answer.vectors;
    return vector === undefined ? [] : passagesById(db, tenant, nearest(vector, list, OF_EACH));
  }

  return {
    async find(tenant, { now, before = '' }, limit = PASSAGES) {
      const [words, meaning, around] = await Promise.all([
        byWords(db, tenant, now, Math.max(limit, OF_EACH)),
        byMeaning(tenant, now),
        byWords(db, tenant, before, OF_EACH),
      ]);
      // "E o azul?" is understood by what was said before it.
      return joined(
        [
          { found: words, weight: 1 },
          { found: meaning, weight: 1 },
          { found: around, weight: 0.3 },
        ],
        limit,
      );
    },
  };
}

/** A word that no document has is read as the nearest one that some has. */
async function byWords(db: Door, tenant: string, question: string, limit: number): Promise<FoundPassage[]> {
  const wanted = wantedIn(question);
  if (wanted.length === 0) return [];
  const first = await searchKnowledge(db, tenant, wanted, limit);
  const meant = new Map(
    first.unknown.flatMap(({ word, near }) => {
      const nearby = nearestWord(word, near);
      return nearby === null ? [] : [[word, nearby] as const];
    }),
  );
  if (meant.size === 0) return first.found;
  const again = wanted.map((each) => wantedIn(meant.get(each.word) ?? '')[0] ?? each);
  return (await searchKnowledge(db, tenant, again, limit)).found;
}
