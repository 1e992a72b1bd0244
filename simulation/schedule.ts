/**
 * The one schedule of a simulation: all that could happen next is a list, and the seed chooses. Processes of the product are actors; each of their calls to the
 * database, to Evolution, to the model and to the queue waits here until it is chosen, and its answer may be chosen later still.
 *
 * A call:
 *   asked      the request has left the process; its effect may come from `readyAt` on
 *   effected   the other side has done it; the answer is on its way
 *   answered   the process has the answer, or was told that there is none
 * A process that is killed goes on nowhere; what it has asked may have its effect all the same, until the time at which the other side would have given up.
 * A process that stands still (a machine that sleeps) does nothing for a while; what it has asked goes on.
 * A step is one effect, one answer, one timer or one thing of the world. After it everybody runs until all of them wait again: so the same seed is the same run.
 */
import { createHash } from 'node:crypto';
import { createRandom } from '../simulator/clock.ts';
import type { Random } from '../simulator/clock.ts';
import { atRest, within } from './time.ts';
import type { Clockwork } from './time.ts';

export type Actor = {
  name: string;
  alive: boolean;
  /** It does nothing before. */
  until: number;
  clockwork: Clockwork;
};

/** What can go wrong with a call. */
type Mishap = 'none' | 'not_done' | 'not_told' | 'kill_before' | 'kill_after' | 'late_answer' | 'stall';

export type Call<T> = {
  actor: Actor;
  label: string;
  /** From asking to the effect. Milliseconds. */
  takesMs: number;
  /** After so long the caller is told `gone`, and the effect comes now or never. */
  limitMs: number;
  effect: () => Promise<T> | T;
  /** What the caller gets when nobody answers: a value, or an error to be thrown. */
  gone: () => { value: T } | { error: Error };
  /** How much likelier than others something goes wrong with it; 0: nothing does. Default 1. */
  risk?: number;
};

type Event = {
  no: number;
  label: string;
  at: number;
  /** Runs before anything else of its time: the end of a wait that must not be passed. */
  urgent: boolean;
  actor: Actor | null;
  /** Null: always. */
  can: (() => boolean) | null;
  run: () => Promise<void> | void;
};

export type ScheduleOptions = { seed: number; start: number; /** Mishaps of calls, each so likely; 0: none. */ mishaps: number };

export type Schedule = ReturnType<typeof createSchedule>;

