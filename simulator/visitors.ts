// Who may drive the simulator. It listens on this machine only and asks for no key, and in ./scripts/dev it drives the product with an operator's token: a page of
// somebody else, open in a browser here, must not (its Origin says whose it is; a name of its own that leads to 127.0.0.1 stands in Host).

import type { MiddlewareHandler } from 'hono';
import type { Env } from './evolution-http.ts';

const HERE = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/** For /sim/* and the chat page. Programs send no Origin. */
export function onlyFromHere(): MiddlewareHandler<Env> {
  return async (c, next) => {
    const host = c.req.header('host') ?? '';
    const origin = c.req.header('origin');
    const isOwn = origin === undefined || origin.toLowerCase() === `http://${host.toLowerCase()}`;
    // A form or an image of another page sends no Origin in some browsers, and says here where it comes from.
    const site = c.req.header('sec-fetch-site');
    const isForeign = c.req.method !== 'GET' && site !== undefined && site !== 'same-origin' && site !== 'none';
    if (!HERE.test(host) || !isOwn || isForeign) return c.json({ error: 'only pages and programs of this machine may do this' }, 403);
    return next();
  };
}
