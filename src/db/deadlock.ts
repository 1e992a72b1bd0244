/** SQL state of a deadlock: two statements waited for each other, and Postgres ended one. */
const DEADLOCK = '40P01';
/** Postgres looks for deadlocks once a second, so this is some ten seconds at worst. */
const TRIES = 10;

/**
 * The one place in which a deadlock is repeated: nothing of what Postgres ended has happened, so it is done again, at once. What became of a send must not
 * get lost in one. Throws what the last try threw. Contract: `work` is one statement or one transaction, and its error carries the SQL state as `code`.
 */
export async function overDeadlocks<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if ((error as { code?: unknown } | null)?.code !== DEADLOCK || attempt === TRIES) throw error;
    }
  }
}