export function createSchedule({ seed, start, mishaps }: ScheduleOptions) {
  const random: Random = createRandom(seed);
  let now = start;
  let count = 0;
  let events: Event[] = [];
  let steps = 0;
  let calm = false;
  let onKill: (actor: Actor) => void = () => {};
  const hash = createHash('sha256');
  const lines: string[] = [];

  const chance = (likely: number): boolean => random.next() < likely;
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T; // callers have looked that it is not empty
  const between = (low: number, high: number): number => low + Math.floor(random.next() * (high - low + 1));

  function note(line: string): void {
    const full = `+${now - start} ${line}`;
    hash.update(full);
    lines.push(full);
  }

  function add(event: Omit<Event, 'no' | 'urgent' | 'can'> & Partial<Pick<Event, 'urgent' | 'can'>>): () => void {
    const whole: Event = { urgent: false, can: null, ...event, no: count++ };
    events.push(whole);
    return () => {
      events = events.filter((each) => each !== whole);
    };
  }

  function actor(name: string): Actor {
    const own = createRandom(Math.floor(random.next() * 2 ** 32));
    const made: Actor = {
      name,
      alive: true,
      until: 0,
      clockwork: {
        now: () => now,
        random: () => own.next(),
        after(ms, run, every) {
          let end = (): void => {};
          const plan = (): void => {
            end = add({
              label: `${name}: timer`,
              at: now + Math.max(1, Math.ceil(ms)),
              actor: made,
              run: () => {
                if (every) plan();
                within(made.clockwork, run);
              },
            });
          };
          plan();
          return () => end();
        },
      },
    };
    return made;
  }

  function kill(victim: Actor): void {
    if (!victim.alive) return;
    victim.alive = false;
    events = events.filter((event) => event.actor !== victim);
    note(`${victim.name} is killed`);
    onKill(victim);
  }

  /** A mishap of a call, or none. */
  function mishapOf(risk: number): Mishap {
    if (calm || risk === 0 || !chance(mishaps * risk)) return 'none';
    const drawn = random.next();
    if (drawn < 0.16) return 'not_done';
    if (drawn < 0.34) return 'not_told';
    if (drawn < 0.5) return 'kill_before';
    if (drawn < 0.7) return 'kill_after';
    return drawn < 0.85 ? 'late_answer' : 'stall';
  }

  /** Asks, and resolves when the schedule lets the answer come; never, when the caller is dead. */
  function call<T>({ actor: caller, label, takesMs, limitMs, effect, gone, risk = 1 }: Call<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let done = false;
    const answer = (end: { value: T } | { error: Error }, at: number, what: string): void => {
      done = true;
      forget();
      if (!caller.alive) return;
      const tell = (): void => ('value' in end ? resolve(end.value) : reject(end.error));
      if (at <= now && caller.until <= now) tell();
      else add({ label: `${caller.name}: ${what} ${label}`, at: Math.max(at, caller.until), actor: caller, run: tell });
    };
    const perform = async (): Promise<{ value: T } | { error: Error }> => {
      try {
        return { value: await effect() };
      } catch (error) {
        return { error: error as Error };
      }
    };
    const asked = async (): Promise<void> => {
      const mishap = mishapOf(caller.alive ? risk : 0);
      note(`${caller.name}: ${label}${mishap === 'none' ? '' : ` (${mishap})`}`);
      switch (mishap) {
        case 'not_done':
          return answer(gone(), now, 'no answer to');
        case 'kill_before':
          done = true;
          forget();
          return kill(caller);
        case 'stall':
          caller.until = now + pick([5_000, 35_000, 130_000]);
          break;
        default:
      }
      const end = await perform();
      if (mishap === 'kill_after') {
        done = true;
        forget();
        return kill(caller);
      }
      answer(
        mishap === 'not_told' ? gone() : end,
        mishap === 'late_answer' ? now + between(500, Math.min(25_000, limitMs)) : now,
        'answer to',
      );
    };
    const ends = [
      add({ label, at: now + takesMs, actor: null, run: asked }),
      add({
        label: `${label} ends`,
        at: now + limitMs,
        actor: null,
        urgent: true,
        run: async () => {
          if (done) return;
          const late = chance(0.5);
          note(`${caller.name}: ${label} (time is over, ${late ? 'done' : 'not done'})`);
          if (late) await perform();
          answer(gone(), now, 'no answer to');
        },
      }),
    ];
    const forget = (): void => {
      for (const end of ends) end();
    };
    return promise;
  }

  const isFree = (event: Event): boolean =>
    event.at <= now && (event.actor === null || event.actor.until <= now) && (event.can === null || event.can());

  /** When something can happen next; null: nothing will by itself. */
  function nextAt(): number | null {
    let next = Infinity;
    for (const event of events) {
      const at = Math.max(event.at, event.actor?.until ?? 0);
      if (at > now && at < next) next = at;
    }
    return next === Infinity ? null : next;
  }

  /** Moves the clock, but never past the end of a call's time. */
  function forward(to: number): void {
    const bound = events.reduce((least, event) => (event.urgent ? Math.min(least, event.at) : least), Infinity);
    now = Math.max(now, Math.min(to, bound));
  }

  /** One step. False: nothing can happen any more. */
  async function step(): Promise<boolean> {
    const urgent = events.find((event) => event.urgent && event.at <= now);
    const free = urgent === undefined ? events.filter(isFree) : [urgent];
    if (free.length === 0 || (urgent === undefined && !calm && chance(0.04))) {
      const next = nextAt();
      if (next === null && free.length === 0) return false;
      if (next !== null) forward(next);
      if (free.length > 0 || next !== null) return true;
    }
    const chosen = pick(free);
    events = events.filter((event) => event !== chosen);
    steps += 1;
    await chosen.run();
    await atRest();
    if (chance(0.3)) forward(now + between(1, 4));
    return true;
  }

  return {
    random,
    chance,
    pick,
    between,
    note,
    add,
    actor,
    kill,
    call,
    step,
    now: () => now,
    start,
    /** All clocks go forward at once. */
    jump(ms: number): void {
      note(`the clocks go forward by ${ms} ms`);
      forward(now + ms);
    },
    /** From now on nothing goes wrong any more. */
    calmDown(): void {
      calm = true;
    },
    isCalm: () => calm,
    onKill(listener: (actor: Actor) => void): void {
      onKill = listener;
    },
    steps: () => steps,
    trace: () => lines,
    hash: () => hash.copy().digest('hex').slice(0, 16),
  };
}
