import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context as Request } from 'hono';
import { sourceOf } from '../process/rate-limit.ts';
import type { Env } from './http.ts';
import { incomingOf } from './incoming.ts';

/** Where a request comes from, as far as it can be trusted (TRUSTED_PROXY_HOPS); for limits only, it never grants anything. */
export function sourceOfRequest(c: Request<Env>, hops: number): string {
  return sourceOf(peerOf(c), c.req.header('x-forwarded-for'), hops);
}

/** A request that no server brought (`app.request` of a test) has no connection. */
function peerOf(c: Request<Env>): string | undefined {
  return incomingOf(c) === null ? undefined : getConnInfo(c).remote.address;
}
