/** At most so many in any window, exactly, for each of many keys. The times of the last accepted ones are kept, nothing else. */

export type RateLimit = {
  /** Takes one at `nowMs`; null: it may, and counts. Else the milliseconds after which one may again; a refused one does not count. */
  take(key: string, nowMs: number): number | null;
};

/** So many keys are kept; beyond it the longest unused one is forgotten, and begins again. Some 5 KB each at a limit of 600. */
const MAX_KEYS = 2_000;

/** `limit` 0 lets everything through. */
export function createRateLimit({ limit, windowMs }: { limit: number; windowMs: number }): RateLimit {
  /** A ring of the accepted ones' times; `at` is the oldest once it is full. */
  const rings = new Map<string, { times: number[]; at: number }>();
  return {
    take(key, nowMs) {
      if (limit === 0) return null;
      const ring = rings.get(key) ?? { times: [], at: 0 };
      rings.delete(key); // put back as the newest
      rings.set(key, ring);
      if (rings.size > MAX_KEYS) for (const oldest of rings.keys()) if (rings.delete(oldest)) break;
      const oldest = ring.times.length < limit ? -Infinity : (ring.times[ring.at] ?? -Infinity);
      if (nowMs - oldest < windowMs) return windowMs - (nowMs - oldest);
      ring.times[ring.at] = nowMs;
      ring.at = (ring.at + 1) % limit;
      return null;
    },
  };
}

/**
 * Who a request counts for: the address of the connection, or, behind `hops` proxies of ours, what the outermost of them wrote as its peer.
 * What stands left of that in X-Forwarded-For comes from the client and is never looked at. An IPv6 network (/64) is one client.
 */
export function sourceOf(peer: string | undefined, forwardedFor: string | undefined, hops: number): string {
  const chain = (forwardedFor ?? '').split(',').map((each) => each.trim());
  const told = hops === 0 ? undefined : chain.at(-hops);
  const address = (told || peer || 'unknown').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  return address.includes(':') ? networkOf(address) : address;
}

/** The first four of the eight groups, `::` filled up. */
function networkOf(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return `${[...left, ...missing, ...right].slice(0, 4).join(':')}::/64`;
}
