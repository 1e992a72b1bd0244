/**
 * How a body is read: never before its sender may post, never more than a bound, never for longer than a time, and of all that are under way together no more
 * than a budget (`createBodies`). Who has a secret or a token shows it in the headers; the one sender that can prove itself only by a signature over the body
 * (Slack) is read by `unprovenBodies`.
 */
import type { IncomingMessage } from 'node:http';
import type { Context as Request, MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Env } from './http.ts';
import { createTurnstile } from './turnstile.ts';
import { within } from '../process/wait.ts';
import { incomingOf } from './incoming.ts';
import { sourceOfRequest } from './source.ts';

/** Whatever is posted but a webhook of Evolution. Bytes. */
export const BODY_BYTES = 1_048_576;

/** `variable`: where the bound can be changed, for its 413. `idleMs`: so long may nothing come. */
type Bound = { bytes: number; variable?: string; idleMs: number };

/**
 * The text of a body. Throws 413 (larger than the bound: with a length at once, without one when the byte too many arrives), 408 (it ended early, or nothing came for
 * `idleMs`), and what `take` throws, which hears of each part that arrives.
 */
async function readBody(c: Request<Env>, bound: Bound, take: (bytes: number) => void = () => {}): Promise<string> {
  if (Number(c.req.header('content-length') ?? 0) > bound.bytes) throw tooLarge(bound);
  const incoming = incomingOf(c);
  // Who asks for `text` or `json` later gets the same.
  if (incoming !== null) c.req.bodyCache.text = collected(incoming, bound, take) as unknown as string; // hono keeps a promise there, whatever its type says
  try {
    return await c.req.text();
  } catch (error) {
    throw error instanceof HTTPException ? error : incomplete(error);
  }
}

/** hono's own limit of bodies goes through web streams, which hold four times as much. */
async function collected(incoming: IncomingMessage, bound: Bound, take: (bytes: number) => void): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  // Not destroyed at the end: the answer goes out on the same connection.
  const iterator = incoming.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  for (;;) {
    const part = await within(bound.idleMs, iterator.next());
    if (part.done === true) return Buffer.concat(parts).toString();
    bytes += part.value.length;
    if (bytes > bound.bytes) throw tooLarge(bound);
    take(part.value.length);
    parts.push(part.value);
  }
}

/** A body that counts as under way until it is disposed of. */
export type Held = Disposable & { text: string };

export type Bodies = {
  /** Throws as readBody does, and 503 with Retry-After when bodies of this poster, or all bodies, have no room left. */
  read(c: Request<Env>, poster: string, bound: Pick<Bound, 'bytes' | 'variable'>): Promise<Held>;
  /** Before the handler of a route that is guarded by its headers: the body is there, and small. */
  guard(posterOf: (c: Request<Env>) => string): MiddlewareHandler<Env>;
};

/** Whoever posts to the product is a server or a person's tool, and sends in one go. Milliseconds. */
const IDLE_MS = 10_000;

/**
 * Bodies of senders who have shown who they are. What is held of them at once, from the first byte to the end of the answer, has a bound for each poster and one for
 * all, so that a stolen secret costs its number's own room and not the process. Bytes.
 */
export function createBodies({ each, all, idleMs = IDLE_MS }: { each: number; all: number; idleMs?: number }): Bodies {
  const held = new Map<string, number>();
  let total = 0;
  const add = (poster: string, bytes: number): void => {
    const sum = (held.get(poster) ?? 0) + bytes;
    if (sum > 0) held.set(poster, sum);
    else held.delete(poster);
    total += bytes;
  };
  const bodies: Bodies = {
    async read(c, poster, bound) {
      let mine = 0;
      const giveBack = (): void => {
        add(poster, -mine);
        mine = 0;
      };
      try {
        const text = await readBody(c, { ...bound, idleMs }, (bytes) => {
          if ((held.get(poster) ?? 0) + bytes > each || total + bytes > all) throw crowded(c);
          add(poster, bytes);
          mine += bytes;
        });
        return { text, [Symbol.dispose]: giveBack };
      } catch (error) {
        giveBack();
        throw error;
      }
    },
    guard: (posterOf) => async (c, next) => {
      using _ = await bodies.read(c, posterOf(c), { bytes: BODY_BYTES });
      await next();
    },
  };
  return bodies;
}

/** Slack's events have some kilobytes; its longest message, written twice and escaped, has less than this. Bytes. */
const UNPROVEN_BYTES = 524_288;
/** Slack waits 3 s for an answer, and posts from where a body takes milliseconds. Milliseconds. */
const UNPROVEN_MS = 2_000;
/** Slack's bodies come with their heads, or right behind them: who sends half of one and waits loses the place to others. Milliseconds. */
const UNPROVEN_IDLE_MS = 500;
/** Of all sources together: what strangers can have the process hold is this many times UNPROVEN_BYTES. */
const UNPROVEN_AT_ONCE = 32;
/** Events of one workspace that come in the same moment. */
const UNPROVEN_QUEUE = 16;

/**
 * Reads bodies of senders who are not known yet: small ones, quickly, one at a time for every source, and few at all. Who finds no place in time gets 429.
 * Throws as readBody does.
 */
export function unprovenBodies(hops: number): (c: Request<Env>) => Promise<string> {
  const turnstile = createTurnstile({ most: UNPROVEN_AT_ONCE, queue: UNPROVEN_QUEUE });
  return async (c) => {
    const leave = await turnstile.enter(sourceOfRequest(c, hops), UNPROVEN_MS);
    if (leave === null) {
      c.header('Retry-After', '1');
      throw new HTTPException(429, { message: 'too many unfinished requests from there; try again' });
    }
    try {
      const reading = readBody(c, { bytes: UNPROVEN_BYTES, idleMs: UNPROVEN_IDLE_MS });
      reading.catch(() => {}); // told below, or too late for anybody
      return await within(UNPROVEN_MS, reading);
    } catch (error) {
      throw error instanceof HTTPException ? error : incomplete(error);
    } finally {
      leave();
    }
  };
}

function tooLarge({ bytes, variable }: Bound): HTTPException {
  const size = bytes < 1_048_576 ? `${bytes / 1024} kB` : `${Math.round(bytes / 1_048_576)} MB`;
  return new HTTPException(413, { message: `the body is larger than ${size}${variable === undefined ? '' : ` (${variable})`}` });
}

function crowded(c: Request<Env>): HTTPException {
  c.header('Retry-After', '2');
  return new HTTPException(503, { message: 'too much of other bodies is still arriving; try again' });
}

function incomplete(cause: unknown): HTTPException {
  return new HTTPException(408, { message: 'the body ended early, or did not arrive in time', cause });
}
