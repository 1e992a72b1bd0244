/** Messages of contacts who wait for their answer: one, or as many at once as there are slots. */
import type { Connection } from './load.ts';
import { openConnection } from './load.ts';
import { jidOf, phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from './messages.ts';
import { nowUs } from './simulator.ts';
import type { BenchSimulator } from './simulator.ts';

/** An answer that takes longer has failed. Milliseconds. */
const PATIENCE_MS = 20_000;
/** Contacts who wait at once: more than what the workers take at once, so that they are never idle. */
const WAITING = 64;
/** So many people write; each again only after the answer to the last message. */
const CONTACTS = 400;

export type Answers = { answered: number; failed: number; perSecond: number };

/** Keeps `WAITING` contacts of `group` waiting for `durationMs`, and counts what is answered in that time. */
export async function answerLoad(simulator: BenchSimulator, port: number, group: number, durationMs: number): Promise<Answers> {
  const free = Array.from({ length: CONTACTS }, (_, index) => phoneOf(group, index));
  const desk = openDesk(simulator);
  const slots = await Promise.all(Array.from({ length: WAITING }, () => openConnection(port, WEBHOOK_PATH, WEBHOOK_HEADERS)));
  let answered = 0;
  let failed = 0;
  const started = nowUs();
  const end = started + durationMs * 1000;
  await Promise.all(
    slots.map(async (connection) => {
      while (nowUs() < end) {
        const phone = free.shift() ?? '';
        const sentUs = await ask(desk, connection, phone);
        if (sentUs === null) failed += 1;
        else if (sentUs <= end) answered += 1;
        free.push(phone);
      }
    }),
  );
  for (const connection of slots) connection.close();
  desk.close();
  return { answered, failed, perSecond: answered / (durationMs / 1000) };
}

/** Milliseconds from the webhook to the send that answers it, when nothing else is going on. Null: no answer. */
export async function probe(desk: Desk, connection: Connection, phone: string): Promise<number | null> {
  const at = nowUs();
  const sentUs = await ask(desk, connection, phone);
  return sentUs === null ? null : (sentUs - at) / 1000;
}

/** Posts a message; resolves with the time at which the answer left, null when there was none. */
async function ask(desk: Desk, connection: Connection, phone: string): Promise<number | null> {
  const answer = desk.answerTo(phone);
  const status = await connection.post(webhookBody(phone));
  if (status !== 200) return null;
  return answer;
}

/** Who waits for whose answer. */
export type Desk = {
  /** Resolves with the time (microseconds of `nowUs`) of the next send to this contact, null after PATIENCE_MS. */
  answerTo(phone: string): Promise<number | null>;
  close(): void;
};

export function openDesk(simulator: BenchSimulator): Desk {
  const waiting = new Map<string, (atUs: number | null) => void>();
  const end = simulator.onSent((jid, atUs) => {
    waiting.get(jid)?.(atUs);
    waiting.delete(jid);
  });
  return {
    answerTo(phone) {
      return new Promise((resolve) => {
        const timer = setTimeout(() => resolve(null), PATIENCE_MS);
        waiting.set(jidOf(phone), (atUs) => {
          clearTimeout(timer);
          resolve(atUs);
        });
      });
    },
    close() {
      end();
      for (const resolve of waiting.values()) resolve(null);
    },
  };
}
