/**
 * Messages answered end to end per second against f2 and f3, with all that Evolution tells of each send; what that costs of the cores, by process; what of
 * the updates Postgres could do in place; and what the echo, delivered and read of an answer cost it.
 */
import { answerLoad, postReceipts } from './answers.ts';
import { openConnection } from './load.ts';
import { WEBHOOK_HEADERS, WEBHOOK_PATH } from './messages.ts';
import type { QueueKind } from './options.ts';
import type { Row } from './report.ts';
import { ownRow, pairedRow } from './rows.ts';
import { cpuOfAll, endSide, failedOf, openFloorAnswer, openFloorDurable, openInstallation, runRound } from './sides.ts';
import type { Side } from './sides.ts';
import type { Stand } from './stand.ts';

/** Against f3. */
const BARS = { redis: { atLeast: 0.9 }, postgres: { atLeast: 0.7 } };
/** 4.5 ms where f3 takes 4. */
const CPU_BAR = { atMost: 4.5 / 4 };
const EARLIER_BAR = { atLeast: 4 };
const HOT_BAR = { atLeast: 95 };
const RECEIPTS_BAR = { atMost: 0.5 };
/** What is under way: rows that change in place, or go. */
const UNDER_WAY = ['inbox', 'outbox', 'on_wire', 'slots', 'slot_minutes'];
/** A table with fewer updates an answer is none of an answer's. */
const LEAST_UPDATES = 0.02;
const CONNECTIONS = 32;

export async function measureAnswered(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const [f2, f3] = [await openFloorAnswer(stand, 20), await openFloorDurable(stand, 24)];
  const products: (Side & { queue: QueueKind })[] = [];
  for (const [index, queue] of queues.entries()) products.push({ queue, ...(await openInstallation(stand, queue, 21 + index)) });
  const [main] = products;
  if (main === undefined) throw new Error('no queue is asked for');
  const earlier = stand.earlier === null ? null : await openInstallation(stand.earlier, main.queue, 25);
  const sides: Side[] = [f2, f3, ...products, ...(earlier === null ? [] : [earlier])];
  const warmMs = Math.min(2_000, size.answeredMs);
  for (const side of sides) await answerLoad(stand.simulator, { ...side.load, durationMs: warmMs, receipts: true });
  for (let round = 1; round <= size.rounds; round++) {
    const said = [];
    for (const side of sides) said.push(`${side.name} ${(await runRound(stand, side, size.answeredMs)).perSecond.toFixed(0)}/s`);
    stand.say(`answered ${round}/${size.rounds}: ${said.join(', ')}`);
  }
  const receipts = await measureReceipts(stand, main);
  for (const side of sides) await endSide(side);
  // a connection that ends has told all that it did
  const hot = await measureHot(stand, main.databaseUrl);
  return [
    ...products.flatMap((product) => [
      rateRow(product, f3, BARS[product.queue]),
      rateRow(product, f2, null),
      ...(earlier !== null && product === main ? [rateRow(product, earlier, EARLIER_BAR)] : []),
    ]),
    ...products.map((product) => cpuRow(product, f3, product === main ? CPU_BAR : null)),
    ...(earlier === null ? [] : [cpuRow(main, earlier, null)]),
    ...cpuParts(main, f3),
    receipts,
    ...hot,
  ];
}

function rateRow(product: Side & { queue: QueueKind }, floor: Side, bar: Row['bar']): Row {
  const perSecond = ({ rounds }: Side) => rounds.map((round) => round.perSecond);
  return pairedRow({
    figure: 'answered',
    name: `answered end to end per second, queue on ${NAMES[product.queue]}`,
    unit: '/s',
    floorName: floor.name,
    samples: { product: perSecond(product), floor: perSecond(floor) },
    bar,
    failed: failedOf(product) + failedOf(floor),
  });
}

function cpuRow(product: Side & { queue: QueueKind }, floor: Side, bar: Row['bar']): Row {
  return pairedRow({
    figure: 'answered',
    name: `CPU of an answer, all processes, queue on ${NAMES[product.queue]}`,
    unit: 'ms',
    floorName: floor.name,
    samples: { product: product.rounds.map(cpuOfAll), floor: floor.rounds.map(cpuOfAll) },
    bar,
  });
}

/** What the sum is made of. A process that the floor does not have stands alone. */
function cpuParts(product: Side & { queue: QueueKind }, floor: Side): Row[] {
  const of = (side: Side, part: string) => side.rounds.flatMap(({ cpu }) => cpu[part] ?? []);
  return Object.keys(product.rounds[0]?.cpu ?? {}).map((part) => {
    const samples = { product: of(product, part), floor: of(floor, part) };
    const about = { figure: 'answered', name: `- ${part}, queue on ${NAMES[product.queue]}`, unit: 'ms' } as const;
    return samples.floor.length === 0
      ? ownRow({ ...about, values: samples.product })
      : pairedRow({ ...about, floorName: floor.name, samples });
  });
}

/** Answers first, without what Evolution tells of them; then that alone, while nothing else happens. */
async function measureReceipts(stand: Stand, side: Side): Promise<Row> {
  const { answeredMs } = stand.options.size;
  const { sent, failed } = await answerLoad(stand.simulator, { ...side.load, durationMs: answeredMs });
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => openConnection(side.api.port, WEBHOOK_PATH, WEBHOOK_HEADERS)),
  );
  const before = await stand.cpuOf('postgres');
  const waiting = [...sent];
  let refused = 0;
  await Promise.all(
    connections.map(async (connection) => {
      for (let message = waiting.shift(); message !== undefined; message = waiting.shift())
        refused += await postReceipts(connection, message);
    }),
  );
  const milliseconds = ((await stand.cpuOf('postgres')) - before) / sent.length;
  for (const connection of connections) connection.close();
  return ownRow({
    figure: 'answered',
    name: `Postgres for echo, delivered and read of an answer (${sent.length})`,
    unit: 'ms',
    values: [milliseconds],
    bar: RECEIPTS_BAR,
    failed: failed + refused,
  });
}

/** How many updates an answer makes, and how many of them touched no index. */
async function measureHot(stand: Stand, databaseUrl: string): Promise<Row[]> {
  const tables = await stand.query<{ name: string; updates: number; hot: number; each: number }>(databaseUrl, UPDATES);
  const underWay = tables.filter(({ name }) => UNDER_WAY.includes(name));
  const row = (name: string, of: typeof tables, bar: Row['bar']) =>
    ownRow({
      figure: 'answered',
      name: `updates of ${name} that are HOT (${sum(of, 'each').toFixed(2)} an answer)`,
      unit: '%',
      values: [(100 * sum(of, 'hot')) / sum(of, 'updates')],
      bar,
    });
  return [
    ...(underWay.length === 0 ? [] : [row('what is under way', underWay, HOT_BAR)]),
    ...tables.filter(({ each }) => each >= LEAST_UPDATES).map((table) => row(table.name, [table], null)),
  ];
}

function sum<K extends string>(rows: readonly Record<K, number>[], key: K): number {
  return rows.reduce((total, row) => total + row[key], 0);
}

const NAMES: Record<QueueKind, string> = { redis: 'Redis', postgres: 'Postgres' };
const UPDATES = `select relname as name, n_tup_upd::float as updates, n_tup_hot_upd::float as hot,
    n_tup_upd::float / (select count(*) from messages where direction = 'in') as each
  from pg_stat_user_tables where schemaname = 'public' and n_tup_upd > 0 order by n_tup_upd desc`;
