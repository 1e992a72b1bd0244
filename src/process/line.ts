/** So many at once; the others wait in their order. */

export type Line = {
  /** Runs it when there is a place. Resolves and rejects as it does. */
  run<T>(work: () => Promise<T>): Promise<T>;
};

export function createLine(most: number): Line {
  let inside = 0;
  const waiting: (() => void)[] = [];
  return {
    async run(work) {
      // Who is let in from the line takes the place of who left.
      if (inside >= most) await new Promise<void>((resolve) => waiting.push(resolve));
      else inside++;
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) inside--;
        else next();
      }
    },
  };
}
