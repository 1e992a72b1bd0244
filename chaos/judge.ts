/**
 * What became of a cell, from both ends: each message of a contact is followed through the rows and the model to the wire, and each message on
 * the wire is traced back to what a contact wrote. What cannot be explained is told; nothing is excused because it has a reason.
 */
import type { Simulator } from '../simulator/index.ts';
import type { WireSend } from '../simulator/types.ts';
import type { ApiMessage } from '../simulator/claude-check.ts';
import { newestUserText } from '../simulator/persona.ts';
import { narrowDifferences } from '../scripts/lib/under-way.ts';
import type { Writer, Written } from './conversations.ts';

/** What the judge looks at. */
export type Seen = {
  simulator: Simulator;
  query<T extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]>;
};

/** A message as the judge reads it. */
export type Row = {
  id: number;
  direction: 'in' | 'out';
  status: string;
  reason: string | null;
  kind: string | null;
  text: string;
  provider_id: string | null;
  turn_id: number | null;
  /** What its turn came to. */
  turn: string | null;
  conversation_id: number;
  jid: string;
};

export type Verdict = {
  /** Messages of contacts. */
  inbound: number;
  /** Answered by messages that are on the wire: all that the model said to them, word for word. */
  answered: number;
  /** Not answered so, and not with a person, nor withdrawn because the contact wrote again. */
  lost: number;
  /** What a contact got once more than it was written, or without having written. */
  doubled: number;
  /** Messages that overtook an earlier one. */
  reordered: number;
  /** Conversations that were listed to a person. */
  person: number;
  /** Sentences about an outage of the model that left: an answer to nothing. */
  excuses: number;
  /** Sends of which nobody could say whether they left. */
  unproven: number;
  /** Outcomes beside an answer, counted. */
  outcomes: Record<string, number>;
  /** One line for each thing that is wrong, also for what fits none of the figures above: a row without an end. */
  wrong: string[];
};

const ROWS = `select m.id::int, m.direction, m.status, m.reason, m.kind, m.text, m.provider_id, m.turn_id::int, t.status as turn, m.conversation_id::int, c.jid
  from messages m join instances i on i.id = m.instance_id join conversations c on c.id = m.conversation_id left join turns t on t.id = m.turn_id
  where i.name = $1 order by m.id`;

/** What is still under way: rows of a number that have no end yet, and messages that are not stored. */
export async function unsettled(seen: Seen, instance: string, expected: readonly string[]): Promise<number> {
  const rows = await seen.query<Row>(ROWS, [instance]);
  const known = new Set(rows.map((row) => row.provider_id));
  return rows.filter(isOpen).length + expected.filter((id) => !known.has(id)).length;
}

function isOpen(row: Row): boolean {
  if (row.direction === 'in') return row.status === 'received';
  return row.status === 'queued' || row.status === 'sending' || row.status === 'uncertain';
}

/** `writers`: everybody who has written to this number. */
export async function judge(seen: Seen, instance: string, writers: readonly Writer[]): Promise<Verdict> {
  const rows = await seen.query<Row>(ROWS, [instance]);
  const handoffs = await seen.query<{ conversation_id: number; reason: string }>(
    `select h.conversation_id::int, h.reason from handoffs h join conversations c on c.id = h.conversation_id join instances i on i.id = c.instance_id where i.name = $1`,
    [instance],
  );
  const handed = new Set(handoffs.map((each) => each.conversation_id));
  const verdict: Verdict = {
    inbound: 0,
    answered: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    person: handed.size,
    excuses: 0,
    unproven: 0,
    outcomes: {},
    wrong: [],
  };
  for (const { reason } of handoffs) count(verdict.outcomes, `person: ${reason}`);
  const asked = questionsOf(seen.simulator);
  const wire = Map.groupBy(leftFrom(seen.simulator, instance), (send) => send.jid ?? send.number);
  const rowsOf = Map.groupBy(rows, (row) => row.jid);
  for (const writer of writers) {
    const chat: Chat = { writer, rows: rowsOf.get(writer.jid) ?? [], wire: wire.get(writer.jid) ?? [], handed, asked };
    judgeMessages(verdict, chat);
    judgeWire(verdict, chat);
  }
  judgeStrangers(verdict, writers, wire, rowsOf);
  for (const row of rows.filter(isOpen))
    verdict.wrong.push(`without an end: ${row.direction} ${row.status} ${row.reason ?? ''} to ${row.jid}, message ${row.id}`);
  verdict.unproven = rows.filter(({ status }) => status === 'unproven').length;
  for (const row of rows.filter(({ status, conversation_id }) => status === 'unproven' && !handed.has(conversation_id)))
    verdict.wrong.push(`unproven, and no person knows: to ${row.jid}, message ${row.id}`);
  await judgeWaiting(verdict, seen, instance);
  verdict.wrong.push(...(await narrowDifferences((sql) => seen.query(sql))));
  return verdict;
}

