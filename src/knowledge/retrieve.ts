/** Finds the passages that answer a question. */
import type { Door } from '../db/door.ts';
import { searchKnowledge } from './calls.ts';
import type { FoundPassage } from './calls.ts';
import { nearestWord, wantedIn } from './query-words.ts';

/** So many passages go into a prompt. */
export const PASSAGES = 5;

/** The passages of a tenant for what is asked, best first; a word that no document has is read as the nearest one that some has. Errors: those of the database. */
export async function retrieve(db: Door, tenant: string, question: string, limit: number = PASSAGES): Promise<FoundPassage[]> {
  const wanted = wantedIn(question);
  if (wanted.length === 0) return [];
  const first = await searchKnowledge(db, tenant, wanted, limit);
  const meant = new Map(
    first.unknown.flatMap(({ word, near }) => {
      const nearest = nearestWord(word, near);
      return nearest === null ? [] : [[word, nearest] as const];
    }),
  );
  if (meant.size === 0) return first.found;
  const again = wanted.map((each) => wantedIn(meant.get(each.word) ?? '')[0] ?? each);
  return (await searchKnowledge(db, tenant, again, limit)).found;
}
