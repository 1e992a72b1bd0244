/**
 * A look-alike of the queues (src/queues.ts) in memory, shared by all processes of a simulation. It keeps what BullMQ on Redis promises and no more: a job comes at
 * least once, at any time after it is due, in any order; one whose worker died comes again after its lock; one that throws comes again six times; a Redis that is
 * emptied has lost them all. What it does not do: limits and priorities, and lists are given out an id at a time.
 */
import type { Conversations, InboundJob, QueueName, Queues } from '../src/queues.ts';
import type { Actor, Schedule } from './schedule.ts';
import { within } from './time.ts';

type Job = {
  name: QueueName | 'inbound';
  what: number | InboundJob;
  tries: number;
  /** A job of this key is replaced while it waits. */ key: string | null;
};
type Consumer = { actor: Actor; places: number; handle: (what: never) => Promise<void> };

/** A job whose worker died is given to another one within this. Milliseconds; see WORKER_OPTIONS in src/queues.ts. */
const LOCK_MS = { least: 7_500, most: 22_500 };
const MOST_TRIES = 6;
/** The queue answers within this, or is unavailable. Milliseconds. */
const ASK_MS = 5_000;

export type QueueStore = ReturnType<typeof createQueueStore>;

/** `doubles`: how likely it is that a job comes a second time although nobody died. */
export function createQueueStore(schedule: Schedule, { doubles }: { doubles: number }) {
  const consumers = new Map<string, Consumer[]>();
  const waiting = new Map<Job, () => void>();

  function wait(job: Job, delayMs: number): void {
    if (job.key !== null) for (const other of waiting.keys()) if (other.key === job.key) forget(other);
    const free = (): Consumer[] =>
      (consumers.get(job.name) ?? []).filter(({ actor, places }) => actor.alive && actor.until <= schedule.now() && places > 0);
    const label = `job ${job.name} ${typeof job.what === 'number' ? job.what : ''}`.trim();
    waiting.set(
      job,
      schedule.add({
        label,
        at: schedule.now() + Math.max(0, Math.round(delayMs)),
        actor: null,
        can: () => free().length > 0,
        run: () => {
          waiting.delete(job);
          const consumer = schedule.pick(free());
          schedule.note(`${consumer.actor.name}: ${label}`);
          if (!schedule.isCalm() && schedule.chance(doubles)) wait({ ...job, key: null }, 0);
          work(job, consumer);
        },
      }),
    );
  }

  function forget(job: Job): void {
    waiting.get(job)?.();
    waiting.delete(job);
  }

  function work(job: Job, consumer: Consumer): void {
    consumer.places -= 1;
    let over = false;
    // Nobody renews the lock of a job whose worker is dead.
    const lost = (): void => {
      if (over) return;
      if (consumer.actor.alive) watch();
      else wait(job, 0);
    };
    const watch = (): void =>
      void schedule.add({
        label: `lock of ${job.name}`,
        at: schedule.now() + schedule.between(LOCK_MS.least, LOCK_MS.most),
        actor: null,
        run: lost,
      });
    watch();
    within(consumer.actor.clockwork, () => consumer.handle(job.what as never)).then(
      () => {
        over = true;
        consumer.places += 1;
      },
      () => {
        over = true;
        consumer.places += 1;
        const again = { ...job, tries: job.tries + 1 };
        if (job.name === 'inbound') wait(again, 5_000);
        else if (again.tries < MOST_TRIES) wait(again, 1_000 * 2 ** job.tries);
      },
    );
  }

  /** The queues as one process has them. */
  function open(actor: Actor): Queues {
    const ask = (label: string, effect: () => void): Promise<void> =>
      schedule.call<void>({
        actor,
        label,
        takesMs: 1,
        limitMs: ASK_MS,
        effect,
        gone: () => ({ error: new Error('the queue is unavailable') }),
      });
    const listOf = (conversations: Conversations): readonly number[] =>
      typeof conversations === 'number' ? [conversations] : conversations;
    const wake = (name: QueueName, conversations: Conversations, delayMs = 0, which: 'now' | 'later' = 'now'): Promise<void> =>
      ask(`wake ${name} ${String(listOf(conversations))}`, () => {
        for (const what of listOf(conversations))
          wait({ name, what, tries: 0, key: delayMs > 0 ? `${name} ${which} ${what}` : null }, delayMs);
      });
    const add = (name: string, consumer: Consumer): Promise<void> => {
      consumers.set(name, [...(consumers.get(name) ?? []), consumer]);
      return Promise.resolve();
    };
    return {
      wakeTurn: (conversations, delayMs) => wake('turn', conversations, delayMs),
      wakeTurnLater: (conversation, delayMs) => wake('turn', conversation, delayMs, 'later'),
      wakeSend: (conversations) => wake('send', conversations),
      wakeSendLater: (conversation, delayMs) => wake('send', conversation, delayMs, 'later'),
      installation: 'simulation',
      survivesDatabase: true,
      keepWebhook: (webhook) => ask('keep webhook', () => wait({ name: 'inbound', what: webhook, tries: 0, key: null }, 0)),
      holdsInbound: () => Promise.resolve([...waiting.keys()].some(({ name }) => name === 'inbound')),
      wakeReconcile: (instance) =>
        ask('wake reconcile', () => wait({ name: 'inbound', what: { reconcile: instance }, tries: 0, key: 'reconcile' }, 0)),
      workInbound: (handle) => add('inbound', { actor, places: 1, handle }),
      work: (name, places, handle) => add(name, { actor, places, handle }),
      counts: () => Promise.resolve({ turn: {}, send: {} }),
      ping: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  return {
    open,
    /** Redis was emptied: every job that waits is gone, but for the webhooks, which only a Redis that keeps them may have taken. */
    flush(): void {
      schedule.note('the queue is emptied');
      for (const job of waiting.keys()) if (job.name !== 'inbound') forget(job);
    },
  };
}
