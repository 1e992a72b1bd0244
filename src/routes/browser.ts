/** What browsers are told: security headers, and which web pages may read the answers (CORS_ORIGINS). */
import type { Hono, MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { secureHeaders } from 'hono/secure-headers';
import type { Config } from '../config.ts';
import type { Env } from './http.ts';

export function browserRules(app: Hono<Env>, { http }: Config): void {
  app.use(
    notWebhooks(
      secureHeaders({
        // The reference page has styles and nothing else.
        contentSecurityPolicy: {
          defaultSrc: ["'none'"],
          styleSrc: ["'unsafe-inline'"],
          baseUri: ["'none'"],
          formAction: ["'none'"],
          frameAncestors: ["'none'"],
        },
        xFrameOptions: 'DENY',
      }),
    ),
  );
  if (http.corsOrigins.length === 0) return;
  app.use(
    notWebhooks(
      cors({
        origin: http.corsOrigins.includes('*') ? '*' : [...http.corsOrigins],
        allowMethods: ['GET', 'POST'],
        allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key'],
        exposeHeaders: ['Retry-After', 'X-Request-Id'],
        maxAge: 600,
      }),
    ),
  );
}

/** Programs post webhooks, no browser does; and a header that is added to a finished answer makes the server build it twice. */
function notWebhooks(rule: MiddlewareHandler): MiddlewareHandler<Env> {
  return (c, next) => (c.req.path.startsWith('/webhook/') ? next() : rule(c, next));
}
