/** A file becomes what the agent knows. */
import { createHash } from 'node:crypto';
import type { Door } from '../db/door.ts';
import { storable } from '../words/json.ts';
import { foldWords } from '../words/fold.ts';
import { saveKnowledge } from './calls.ts';
import { wordsOf } from './document-words.ts';
import { readDocument } from './read.ts';
import type { ReadDocument } from './read.ts';

/** Characters of all documents of a tenant: more than any small company has, and still searched in milliseconds. */
const MAX_ALL_CHARS = 5_000_000;

export type Added = {
  name: string;
  outcome: 'added' | 'replaced' | 'unchanged';
  kind: ReadDocument['kind'];
  pages: number | null;
  passages: number;
  chars: number;
  /** Of all documents, with this one. */
  all_chars: number;
  /** It was no UTF-8, and was read as what Windows writes: somebody should look at it. */
  guessed_encoding: boolean;
};

/**
 * Reads a file and keeps it under its name, in place of an older one. What was there stays when anything fails. Errors: those of the database; a file that cannot
 * be kept is a value with the reason in words.
 */
export async function addDocument(
  db: Door,
  tenant: string,
  file: { name: string; bytes: Buffer },
  actor: string,
): Promise<{ ok: true; added: Added } | { ok: false; message: string }> {
  const { name, bytes } = file;
  const read = await readDocument(name, bytes);
  if (!read.ok) return read;
  const { kind, pages, guessed } = read.document;
  const passages = read.document.passages.map((passage) => {
    // Postgres holds no NUL, and JSON no half of an emoji.
    const heading = storable(passage.heading);
    const text = storable(passage.text);
    return {
      heading,
      text,
      heading_words: foldWords(heading),
      text_words: foldWords(text),
      sha256: hashOf(`${heading}\n${text}`),
      words: wordsOf({ heading, text }),
    };
  });
  const saved = await saveKnowledge(
    db,
    tenant,
    { name, kind, sha256: hashOf(bytes), bytes: bytes.length, pages, passages },
    MAX_ALL_CHARS,
    actor,
  );
  if (saved.outcome === 'full')
    return {
      ok: false,
      message: `with ${name} there would be ${saved.chars} characters of knowledge; at most ${MAX_ALL_CHARS} are kept: remove what is not needed`,
    };
  const chars = passages.reduce((sum, { text }) => sum + text.length, 0);
  return {
    ok: true,
    added: {
      name,
      outcome: saved.outcome,
      kind,
      pages,
      passages: passages.length,
      chars,
      all_chars: saved.chars,
      guessed_encoding: guessed,
    },
  };
}

function hashOf(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
