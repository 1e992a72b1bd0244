/**
 * Who may call a route, and how often. A guarded route needs `Authorization: Bearer` with a HS256 token, claims sub, role, tenant, exp; no switch
 * turns this off. API_RATE_LIMIT counts a token's owner wherever it calls from, and everybody else by where they come from.
 */
import type { Context as Request, MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { createRateLimit } from '../core/rate-limit.ts';
import type { Env } from '../http.ts';
import { sourceOfRequest } from './source.ts';

/** Each may do what those before it may. A token with any other word as its role may what a sender may: post messages and ask for them. */
export const TOKEN_ROLES = ['sender', 'operator', 'admin'] as const;
export type TokenRole = (typeof TOKEN_ROLES)[number];

const claims = z.object({ sub: z.string(), role: z.string(), tenant: z.string().default('default') });
export type Caller = z.infer<typeof claims>;

export type Auth = {
  /** Contract: lets through, with `caller` set where a role is needed, or throws 401, 403 or 429. */
  guard(needed: TokenRole | 'public'): MiddlewareHandler<Env>;
  /** null: no valid token. */
  callerOf(authorization: string | undefined): Promise<Caller | null>;
};

/** The window of API_RATE_LIMIT. Milliseconds. */
const WINDOW_MS = 60_000;

/** The previous key is accepted during a rotation. Without JWT_SECRET_KEY nobody may anything. */
export function createAuth(config: Config): Auth {
  const keys = [config.auth.jwtSecret, config.auth.jwtSecretPrevious]
    .filter((secret) => secret !== null)
    .map((secret) => new TextEncoder().encode(secret));
  const rate = createRateLimit({ limit: config.http.rateLimit, windowMs: WINDOW_MS });
  const count = (c: Request<Env>, key: string): void => {
    const waitMs = rate.take(key, performance.now());
    if (waitMs !== null) throw tooMany(c, waitMs, 'API_RATE_LIMIT');
  };
  const callerOf: Auth['callerOf'] = async (authorization) => {
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    return token === undefined ? null : await verify(token, keys);
  };
  return {
    callerOf,
    guard: (needed) => async (c, next) => {
      const caller = needed === 'public' ? null : await callerOf(c.req.header('authorization'));
      count(c, caller === null ? `from ${sourceOfRequest(c, config.http.trustedProxyHops)}` : `of ${caller.tenant} ${caller.sub}`);
      if (needed !== 'public') {
        if (caller === null) throw unauthorized();
        if (!mayCall(caller.role, needed))
          throw new HTTPException(403, { message: `this needs the role ${needed}; this token has the role ${caller.role}` });
        c.header('Cache-Control', 'no-store');
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

async function verify(token: string, keys: Uint8Array[]): Promise<Caller | null> {
  // Loaded here: a worker and a scheduler have no guarded route.
  const { errors, jwtVerify } = await import('jose');
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'], requiredClaims: ['sub', 'role', 'exp'] });
      return claims.safeParse(payload).data ?? null;
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error;
    }
  }
  return null;
}
