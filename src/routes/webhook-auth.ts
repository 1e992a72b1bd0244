/**
 * Who posts a webhook, by its secret: the bearer is the secret itself, or a HS256 token signed with it (`jwt_key` of Evolution's webhook). The secret of the
 * installation (two at once allow a rotation) speaks for the tenant default; that of a number for the number. Without any secret (refused in production)
 * everybody speaks for the installation.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { errors, jwtVerify } from 'jose';
import type { Poster } from '../inbox/calls.ts';
import type { OwnSecret } from '../numbers/webhook-secrets.ts';

/**
 * Evolution makes one token per event and reuses it for retries over some 20 minutes, although it says that it expires after 10. A 401 makes it
 * drop the event for good, so an expired token is accepted for this long. Source: contract 1.2. Seconds.
 */
const EXPIRY_TOLERANCE_SECONDS = 45 * 60;

/** An unknown secret may be one that a number got just now, and a 401 would lose its event; but strangers must not have the database asked at will. Milliseconds. */
const LOOK_AGAIN_MS = 1_000;
/** A secret that was taken away counts for so long at most. Milliseconds. */
const FRESH_MS = 30_000;

const INSTALLATION: Poster = { tenant: 'default' };

/**
 * `readOwn` reads the secrets of numbers; null: none can be opened, so there is none. The answer is null for a wrong credential.
 * Contract of the function that is returned: when only `readOwn` could say whose the credential is and it throws, this rejects with the same, and the sender
 * must come again.
 */
export function webhookAuth(
  secrets: string[],
  readOwn: (() => Promise<OwnSecret[]>) | null,
): (authorization: string | undefined) => Promise<Poster | null> {
  let numbers: { instance: string; secret: string }[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | null = null;
  /** All who need it share one look, which begins a second after the last one at the earliest. */
  const read = (own: () => Promise<OwnSecret[]>): Promise<void> =>
    (reading ??= delay(Math.max(0, LOOK_AGAIN_MS - (performance.now() - readAt)))
      .then(own)
      .then((found) => {
        readAt = performance.now();
        numbers = found.flatMap(({ instance, current, previous }) =>
          [current, previous].flatMap((secret) => (secret === null ? [] : [{ instance, secret }])),
        );
      })
      .finally(() => {
        reading = null;
      }));
  const ofNumber = async (bearer: string): Promise<Poster | null> => {
    // All are looked at, so that the time says nothing about which one fits.
    const fitting = numbers.filter(({ secret }) => fits(bearer, secret));
    for (const { instance, secret } of fitting) if (equal(bearer, secret) || (await signedWith(bearer, secret))) return { instance };
    return null;
  };
  return async (authorization) => {
    const bearer = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]?.trim();
    if (bearer !== undefined) {
      let same = false;
      for (const secret of secrets) same = equal(bearer, secret) || same;
      if (same) return INSTALLATION;
      for (const secret of secrets) if (await signedWith(bearer, secret)) return INSTALLATION;
      if (readOwn !== null) {
        const known = await ofNumber(bearer);
        if (known !== null && performance.now() - readAt < FRESH_MS) return known;
        await read(readOwn).catch((error: unknown) => {
          // What was known last counts while the database is unavailable.
          if (known === null) throw error;
        });
        const found = await ofNumber(bearer);
        if (found !== null) return found;
      }
    }
    return secrets.length === 0 ? INSTALLATION : null;
  };
}

/** Constant time whatever the lengths. */
function equal(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

/** The secret itself, or a token whose signature is of it: what is cheap to say of each of many secrets. */
function fits(bearer: string, secret: string): boolean {
  const end = bearer.lastIndexOf('.');
  return (
    equal(bearer, secret) ||
    (end > 0 && equal(bearer.slice(end + 1), createHmac('sha256', secret).update(bearer.slice(0, end)).digest('base64url')))
  );
}

async function signedWith(token: string, secret: string): Promise<boolean> {
  try {
    await jwtVerify(token, new TextEncoder().encode(secret), { algorithms: ['HS256'], clockTolerance: EXPIRY_TOLERANCE_SECONDS });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}
