/**
 * Circuit breakers around everything that can be unavailable: one per number at Evolution, one per model, one around the database. decide.ts says what one does.
 *
 * A breaker lives in one process. Its state is in the process's heartbeat, its transitions are rows of circuit_transitions. Processes read each other's
 * heartbeats: when a breaker opens in one of them, the others follow it, so one process probes for all. The database's is each process's own.
 */
import type { BreakerReport, OtherBreakers } from './calls.ts';
import { leads } from './decide.ts';
import type { Figures, Leader } from './decide.ts';
import { createBreaker } from './shell.ts';
import type { Breaker, BreakerHooks, BreakerName, OwnedBreaker, Sign } from './shell.ts';

export type Breakers = {
  claude(model: string): Breaker;
  database(): Breaker;
  evolution(instance: string): Breaker;
  reports(): BreakerReport[];
  /** A number shows a sign of life. The same may be told again. */
  hear(instance: string, sign: Sign): void;
  /** Closes those of this name and number; null means all. */
  reset(name: string | null, instance: string | null, reason: string): void;
  /** What the heartbeats of the other processes say of their breakers that are not closed. */
  follow(others: readonly OtherBreakers[]): void;
  [Symbol.dispose](): void;
};

export function createBreakers(figures: Record<BreakerName, Figures>, hooks: BreakerHooks): Breakers {
  const all = new Map<string, OwnedBreaker>();
  const beganAt = Date.now();
  function breaker(name: BreakerName, instance: string | null): OwnedBreaker {
    const key = keyOf(name, instance);
    const known = all.get(key);
    if (known) return known;
    const made = createBreaker(name, instance, figures[name], hooks, beganAt);
    all.set(key, made);
    return made;
  }
  return {
    claude: (model) => breaker('claude', model),
    database: () => breaker('database', null),
    evolution: (instance) => breaker('evolution', instance),
    reports: () => [...all.values()].map((each) => each.report()),
    hear: (instance, sign) => all.get(keyOf('evolution', instance))?.hear(sign),
    reset(name, instance, reason) {
      for (const each of all.values()) {
        const report = each.report();
        if ((name === null || report.name === name) && (instance === null || report.instance === instance)) each.reset(reason);
      }
    },
    follow(others) {
      const leaders = leadersOf(others);
      for (const { name, instance } of leaders.values()) if (name === 'evolution' || name === 'claude') breaker(name, instance); // so that it can follow
      for (const [key, each] of all) if (each.report().name !== 'database') each.follow(leaders.get(key) ?? null);
    },
    [Symbol.dispose]() {
      for (const each of all.values()) each.shutdown();
    },
  };
}

/** Of each breaker that is open elsewhere the one that opened first: it probes for all. Those that follow another do not lead. */
function leadersOf(others: readonly OtherBreakers[]): Map<string, Leader & Pick<BreakerReport, 'name' | 'instance'>> {
  const leaders = new Map<string, Leader & Pick<BreakerReport, 'name' | 'instance'>>();
  for (const { process, breakers } of others) {
    for (const { name, instance, state, follows, reason, opened_at: openedAt, next_probe_at: nextProbeAt } of breakers) {
      if (state === 'closed' || follows !== null || openedAt === null) continue;
      const leader = {
        name,
        instance,
        process,
        reason,
        openedAt: Date.parse(openedAt),
        nextProbeAt: nextProbeAt === null ? null : Date.parse(nextProbeAt),
      };
      const known = leaders.get(keyOf(name, instance));
      if (known === undefined || leads(leader, known)) leaders.set(keyOf(name, instance), leader);
    }
  }
  return leaders;
}

function keyOf(name: string, instance: string | null): string {
  return `${name}/${instance ?? ''}`;
}
