/** A model that takes half a second: what one worker answers while many wait, what more workers cost, and whether it matters over how many numbers they come. */
import { MANY_INSTANCES, SIDE_INSTANCES, SLOW_WORDS } from './messages.ts';
import type { Row } from './report.ts';
import { ownRow, pairedRow } from './rows.ts';
import { cpuOfAll, endSide, failedOf, openInstallation, runRound } from './sides.ts';
import type { Round, Side } from './sides.ts';
import type { Stand } from './stand.ts';

const WAITING = 256;
const CONTACTS = 600;
const WORKERS = 4;
const NAME = `model 500 ms, ${WAITING} waiting`;

export async function measurePlaces(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const queue = queues.includes('redis') ? 'redis' : 'postgres';
  const one = await openInstallation(stand, queue, 80);
  const four = await openInstallation(stand, queue, 81, { workers: WORKERS, space: 2, instance: SIDE_INSTANCES.postgres });
  const many = await openInstallation(stand, queue, 82, { space: 3, instance: MANY_INSTANCES[0] ?? '' });
  for (const instance of MANY_INSTANCES) await stand.query(many.databaseUrl, `select from ensure_instance('${instance}', null)`);
  many.load.instances = MANY_INSTANCES;
  const earlier = stand.earlier === null ? null : await openInstallation(stand.earlier, queue, 83);
  const sides = [one, four, many, ...(earlier === null ? [] : [earlier])];
  for (const { load } of sides) Object.assign(load, { waiting: WAITING, contacts: CONTACTS, text: SLOW_WORDS });
  // the first round of each is not counted: contacts and code are new
  for (const side of sides) await runRound(stand, side, size.answeredMs);
  for (const side of sides) side.rounds.length = 0;
  for (let round = 1; round <= size.rounds; round++) {
    for (const side of sides) await runRound(stand, side, size.answeredMs);
    stand.say(`places ${round}/${size.rounds}: ${sides.map(({ rounds }) => `${rounds.at(-1)?.perSecond.toFixed(0)}/s`).join(', ')}`);
  }
  for (const side of sides) await endSide(side);
  const perSecond = (round: Round) => round.perSecond;
  const compare = (name: string, unit: string, of: (round: Round) => number, side: Side, beside: Side, as: string, bar: Row['bar']) =>
    pairedRow({
      figure: 'places',
      name,
      unit,
      floorName: as,
      samples: { product: side.rounds.map(of), floor: beside.rounds.map(of) },
      bar,
      failed: failedOf(side),
    });
  const rate = `answered per second, ${NAME}`;
  return [
    earlier === null
      ? ownRow({ figure: 'places', name: `${rate}, one worker`, unit: '/s', values: one.rounds.map(perSecond), failed: failedOf(one) })
      : compare(`${rate}, one worker`, '/s', perSecond, one, earlier, earlier.name, { atLeast: 4 }),
    compare(`${rate}, ${WORKERS} workers`, '/s', perSecond, four, one, 'one', null),
    compare(`CPU of an answer, ${NAME}, ${WORKERS} workers`, 'ms', cpuOfAll, four, one, 'one', { atMost: 1.2 }),
    compare(`${rate}, ${MANY_INSTANCES.length} numbers`, '/s', perSecond, many, one, 'one', { atLeast: 0.9 }),
  ];
}
