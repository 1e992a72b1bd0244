/**
 * Who may call a route, and how often. A guarded route needs `Authorization: Bearer` with a HS256 token, claims sub, role, tenant, exp; no switch
 * turns this off. A token counts for TOKEN_MAX_DAYS at most and until it is revoked, which the database is asked at each request. API_RATE_LIMIT counts
 * a token's owner wherever it calls from, and everybody else by where they come from.
 */
import { createHash } from 'node:crypto';
import type { Context as Request, MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { createRateLimit } from '../process/rate-limit.ts';
import { useToken, TOKEN_ROLES } from '../people/token-calls.ts';
import type { SignedToken, TokenRole } from '../people/token-calls.ts';
import type { Env } from './http.ts';
import type { Process } from './ops.ts';
import { contextOf } from './context-of.ts';
import { sourceOfRequest } from './source.ts';

export type Caller = Pick<SignedToken, 'sub' | 'role' | 'tenant'>;

export type Auth = {
  /** Contract: lets through, with `caller` set where a role is needed, or throws 401, 403, 429, or 503 while nobody can say whether the token was revoked. */
  guard(needed: TokenRole | 'public'): MiddlewareHandler<Env>;
  /** null: no token, or one that does not count. Throws 503 or DatabaseAway as `guard`. */
  callerOf(authorization: string | undefined): Promise<Caller | null>;
  /** Counts a request of `key` against API_RATE_LIMIT; throws 429. */
  count(c: Request<Env>, key: string): void;
  /** By whom a request is counted: the owner of its token behind `guard`, else where it comes from. */
  nameOf(c: Request<Env>): string;
  /** Whether these are for who asks: names of numbers and tenants, volumes, money, words of alerts. Never throws: while nobody can say it, they are not. */
  seesDetails(c: Request<Env>): Promise<boolean>;
};

/** The window of API_RATE_LIMIT. Milliseconds. */
const WINDOW_MS = 60_000;

/** The previous key is accepted during a rotation. Without JWT_SECRET_KEY nobody may anything. */
export function createAuth(process: Process): Auth {
  const { auth, http } = process.config;
  const keys = [auth.jwtSecret, auth.jwtSecretPrevious]
    .filter((secret) => secret !== null)
    .map((secret) => new TextEncoder().encode(secret));
  const rate = createRateLimit({ limit: http.rateLimit, windowMs: WINDOW_MS });
  const count = (c: Request<Env>, key: string): void => {
    const waitMs = rate.take(key, performance.now());
    if (waitMs !== null) throw tooMany(c, waitMs, 'API_RATE_LIMIT');
  };
  const signedBy = (authorization: string | undefined): Promise<SignedToken | null> => {
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    return token === undefined ? Promise.resolve(null) : verify(token, keys, auth.maxTokenDays);
  };
  const counts = async (signed: SignedToken): Promise<boolean> => (await useToken(contextOf(process).db, signed)) === 'valid';
  const callerOf = async (authorization: string | undefined): Promise<Caller | null> => {
    const signed = await signedBy(authorization);
    return signed !== null && (await counts(signed)) ? signed : null;
  };
  const ownerOf = ({ tenant, sub }: Caller): string => `of ${tenant} ${sub}`;
  const nameOf = (c: Request<Env>): string => {
    const caller = c.get('caller' as never) as Caller | undefined;
    return caller === undefined ? `from ${sourceOfRequest(c, http.trustedProxyHops)}` : ownerOf(caller);
  };
  return {
    callerOf,
    count,
    async seesDetails(c) {
      if (http.openDetails) return true;
      const authorization = c.req.header('authorization');
      if (authorization === undefined) return false;
      // Its own ones another tenant asks for with the admin commands.
      const caller = await callerOf(authorization).catch(() => null);
      if (caller?.tenant !== 'default') return false;
      c.header('Cache-Control', 'no-store');
      return true;
    },
    nameOf,
    guard: (needed) => async (c, next) => {
      const signed = needed === 'public' ? null : await signedBy(c.req.header('authorization'));
      count(c, signed === null ? nameOf(c) : ownerOf(signed));
      if (needed !== 'public') {
        if (signed === null || !(await counts(signed))) throw unauthorized();
        if (!mayCall(signed.role, needed))
          throw new HTTPException(403, { message: `this needs the role ${needed}; this token has the role ${signed.role}` });
        c.header('Cache-Control', 'no-store');
        const caller: Caller = { sub: signed.sub, role: signed.role, tenant: signed.tenant };
        c.set('caller' as never, caller as never); // typed by the route's entry (EnvOf)
      }
      await next();
    },
  };
}

export function unauthorized(): HTTPException {
  return new HTTPException(401, { message: 'a valid token is needed: Authorization: Bearer <token signed with JWT_SECRET_KEY>' });
}

/** 429 with Retry-After; `variable` is what allows more. */
export function tooMany(c: Request<Env>, waitMs: number, variable: string): HTTPException {
  c.header('Retry-After', String(Math.max(1, Math.ceil(waitMs / 1000))));
  return new HTTPException(429, { message: `too many requests (${variable}); Retry-After says when to come again` });
}

/** Whether a token with this role may do what needs that one. */
export function mayCall(role: string, needed: TokenRole): boolean {
  return needed === 'sender' || TOKEN_ROLES.findIndex((each) => each === role) >= TOKEN_ROLES.indexOf(needed);
}

const words = z
  .string()
  .min(1)
  .max(200)
  .refine((value) => value.isWellFormed() && !value.includes('\u0000'));

const claims = z.object({
  sub: words,
  role: words,
  tenant: words.default('default'),
  jti: z.unknown().optional(),
  iat: z.number().optional(),
  exp: z.number(),
});

const DAY_SECONDS = 86_400;

/** The clock of who signs may be a little ahead. Seconds. */
const SKEW_SECONDS = 60;

async function verify(token: string, keys: Uint8Array[], maxDays: number): Promise<SignedToken | null> {
  // Loaded here: a worker and a scheduler have no guarded route.
  const { errors, jwtVerify } = await import('jose');
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'], requiredClaims: ['sub', 'role', 'exp'] });
      const found = claims.safeParse(payload).data;
      return found === undefined || livesTooLong(found, maxDays)
        ? null
        : { ...found, id: idOf(token, found.jti), expiresAt: new Date(found.exp * 1000) };
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
    }
  }
  return null;
}

/** From its `iat` on, or from now on when it has none, or one that has not come yet. */
function livesTooLong({ iat, exp }: { iat?: number | undefined; exp: number }, maxDays: number): boolean {
  const now = Date.now() / 1000;
  return exp - Math.min(iat ?? now, now) > maxDays * DAY_SECONDS + SKEW_SECONDS;
}

/** What `token revoke` names. Without a `jti` of ours: a digest of what was signed, since the signature itself can be written in several ways. */
function idOf(token: string, jti: unknown): string {
  if (typeof jti === 'string' && /^[A-Za-z0-9_-]{8,64}$/.test(jti)) return jti;
  return createHash('sha256')
    .update(token.slice(0, token.lastIndexOf('.')))
    .digest('base64url');
}
