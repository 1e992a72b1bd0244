/**
 * The secrets that speak for numbers, as the api and the checks of webhooks need them: opened, by number. A number without one of its own is spoken for by the secret
 * of the installation.
 */
import type { Config } from '../config.ts';
import type { SecretKeys } from '../process/secrets.ts';
import { listSealedSecrets } from './secret-calls.ts';
import type { Door } from '../db/door.ts';
import { openSecret } from '../process/secrets.ts';

/** `current` null: it cannot be opened, since SECRETS_KEY is another one. `previous` while it still counts. */
export type OwnSecret = { instance: string; current: string | null; previous: string | null };

/** What a sealed secret belongs to. */
export const webhookSecretOf = (instance: string): string => `instance:${instance}:webhook_secret`;

/** The numbers that have a secret of their own. Throws what the database throws. */
export async function ownSecrets(db: Door, secrets: SecretKeys | null): Promise<OwnSecret[]> {
  const found = new Map<string, OwnSecret>();
  for (const { name, kind, sealed, counts } of await listSealedSecrets(db, null)) {
    if (kind === 'evolution_key' || !counts) continue;
    const own = found.get(name) ?? { instance: name, current: null, previous: null };
    const text = secrets === null ? null : (openSecret(secrets, sealed, webhookSecretOf(name))?.text ?? null);
    found.set(name, kind === 'webhook_secret' ? { ...own, current: text } : { ...own, previous: text });
  }
  return [...found.values()];
}

/** What the webhook of a number may carry. `own`: it has a secret of its own, which may be one that nobody can open. */
export async function secretsOf(
  db: Door,
  config: Pick<Config, 'secrets' | 'webhook'>,
  instance: string,
): Promise<{ own: boolean; secrets: string[] }> {
  const own = (await ownSecrets(db, config.secrets)).find((each) => each.instance === instance);
  const { secret, secretPrevious } = config.webhook;
  const these = own === undefined ? [secret, secretPrevious] : [own.current];
  return { own: own !== undefined, secrets: these.filter((each) => each !== null) };
}
