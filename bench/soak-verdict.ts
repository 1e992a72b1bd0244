/** Whether the memory of a process stays flat, told from samples of a steady load. Pure. */
import { median, percentile } from './statistics.ts';

export type Sample = { minute: number; megabytes: number };

export type Course = {
  /** Median of the second minute (of the second tenth, when ten minutes were not measured): compiled, connected, caches begun. Megabytes, as the rest. */
  warm: number;
  /** Median of the last tenth. */
  end: number;
  most: number;
  /** Megabytes a minute over the second half, by Theil and Sen: told for information, it swings with the collector. */
  slope: number;
  /** How far the floor rose from part to part, its largest step left out. */
  rise: number;
  verdict: 'flat' | 'GROWS' | 'too short';
};

/** In less the runtime is still warming up. Minutes. */
export const LEAST_MINUTES = 5;

/**
 * The criterion. The memory of a runtime with a collector is a floor, what is alive, under a sawtooth of what is not collected yet. The tooth may be
 * as high as a tenth of the whole and some minutes long, so means, medians and slopes of all samples move by more than a small leak does. The floor
 * moves with the leak alone. So after a fifth of the time, in which code is compiled and pools fill, the rest is cut into four parts, and the floor
 * of a part is its tenth percentile (the minimum would be the one odd sample).
 *
 * What grows lifts every floor above the one before it. What is loaded once, late (a job of the scheduler that runs each ten minutes), lifts one, so
 * the largest step is left out of the sum. A leak of 1 MB a minute leaves 4 MB in ten minutes, the noise of a sawtooth of 16 MB less than 1. Since the
 * noise does not grow with the time, the bound is in megabytes: a longer soak finds a smaller leak.
 */
const PARTS = 4;
const WARM_UP = 0.2;
const FLOOR_PERCENT = 10;
const RISE_LIMIT_MB = 2;
/** No module that is loaded late takes so much: a single step of this size is told as growth too. A tenth of the bar of the memory figure. */
const TOTAL_LIMIT_MB = 15;

/** `minutes`: how long the load lasted; samples before 0 and after it do not count. */
export function courseOf(samples: readonly Sample[], minutes: number): Course {
  const between = (from: number, to: number) => samples.filter(({ minute }) => minute >= from && minute <= to);
  const megabytes = (of: readonly Sample[]) => of.map((sample) => sample.megabytes);
  const floors = Array.from({ length: PARTS }, (_, part) => {
    const at = (share: number) => minutes * (WARM_UP + ((1 - WARM_UP) * share) / PARTS);
    return percentile(megabytes(between(at(part), at(part + 1))), FLOOR_PERCENT);
  });
  const steps = floors.slice(1).map((floor, index) => floor - (floors[index] ?? NaN));
  const total = steps.reduce((sum, step) => sum + step, 0);
  const rise = total - Math.max(...steps);
  const grows = rise > RISE_LIMIT_MB || total > TOTAL_LIMIT_MB;
  return {
    warm: median(megabytes(between(Math.min(1, minutes / 10), Math.min(2, minutes / 5)))),
    end: median(megabytes(between(minutes * 0.9, minutes))),
    most: Math.max(...megabytes(between(0, minutes))),
    slope: theilSen(between(minutes / 2, minutes)),
    rise,
    verdict: minutes < LEAST_MINUTES ? 'too short' : grows ? 'GROWS' : 'flat',
  };
}

/** Megabytes a minute: the median of the slopes between all pairs; NaN of fewer than two samples. */
function theilSen(samples: readonly Sample[]): number {
  const slopes = samples.flatMap((one, index) =>
    samples.slice(index + 1).map((other) => (other.megabytes - one.megabytes) / (other.minute - one.minute)),
  );
  return median(slopes);
}
