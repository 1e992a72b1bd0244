/** Rows of the table from what was measured. Pure. */
import type { FigureName } from './options.ts';
import type { Row } from './report.ts';
import { median, medianRatio } from './statistics.ts';

type About = { figure: FigureName; name: string; unit: string; bar?: Row['bar']; failed?: number };

/** Product and floor were measured in turn, and the ratio is that of the pairs. */
export function pairedRow(of: About & { floorName: string; samples: Row['samples'] }): Row {
  const { figure, name, unit, bar = null, failed = 0, floorName, samples } = of;
  const ratio = medianRatio(samples.product, samples.floor);
  return {
    figure,
    name,
    unit,
    product: median(samples.product),
    floor: median(samples.floor),
    floorName,
    compared: 'ratio',
    ratio,
    bar,
    failed,
    samples,
  };
}

/** A figure that speaks for itself: no floor has it. */
export function ownRow(of: About & { values: number[] }): Row {
  const { figure, name, unit, bar = null, failed = 0, values } = of;
  return {
    figure,
    name,
    unit,
    product: median(values),
    floor: null,
    floorName: null,
    compared: 'value',
    ratio: null,
    bar,
    failed,
    samples: { product: values, floor: [] },
  };
}
