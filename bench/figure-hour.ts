/**
 * Whether an hour that is full of sends makes the next ones slower. One installation answers so many first; then it and one whose hour is empty are measured in
 * turn, so that a machine that was busier at the start than at the end says nothing.
 */
import { answerLoad } from './answers.ts';
import { SIDE_INSTANCES } from './messages.ts';
import type { Row } from './report.ts';
import { pairedRow } from './rows.ts';
import { endSide, failedOf, openInstallation, runRound } from './sides.ts';
import type { Round, Side } from './sides.ts';
import type { Stand } from './stand.ts';

const FILLING_MS = 5_000;
/** A slow machine answers fewer; the row says how many. Milliseconds. */
const FILLING_LIMIT_MS = 5 * 60_000;

export async function measureHour(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const queue = queues.includes('redis') ? 'redis' : 'postgres';
  const full = await openInstallation(stand, queue, 90);
  const empty = await openInstallation(stand, queue, 91, { space: 2, instance: SIDE_INSTANCES.postgres });
  let answered = 0;
  const end = performance.now() + FILLING_LIMIT_MS;
  while (answered < size.hourAnswers && performance.now() < end) {
    answered += (await answerLoad(stand.simulator, { ...full.load, durationMs: FILLING_MS })).all;
    stand.say(`hour: ${answered}/${size.hourAnswers} answered`);
  }
  // code and contacts of the other one are new
  await answerLoad(stand.simulator, { ...empty.load, durationMs: size.answeredMs });
  for (let round = 1; round <= size.rounds; round++) for (const side of [full, empty]) await runRound(stand, side, size.answeredMs);
  for (const side of [full, empty]) await endSide(side);
  const sends = answered.toLocaleString('en-US');
  const compare = (name: string, unit: string, of: (round: Round) => number, bar: Row['bar'], failed: readonly Side[]) =>
    pairedRow({
      figure: 'hour',
      name,
      unit,
      floorName: 'empty hour',
      samples: { product: full.rounds.map(of), floor: empty.rounds.map(of) },
      bar,
      failed: failed.reduce((sum, side) => sum + failedOf(side), 0),
    });
  return [
    compare(`answered per second after ${sends} answers in the hour`, '/s', ({ perSecond }) => perSecond, { atLeast: 0.95 }, [full, empty]),
    compare(`Postgres of an answer with ${sends} sends in the hour`, 'ms', ({ cpu }) => cpu['Postgres'] ?? NaN, { atMost: 1.1 }, []),
  ];
}
