/** The snapshot behind the health routes. */
import { z } from 'zod';
import { breakerReport } from '../breakers/calls.ts';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const snapshot = z.object({
  now: time,
  project_ref: z.string().nullable(),
  processes: z.array(
    z.object({
      id: z.string(),
      mode: z.string(),
      version: z.string(),
      seen_seconds: z.number(),
      breakers: z.array(breakerReport),
      queues: z.record(z.string(), z.unknown()),
    }),
  ),
  instances: z.array(z.object({ name: z.string(), status: z.string(), status_at: time })),
  unanswered: z.object({ count: z.number(), oldest_seconds: z.number().nullable() }),
  outbound: z.object({ due: z.number(), uncertain: z.number(), sending: z.number() }),
  paused: z.string().nullable(),
});

export type HealthSnapshot = z.infer<typeof snapshot>;

/** SQL health_snapshot: the figures behind /health/*. */
export async function healthSnapshot(db: Door): Promise<HealthSnapshot> {
  return snapshot.parse(await db.call('health_snapshot', {}));
}
