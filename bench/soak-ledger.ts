/** Who writes in a soak, who waits for what, and what became of it. Pure: no clock, no network. */
import { jidOf, phoneOf } from './messages.ts';

export type Tally = {
  /** Questions of contacts, and those that were answered. */
  asked: number;
  answered: number;
  /** Messages that nobody asked for, and those that arrived. */
  ordered: number;
  arrived: number;
  /** Messages that nobody waited for. */
  doubled: number;
};

export type Ledger = {
  readonly tally: Readonly<Tally>;
  /** A contact asks: the phone of one who waits for nothing; null: all of them wait. */
  ask(): string | null;
  /** An order goes to a contact who never writes. */
  order(): string;
  /** A message has left; false: to nobody of ours. */
  left(jid: string): boolean;
  /** Who still waits, for an answer or an order. */
  waiting(): number;
};

/** So many write; nobody new comes while so many are quiet, but for each fifth question. */
const ACQUAINTED = 200;
const NEWCOMER_EACH = 5;
/** Of the 10,000 numbers of a group the lower half writes, the upper half gets orders. */
const HALF = 5_000;

export function openLedger(group: number): Ledger {
  const tally: Tally = { asked: 0, answered: 0, ordered: 0, arrived: 0, doubled: 0 };
  const known = new Set<string>();
  const waiting = new Map<string, { phone: string; for: 'answer' | 'order' }>();
  /** Those who write and wait for nothing; who has been quiet longest comes first. */
  const quiet: string[] = [];
  let writers = 0;
  const wait = (phone: string, what: 'answer' | 'order'): string => {
    known.add(jidOf(phone));
    waiting.set(jidOf(phone), { phone, for: what });
    return phone;
  };
  return {
    tally,
    ask() {
      const isNew = writers < HALF && (quiet.length < ACQUAINTED || tally.asked % NEWCOMER_EACH === 0);
      const phone = isNew ? phoneOf(group, writers) : quiet.shift();
      if (phone === undefined) return null;
      if (isNew) writers += 1;
      tally.asked += 1;
      return wait(phone, 'answer');
    },
    order() {
      const phone = phoneOf(group, HALF + (tally.ordered % HALF));
      tally.ordered += 1;
      return wait(phone, 'order');
    },
    left(jid) {
      if (!known.has(jid)) return false;
      const one = waiting.get(jid);
      waiting.delete(jid);
      if (one === undefined) tally.doubled += 1;
      else if (one.for === 'order') tally.arrived += 1;
      else {
        tally.answered += 1;
        quiet.push(one.phone);
      }
      return true;
    },
    waiting: () => waiting.size,
  };
}
