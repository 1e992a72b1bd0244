/** Which passages are the best. Pure. */

/** Of the two ranks of a passage the better one counts most; 60 is what reciprocal rank fusion is used with (Cormack, Clarke and Büttcher, 2009). */
const RANK_BASE = 60;

/** Joins lists of passages, each best first, by reciprocal ranks; at most `limit`, best first. */
export function joined<Passage extends { id: number }>(lists: { found: Passage[]; weight: number }[], limit: number): Passage[] {
  const scores = new Map<number, { passage: Passage; score: number }>();
  for (const { found, weight } of lists) {
    for (const [rank, passage] of found.entries()) {
      const entry = scores.get(passage.id) ?? { passage, score: 0 };
      entry.score += weight / (RANK_BASE + rank + 1);
      scores.set(passage.id, entry);
    }
  }
  return [...scores.values()]
    .toSorted((a, b) => b.score - a.score || a.passage.id - b.passage.id)
    .slice(0, limit)
    .map(({ passage }) => passage);
}
