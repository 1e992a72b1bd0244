/** What became of a cell: every message of a contact is looked for in the rows and on the wire. */
import type { WireSend } from '../simulator/types.ts';
import type { Cell } from './cells.ts';
import { instanceOf, type Conversation } from './conversations.ts';
import type { Stack } from './stack.ts';

type Row = {
  id: number;
  direction: 'in' | 'out';
  status: string;
  reason: string | null;
  text: string;
  provider_id: string | null;
  turn_id: number | null;
  conversation_id: number;
};

export type Verdict = {
  /** Messages of contacts. */
  inbound: number;
  /** Answered by messages that are on the wire, whole. */
  answered: number;
  /** Not on the wire, and no outcome with a person or a reason. */
  lost: number;
  /** Texts that a contact got once more than they were written. */
  doubled: number;
  /** Messages that overtook an earlier one. */
  reordered: number;
  /** Conversations that were listed to a person. */
  person: number;
  /** Outcomes beside an answer, counted. */
  outcomes: Record<string, number>;
  /** One line for each thing that is wrong. */
  wrong: string[];
};

const ROWS = `select m.id::int, m.direction, m.status, m.reason, m.text, m.provider_id, m.turn_id::int, m.conversation_id::int
  from messages m join instances i on i.id = m.instance_id where i.name = $1 order by m.id`;

/** What is still under way: rows of a number that have no end yet. */
export async function unsettled(stack: Stack, instance: string, expected: readonly string[]): Promise<number> {
  const rows = await stack.query<Row>(ROWS, [instance]);
  const known = new Set(rows.map((row) => row.provider_id));
  return rows.filter(isOpen).length + expected.filter((id) => !known.has(id)).length;
}

function isOpen(row: Row): boolean {
  if (row.direction === 'in') return row.status === 'received';
  return row.status === 'queued' || row.status === 'sending' || (row.status === 'uncertain' && row.reason !== 'unproven');
}

export async function judge(stack: Stack, instance: string, conversations: readonly Conversation[]): Promise<Verdict> {
  const rows = await stack.query<Row>(ROWS, [instance]);
  const handoffs = await stack.query<{ conversation_id: number; reason: string }>(
    `select h.conversation_id::int, h.reason from handoffs h join conversations c on c.id = h.conversation_id join instances i on i.id = c.instance_id where i.name = $1`,
    [instance],
  );
  const handed = new Set(handoffs.map((each) => each.conversation_id));
  const verdict: Verdict = { inbound: 0, answered: 0, lost: 0, doubled: 0, reordered: 0, person: handed.size, outcomes: {}, wrong: [] };
  for (const { reason } of handoffs) count(verdict.outcomes, `person: ${reason}`);
  for (const conversation of conversations) {
    const wire = leftFor(stack, instance, conversation.jid);
    for (const id of conversation.inbound) {
      verdict.inbound++;
      const outcome = outcomeOf(rows, wire, handed, id);
      if (outcome === 'answered') verdict.answered++;
      else count(verdict.outcomes, outcome);
      if (!outcome.startsWith('lost')) continue;
      verdict.lost++;
      verdict.wrong.push(`${outcome}: message ${id} of ${conversation.jid}`);
    }
    compareOrder(verdict, rows, wire, conversation.jid);
  }
  return verdict;
}

/** What really left for a contact, in the order in which it left. */
function leftFor(stack: Stack, instance: string, jid: string): WireSend[] {
  return stack.simulator.sends({ instance, jid, sent: true }).toSorted((a, b) => (a.sentAt ?? 0) - (b.sentAt ?? 0));
}

function outcomeOf(rows: readonly Row[], wire: readonly WireSend[], handed: ReadonlySet<number>, id: string): string {
  const row = rows.find((each) => each.provider_id === id && each.direction === 'in');
  if (!row) return 'lost: no row';
  if (row.status === 'received') return 'lost: received and nothing more';
  if (row.status !== 'answered') return row.reason === null ? `lost: ${row.status} without a reason` : `${row.status}: ${row.reason}`;
  const parts = rows.filter((each) => each.direction === 'out' && each.turn_id === row.turn_id);
  const missing = parts.find((part) => !wire.some((send) => send.text === part.text));
  if (parts.length > 0 && missing === undefined) return 'answered';
  if (missing === undefined) return 'lost: answered with nothing';
  // Withdrawn because the contact wrote again: the answer to that takes it up, and has to be whole itself.
  const named = missing.reason === 'contact_wrote' || ['blocked', 'expired', 'deduped'].includes(missing.status);
  const told = !isOpen(missing) && (named || (missing.reason !== null && handed.has(row.conversation_id)));
  return `${told ? 'not sent' : 'lost'}: ${missing.status} ${missing.reason ?? ''}`;
}

/** Texts are unique, so the second of one text is a double, and the order of the rows is the order in which they were written. */
function compareOrder(verdict: Verdict, rows: readonly Row[], wire: readonly WireSend[], jid: string): void {
  const seen = new Set<string>();
  let newest = 0;
  for (const send of wire) {
    if (seen.has(send.text)) {
      verdict.doubled++;
      verdict.wrong.push(`doubled: ${send.text.slice(0, 60)} to ${jid}`);
      continue;
    }
    seen.add(send.text);
    const row = rows.find((each) => each.direction === 'out' && each.text === send.text);
    if (!row) {
      verdict.wrong.push(`on the wire without a row: ${send.text.slice(0, 60)} to ${jid}`);
      continue;
    }
    if (row.id < newest) {
      verdict.reordered++;
      verdict.wrong.push(`reordered: ${send.text.slice(0, 60)} to ${jid}`);
    }
    newest = Math.max(newest, row.id);
  }
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** The last answer that left for one of the cell's contacts; null when none did. Milliseconds since the epoch. */
export function lastAnswerAt(stack: Stack, cell: Cell): number | null {
  const times = stack.simulator.sends({ instance: instanceOf(cell), sent: true }).map((send) => send.sentAt ?? 0);
  return times.length === 0 ? null : Math.max(...times);
}
