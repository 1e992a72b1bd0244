/** Limits of what leaves, and what was set by hand. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import type { SendPolicy } from './calls.ts';

const time = z.coerce.date();

const used = z.object({ used: z.number(), limit: z.number(), oldest: time.nullable() });

const rates = z.record(
  z.string(),
  z.object({
    hour: used,
    day: used,
    /** Order notices, in the hour; they have a cap of their own. */
    notices: z.object({ used: z.number(), limit: z.number().nullable(), oldest: time.nullable() }),
    status: z.string(),
    /** `warming`: a young number, whose caps grow with its age. */
    phase: z.string(),
    next_proactive_at: time.nullable(),
    /** When hours, caps and pace let the next message through. */
    next_slot_at: time,
    inside_hours: z.boolean(),
    /** How many wait for each reason. */
    held: z.record(z.string(), z.number()),
  }),
);

export type RateStatus = z.infer<typeof rates>;

/** SQL rate_status: what of the caps is used, by number. */
export async function rateStatus(db: Door, tenant: string, policy: SendPolicy): Promise<RateStatus> {
  return rates.parse(await db.call('rate_status', { p_tenant: tenant, p_policy: policy }));
}

const lanes = z.array(z.number());

const reset = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), instances: z.array(z.string()), lanes }),
  z.object({ outcome: z.literal('unknown_instance') }),
]);

export type RateReset = { tenant: string; instance: string | null; window: 'hour' | 'day' | 'both'; actor: string; reason: string | null };

/** SQL rate_reset: the caps count from now on only; audited. The caller wakes `lanes`. */
export async function resetRate(db: Door, { tenant, instance, window, actor, reason }: RateReset): Promise<z.infer<typeof reset>> {
  return reset.parse(
    await db.call('rate_reset', { p_tenant: tenant, p_instance: instance, p_window: window, p_actor: actor, p_reason: reason }),
  );
}

export const PROACTIVE_LEVELS = ['all', 'no_campaigns', 'none'] as const;

export type ProactiveLevel = (typeof PROACTIVE_LEVELS)[number];

/** SQL set_proactive: which proactive messages may leave; audited. The caller wakes `lanes`. */
export async function setProactive(
  db: Door,
  change: { tenant: string; level: ProactiveLevel; actor: string; reason: string | null },
): Promise<{ was: ProactiveLevel | null; lanes: number[] }> {
  return z.object({ was: z.enum(PROACTIVE_LEVELS).nullable(), lanes }).parse(
    await db.call('set_proactive', {
      p_tenant: change.tenant,
      p_level: change.level,
      p_actor: change.actor,
      p_reason: change.reason,
    }),
  );
}

/** SQL set_contact_wait: a person is left alone until a time (null: not any longer); audited. False: no contact has this phone. */
export async function setContactWait(
  db: Door,
  change: { tenant: string; phone: string; offersOnly: boolean; until: Date | null; actor: string; reason: string },
): Promise<boolean> {
  const { outcome } = z.object({ outcome: z.enum(['done', 'unknown']) }).parse(
    await db.call('set_contact_wait', {
      p_tenant: change.tenant,
      p_phone: change.phone,
      p_offers_only: change.offersOnly,
      p_until: change.until?.toISOString() ?? null,
      p_actor: change.actor,
      p_reason: change.reason,
    }),
  );
  return outcome === 'done';
}
