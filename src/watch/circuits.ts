/** The breakers of the installation: those of each process that lives, and the circuit of each number. What /health/circuit and `breaker list` show. */
import { isHeard } from '../process/liveness.ts';
import type { Door } from '../db/door.ts';
import { listNumberHealth } from '../numbers/calls.ts';
import type { NumberHealth } from '../numbers/calls.ts';
import { healthSnapshot } from './health-calls.ts';
import type { BreakerReport } from '../breakers/calls.ts';

export type Circuit = BreakerReport & { process: string };

/** `tenant`: those of its numbers; the tenant default, which owns the installation, sees all. */
export async function circuits(db: Door, tenant: string): Promise<Circuit[]> {
  const everything = tenant === 'default';
  const [{ processes }, numbers] = await Promise.all([healthSnapshot(db), listNumberHealth(db, everything ? null : tenant)]);
  const own = new Set(numbers.map(({ instance }) => instance));
  return [
    ...processes
      .filter((each) => isHeard(each.seen_seconds))
      .flatMap((each) => each.breakers.map((breaker) => ({ ...breaker, process: each.id })))
      .filter(({ instance }) => everything || (instance !== null && own.has(instance))),
    ...numbers.map(circuitOf),
  ];
}

function circuitOf({ instance, health, reason, since, until, in_row }: NumberHealth): Circuit {
  const open = health === 'held' || health === 'on_trial';
  return {
    name: 'number',
    instance,
    process: 'database',
    state: health === 'held' ? 'open' : health === 'on_trial' ? 'half_open' : 'closed',
    failures: open ? in_row + 1 : 0,
    timeouts: 0,
    reason: open ? reason : null,
    opened_at: open ? (since?.toISOString() ?? null) : null,
    next_probe_at: until?.toISOString() ?? null,
    recovery_ms: open && since !== null && until !== null ? until.getTime() - since.getTime() : 0,
    on_trial: health === 'on_trial',
    follows: null,
  };
}
