/**
 * Runs one batch: start everything, bring each cell to its point, strike, wait until nothing is under way, ask for more of it by late webhooks
 * and jobs, count; and count again when the whole batch is over.
 */
import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Postgres } from '../scripts/lib/embedded-postgres.ts';
import { cellName, strikesOneNumber, type Batch, type Cell } from './cells.ts';
import { instanceOf, openConversations, scriptOf, type Conversation, type Writer } from './conversations.ts';
import { heldSend, strike } from './faults.ts';
import { judge, lastAnswerAt, unsettled, type Seen, type Verdict } from './judge.ts';
import { bringToPoint } from './points.ts';
import { startStack, type Stack } from './stack.ts';

export type CellResult = Verdict & {
  cell: Cell;
  name: string;
  conversations: number;
  /** How many of them stood at the point when the fault struck. */
  reached: number;
  /** From the fault to the last answer; null when there was none. */
  lastAnswerSeconds: number | null;
  /** What the processes said that nobody should have to say, and what did not end in time. */
  notes: string[];
};

export type BatchOptions = {
  n: number;
  seed: number;
  directory: string;
  postgres: Postgres;
  signal: AbortSignal;
  /** How long after the fault a second answer is waited for, at least. Milliseconds. */
  watchMs: number;
  /** Told as soon as a cell is judged; the verdict that counts is the one of runBatch. Must not throw. */
  onResult(result: CellResult): void;
};

/** An uncertain send is looked up until two minutes after its claim: then a person has it. Behind it stand others of its number. */
const SETTLE_MS = { usual: 200_000, hang: 300_000 };
/** A double that is on its way when everything has settled gets this time to show. */
const QUIET_MS = 4_000;

export async function runBatch(batch: Batch, options: BatchOptions): Promise<CellResult[]> {
  const { cells } = batch;
  const stack = await startStack({
    backend: batch.backend,
    instances: cells.map(instanceOf),
    directory: options.directory,
    postgres: batch.fault === 'postgres-restarted' ? null : options.postgres,
    gates: true,
    seed: options.seed,
  });
  try {
    const people = new Map(cells.map((cell) => [cell, openConversations(stack.simulator, cell, options.n)]));
    stack.simulator.script(scriptOf(cells, people));
    // Each cell brings all of its contacts at once; the next one does when they stand at their point.
    const inTurn = oneByOne();
    const run = async (cell: Cell): Promise<CellResult> => {
      const result = await runCell(stack, cell, people.get(cell) ?? [], options, inTurn);
      if (!options.signal.aborted) options.onResult(result);
      return result;
    };
    const first = await Promise.race([Promise.all(cells.map(run)), aborted(options.signal)]);
    // What was judged early has had the time of all others to be answered a second time.
    const results = await Promise.all(
      first.map(async (result) => ({ ...result, ...(await judge(stack, instanceOf(result.cell), people.get(result.cell) ?? [])) })),
    );
    if (results.some((result) => result.wrong.length > 0 || result.notes.length > 0))
      await keepEvidence(
        stack,
        options.directory,
        results.flatMap((result) => [`# ${result.name}`, ...result.wrong, ...result.notes]),
      );
    return results;
  } finally {
    await stack.close();
  }
}

/** Never resolves; rejects once the run is stopped, so that nothing is waited for any more. */
function aborted(signal: AbortSignal): Promise<never> {
  const stopped = (): Error => new Error('stopped');
  return new Promise((_, reject) =>
    signal.aborted ? reject(stopped()) : signal.addEventListener('abort', () => reject(stopped()), { once: true }),
  );
}

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

/** Runs what it is given one after the other. */
function oneByOne(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work);
    last = next.catch(() => {});
    return next;
  };
}

async function runCell(
  stack: Stack,
  cell: Cell,
  conversations: Conversation[],
  options: BatchOptions,
  inTurn: InTurn,
): Promise<CellResult> {
  const instance = instanceOf(cell);
  const held = await inTurn(() => bringToPoint(stack, cell, conversations, (index) => heldSend(cell.fault, index)));
  options.signal.throwIfAborted();
  const struckAt = Date.now();
  await strike(stack, cell, conversations, held);
  held.release();
  await held.released();
  const settleMs = cell.fault === 'evolution-hang' ? SETTLE_MS.hang : SETTLE_MS.usual;
  await settle(stack, instance, conversations, settleMs, options.signal);
  const last = lastAnswerAt(stack, instance);
  await provoke(stack, instance, conversations);
  await delay(Math.max(QUIET_MS, struckAt + options.watchMs - Date.now()), undefined, { signal: options.signal });
  await settle(stack, instance, conversations, SETTLE_MS.usual, options.signal);
  const verdict = await judge(stack, instance, conversations);
  return {
    cell,
    name: cellName(cell),
    conversations: conversations.length,
    reached: held.reached,
    ...verdict,
    lastAnswerSeconds: last === null ? null : Math.max(0, Math.round((last - struckAt) / 100) / 10),
    notes: [
      ...(held.reached < conversations.length ? [`only ${held.reached} of ${conversations.length} reached the point`] : []),
      ...(strikesOneNumber(cell.fault) ? [] : stack.troubles),
    ],
  };
}

/** Waits until every row has its end, at most so long: what has none then is told by the judge. */
export async function settle(
  seen: Seen,
  instance: string,
  writers: readonly Writer[],
  patienceMs: number,
  signal: AbortSignal,
  say: (open: number) => void = () => {},
): Promise<void> {
  const end = Date.now() + patienceMs;
  const expected = writers.flatMap(({ written }) => written.map(({ id }) => id));
  while (Date.now() < end) {
    // The database itself may be away.
    const open = await unsettled(seen, instance, expected).catch(() => null);
    if (open === 0) return;
    if (open !== null) say(open);
    await delay(500, undefined, { signal });
  }
}

/** Everything comes once more: Evolution repeats the webhook of each message, and each conversation is woken for nothing. Who answers now answers twice. */
export async function provoke(stack: Stack, instance: string, writers: readonly Writer[]): Promise<void> {
  const conversations = await stack.query<{ id: number }>(
    'select c.id::int from conversations c join instances i on i.id = c.instance_id where i.name = $1',
    [instance],
  );
  const ids = writers.flatMap(({ written }) => written.map(({ id }) => id));
  for (const messageId of ids) {
    const statuses = await stack.simulator.repeatWebhook({ messageId });
    if (statuses.some((status) => status !== 200)) throw new Error(`the api took no repeated webhook: ${statuses.join()}`);
  }
  await stack.wake(conversations.map(({ id }) => id));
}

/** What was wrong, the rows and the wire, beside the logs of the processes. */
export async function keepEvidence(stack: Stack, directory: string, wrong: readonly string[]): Promise<void> {
  const rows = await stack.query(
    `select m.conversation_id as c, m.id, i.name as instance, m.direction, m.status, m.reason, m.claim, m.attempts, m.looks, m.turn_id, m.created_at, m.claimed_at, m.due_at,
       left(m.text, 60) as text from messages m join instances i on i.id = m.instance_id order by m.conversation_id, m.id`,
  );
  const turns = await stack.query(
    'select id, conversation_id as c, status, reason, worker, started_at, ended_at from turns order by conversation_id, id',
  );
  const wire = stack.simulator.sends().map((send) => ({ ...send, at: new Date(send.at), text: send.text.slice(0, 60) }));
  const text = [...wrong, ...[rows, turns, wire].flatMap((list) => ['', ...list.map((each) => JSON.stringify(each))])];
  await appendFile(path.join(directory, 'evidence.txt'), `${text.join('\n')}\n`);
}
