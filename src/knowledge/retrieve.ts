/** Finds the passages that answer a question: by words, and by meaning where there is a service for it. */
import { cut } from '../words/cut.ts';
import type { Door } from '../db/door.ts';
import type { Voyage } from '../voyage/client.ts';
import { addEmbeddingSpend, knowledgeIndex, knowledgeVectors, passagesById, wordStems } from './calls.ts';
import type { FoundPassage } from './calls.ts';
import { joined } from './decide.ts';
import { wantedIn } from './query-words.ts';
import type { Wanted } from './query-words.ts';
import { keepRecent } from './recent.ts';
import { nearest, normOf } from './vectors.ts';
import { meantWords, searchWords, wordIndex } from './word-index.ts';
import type { Stems, WordIndex } from './word-index.ts';

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
/** Words and vectors of so many companies are kept in memory, and the stems of so many words. */
const MAX_TENANTS = 20;
const MAX_STEMS = 20_000;

export type Search = {
  /** The passages for what is asked now, best first; what was said before counts less. Errors: those of the database. Any number at once. */
  find(tenant: string, asked: { now: string; before?: string }, limit?: number): Promise<FoundPassage[]>;
};

type Scored = { id: number; score: number };

type Vectors = { at: number; revision: number; missing: number; list: { id: number; vector: Int8Array; norm: number }[] };

/** `voyage` null: by words alone. */
export function createSearch(db: Door, voyage: Voyage | null): Search {
  const known = new Map<string, Vectors>();
  const indexes = new Map<string, WordIndex>();
  const stems = new Map<string, readonly string[]>();

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
    return keepRecent(known, tenant, made, MAX_TENANTS);
  }

  async function indexOf(tenant: string): Promise<WordIndex> {
    const old = indexes.get(tenant);
    const fresh = await knowledgeIndex(db, tenant, old?.revision ?? null);
    if (fresh === null && old !== undefined) return old;
    const made = wordIndex(fresh?.revision ?? 0, fresh?.passages ?? [], fresh?.words ?? []);
    return keepRecent(indexes, tenant, made, MAX_TENANTS);
  }

  /** Of these words and of all that were asked for before. */
  async function stemsOf(wanted: readonly Wanted[]): Promise<Stems> {
    const words = wanted.flatMap(({ word, also }) => [word, ...also]).filter((word) => !stems.has(word));
    if (words.length === 0) return stems;
    if (stems.size > MAX_STEMS) stems.clear();
    const found = await wordStems(db, [...new Set(words)]);
    for (const [word, its] of Object.entries(found)) stems.set(word, its);
    return stems;
  }

  /** A word that no document has is read as the nearest one that some has. */
  async function byWords(index: WordIndex, question: string, limit: number): Promise<Scored[]> {
    const wanted = wantedIn(question);
    if (wanted.length === 0) return [];
    const meant = meantWords(index, wanted, await stemsOf(wanted));
    const again = meant.size === 0 ? wanted : wanted.map((each) => wantedIn(meant.get(each.word) ?? '')[0] ?? each);
    return searchWords(index, again, await stemsOf(again), limit);
  }

  async function byMeaning(tenant: string, question: string): Promise<Scored[]> {
    if (voyage === null || question.trim() === '') return [];
    const { list } = await vectorsOf(tenant, voyage.model);
    if (list.length === 0) return [];
    const answer = await voyage.embed([cut(question, QUERY_CHARS)], 'query', AbortSignal.timeout(QUERY_MS));
    if (!answer.ok) return [];
    await addEmbeddingSpend(db, tenant, answer);
    const [vector] = answer.vectors;
    return vector === undefined ? [] : nearest(vector, list, OF_EACH).map((id) => ({ id, score: 0 }));
  }

  return {
    async find(tenant, { now, before = '' }, limit = PASSAGES) {
      const index = await indexOf(tenant);
      const [words, meaning, around] = await Promise.all([
        byWords(index, now, Math.max(limit, OF_EACH)),
        byMeaning(tenant, now),
        byWords(index, before, OF_EACH),
      ]);
      // "E o azul?" is understood by what was said before it.
      const best = joined(
        [
          { found: words, weight: 1 },
          { found: meaning, weight: 1 },
          { found: around, weight: 0.3 },
        ],
        limit,
      );
      const passages = await passagesById(
        db,
        tenant,
        best.map(({ id }) => id),
      );
      const scores = new Map(best.map(({ id, score }) => [id, Math.round(1_000 * score) / 1_000]));
      return passages.map((passage) => ({ ...passage, score: scores.get(passage.id) ?? 0 }));
    },
  };
}
