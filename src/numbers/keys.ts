/** The keys of numbers that have one of their own at Evolution, as the client needs them: opened, and read again now and then. */
import type { SecretKeys } from '../process/secrets.ts';
import { listSealedSecrets } from './secret-calls.ts';
import type { Door } from '../db/door.ts';
import type { Logger } from '../process/log.ts';
import { openSecret } from '../process/secrets.ts';

/** A new key counts in each process within this time. Milliseconds. */
const FRESH_MS = 30_000;

/** What a sealed key belongs to. */
export const ownerOf = (instance: string): string => `instance:${instance}:evolution_key`;

/** `none`: EVOLUTION_API_KEY. `unreadable`: it has one that nobody can open here; nothing else may stand in for it. */
export type InstanceKey = { kind: 'own'; key: string } | { kind: 'none' } | { kind: 'unreadable' };

/**
 * The key of a number. Never throws: while the database is unavailable what was known last counts. EVOLUTION_API_KEY may do everything at Evolution, so a number
 * that was given a key of its own uses that one or none.
 */
export function createInstanceKeys(db: Door, secrets: SecretKeys | null, log: Logger): (instance: string) => Promise<InstanceKey> {
  let known = new Map<string, InstanceKey>();
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  async function read(): Promise<void> {
    try {
      const found = new Map<string, InstanceKey>();
      for (const { name, kind, sealed } of await listSealedSecrets(db, null)) {
        if (kind !== 'evolution_key') continue;
        const opened = secrets === null ? null : openSecret(secrets, sealed, ownerOf(name));
        if (opened === null) log.error({ instance: name }, 'The key of a number cannot be opened: SECRETS_KEY is another one');
        found.set(name, opened === null ? { kind: 'unreadable' } : { kind: 'own', key: opened.text });
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
      reading ??= read();
      // Only the first time is waited for.
      if (readAt === Number.NEGATIVE_INFINITY) await reading;
    }
    // Never read: who keeps keys in the database may have one for this number.
    if (readAt === Number.NEGATIVE_INFINITY && secrets !== null) return { kind: 'unreadable' };
    return known.get(instance) ?? { kind: 'none' };
  };
}
