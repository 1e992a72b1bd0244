/** The door to the database behind its circuit breaker: a database that is unavailable is not waited for by everybody again and again. */
import type { Breaker } from './shell.ts';
import type { Door } from '../db/door.ts';
import { DatabaseAway } from '../db/failures.ts';

type Answer = { kind: 'value'; value: unknown } | { kind: 'away'; error: DatabaseAway } | { kind: 'refused'; error: unknown };

/** As `door`; while the breaker is open each call is DatabaseAway at once. A refusal is an answer: the database is there. */
export function behindBreaker(door: Door, breaker: Breaker): Door {
  return {
    close: () => door.close(),
    async call(name, args) {
      const guarded = await breaker.run<Answer>(
        () =>
          door.call(name, args).then(
            (value): Answer => ({ kind: 'value', value }),
            (error: unknown): Answer => (error instanceof DatabaseAway ? { kind: 'away', error } : { kind: 'refused', error }),
          ),
        (answer) => (answer.kind === 'away' ? reasonOf(answer.error) : null),
      );
      if (guarded.open) throw new DatabaseAway(name, `its circuit breaker is open; next probe in ${guarded.retryInMs} ms`);
      if (guarded.value.kind === 'value') return guarded.value.value;
      throw guarded.value.error;
    },
  };
}

function reasonOf(error: DatabaseAway): string {
  return /timeout|timed out/i.test(error.message) ? 'timeout' : 'unreachable';
}
