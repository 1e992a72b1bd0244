/** What `status` shows. */
import { z } from 'zod';
import { deferred, unreadMedia } from './alert-calls.ts';
import type { Door } from '../db/door.ts';
import { pause } from '../people/pause-calls.ts';

const time = z.coerce.date();

const status = z.object({
  now: time,
  pauses: z.array(pause),
  processes: z.array(z.object({ id: z.string(), mode: z.string(), version: z.string(), seen_seconds: z.number() })),
  instances: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      status_at: time,
      seconds: z.number(),
      code: z.number().nullable(),
      paired: z.boolean(),
      deaf: z.boolean(),
      held: z.string().nullable(),
      fault: z.string().nullable(),
      webhook_wrong: z.boolean(),
      /** Why its breaker is open somewhere. */
      breaker: z.string().nullable(),
    }),
  ),
  unanswered: z.object({ count: z.number(), oldest_seconds: z.number().nullable() }),
  deferred,
  unheard: z.number(),
  media: unreadMedia,
  /** Webhooks of a day that found no place although messages may be in them. */
  unplaced: z.number(),
  outbound: z.object({ due: z.number(), later: z.number(), sending: z.number(), uncertain: z.number() }),
  dead_letters: z.number(),
  with_people: z.number(),
});

export type AdminStatus = z.infer<typeof status>;

/** SQL admin_status: what an operator asks first; null for an unknown tenant. */
export async function adminStatus(db: Door, tenant: string): Promise<AdminStatus | null> {
  return status.nullable().parse(await db.call('admin_status', { p_tenant: tenant }));
}
