import type { MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { errors, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { Env } from '../http.ts';

const claims = z.object({ sub: z.string(), role: z.string(), tenant: z.string().default('default') });
export type Caller = z.infer<typeof claims>;
export type CallerEnv = { Variables: Env['Variables'] & { caller: Caller } };

/** `Authorization: Bearer` with a HS256 token (claims sub, role, tenant, exp); the previous key is accepted during a rotation. Without JWT_SECRET_KEY nobody may. */
export function requireCaller({ auth }: Config): MiddlewareHandler<CallerEnv> {
  const keys = [auth.jwtSecret, auth.jwtSecretPrevious]
    .filter((secret) => secret !== null)
    .map((secret) => new TextEncoder().encode(secret));
  return async (c, next) => {
    const token = /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
    const caller = token === undefined ? null : await verify(token, keys);
    if (caller === null)
      throw new HTTPException(401, { message: 'a valid token is needed: Authorization: Bearer <token signed with JWT_SECRET_KEY>' });
    c.set('caller', caller);
    await next();
  };
}

async function verify(token: string, keys: Uint8Array[]): Promise<Caller | null> {
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
