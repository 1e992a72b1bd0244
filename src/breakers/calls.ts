/** The SQL functions of breakers and heartbeats. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

export type ProcessReport = {
  id: string;
  mode: string;
  version: string;
  started_at: string;
  breakers: BreakerReport[];
  queues: Record<string, unknown>;
  /** The newest reset that this process has heard of; null at first. */
  resets_seen: number | null;
};

export const breakerReport = z
  .object({
    name: z.string(),
    instance: z.string().nullable(),
    state: z.string(),
    failures: z.number(),
    /** Those of the failures that were timeouts. */
    timeouts: z.number(),
    /** Why it is not closed. */
    reason: z.string().nullable(),
    opened_at: z.string().nullable(),
    next_probe_at: z.string().nullable(),
    recovery_ms: z.number(),
    /** Closed by a probe, not yet by a real call. */
    on_trial: z.boolean(),
    /** The process that probes for this one. */
    follows: z.string().nullable(),
  })
  .loose();
export type BreakerReport = z.infer<typeof breakerReport>;

const others = z.object({ process: z.string(), breakers: z.array(breakerReport) });
export type OtherBreakers = z.infer<typeof others>;

const heard = z.object({
  installation: z.string(),
  resets_seen: z.number(),
  resets: z.array(z.object({ breaker: z.string().nullable(), instance: z.string().nullable(), actor: z.string() })),
  others: z.array(others),
  signs: z.record(z.string(), z.array(z.object({ kind: z.enum(['reconnect', 'word']), age_ms: z.number() }))),
});

/** SQL heartbeat: a process says that it lives, and hears what is asked of its breakers and what those of others look like. */
export async function heartbeat(db: Door, report: ProcessReport): Promise<z.infer<typeof heard>> {
  return heard.parse(await db.call('heartbeat', { p_process: report }));
}

/** SQL end_process: a process says goodbye. */
export async function endProcess(db: Door, id: string): Promise<void> {
  await db.call('end_process', { p_id: id });
}

export type BreakerTransition = {
  breaker: string;
  instance: string | null;
  process: string;
  state: 'closed' | 'open' | 'half_open';
  reason: string | null;
  /** ISO */
  at: string;
};

/** SQL record_transition: a breaker changed its state. */
export async function recordTransition(db: Door, transition: BreakerTransition): Promise<void> {
  await db.call('record_transition', { p_transition: transition });
}

const reset = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('asked'),
    /** What was not closed just now. */
    open: z.array(z.object({ breaker: z.string(), instance: z.string().nullable(), process: z.string() })),
    released: z.array(z.string()),
  }),
  z.object({ outcome: z.literal('unknown_instance') }),
  z.object({ outcome: z.literal('not_yours') }),
]);

/** SQL reset_breakers: each process closes them with its next heartbeat; null means all. */
export async function resetBreakers(
  db: Door,
  tenant: string,
  actor: string,
  breaker: string | null,
  instance: string | null,
): Promise<z.infer<typeof reset>> {
  return reset.parse(await db.call('reset_breakers', { p_tenant: tenant, p_actor: actor, p_breaker: breaker, p_instance: instance }));
}

/** SQL take_trial: whether this process may try a number with a real message, for all. */
export async function takeTrial(db: Door, instance: string, process: string): Promise<boolean> {
  return z.object({ taken: z.boolean() }).parse(await db.call('take_trial', { p_instance: instance, p_process: process })).taken;
}

/** SQL end_trial: what came of it. */
export async function endTrial(db: Door, instance: string, process: string, failed: boolean): Promise<void> {
  await db.call('end_trial', { p_instance: instance, p_process: process, p_failed: failed });
}

/** SQL settle_breakers: closes, in the history, the breakers of processes that are gone. */
export async function settleBreakers(db: Door): Promise<number> {
  return z.object({ closed: z.number() }).parse(await db.call('settle_breakers', {})).closed;
}
