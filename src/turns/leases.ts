/** The leases of the turns that a worker has open: one look at the database for all of them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Context } from '../context.ts';
import type { Door } from '../db/door.ts';
import { renewTurns } from './calls.ts';
import type { TurnClaim, TurnRenewal } from './calls.ts';

/** How often the worker looks whether its answers are still wanted. A stale answer costs at most so much of the model's time. */
const LOOK_MS = 700;

type Kept = { claim: TurnClaim; told: (renewal: TurnRenewal) => void };
type Leases = { turns: Set<Kept>; looking: boolean };

/** What is open, by the door that it came through: a process has one. */
const doors = new WeakMap<Door, Leases>();

/**
 * Keeps the lease of a turn until `stop` is called, and tells `told` what each look says of it. A look that fails tells nothing: the lease is long enough for a
 * database that is unavailable for a moment, and the commit checks the fence anyway.
 */
export function keepTurn(
  ctx: Pick<Context, 'db' | 'log'>,
  claim: TurnClaim,
  leaseMs: number,
  told: (renewal: TurnRenewal) => void,
): { stop(): void } {
  const leases = doors.get(ctx.db) ?? { turns: new Set(), looking: false };
  doors.set(ctx.db, leases);
  const kept = { claim, told };
  leases.turns.add(kept);
  void look(ctx, leases, leaseMs);
  return { stop: () => void leases.turns.delete(kept) };
}

/** Looks while something is open; one look at a time. Never rejects. */
async function look(ctx: Pick<Context, 'db' | 'log'>, leases: Leases, leaseMs: number): Promise<void> {
  if (leases.looking) return;
  leases.looking = true;
  while (leases.turns.size > 0) {
    await delay(LOOK_MS, undefined, { ref: false });
    const asked = [...leases.turns];
    if (asked.length === 0) break;
    try {
      const claims = asked.map(({ claim }) => claim);
      for (const [index, renewal] of (await renewTurns(ctx.db, claims, leaseMs)).entries()) {
        const kept = asked[index];
        if (kept !== undefined && leases.turns.has(kept)) kept.told(renewal);
      }
    } catch (error) {
      ctx.log.debug({ turns: asked.length, error }, 'Could not renew the turns');
    }
  }
  leases.looking = false;
}