/** A turn that is put off waits for the model with something unanswered; when all is quiet nobody does, and no worker has a turn. */
async function judgeWaiting(verdict: Verdict, seen: Seen, instance: string): Promise<void> {
  const waiting = await seen.query<{ jid: string; what: string }>(
    `select c.jid, case when c.deferred_until is not null then 'put off until ' || c.deferred_until else 'an open turn' end as what
       from conversations c join instances i on i.id = c.instance_id where i.name = $1
         and (c.deferred_until is not null or exists (select from turns t where t.conversation_id = c.id and t.status = 'open'))`,
    [instance],
  );
  for (const { jid, what } of waiting) verdict.wrong.push(`without an end: ${what} with ${jid}`);
}

/** All that one contact wrote and got. */
type Chat = { writer: Writer; rows: readonly Row[]; wire: readonly WireSend[]; handed: ReadonlySet<number>; asked: readonly string[] };

/** What really left for WhatsApp, in the order in which it left. */
function leftFrom(simulator: Simulator, instance: string): WireSend[] {
  return simulator.sends({ instance, sent: true }).toSorted((a, b) => (a.sentAt ?? 0) - (b.sentAt ?? 0));
}

/** The words that the model was asked to answer, of each request that it answered. */
function questionsOf(simulator: Simulator): string[] {
  return simulator
    .wire()
    .claude.filter(({ status }) => status === 200)
    .map(({ request }) => newestUserText(request['messages'] as ApiMessage[])); // the simulator has checked it
}

function judgeMessages(verdict: Verdict, chat: Chat): void {
  const { writer, rows } = chat;
  for (const written of writer.written) {
    verdict.inbound++;
    const outcome = outcomeOf(chat, written);
    if (outcome === 'answered') verdict.answered++;
    else count(verdict.outcomes, outcome);
    if (!outcome.startsWith('lost')) continue;
    verdict.lost++;
    verdict.wrong.push(`${outcome}: message ${written.id} of ${writer.jid}`);
  }
  const stored = rows.filter((row) => row.direction === 'in').map((row) => row.provider_id ?? '');
  for (const id of stored.filter((id, at) => stored.indexOf(id) < at || !writer.written.some((each) => each.id === id))) {
    verdict.doubled++;
    verdict.wrong.push(`doubled: message ${id} of ${writer.jid} is stored more often than it was written`);
  }
}

function outcomeOf({ writer, rows, wire, handed, asked }: Chat, written: Written): string {
  const row = rows.find((each) => each.provider_id === written.id && each.direction === 'in');
  if (!row) return 'lost: no row';
  if (row.status === 'received') return 'lost: received and nothing more';
  if (row.status !== 'answered') {
    const withPerson = row.status === 'handed_over' && handed.has(row.conversation_id);
    return `${withPerson ? '' : 'lost: '}${row.status}: ${row.reason ?? 'without a reason'}`;
  }
  const together = writer.written.filter((each) =>
    rows.some((other) => other.provider_id === each.id && other.direction === 'in' && other.turn_id === row.turn_id),
  );
  // A burst is answered by its newest message: see scriptOf.
  const newest = together.at(-1) ?? written;
  const parts = rows.filter((each) => each.direction === 'out' && each.turn_id === row.turn_id);
  if (wordsOf(parts.map(({ text }) => text).join(' ')) !== wordsOf(newest.answer)) return 'lost: answered with other words';
  if (!asked.some((text) => text.includes(written.tag) && text.includes(newest.tag))) return 'lost: the model was not asked';
  const missing = parts.filter((part) => !wire.some((send) => send.text === part.text));
  if (missing.length === 0) return 'answered';
  const told = missing.map((part) => whyMissing(part, rows, handed));
  return told.find((why) => why.startsWith('lost')) ?? told[0] ?? 'lost';
}

