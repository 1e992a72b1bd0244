/** Brings all conversations of a cell to its point at the same time, and holds them there. The simulator sees everything, so nothing is guessed. */
import type { Simulator } from '../simulator/index.ts';
import type { Fault, FaultInput } from '../simulator/types.ts';
import type { Cell } from './cells.ts';
import type { Conversation } from './conversations.ts';

/** A point that is not reached by then is reported, and the fault strikes anyway. The machine may be busy. */
const REACH_MS = 60_000;

export type Held = {
  /** How many conversations stand at the point. */
  reached: number;
  /** Lets conversation number `index` go on; without a number all of them. May be called again. */
  release(index?: number): void;
};

/** `heldSend`: what the simulator does with the held send of a conversation when it is released; plainly sends it unless said. */
export async function bringToPoint(
  simulator: Simulator,
  cell: Cell,
  conversations: Conversation[],
  heldSend: (index: number) => Partial<FaultInput>,
): Promise<Held> {
  const gates = conversations.map(() => Promise.withResolvers<void>());
  const release = (index?: number): void => {
    for (const [at, gate] of gates.entries()) if (index === undefined || index === at) gate.resolve();
  };
  const hold = (fault: (conversation: Conversation, index: number) => FaultInput): Fault[] =>
    conversations.map((conversation, index) =>
      simulator.fault({ ...fault(conversation, index), until: gates[index]?.promise ?? Promise.resolve() }),
    );
  const write = (): void => {
    for (const conversation of conversations) conversation.write();
  };
  const until = (isThere: (conversation: Conversation, index: number) => boolean): Promise<number> =>
    allThere(simulator, conversations, isThere);
  const taken = (faults: Fault[]) => until((_, index) => faults[index]?.times === 0);

  switch (cell.point) {
    case 'after-accept': {
      write();
      return { release, reached: await until(({ written }) => written.every(({ id }) => accepted(simulator, id))) };
    }
    case 'model-running': {
      const faults = hold(({ tag }) => ({ target: 'claude', kind: 'slow', ms: 0, match: { text: tag(0) } }));
      write();
      return { release, reached: await taken(faults) };
    }
    case 'tool-running': {
      // The first request passes and is answered with a call of a tool; the second brings its result.
      for (const { tag } of conversations) simulator.fault({ target: 'claude', kind: 'slow', ms: 0, match: { text: tag(0) } });
      const faults = hold(({ tag }) => ({ target: 'claude', kind: 'slow', ms: 0, match: { text: tag(0) } }));
      write();
      return { release, reached: await taken(faults) };
    }
    case 'before-send': {
      write();
      const begun = ({ jid, instance }: Conversation): boolean => simulator.sends({ jid, instance }).length > 0;
      // On a slow machine the first may have typed long enough before the last begins: the fault must not wait for that one.
      await until((conversation) => typed(simulator, conversation.instance, conversation.jid) || conversations.some(begun));
      const typing = conversations.filter((each) => typed(simulator, each.instance, each.jid) && !begun(each));
      return { release, reached: typing.length };
    }
    case 'inside-send': {
      const faults = hold(({ tag, instance }, index) => ({
        target: 'send',
        kind: 'slow',
        ms: 0,
        match: { text: tag(0), instance },
        ...heldSend(index),
      }));
      write();
      return { release, reached: await taken(faults) };
    }
    case 'between-parts': {
      const faults = hold(({ answer, instance }) => ({ target: 'send', kind: 'slow', ms: 0, match: { text: answer(0), instance } }));
      write();
      await taken(faults);
      release();
      return { release, reached: await until(({ jid, answer }) => answered(simulator, jid, answer(0))) };
    }
  }
}

/** A webhook's 200. */
export function accepted(simulator: Simulator, messageId: string): boolean {
  return simulator.wire().webhooks.some((hook) => hook.messageId === messageId && hook.event === 'messages.upsert' && hook.status === 200);
}

function typed(simulator: Simulator, instance: string, jid: string): boolean {
  return simulator.wire().presences.some((presence) => presence.instance === instance && presence.jid === jid);
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
