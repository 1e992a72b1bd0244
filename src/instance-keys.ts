/** The keys of numbers that have one of their own at Evolution, as the client needs them: opened, and read again now and then. */
import type { SecretKeys } from './config/care.ts';
import { listInstanceKeys } from './db/care.ts';
import type { Door } from './db/door.ts';
import type { Logger } from './log.ts';
import { openSecret } from './secrets.ts';

/** A new key counts in each process within this time. Milliseconds. */
const FRESH_MS = 30_000;

/** What a sealed key belongs to. */
export const ownerOf = (instance: string): string => `instance:${instance}:evolution_key`;

/**
 * The key of a number, or null: EVOLUTION_API_KEY. Never throws: while the database is away what was known last counts. Without SECRETS_KEY no key can be opened,
 * and nothing is asked.
 */
export function createInstanceKeys(db: Door, secrets: SecretKeys | null, log: Logger): (instance: string) => Promise<string | null> {
  if (secrets === null) return async () => null;
  let known = new Map<string, string>();
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  async function read(keys: SecretKeys): Promise<void> {
    try {
      const found = new Map<string, string>();
      for (const { name, key } of await listInstanceKeys(db)) {
        const opened = openSecret(keys, key, ownerOf(name));
        if (opened === null) log.error({ instance: name }, 'The key of a number cannot be opened: SECRETS_KEY is another one');
        else found.set(name, opened.text);
      }
      known = found;
      readAt = performance.now();
    } catch (error) {
      log.warning({ error }, 'Keys of numbers could not be read');
    } finally {
      reading = null;
    }
  }
  return async (instance) => {
    if (performance.now() - readAt > FRESH_MS) {
      reading ??= read(secrets);
      // Only the first time is waited for.
      if (readAt === Number.NEGATIVE_INFINITY) await reading;
    }
    return known.get(instance) ?? null;
  };
}
