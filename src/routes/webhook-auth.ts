import { createHash, timingSafeEqual } from 'node:crypto';
import { errors, jwtVerify } from 'jose';

/**
 * Evolution makes one token per event and reuses it for retries over some 20 minutes, although it says that it expires after 10. A 401 makes it
 * drop the event for good, so an expired token is accepted for this long. Source: contract 1.2. Seconds.
 */
const EXPIRY_TOLERANCE_SECONDS = 45 * 60;

/**
 * Who may post webhooks: the bearer is one of the secrets itself, or a HS256 token signed with one (`jwt_key` of Evolution's webhook). Two
 * secrets at once allow a rotation. Without any secret (refused in production) everybody may.
 */
export function webhookAuth(secrets: string[]): (authorization: string | undefined) => Promise<boolean> {
  const keys = secrets.map((secret) => new TextEncoder().encode(secret));
  return async (authorization) => {
    if (secrets.length === 0) return true;
    const bearer = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]?.trim();
    if (bearer === undefined) return false;
    // All are compared, so that the time says nothing about which one fits.
    let same = false;
    for (const secret of secrets) same = equal(bearer, secret) || same;
    if (same) return true;
    for (const key of keys) if (await signedWith(bearer, key)) return true;
    return false;
  };
}

/** Constant time whatever the lengths. */
function equal(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

async function signedWith(token: string, key: Uint8Array): Promise<boolean> {
  try {
    await jwtVerify(token, key, { algorithms: ['HS256'], clockTolerance: EXPIRY_TOLERANCE_SECONDS });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}
