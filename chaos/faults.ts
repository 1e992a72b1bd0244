/** The blows. Each resolves when its fault is over; what comes after is the product's own work. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FaultInput, FaultTarget } from '../simulator/types.ts';
import type { Cell, FaultName } from './cells.ts';
import { instanceOf, type Conversation } from './conversations.ts';
import { accepted, type Held } from './points.ts';
import type { Stack } from './stack.ts';

/** How long Evolution misbehaves. Milliseconds. */
const WINDOW_MS = { 'evolution-500': 10_000, 'evolution-429': 10_000, 'evolution-hang': 20_000, 'evolution-no-answer': 20_000 } as const;
/** Into the fault: half of what was held goes on while it lasts, half when it is over. */
const WHILE_MS = 300;

/** What becomes of the send of conversation number `index` that is held at the point `inside-send`. */
export function heldSend(fault: FaultName, index: number): Partial<FaultInput> {
  switch (fault) {
    case 'evolution-500':
      return { kind: 'status', status: 500 };
    case 'evolution-429':
      return { kind: 'rate-limited' };
    case 'evolution-hang':
      return { kind: 'hang', sent: true };
    case 'evolution-no-answer':
      return { kind: 'drop', sent: true };
    default:
      // Every fourth is told by no webhook: only a look at Evolution's messages can prove it.
      return index % 4 === 3 ? { kind: 'no-echo' } : {};
  }
}

export async function strike(stack: Stack, cell: Cell, conversations: Conversation[], held: Held): Promise<void> {
  const someGoOn = (): void => {
    for (const index of conversations.keys()) if (index % 2 === 0) held.release(index);
  };
  /** Half of the conversations go on while `fault` lasts. */
  const halfway = async (fault: Promise<void>): Promise<void> => {
    await Promise.race([fault, delay(WHILE_MS)]);
    someGoOn();
    await fault;
    held.release();
  };

  switch (cell.fault) {
    case 'sigkill': {
      const killed = stack.kill();
      // The processes are dead within milliseconds; what is held then ends without anybody there.
      return halfway(killed);
    }
    case 'sigterm': {
      const { ended, ready } = stack.terminate();
      await halfway(ended);
      return ready;
    }
    case 'queue-flushed':
      await stack.flushQueue();
      return held.release();
    case 'queue-restarted':
      return halfway(stack.redis?.restart() ?? Promise.resolve());
    case 'postgres-restarted':
      return halfway(stack.postgres.restart());
    case 'evolution-500':
    case 'evolution-429':
    case 'evolution-hang':
    case 'evolution-no-answer':
      return misbehave(stack, cell.fault, instanceOf(cell), held);
    case 'webhook-repeated':
      await Promise.all(conversations.map(({ written }) => stack.simulator.repeatWebhook({ messageId: written[0]?.id ?? '', times: 3 })));
      return held.release();
    case 'webhook-reordered':
      await writeInWrongOrder(stack, conversations);
      return held.release();
  }
}

async function misbehave(stack: Stack, fault: keyof typeof WINDOW_MS, instance: string, held: Held): Promise<void> {
  const added = evolutionFaults(fault).map((input) => stack.simulator.fault({ ...input, times: null, match: { instance } }));
  held.release();
  await delay(WINDOW_MS[fault]);
  for (const { id } of added) stack.simulator.clearFaults(id);
}

function evolutionFaults(fault: keyof typeof WINDOW_MS): FaultInput[] {
  const everywhere = (rest: Omit<FaultInput, 'target'> & { kind: string }): FaultInput[] =>
    (['send', 'presence', 'find', 'state'] satisfies FaultTarget[]).map((target) => ({ ...rest, target }));
  switch (fault) {
    case 'evolution-500':
      return everywhere({ kind: 'status', status: 500 });
    case 'evolution-429':
      return everywhere({ kind: 'rate-limited' });
    case 'evolution-hang':
      return everywhere({ kind: 'hang', sent: false });
    case 'evolution-no-answer':
      return [{ target: 'send', kind: 'drop', sent: true }];
  }
}

/** Two more messages of each contact; the webhook of the first of them comes after that of the second. */
async function writeInWrongOrder({ simulator }: Stack, conversations: Conversation[]): Promise<void> {
  for (const { tag } of conversations) simulator.fault({ target: 'webhook', kind: 'delay', ms: 400, match: { text: tag(1) } });
  const ids = conversations.flatMap((conversation) => [conversation.write(), conversation.write()]);
  await simulator.waitFor(() => ids.every((id) => accepted(simulator, id)), 30_000).catch(() => {});
}
