/** Events for other programs, in the database. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import { envelope } from './event-words.ts';
import type { EventType } from './event-words.ts';

const page = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('events'), events: z.array(envelope), cursor: z.number(), more: z.boolean() }),
  /** Events after that cursor are deleted, or it is none; `cursor`: the oldest that can be asked for. */
  z.object({ outcome: z.literal('gone'), cursor: z.number() }),
]);

/** SQL read_events: a page in order; from the first one on the tenant's events are written down. */
export async function readEvents(
  db: Door,
  tenant: string,
  { after, types, limit }: { after: number | null; types: readonly EventType[] | null; limit: number },
): Promise<z.infer<typeof page>> {
  return page.parse(await db.call('read_events', { p_tenant: tenant, p_after: after, p_types: types, p_limit: limit }));
}
