/** A pooler in transaction mode gives each transaction whatever session is free: locks, settings and LISTEN of a session are lost, and mixed up with others'. */
import pg from 'pg';
import { NeedsSession } from './failures.ts';
import { saysTransactionPooler } from './pooler-words.ts';

/** Rejects with NeedsSession(`why`) when the address leads to a pooler in transaction mode, and as pg does when it cannot be reached. */
export async function mustHaveSessions(url: string, why: string): Promise<void> {
  if (!(await hasSessions(url))) throw new NeedsSession(why);
}

/** One round is enough unless others take sessions of the same pool at that moment. */
const ROUNDS = 3;
/** Milliseconds. */
const ANSWER_MS = 5_000;

/**
 * Whether a connection is a session of its own. Two connections have two server processes, each keeps its one, and one that is in a transaction is nobody else's:
 * a pooler in transaction mode breaks one of these. A pooler in session mode keeps them. Rejects when the database cannot be reached.
 */
export async function hasSessions(url: string): Promise<boolean> {
  if (saysTransactionPooler(url)) return false;
  const [one, other] = [1, 2].map(
    () =>
      new pg.Client({
        connectionString: url,
        connectionTimeoutMillis: ANSWER_MS,
        query_timeout: ANSWER_MS,
        application_name: 'whats-agents',
      }),
  ) as [pg.Client, pg.Client];
  try {
    for (const client of [one, other]) {
      client.on('error', () => {}); // the statement under way says so
      await client.connect();
    }
    for (let round = 0; round < ROUNDS; round++) {
      const first = await processOf(one);
      await other.query('begin');
      // Asked in this order: a pooler with one session only would let the next question wait for the end of this transaction.
      if ((await processOf(other)) === first || (await processOf(one)) !== first) return false;
      await other.query('rollback');
    }
    return true;
  } finally {
    await Promise.allSettled([one.end(), other.end()]);
  }
}

async function processOf(client: pg.Client): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;
}
