/** The table, as text while it grows and as Markdown in docs/chaos.md. */
import { FAULTS, POINTS, type Backend, type FaultName } from './cells.ts';
import type { CellResult } from './run-batch.ts';

/** A cell that the fault struck beside its point proves nothing: of ten conversations nine must have stood there. */
const REACHED = 0.9;
/** What may end with a person: only what nobody can prove. Else to call one would be a way to pass. */
const LEFT_TO_PERSONS: readonly FaultName[] = ['evolution-hang'];

/** One line for each thing that keeps a cell from being clean. */
export function problemsOf({ cell, wrong, reached, conversations, person, excuses, unproven }: CellResult): string[] {
  return [
    ...wrong,
    ...(reached < conversations * REACHED ? [`only ${reached} of ${conversations} conversations stood at the point`] : []),
    ...(person > 0 && !LEFT_TO_PERSONS.includes(cell.fault) ? [`${person} conversations were left to a person`] : []),
    // A look can settle it, also where its person was told and told again that it is settled.
    ...(unproven > 0 && !LEFT_TO_PERSONS.includes(cell.fault) ? [`${unproven} sends were never settled`] : []),
    // No fault of the matrix strikes the model.
    ...(excuses > 0 ? [`${excuses} contacts were told of an outage`] : []),
  ];
}

export const HEADER = `${'cell'.padEnd(46)}    n  lost doubled reordered person  last answer`;

export function line(result: CellResult): string {
  const number = (value: number, width: number): string => String(value).padStart(width);
  const seconds = result.lastAnswerSeconds === null ? '-' : `${result.lastAnswerSeconds.toFixed(1)} s`;
  const figures = `${number(result.conversations, 3)} ${number(result.lost, 5)} ${number(result.doubled, 7)} ${number(result.reordered, 9)} ${number(result.person, 6)}`;
  const outcomes = Object.entries(result.outcomes).map(([what, times]) => `${times} x ${what}`);
  const remarks = [...outcomes, ...result.notes].join('; ');
  return `${result.name.padEnd(46)}  ${figures}  ${seconds.padStart(11)}${remarks === '' ? '' : `  (${remarks})`}`;
}

export function totals(results: readonly CellResult[]): string {
  const sum = (pick: (result: CellResult) => number): number => results.reduce((total, result) => total + pick(result), 0);
  return (
    `${results.length} cells, ${sum((each) => each.inbound)} messages: ${sum((each) => each.lost)} lost, ${sum((each) => each.doubled)} doubled, ` +
    `${sum((each) => each.reordered)} reordered, ${sum((each) => each.person)} conversations with a person, ${sum((each) => each.unproven)} sends unproven`
  );
}

const BACKENDS: Record<Backend, string> = { redis: 'Queue in Redis', postgres: 'Queue in Postgres' };

/** One table for each backend: rows are faults, columns are points. */
export function markdown(results: readonly CellResult[], seed: number): string {
  const n = Math.max(...results.map((result) => result.conversations));
  const sections = (['redis', 'postgres'] as const)
    .filter((backend) => results.some((result) => result.cell.backend === backend))
    .map((backend) => section(backend, results));
  return `# What survives

\`npm run chaos -- --write-docs\` wrote this page (seed ${seed}, ${n} conversations a cell). Real processes, a real Postgres, a real Redis; Evolution and the
model are the simulator. All conversations of a cell are held at the point before the fault strikes: by the simulator where something waits for it, and by gates in the
database of the run (chaos/gates.ts) before a turn and before a send.

A cell reads **lost / doubled / reordered**, then the seconds from the fault to the last answer; *p* counts the conversations that were shown to a person,
and *of* says how many stood at the point where not all of them did.

- lost: a contact's message that is not answered on the wire with all that the model said to it, nor recorded with a person. The one exception: what had not left
  when the contact wrote again is withdrawn, and the next answer knows it
- doubled: a text that a contact got twice, or without having written. When all is quiet, each webhook comes once more and each conversation is woken for nothing
- reordered: parts or answers that a contact got in another order than they were written

A cell is clean when no row of it is without an end: nothing queued, on its way or in doubt, no turn put off or open. A send in doubt is settled by its echo or by a look at
Evolution; what nothing can prove is \`unproven\`, with a person, and that may happen in \`evolution-hang\` only. No contact hears of an outage of the model, since no cell has one.

${totals(results)}.

${sections.join('\n')}
\`sigkill\` and \`sigterm\` hit api, worker and scheduler together. \`queue-restarted\` comes back empty; \`queue-flushed\` empties BullMQ's tables when the queue lives in
Postgres, where a restart of the queue is a restart of Postgres. \`evolution-hang\`: requests of 20 s are never answered and never leave (inside a send: they do leave), so
nothing proves what became of them: nothing is sent again, and a person is told. \`evolution-no-answer\`: the message leaves and the connection is cut.
\`webhook-reordered\` between parts: the contact writes again, so the second part is withdrawn by rule (reason \`contact_wrote\`).

Chance instead of a matrix: \`npm run chaos -- --random\` has 1,000 messages of a hundred contacts and a blow each few seconds, on both queues, and repeats a run by its seed.
CI runs a dozen cells (\`test/flow/chaos-short.test.ts\`) and the first acceptance scenario with its 1,000 messages (\`test/flow/chaos-hour.test.ts\`).
`;
}

function section(backend: Backend, results: readonly CellResult[]): string {
  const rows = FAULTS.map((fault) => {
    const cells = POINTS.map((point) => {
      const found = results.find(({ cell }) => cell.backend === backend && cell.point === point && cell.fault === fault);
      return found ? short(found) : '';
    });
    return cells.every((cell) => cell === '') ? '' : `| ${fault} | ${cells.join(' | ')} |\n`;
  });
  const points = POINTS.map((point) => point.replace('-', ' '));
  return `## ${BACKENDS[backend]}\n\n| fault | ${points.join(' | ')} |\n| --- |${POINTS.map(() => ' --- |').join('')}\n${rows.join('')}`;
}

function short(result: CellResult): string {
  const person = result.person > 0 ? `, ${result.person} p` : '';
  const seconds = result.lastAnswerSeconds === null ? '' : `, ${Math.round(result.lastAnswerSeconds)} s`;
  const reached = result.reached < result.conversations ? `, ${result.reached} of ${result.conversations}` : '';
  return `${result.lost} / ${result.doubled} / ${result.reordered}${person}${seconds}${reached}`;
}
