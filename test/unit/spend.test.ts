/** What a month will have cost, and what is told of a ceiling. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forecast } from '../../src/spend/forecast.ts';
import { CONDITIONS } from '../../src/watch/alert-conditions.ts';

const at = (time: string): Date => new Date(`2026-11-${time}Z`);

test('X9 the forecast of a month: the last whole days are usual, today counts for as much or for more, and days of nothing count', () => {
  const days = [21, 22, 23, 24].map((day) => ({ day: `2026-11-${day}`, usd: 2 }));
  assert.equal(forecast({ now: at('25T12:00:00'), day: 1, month: 9, days }), 9 + 1 + 5 * 2);
  assert.equal(forecast({ now: at('25T12:00:00'), day: 3, month: 11, days }), 11 + 5 * 2, 'a day that costs more is no usual one');
  const once = [{ day: '2026-11-21', usd: 8 }];
  assert.equal(forecast({ now: at('25T12:00:00'), day: 0, month: 8, days: once }), 8 + 2 + 5 * 2, '8 in four days');
  assert.equal(forecast({ now: at('29T12:00:00'), day: 1, month: 1, days: [] }), 1 + 1 + 2, 'nothing before today');
  assert.equal(forecast({ now: at('30T00:10:00'), day: 0.1, month: 0.1, days: [] }), null);
  assert.equal(forecast({ now: at('30T23:59:00'), day: 2, month: 60, days }), 60);
});

test('L4 X9 people are told of a ceiling at 80 % and again when it is full, of the nearer one, and of each tenant', () => {
  const condition = CONDITIONS.find(({ name }) => name === 'spend_ceiling');
  const held = (sums: { tenant: string; day: number; month: number }[], day: number | null, month: number | null) =>
    condition
      ?.held({ spend: { sums, day, month } } as never)
      .map(({ subject, stage, text }) => [subject, stage, /do dia|do mês/.exec(text)?.[0]]);
  assert.deepEqual(held([{ tenant: 'a', day: 7.9, month: 50 }], 10, 100), []);
  assert.deepEqual(
    held(
      [
        { tenant: 'a', day: 8, month: 50 },
        { tenant: 'b', day: 9, month: 99.5 },
      ],
      10,
      100,
    ),
    [
      ['a', 1, 'do dia'],
      ['b', 2, 'do mês'],
    ],
  );
  assert.deepEqual(held([{ tenant: 'a', day: 100, month: 10 }], null, 100), []);
  assert.deepEqual(condition?.held({ spend: null } as never), []);
});
