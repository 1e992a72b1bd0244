/** What BullMQ keeps in Postgres, as somebody sees it who empties the queue. */
import { overDeadlocks } from '../../src/db/deadlock.ts';

const JOB_TABLES = ['job', 'job_log', 'job_dependency', 'dedup', 'dedup_next', 'event'].map((name) => `bullmq.${name}`).join(', ');

/** Empties the queue as FLUSHALL empties Redis. `query` runs one statement. */
export async function flushPostgresQueue(query: (sql: string) => Promise<unknown>): Promise<void> {
  // Workers and queues hold locks of these tables in another order.
  await overDeadlocks(() => query(`truncate ${JOB_TABLES}`));
}
