/**
 * Secrets in the database are sealed: AES-256-GCM under a key that is not in the database. A sealed text says which key it is of, so the key can be changed
 * while everything runs: set SECRETS_KEY_PREVIOUS to the old one, run `secrets rotate`, take it away.
 *
 *   v1.KEY ID.NONCE.CIPHERTEXT AND TAG       base64url; what it belongs to is authenticated with it, so it cannot be moved to another row
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

/** The current key seals what is kept in the database; both open. */
export type SecretKeys = { readonly current: string; readonly previous: string | null };

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

function keyOf(secret: string): { id: string; bytes: Buffer } {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', 'whats-agents secrets at rest', 32));
  // of the derived key, so that it says nothing about the secret that could be tried against
  return { id: createHash('sha256').update(bytes).digest('base64url').slice(0, 8), bytes };
}

export function sealSecret(keys: SecretKeys, text: string, belongsTo: string): string {
  const { id, bytes } = keyOf(keys.current);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', bytes, nonce).setAAD(Buffer.from(belongsTo));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return `v1.${id}.${nonce.toString('base64url')}.${body.toString('base64url')}`;
}

/** null: of neither key, changed, or another row's. `current`: it is of the current key. */
export function openSecret(keys: SecretKeys, sealed: string, belongsTo: string): { text: string; current: boolean } | null {
  const [version, id, nonce = '', body = ''] = sealed.split('.');
  const known = [keys.current, ...(keys.previous === null ? [] : [keys.previous])].map(keyOf);
  const key = known.find((each) => each.id === id);
  const bytes = Buffer.from(body, 'base64url');
  if (version !== 'v1' || key === undefined || bytes.length < TAG_BYTES) return null;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, Buffer.from(nonce, 'base64url')).setAAD(Buffer.from(belongsTo));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const text = Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8');
    return { text, current: key === known[0] };
  } catch {
    return null;
  }
}
