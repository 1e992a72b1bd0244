/**
 * Brings all conversations of a cell to its point at the same time, and holds them there until the fault strikes. The simulator holds what waits
 * for it, gates.ts what happens in the database; both see everything, so nothing is guessed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Simulator } from '../simulator/index.ts';
import type { FaultInput } from '../simulator/types.ts';
import type { Cell } from './cells.ts';
import type { Conversation } from './conversations.ts';
import { closeGates, HELD_REASON, type Gate } from './gates.ts';
import type { Stack } from './stack.ts';

/** A point that is not reached by then is reported, and the fault strikes anyway. The machine may be busy. */
const REACH_MS = 60_000;
/** How often the database is asked who has come. */
const LOOK_MS = 200;

export type Held = {
  /** How many conversations stand at the point. */
  reached: number;
  /** Lets conversation number `index` go on; without a number all of them. May be called again. */
  release(index?: number): void;
  /** Resolves when whoever was released can go on; rejects when that failed. */
  released(): Promise<void>;
};

/** `heldSend`: what the simulator does with the held send of a conversation when it is released; plainly sends it unless said. */
export async function bringToPoint(
  stack: Stack,
  cell: Cell,
  conversations: Conversation[],
  heldSend: (index: number) => Partial<FaultInput>,
): Promise<Held> {
  const { simulator } = stack;
  const write = (): void => {
    for (const conversation of conversations) conversation.write();
  };
  const until = (isThere: (conversation: Conversation, index: number) => boolean): Promise<number> =>
    allThere(simulator, conversations, isThere);

  switch (cell.point) {
    case 'after-accept': {
      const hold = await gatesOf(stack, conversations, () => 'turn');
      write();
      await until(({ written }) => written.every(({ id }) => accepted(simulator, id)));
      return { ...hold, reached: await unanswered(stack, conversations) };
    }
    case 'model-running': {
      const { hold, taken } = requestsOf(simulator, conversations, ({ tag }) => modelCall(tag(0)));
      write();
      return { ...hold, reached: await until(taken) };
    }
    case 'tool-running': {
      // The first request passes and is answered with a call of a tool; the second brings its result.
      for (const { tag } of conversations) simulator.fault(modelCall(tag(0)));
      const { hold, taken } = requestsOf(simulator, conversations, ({ tag }) => modelCall(tag(0)));
      write();
      return { ...hold, reached: await until(taken) };
    }
    case 'before-send': {
      // Half of each half that goes on together stands before typing, the others right before the claim.
      const hold = await gatesOf(stack, conversations, (index) => (index % 4 < 2 ? 'typing' : 'send'));
      write();
      return { ...hold, reached: await heldSends(stack, conversations) };
    }
    case 'inside-send': {
      const { hold, taken } = requestsOf(simulator, conversations, ({ tag, instance }, index) => ({
        ...sendCall(tag(0), instance),
        ...heldSend(index),
      }));
      write();
      return { ...hold, reached: await until(taken) };
    }
    case 'between-parts': {
      const hold = await gatesOf(stack, conversations, () => 'second-part');
      const first = requestsOf(simulator, conversations, ({ answer, instance }) => sendCall(answer(0), instance));
      write();
      await until(first.taken);
      first.hold.release();
      const between = ({ instance, jid, answer }: Conversation): boolean =>
        answered(simulator, jid, answer(0)) && simulator.sends({ instance, jid }).length === 1;
      return { ...hold, reached: await until(between) };
    }
  }
}

type Hold = Pick<Held, 'release' | 'released'>;

const modelCall = (text: string): FaultInput => ({ target: 'claude', kind: 'slow', ms: 0, match: { text } });
const sendCall = (text: string, instance: string): FaultInput => ({ target: 'send', kind: 'slow', ms: 0, match: { text, instance } });

/** Requests that the simulator does not answer before their conversation is released. `taken`: it has come. */
function requestsOf(
  simulator: Simulator,
  conversations: Conversation[],
  request: (conversation: Conversation, index: number) => FaultInput,
): { hold: Hold; taken: (conversation: Conversation, index: number) => boolean } {
  const doors = conversations.map(() => Promise.withResolvers<void>());
  const faults = conversations.map((conversation, index) =>
    simulator.fault({ ...request(conversation, index), until: doors[index]?.promise ?? Promise.resolve() }),
  );
  const hold: Hold = {
    release(index) {
      for (const [at, door] of doors.entries()) if (index === undefined || index === at) door.resolve();
    },
    released: async () => {},
  };
  return { hold, taken: (_, index) => faults[index]?.times === 0 };
}

async function gatesOf(stack: Stack, conversations: Conversation[], gate: (index: number) => Gate): Promise<Hold> {
  const gates = await closeGates(stack, conversations, gate);
  return { release: (index) => gates.open(index), released: () => gates.opened() };
}

/** Conversations whose message is stored and whose turn nobody has taken. */
async function unanswered(stack: Stack, conversations: Conversation[]): Promise<number> {
  const rows = await stack.query(
    `select from conversations c join instances i on i.id = c.instance_id where i.name = $1 and c.jid = any ($2)
       and exists (select from messages m where m.conversation_id = c.id and m.direction = 'in' and m.status = 'received')
       and not exists (select from turns t where t.conversation_id = c.id)`,
    placeOf(conversations),
  );
  return rows.length;
}

/** Waits until a worker has asked for the send of each and was told to wait; counts them. */
async function heldSends(stack: Stack, conversations: Conversation[]): Promise<number> {
  const end = Date.now() + REACH_MS;
  for (;;) {
    const rows = await stack.query(
      `select from conversations c join instances i on i.id = c.instance_id where i.name = $1 and c.jid = any ($2)
         and exists (select from messages m where m.conversation_id = c.id and m.direction = 'out' and m.status = 'queued' and m.reason = $3)`,
      [...placeOf(conversations), HELD_REASON],
    );
    if (rows.length === conversations.length || Date.now() > end) return rows.length;
    await delay(LOOK_MS);
  }
}

function placeOf(conversations: Conversation[]): unknown[] {
  return [conversations[0]?.instance, conversations.map(({ jid }) => jid)];
}

/** A webhook's 200. */
export function accepted(simulator: Simulator, messageId: string): boolean {
  return simulator.wire().webhooks.some((hook) => hook.messageId === messageId && hook.event === 'messages.upsert' && hook.status === 200);
}

function answered(simulator: Simulator, jid: string, text: string): boolean {
  return simulator.sends({ jid, text, sent: true }).some((send) => send.status === 201);
}

async function allThere(
  simulator: Simulator,
  conversations: Conversation[],
  isThere: (conversation: Conversation, index: number) => boolean,
): Promise<number> {
  const missing = new Set(conversations.keys());
  const look = (): boolean => {
    for (const index of missing) {
      const conversation = conversations[index];
      if (conversation && isThere(conversation, index)) missing.delete(index);
    }
    return missing.size === 0;
  };
  await simulator.waitFor(look, REACH_MS).catch(() => {});
  return conversations.length - missing.size;
}
