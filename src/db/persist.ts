import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseAway } from './failures.ts';

/**
 * Waits between the tries, in milliseconds. What has been paid for, or has been on the wire, survives a short absence of the database and the
 * time in which its breaker is open after that.
 */
const RETRIES_MS = [100, 300, 1_000, 3_000, 8_000, 15_000, 20_000];

/**
 * Writes down what happened, again and again while the database is unavailable, for some 47 s. For writes that may be repeated.
 * Throws what the last try threw.
 */
export async function persist<T>(write: () => Promise<T>): Promise<T> {
  for (const waitMs of RETRIES_MS) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof DatabaseAway)) throw error;
      await delay(waitMs);
    }
  }
  return await write();
}
