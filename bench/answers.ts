/** Messages of contacts who wait for their answer: one, or as many at once as there are slots. */
import type { Connection } from './load.ts';
import { openConnection } from './load.ts';
import { ackBody, echoBody, INSTANCE, jidOf, phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from './messages.ts';
import { nowUs } from './simulator.ts';
import type { BenchSimulator } from './simulator.ts';

/** An answer that takes longer has failed. Milliseconds. */
const PATIENCE_MS = 20_000;
/** Contacts who wait at once: more than what the workers take at once, so that they are never idle. */
const WAITING = 64;
/** So many people write; each again only after the answer to the last message. */
const CONTACTS = 400;

/** `sent`: what was answered in the time; `all` counts those too that were still waiting when it ended. */
export type Answers = { answered: number; all: number; failed: number; perSecond: number; sent: Sent[] };
/** What was sent to whom, by its id at WhatsApp. */
export type Sent = { instance: string; jid: string; id: string };

export type AnswerLoad = {
  port: number;
  /** Of the contacts' phones. */
  group: number;
  durationMs: number;
  /** The numbers that are written to, in turn. */
  instances?: readonly string[];
  waiting?: number;
  contacts?: number;
  /** What they write. */
  text?: string;
  /** What Evolution posts after a send comes too: its echo, delivered, read. */
  receipts?: boolean;
};

/** Keeps contacts of `group` waiting for `durationMs`, and counts what is answered in that time. */
export async function answerLoad(simulator: BenchSimulator, load: AnswerLoad): Promise<Answers> {
  const { port, group, durationMs, instances = [INSTANCE], waiting = WAITING, contacts = CONTACTS, receipts = false, text } = load;
  const free = Array.from({ length: contacts }, (_, index) => ({
    phone: phoneOf(group, index),
    instance: instances[index % instances.length] ?? INSTANCE,
  }));
  const desk = openDesk(simulator);
  const open = () => openConnection(port, WEBHOOK_PATH, WEBHOOK_HEADERS);
  const slots = await Promise.all(
    Array.from({ length: waiting }, async () => ({ asks: await open(), tells: receipts ? await open() : null })),
  );
  let failed = 0;
  let all = 0;
  const sent: Sent[] = [];
  const end = nowUs() + durationMs * 1000;
  await Promise.all(
    slots.map(async ({ asks, tells }) => {
      let told = Promise.resolve(0);
      while (nowUs() < end) {
        const contact = free.shift();
        if (contact === undefined) throw new Error('more contacts wait than there are');
        const answer = await ask(desk, asks, contact.phone, contact.instance, text);
        free.push(contact);
        if (answer === null) {
          failed += 1;
          continue;
        }
        all += 1;
        const message = { instance: contact.instance, jid: jidOf(contact.phone), id: answer.id };
        if (answer.atUs <= end) sent.push(message);
        failed += await told;
        if (tells !== null) told = postReceipts(tells, message);
      }
      failed += await told;
    }),
  );
  for (const { asks, tells } of slots) for (const connection of [asks, tells]) connection?.close();
  desk.close();
  return { answered: sent.length, all, failed, perSecond: sent.length / (durationMs / 1000), sent };
}

/** Posts what Evolution tells of a message that we sent, in its order. Resolves with how many were not taken. */
export async function postReceipts(connection: Connection, { instance, jid, id }: Sent): Promise<number> {
  let refused = 0;
  for (const body of [echoBody(instance, jid, id), ackBody(instance, jid, id, 'DELIVERY_ACK'), ackBody(instance, jid, id, 'READ')])
    if ((await connection.post(body)) !== 200) refused += 1;
  return refused;
}

/** Milliseconds from the webhook to the send that answers it, when nothing else is going on. Null: no answer. */
export async function probe(desk: Desk, connection: Connection, phone: string): Promise<number | null> {
  const at = nowUs();
  const answer = await ask(desk, connection, phone, INSTANCE);
  return answer === null ? null : (answer.atUs - at) / 1000;
}

/** Posts a message; resolves with its answer, null when there was none. */
async function ask(desk: Desk, connection: Connection, phone: string, instance: string, text?: string): Promise<Answer | null> {
  const answer = desk.answerTo(phone);
  const status = await connection.post(webhookBody(phone, { instance, ...(text === undefined ? {} : { text }) }));
  if (status !== 200) return null;
  return answer;
}

/** When it left (microseconds of `nowUs`), and its id at WhatsApp. */
type Answer = { atUs: number; id: string };

/** Who waits for whose answer. */
export type Desk = {
  /** Resolves with the next send to this contact, null after PATIENCE_MS. */
  answerTo(phone: string): Promise<Answer | null>;
  close(): void;
};

export function openDesk(simulator: BenchSimulator): Desk {
  const waiting = new Map<string, (answer: Answer | null) => void>();
  const end = simulator.onSent((jid, atUs, id) => {
    waiting.get(jid)?.({ atUs, id });
    waiting.delete(jid);
  });
  return {
    answerTo(phone) {
      return new Promise((resolve) => {
        const timer = setTimeout(() => resolve(null), PATIENCE_MS);
        waiting.set(jidOf(phone), (answer) => {
          clearTimeout(timer);
          resolve(answer);
        });
      });
    },
    close() {
      end();
      for (const resolve of waiting.values()) resolve(null);
    },
  };
}
