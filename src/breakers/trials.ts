/** The one real message of a trial, over all processes: who may send it, and what the others hear of it. */
import type { Background } from '../process/background.ts';
import type { Door } from '../db/door.ts';
import { endTrial, takeTrial } from './calls.ts';

export type Trials = {
  /** Whether this process may try a number with a real call; one of all may. Contract: it must not reject. */
  takeTrial(instance: string): Promise<boolean>;
  /** What came of it. Contract: it must not throw. */
  endTrial(instance: string, failed: boolean): void;
};

/** `door`: one that no breaker guards, since a trial of a number goes on while the database's is open. */
export function sharedTrials(door: Door, process: string, background: Pick<Background, 'run'>): Trials {
  return {
    // Without an answer of the database it tries as if it were alone: what came of a send cannot be written down then anyway.
    takeTrial: (instance) => takeTrial(door, instance, process).catch(() => true),
    endTrial: (instance, failed) => background.run('end trial', () => endTrial(door, instance, process, failed)),
  };
}
