/** The matrix: where in the life of a message the fault strikes, and which fault. Names only; points.ts and faults.ts do it. */

export const POINTS = ['after-accept', 'model-running', 'tool-running', 'before-send', 'inside-send', 'between-parts'] as const;
export type Point = (typeof POINTS)[number];

export const FAULTS = [
  'sigkill',
  'sigterm',
  'queue-flushed',
  'queue-restarted',
  'postgres-restarted',
  'evolution-500',
  'evolution-429',
  'evolution-hang',
  'evolution-no-answer',
  'webhook-repeated',
  'webhook-reordered',
] as const;
export type FaultName = (typeof FAULTS)[number];

/** Where the job queue lives. */
export type Backend = 'redis' | 'postgres';

export type Cell = { backend: Backend; point: Point; fault: FaultName };

/** Cells that one set of processes runs at the same time, each on a WhatsApp number of its own. */
export type Batch = { backend: Backend; fault: FaultName; cells: Cell[] };

/** What strikes only one WhatsApp number leaves its neighbours alone; everything else hits all processes. */
export function strikesOneNumber(fault: FaultName): boolean {
  return fault.startsWith('evolution-') || fault.startsWith('webhook-');
}

export function cellName(cell: Cell): string {
  return `${cell.backend}/${cell.point}/${cell.fault}`;
}

/** All cells whose name contains one of `wanted` (all when it is empty). A queue in Postgres is restarted with Postgres, so that cell is left out. */
export function matrix(backends: readonly Backend[], wanted: readonly string[]): Cell[] {
  const all = backends.flatMap((backend) => FAULTS.flatMap((fault) => POINTS.map((point) => ({ backend, point, fault }))));
  return all
    .filter((cell) => cell.backend === 'redis' || cell.fault !== 'queue-restarted')
    .filter((cell) => wanted.length === 0 || wanted.some((part) => cellName(cell).includes(part)));
}

/** One cell of each kind that ends soon, on alternating backends: what CI can afford. */
export function shortMatrix(backends: readonly Backend[]): Cell[] {
  const picked: [Point, FaultName][] = [
    ['model-running', 'sigkill'],
    ['inside-send', 'sigkill'],
    ['between-parts', 'sigkill'],
    ['tool-running', 'sigterm'],
    ['after-accept', 'queue-flushed'],
    ['inside-send', 'postgres-restarted'],
    ['before-send', 'queue-flushed'],
    ['before-send', 'evolution-500'],
    ['inside-send', 'evolution-429'],
    ['inside-send', 'evolution-no-answer'],
    ['between-parts', 'evolution-no-answer'],
    ['after-accept', 'webhook-repeated'],
    ['inside-send', 'webhook-repeated'],
    ['model-running', 'webhook-reordered'],
  ];
  return picked.flatMap(([point, fault], index) => {
    const backend = backends[index % backends.length];
    return backend === undefined ? [] : [{ backend, point, fault }];
  });
}

/**
 * Groups cells into batches, the longest first, so that the last one to end is short. `together` puts all faults of single numbers of a backend
 * into one batch.
 */
export function batches(cells: readonly Cell[], together: boolean): Batch[] {
  const groups = Object.values(
    Object.groupBy(cells, (cell) =>
      strikesOneNumber(cell.fault) ? `${cell.backend}/${together ? 'numbers' : cell.fault}` : cellName(cell),
    ),
  );
  return groups
    .flatMap((group) => {
      const first = group?.[0];
      return group === undefined || first === undefined ? [] : [{ backend: first.backend, fault: first.fault, cells: group }];
    })
    .toSorted((a, b) => expectedSeconds(b) - expectedSeconds(a));
}

function expectedSeconds({ fault }: Batch): number {
  if (fault === 'evolution-hang') return 400;
  if (fault === 'queue-flushed' || fault === 'queue-restarted') return 100;
  return fault === 'sigkill' ? 90 : 60;
}
