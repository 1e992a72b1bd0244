/** Medians and percentiles of measured figures. Pure. */

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Nearest rank; NaN of nothing, so that an empty measurement is seen. `percent` 0..100. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = percent === 50 && sorted.length % 2 === 0 ? sorted.length / 2 : null;
  if (middle !== null && sorted.length > 0) return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN;
}

/**
 * How often product and floor were measured in turn, pair by pair. The median of the pairs' ratios: a minute in which the machine was busy
 * with something else slows both of a pair down and cancels out.
 */
export function medianRatio(product: readonly number[], floor: readonly number[]): number {
  return median(product.flatMap((value, index) => (floor[index] === undefined ? [] : [value / floor[index]])));
}
