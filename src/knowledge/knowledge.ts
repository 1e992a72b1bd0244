/** What a company knows, as its turns read it: all of it where it fits into every prompt, else the passages that a question needs. */
import type { Door } from '../db/door.ts';
import type { Voyage } from '../voyage/client.ts';
import { knowledgeOf } from './calls.ts';
import type { KnownDocuments } from './calls.ts';
import { keepRecent } from './recent.ts';
import { createSearch } from './retrieve.ts';

/**
 * Characters up to which all of it stands in every prompt: 40,000 tokens by the smallest characters a token of any model (claude/models.ts). The cache has it then,
 * nothing can be missed by a search, and the model sees what belongs together.
 */
export const WHOLE_CHARS = 100_000;
/** What was read is used for so long; a change is in force on every worker after it. Milliseconds. */
const FRESH_MS = 3_000;
/** So many companies are kept in memory. */
const MAX_TENANTS = 50;

/** A source as the model reads it and cites it. */
export type Source = { title: string; passages: { heading: string; text: string }[] };

/**
 * `documents`: all of it, the same for every conversation until it changes. `passages`: what this question needs, best first. One of them is empty. `any`: there
 * are documents, whether or not a passage was found.
 */
export type Known = { any: boolean; documents: readonly Source[]; passages: readonly Source[] };

export type Knowledge = {
  /**
   * For a turn: what is asked now, and what was said before it. Contract: any number at once; a change is seen within `FRESH_MS`; what was read before is used
   * while the database is unavailable. Errors: those of the database.
   */
  forTurn(tenant: string, asked: { now: string; before: string }): Promise<Known>;
};

export const NOTHING_KNOWN: Known = { any: false, documents: [], passages: [] };

type Entry = { at: number; known: KnownDocuments; sources: readonly Source[] | null };

export function createKnowledge(db: Door, voyage: Voyage | null): Knowledge {
  const search = createSearch(db, voyage);
  const entries = new Map<string, Entry>();
  const reading = new Map<string, Promise<Entry>>();

  async function read(tenant: string): Promise<Entry> {
    const old = entries.get(tenant);
    try {
      const fresh = await knowledgeOf(db, tenant, old?.known.revision ?? null, WHOLE_CHARS);
      const known = fresh ?? old?.known;
      if (known === undefined) throw new Error('knowledge_of tells all to who has nothing');
      const sources = fresh === null && old !== undefined ? old.sources : sourcesOf(known);
      return keepRecent(entries, tenant, { at: performance.now(), known, sources }, MAX_TENANTS);
    } catch (error) {
      if (old === undefined) throw error;
      return keepRecent(entries, tenant, { ...old, at: performance.now() }, MAX_TENANTS);
    }
  }

  async function entryOf(tenant: string): Promise<Entry> {
    const entry = entries.get(tenant);
    if (entry !== undefined && performance.now() - entry.at < FRESH_MS) return entry;
    let running = reading.get(tenant);
    if (running === undefined) {
      running = read(tenant).finally(() => reading.delete(tenant));
      reading.set(tenant, running);
    }
    return running;
  }

  return {
    async forTurn(tenant, { now, before }) {
      const { known, sources } = await entryOf(tenant);
      if (known.chars === 0) return NOTHING_KNOWN;
      if (sources !== null) return { any: true, documents: sources, passages: [] };
      const best = await search.find(tenant, { now, before });
      return {
        any: true,
        documents: [],
        passages: best.map(({ name, ...passage }) => sourceOf(name, [passage])),
      };
    },
  };
}

function sourcesOf({ documents }: KnownDocuments): readonly Source[] | null {
  return documents?.map(({ name, passages }) => sourceOf(name, passages)) ?? null;
}

/** What is cited is a passage; of a table, a row. */
function sourceOf(name: string, passages: Source['passages']): Source {
  const rows = ({ heading, text }: Source['passages'][number]): Source['passages'] =>
    text.split('\n').map((row) => ({ heading, text: row }));
  return {
    title: name,
    passages: name.endsWith('.csv') ? passages.flatMap(rows) : passages.map(({ heading, text }) => ({ heading, text })),
  };
}
