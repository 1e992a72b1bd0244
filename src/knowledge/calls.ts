/** What a company knows: SQL in the room `knowledge`. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export type SavedDocument = {
  name: string;
  kind: string;
  /** Of the file. */
  sha256: string;
  bytes: number;
  pages: number | null;
  passages: { heading: string; text: string; heading_words: string; text_words: string; sha256: string; words: string[] }[];
};

const saved = z.object({
  outcome: z.enum(['added', 'replaced', 'unchanged', 'full']),
  id: z.number().nullable(),
  revision: z.number(),
  /** Of all documents. */
  chars: z.number(),
});

/** SQL save_knowledge: keeps a document, in place of one of the same name. `full`: all documents would have more than `most` characters. */
export async function saveKnowledge(
  db: Door,
  tenant: string,
  document: SavedDocument,
  most: number,
  actor: string,
): Promise<z.infer<typeof saved>> {
  return saved.parse(await db.call('save_knowledge', { p_tenant: tenant, p_document: document, p_most: most, p_actor: actor }));
}

/** SQL remove_knowledge: forgets a document; false: there was none of this name. */
export async function removeKnowledge(db: Door, tenant: string, name: string, actor: string): Promise<boolean> {
  return z.boolean().parse(await db.call('remove_knowledge', { p_tenant: tenant, p_name: name, p_actor: actor }));
}

const listed = z.object({
  id: z.number(),
  name: z.string(),
  kind: z.string(),
  pages: z.number().nullable(),
  bytes: z.number(),
  chars: z.number(),
  passages: z.number(),
  sha256: z.string(),
  added_by: z.string(),
  created_at: time,
  updated_at: time,
});
export type ListedDocument = z.infer<typeof listed>;

/** SQL list_knowledge: the documents of a tenant, by name. */
export async function listKnowledge(db: Door, tenant: string): Promise<ListedDocument[]> {
  return z.array(listed).parse(await db.call('list_knowledge', { p_tenant: tenant }));
}

const passage = z.object({ heading: z.string(), text: z.string() });

const known = z.object({
  revision: z.number(),
  chars: z.number(),
  /** null: it is too much for every prompt, and is searched. */
  documents: z.array(z.object({ name: z.string(), passages: z.array(passage) })).nullable(),
});
export type KnownDocuments = z.infer<typeof known>;

/** SQL knowledge_of: all of it, up to `whole` characters; null: nothing has changed since the revision `seen`. */
export async function knowledgeOf(db: Door, tenant: string, seen: number | null, whole: number): Promise<KnownDocuments | null> {
  return known.nullable().parse(await db.call('knowledge_of', { p_tenant: tenant, p_known: seen, p_whole: whole }));
}

const stored = passage.extend({ id: z.number() });

/** SQL knowledge_passages: all of a document, in their order; empty: there is none of this name. */
export async function knowledgePassages(db: Door, tenant: string, name: string): Promise<z.infer<typeof stored>[]> {
  return z.array(stored).parse(await db.call('knowledge_passages', { p_tenant: tenant, p_name: name }));
}

const hit = passage.extend({ id: z.number(), name: z.string(), score: z.number() });
export type FoundPassage = z.infer<typeof hit>;

const index = z.object({
  revision: z.number(),
  passages: z.array(z.object({ id: z.number(), stems: z.string() })),
  words: z.array(z.string()),
});

/** SQL knowledge_index: all passages by the stems of their words, and all words; null: nothing has changed since the revision `seen`. */
export async function knowledgeIndex(db: Door, tenant: string, seen: number | null): Promise<z.infer<typeof index> | null> {
  return index.nullable().parse(await db.call('knowledge_index', { p_tenant: tenant, p_known: seen }));
}

/** SQL word_stems: what the passages are found by, of each word; none: it is one that every text has. */
export async function wordStems(db: Door, words: readonly string[]): Promise<Record<string, string[]>> {
  return z.record(z.string(), z.array(z.string())).parse(await db.call('word_stems', { p_words: words }));
}

const vectors = z.object({
  revision: z.number(),
  /** Passages that have none yet. */
  missing: z.number(),
  vectors: z.array(z.object({ id: z.number(), vector: z.string().transform((base64) => new Int8Array(Buffer.from(base64, 'base64'))) })),
});

/** SQL knowledge_vectors: the vectors of a tenant's passages by a model; null: nothing has changed since the revision `seen`. */
export async function knowledgeVectors(
  db: Door,
  tenant: string,
  model: string,
  seen: number | null,
): Promise<z.infer<typeof vectors> | null> {
  return vectors.nullable().parse(await db.call('knowledge_vectors', { p_tenant: tenant, p_model: model, p_known: seen }));
}

/** SQL passages_by_id: in the order of the ids; what is gone, or another tenant's, is left out. */
export async function passagesById(db: Door, tenant: string, ids: number[]): Promise<FoundPassage[]> {
  return z.array(hit).parse(await db.call('passages_by_id', { p_tenant: tenant, p_ids: ids }));
}

const missing = z.object({ tenant_id: z.string(), sha256: z.string(), text: z.string() });

/** SQL missing_embeddings: texts without a vector of a model, of tenants with more than `whole` characters of documents. */
export async function missingEmbeddings(db: Door, model: string, whole: number, limit: number): Promise<z.infer<typeof missing>[]> {
  return z.array(missing).parse(await db.call('missing_embeddings', { p_model: model, p_whole: whole, p_limit: limit }));
}

/** SQL save_embeddings: keeps vectors. May be repeated. */
export async function saveEmbeddings(
  db: Door,
  model: string,
  rows: { tenant_id: string; sha256: string; vector: Int8Array }[],
): Promise<void> {
  const encoded = rows.map(({ tenant_id, sha256, vector }) => ({
    tenant_id,
    sha256,
    vector: Buffer.from(vector.buffer).toString('base64'),
  }));
  await db.call('save_embeddings', { p_model: model, p_rows: encoded });
}

/** SQL add_embedding_spend: a call was paid. `usd` null: the model has no price. */
export async function addEmbeddingSpend(db: Door, tenant: string, { usd, tokens }: { usd: number | null; tokens: number }): Promise<void> {
  await db.call('add_embedding_spend', { p_tenant: tenant, p_usd: usd, p_tokens: tokens });
}
