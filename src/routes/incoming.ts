import type { IncomingMessage } from 'node:http';
import type { Context as Request } from 'hono';
import type { Env } from './http.ts';

/** The connection's own request; null for one that no server brought (`app.request` of a test). */
export function incomingOf(c: Request<Env>): IncomingMessage | null {
  return typeof c.env === 'object' && c.env !== null && 'incoming' in c.env ? (c.env.incoming as IncomingMessage) : null; // node-server's HttpBindings
}
