/** What BullMQ keeps in Postgres, as somebody sees it who empties the queue. */

const JOB_TABLES = ['job', 'job_log', 'job_dependency', 'dedup', 'dedup_next', 'event'].map((name) => `bullmq.${name}`).join(', ');
/** SQL state: Postgres ended this statement because it and another waited for each other. */
const DEADLOCK = '40P01';
const MAX_TRIES = 10;

/** Empties the queue as FLUSHALL empties Redis. `query` runs one statement. */
export async function flushPostgresQueue(query: (sql: string) => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await query(`truncate ${JOB_TABLES}`);
      return;
    } catch (error) {
      // Workers and queues hold locks of these tables in another order.
      if ((error as { code?: string }).code !== DEADLOCK || attempt === MAX_TRIES) throw error; // pg's errors carry the SQL state
    }
  }
}
