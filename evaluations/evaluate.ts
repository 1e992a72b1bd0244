/** All scenarios, some times each, and what they come to. */
import { runScenario } from './run.ts';
import type { Run } from './run.ts';
import { readScenarios } from './scenario.ts';
import { openStand } from './stand.ts';

/** So many conversations at once: each has a contact of its own. */
const AT_ONCE = 4;

export type Result = {
  runs: Run[];
  /** The share of runs that passed. */
  pass1: number;
  /** The share of scenarios of which every trial passed; null: there was one trial each. */
  passAll: number | null;
  usd: number;
  /** Milliseconds from a burst to its last answer. */
  p95: number;
};

/** `agent`: the text of a version, null: the sample's; `only`: one scenario. */
export async function evaluate(of: { agent: string | null; key: string | null; only: string | null; trials: number }): Promise<Result> {
  const known = await readScenarios(new URL('loja.json', import.meta.url));
  const scenarios = known.filter(({ id }) => of.only === null || id === of.only);
  if (scenarios.length === 0) throw new Error(`there is no scenario ${of.only}`);
  await using stand = await openStand(of);
  const waiting = scenarios
    .flatMap((scenario) => Array.from({ length: of.trials }, () => scenario))
    .map((scenario, index) => ({ scenario, index }));
  const runs: Run[] = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        runs[next.index] = await runScenario(stand, next.scenario, next.index);
    }),
  );
  const good = (some: readonly Run[]): boolean => some.every(({ faults }) => faults.length === 0);
  const times = runs.flatMap(({ ms }) => ms).toSorted((one, other) => one - other);
  return {
    runs,
    pass1: runs.filter(({ faults }) => faults.length === 0).length / runs.length,
    passAll: of.trials === 1 ? null : scenarios.filter(({ id }) => good(runs.filter((run) => run.id === id))).length / scenarios.length,
    usd: runs.reduce((sum, each) => sum + each.usd, 0),
    p95: times[Math.max(0, Math.ceil(times.length * 0.95) - 1)] ?? 0,
  };
}

export function passed({ runs }: Result): boolean {
  return runs.every(({ faults }) => faults.length === 0);
}
