/** Who may call a guarded route: `Authorization: Bearer` with a HS256 token, claims sub, role, tenant, exp. No switch turns this off. */
import type { MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { Env } from '../http.ts';

/** Each may do what those before it may. A token with any other word as its role may what a sender may: post messages and ask for them. */
export const TOKEN_ROLES = ['sender', 'operator', 'admin'] as const;
export type TokenRole = (typeof TOKEN_ROLES)[number];

const claims = z.object({ sub: z.string(), role: z.string(), tenant: z.string().default('default') });
export type Caller = z.infer<typeof claims>;

/** Contract: lets through with `caller` set, or throws 401 or 403. */
export type Guard = (needed: TokenRole) => MiddlewareHandler<Env>;

export type Auth = { guard: Guard; callerOf(authorization: string | undefined): Promise<Caller | null> };

/** The previous key is accepted during a rotation. Without JWT_SECRET_KEY nobody may anything. */
export function createAuth({ auth }: Config): Auth {
  const keys = [auth.jwtSecret, auth.jwtSecretPrevious]
    .filter((secret) => secret !== null)
    .map((secret) => new TextEncoder().encode(secret));
  const callerOf: Auth['callerOf'] = async (authorization) => {
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
    return token === undefined ? null : await verify(token, keys);
  };
  return {
    callerOf,
    guard: (needed) => async (c, next) => {
      const caller = await callerOf(c.req.header('authorization'));
      if (caller === null) throw unauthorized();
      if (!mayRun(caller.role, needed))
        throw new HTTPException(403, { message: `this needs the role ${needed}; this token has the role ${caller.role}` });
      c.set('caller' as never, caller as never); // typed by the route's entry (EnvOf)
      await next();
    },
  };
}

export function unauthorized(): HTTPException {
  return new HTTPException(401, { message: 'a valid token is needed: Authorization: Bearer <token signed with JWT_SECRET_KEY>' });
}

function mayRun(role: string, needed: TokenRole): boolean {
  return TOKEN_ROLES.findIndex((each) => each === role) >= TOKEN_ROLES.indexOf(needed) || needed === 'sender';
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
