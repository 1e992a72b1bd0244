/** The verdict of the soak: a small leak is told, the noise of a collector is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createSoakReport, isWell, soakDocsOf, soakTableOf } from '../../bench/soak-report.ts';
import type { SoakTotals } from '../../bench/soak-report.ts';
import { courseOf } from '../../bench/soak-verdict.ts';
import type { Sample } from '../../bench/soak-verdict.ts';

/** A sample each 3 s, as the soak takes them. */
const EACH_MINUTES = 0.05;

function samplesOf(minutes: number, megabytesAt: (minute: number) => number): Sample[] {
  return Array.from({ length: Math.round(minutes / EACH_MINUTES) }, (_, index) => {
    const minute = (index + 1) * EACH_MINUTES;
    return { minute, megabytes: megabytesAt(minute) };
  });
}

/** Rises by `height` in `period` minutes, then falls; from -height / 2 to height / 2. `phase` 0..1. */
function sawtooth(minute: number, height: number, period: number, phase = 0): number {
  return height * (((minute / period + phase) % 1) - 0.5);
}

const verdictOf = (minutes: number, megabytesAt: (minute: number) => number): string =>
  courseOf(samplesOf(minutes, megabytesAt), minutes).verdict;

const PHASES = [0, 0.2, 0.4, 0.6, 0.8];
/** Minutes between two collections: a full one comes each few seconds to each few minutes. */
const PERIODS = [0.3, 0.7, 1, 1.3, 2, 2.7];

test('soak: a leak of 1 MB a minute on 150 MB grows within ten minutes, alone and under the teeth of the collector', () => {
  assert.equal(
    verdictOf(10, (minute) => 150 + minute),
    'GROWS',
  );
  for (const period of PERIODS.filter((each) => each <= 2)) {
    for (const phase of PHASES) {
      const leak = (minute: number) => 150 + minute + sawtooth(minute, 12, period, phase);
      assert.equal(verdictOf(10, leak), 'GROWS', `period ${period}, phase ${phase}`);
    }
  }
});

test('soak: teeth of 16 MB are flat, whatever their length and wherever they begin', () => {
  for (const period of PERIODS) {
    for (const phase of PHASES) {
      const noise = (minute: number) => 150 + sawtooth(minute, 16, period, phase);
      assert.equal(verdictOf(10, noise), 'flat', `period ${period}, phase ${phase}`);
    }
  }
});

test('soak: a collector that becomes lazier leaves the floor where it was', () => {
  assert.equal(
    verdictOf(10, (minute) => 150 + 1.6 * minute * (0.5 + sawtooth(minute, 1, 0.7))),
    'flat',
  );
});

test('soak: what fills at the start and what is loaded once is flat; a jump that no module explains grows', () => {
  assert.equal(
    verdictOf(10, (minute) => 150 - 15 * Math.exp(-minute)),
    'flat',
    'filled in some minutes',
  );
  for (const at of [3, 5, 6, 8, 9.5]) {
    assert.equal(
      verdictOf(10, (minute) => 150 + (minute < at ? 0 : 8)),
      'flat',
      `loaded at minute ${at}`,
    );
  }
  assert.equal(
    verdictOf(10, (minute) => 150 + (minute < 7 ? 0 : 20)),
    'GROWS',
  );
});

test('soak: a longer one finds a smaller leak, and one of less than five minutes judges nothing', () => {
  const leak = (minute: number) => 150 + 0.2 * minute + sawtooth(minute, 8, 1);
  assert.equal(verdictOf(10, leak), 'flat');
  assert.equal(verdictOf(60, leak), 'GROWS');
  assert.equal(
    verdictOf(4, (minute) => 150 + 10 * minute),
    'too short',
  );
});

const GOOD: SoakTotals = {
  queue: 'redis',
  asked: 9_000,
  answered: 9_000,
  ordered: 300,
  arrived: 300,
  doubled: 0,
  lost: 0,
  webhooks: 70_000,
  scrapes: 2_400,
  failed: 0,
  failures: {},
};

test('soak: it is well when nothing grows, fails, is lost or doubled, and the page says how it was run', () => {
  const rowOf = (megabytesAt: (minute: number) => number) => {
    const samples = samplesOf(10, megabytesAt);
    return { mode: 'worker' as const, queue: 'redis' as const, ...courseOf(samples, 10), samples };
  };
  const flat = rowOf(() => 150);
  const well = createSoakReport(10, [flat], [GOOD], 640);
  assert.equal(isWell(well), true);
  assert.match(soakTableOf(well), /^worker +redis +150 MB +150 MB +150 MB +0.00 MB\/min +0.0 MB +flat$/m);
  assert.match(soakDocsOf(well), /`npm run bench -- --soak --queue redis --write-docs` wrote this page/);
  assert.equal(isWell(createSoakReport(10, [flat, rowOf((minute) => 150 + minute)], [GOOD], 640)), false);
  for (const wrong of [{ lost: 1 }, { doubled: 1 }, { failed: 1, failures: { 'webhook answered with 503': 1 } }]) {
    const report = createSoakReport(10, [flat], [{ ...GOOD, ...wrong }], 640);
    assert.deepEqual([report.failed, isWell(report)], [1, false], JSON.stringify(wrong));
  }
});

test('soak: the figures of a straight line are its own', () => {
  const { warm, end, most, slope, rise } = courseOf(
    samplesOf(10, (minute) => 100 + 2 * minute),
    10,
  );
  const round = (value: number) => Math.round(value * 10) / 10;
  assert.deepEqual([warm, end, most, slope, rise].map(round), [103, 119, 120, 2, 8]);
});
