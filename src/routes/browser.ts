/** What browsers are told: security headers, and which web pages may read the answers (CORS_ORIGINS). */
import type { Hono, MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { secureHeaders } from 'hono/secure-headers';
import type { Config } from '../config.ts';
import type { Env } from './http.ts';

export function browserRules(app: Hono<Env>, { http }: Config): void {
  // The reference page has styles and nothing else.
  const plain = headersWith({ styleSrc: ["'unsafe-inline'"], formAction: ["'none'"] });
  // All of the console's own files, and nothing that stands in a page: a contact's words cannot become a script or a style.
  const console = headersWith({
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
  });
  app.use(notWebhooks((c, next) => (isConsole(c.req.path) ? console : plain)(c, next)));
  if (http.corsOrigins.length === 0) return;
  const cross = notWebhooks(
    cors({
      origin: http.corsOrigins.includes('*') ? '*' : [...http.corsOrigins],
      allowMethods: ['GET', 'POST', 'PUT'],
      allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key'],
      exposeHeaders: ['Retry-After', 'X-Request-Id'],
      maxAge: 600,
    }),
  );
  // The console's pages are for themselves.
  app.use((c, next) => (isConsole(c.req.path) ? next() : cross(c, next)));
}

export function isConsole(path: string): boolean {
  return path === '/console' || path.startsWith('/console/');
}

function headersWith(policy: Record<string, string[]>): MiddlewareHandler {
  return secureHeaders({
    contentSecurityPolicy: { defaultSrc: ["'none'"], baseUri: ["'none'"], frameAncestors: ["'none'"], ...policy },
    xFrameOptions: 'DENY',
    referrerPolicy: 'no-referrer',
  });
}

/** Programs post webhooks, no browser does; and a header that is added to a finished answer makes the server build it twice. */
function notWebhooks(rule: MiddlewareHandler): MiddlewareHandler<Env> {
  return (c, next) => (c.req.path.startsWith('/webhook/') ? next() : rule(c, next));
}
