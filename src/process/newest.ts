/** The newest of what was seen, and no more than so many. */

export type Newest = {
  has(key: string): boolean;
  /** It is the newest now; of too many the oldest is forgotten. */
  add(key: string): void;
  remove(key: string): void;
};

export function createNewest(most: number): Newest {
  const keys = new Set<string>();
  return {
    has: (key) => keys.has(key),
    add(key) {
      keys.delete(key);
      keys.add(key);
      if (keys.size > most) for (const oldest of keys) if (keys.delete(oldest)) break;
    },
    remove: (key) => void keys.delete(key),
  };
}