/** Of a part that is not on the wire. It may be withdrawn because the contact wrote again after it, and a person may have been told of it. */
function whyMissing(part: Row, rows: readonly Row[], handed: ReadonlySet<number>): string {
  const withdrawn =
    part.status === 'cancelled' &&
    part.reason === 'contact_wrote' &&
    rows.some((row) => row.direction === 'in' && row.turn_id !== part.turn_id && row.id > part.id);
  const withPerson =
    (WITH_PERSON.has(part.status) || (!isOpen(part) && WITH_PERSON_BY.has(part.reason ?? ''))) && handed.has(part.conversation_id);
  return `${withdrawn || withPerson ? 'not sent' : 'lost'}: ${part.status} ${part.reason ?? ''}`;
}

/** Statuses of parts, and reasons of parts that did not leave, that open_handoff goes with. */
const WITH_PERSON = new Set(['unproven', 'failed']);
const WITH_PERSON_BY = new Set(['earlier_part_failed', 'human']);

/** Texts are unique, so the second of one text is a double; the order of the rows is the order in which they were written. */
function judgeWire(verdict: Verdict, { writer, rows, wire }: Chat): void {
  const seen = new Set<string>();
  let newest = { row: 0, question: 0 };
  const tell = (figure: 'doubled' | 'reordered', why: string, send: WireSend): void => {
    verdict[figure]++;
    verdict.wrong.push(`${figure}: ${why}: ${send.text.slice(0, 60)} to ${writer.jid}`);
  };
  let excused = false;
  for (const send of wire) {
    // One sentence an outage, the same to everybody: it answers nothing, and after an answer an outage is another one.
    if (rowOf(send, rows)?.turn === 'deferred') {
      if (excused) tell('doubled', 'an excuse again', send);
      else verdict.excuses++;
      excused = true;
      continue;
    }
    excused = false;
    if (seen.has(send.text)) {
      tell('doubled', 'a second time', send);
      continue;
    }
    seen.add(send.text);
    const row = rowOf(send, rows);
    // A message belongs to the last turn that took it: an answer of a turn without any was given before, or to nothing.
    const questions = rows.filter((each) => each.direction === 'in' && row !== undefined && each.turn_id === row.turn_id);
    if (!row || questions.length === 0) {
      tell('doubled', row ? 'to nothing that is not answered otherwise' : 'without a row', send);
      continue;
    }
    const at = { row: row.id, question: Math.max(...questions.map(({ id }) => id)) };
    if (at.row < newest.row) tell('reordered', 'after what was written later', send);
    else if (at.question < newest.question) tell('reordered', 'after the answer to a later message', send);
    newest = { row: Math.max(newest.row, at.row), question: Math.max(newest.question, at.question) };
  }
}

/** By the id that WhatsApp gave it; by its words where nobody has heard that id. An answer that was withdrawn may have had the same words. */
function rowOf(send: WireSend, rows: readonly Row[]): Row | undefined {
  return (
    rows.find((row) => row.direction === 'out' && row.provider_id === send.id) ??
    rows.find((row) => row.direction === 'out' && row.text === send.text && row.status !== 'cancelled')
  );
}

/** Nobody but who wrote gets anything, and nobody else is known. */
function judgeStrangers(
  verdict: Verdict,
  writers: readonly Writer[],
  wire: ReadonlyMap<string, WireSend[]>,
  rows: ReadonlyMap<string, Row[]>,
): void {
  const known = new Set(writers.map(({ jid }) => jid));
  for (const [jid, sends] of wire) {
    if (known.has(jid)) continue;
    verdict.doubled += sends.length;
    verdict.wrong.push(`doubled: ${sends.length} messages to ${jid}, who has not written: ${sends[0]?.text.slice(0, 60)}`);
  }
  for (const jid of rows.keys()) if (!known.has(jid)) verdict.wrong.push(`rows of ${jid}, who has not written`);
}

function wordsOf(text: string): string {
  return text.trim().replaceAll(/\s+/g, ' ');
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** The last answer that left from a number; null when none did. Milliseconds since the epoch. */
export function lastAnswerAt({ simulator }: Seen, instance: string): number | null {
  return leftFrom(simulator, instance).at(-1)?.sentAt ?? null;
}
