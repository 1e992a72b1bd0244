/** The changes of this process's breakers on their way to circuit_transitions: kept until the database has them, since it may be what is unavailable. */
import type { Transition } from './shell.ts';
import type { Door } from '../db/door.ts';
import { recordTransition } from './calls.ts';

/** More than this within one absence of the database is a flapping breaker: the oldest go. */
const MOST = 500;

export type Transitions = {
  add(transition: Transition): void;
  /** Writes down what is kept. Rejects when the database is unavailable; nothing is lost then. */
  flush(): Promise<void>;
  /** Who is to know of each new one; replaces who was. */
  onAdded(listener: () => void): void;
};

export function createTransitions(db: Door, processId: string): Transitions {
  const kept: Transition[] = [];
  let listener = (): void => {};
  let writing: Promise<void> | null = null;
  async function write(): Promise<void> {
    for (let next = kept[0]; next !== undefined; next = kept[0]) {
      await recordTransition(db, { ...next, process: processId });
      if (kept[0] === next) kept.shift();
    }
  }
  return {
    add(transition) {
      kept.push(transition);
      if (kept.length > MOST) kept.shift();
      listener();
    },
    flush: () => (writing ??= write().finally(() => (writing = null))),
    onAdded(next) {
      listener = next;
    },
  };
}
