/** Curves of the console, by uPlot: each `[data-plot]` brings its own, {x: [days], series: [{label, values, unit, bars}]}. The table below says the same. */

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const COLOURS = ['--green', '--blue', '--amber'].map(colour);
const SOFT = colour('--soft');
const LINE = colour('--line');
const HALF_DAY = 43_200;

const axis = (values) => ({ stroke: SOFT, grid: { stroke: LINE, width: 1 }, ticks: { stroke: LINE, width: 1 }, values });
const number = (value, unit) =>
  value == null
    ? '–'
    : unit === 'US$'
      ? `US$ ${value.toLocaleString('pt-BR', { maximumFractionDigits: 4 })}`
      : `${value.toLocaleString('pt-BR')}${unit}`;
const day = (seconds) => new Date(seconds * 1_000).toLocaleDateString('pt-BR', { timeZone: 'UTC', day: '2-digit', month: '2-digit' });

for (const place of document.querySelectorAll('[data-plot]')) {
  const { x, series } = JSON.parse(place.dataset.plot);
  const unit = series[0].unit;
  const size = () => ({ width: place.clientWidth, height: 180 });
  const plot = new uPlot(
    {
      ...size(),
      legend: { live: true },
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: (_plot, first, last) => [first - HALF_DAY, last + HALF_DAY] },
        y: { range: (_plot, _least, most) => [0, Math.max(most ?? 0, 0.001) * 1.1] },
      },
      axes: [
        axis((_plot, days) => days.map(day)),
        { ...axis((_plot, values) => values.map((value) => number(value, unit === 'US$' ? '' : unit))), size: 60 },
      ],
      series: [
        { label: 'Dia', value: (_plot, value) => (value == null ? '–' : day(value)) },
        ...series.map(({ label, bars }, at) => ({
          label,
          stroke: COLOURS[at],
          width: 2,
          ...(bars ? { fill: `${COLOURS[at]}33`, paths: uPlot.paths.bars({ size: [0.6, 40] }) } : {}),
          points: { size: 5 },
          value: (_plot, value) => number(value, unit),
        })),
      ],
    },
    [x, ...series.map(({ values }) => values)],
    place,
  );
  new ResizeObserver(() => plot.setSize(size())).observe(place);
}
