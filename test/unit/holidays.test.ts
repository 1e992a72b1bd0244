/** Brazil's national holidays, against the days of 2015 to 2040 as another library (date-holidays 3.37) and the laws have them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { brazilianHolidays } from '../../src/schedule/holidays.ts';

const YEARS = Array.from({ length: 26 }, (_, index) => 2015 + index);
const FIXED = ['01-01', '04-21', '05-01', '09-07', '10-12', '11-02', '11-15', '12-25'];
/** A holiday by law since 2024 (Lei 14.759/2023). */
const CONSCIENCIA_NEGRA = '11-20';
const GOOD_FRIDAYS =
  `2015-04-03 2016-03-25 2017-04-14 2018-03-30 2019-04-19 2020-04-10 2021-04-02 2022-04-15 2023-04-07 2024-03-29 2025-04-18
  2026-04-03 2027-03-26 2028-04-14 2029-03-30 2030-04-19 2031-04-11 2032-03-26 2033-04-15 2034-04-07 2035-03-23 2036-04-11 2037-04-03 2038-04-23
  2039-04-08 2040-03-30`.split(/\s+/);
const ELECTIONS =
  `2016-10-02 2016-10-30 2018-10-07 2018-10-28 2020-10-04 2020-10-25 2022-10-02 2022-10-30 2024-10-06 2024-10-27 2026-10-04 2026-10-25
  2028-10-01 2028-10-29 2030-10-06 2030-10-27 2032-10-03 2032-10-31 2034-10-01 2034-10-29 2036-10-05 2036-10-26 2038-10-03 2038-10-31 2040-10-07
  2040-10-28`.split(/\s+/);

const daysOf = (year: number) => brazilianHolidays(year).map(({ day }) => day);

function expected(year: number): string[] {
  const ofYear = (day: string) => day.startsWith(String(year));
  const fixed = [...FIXED, ...(year >= 2024 ? [CONSCIENCIA_NEGRA] : [])].map((day) => `${year}-${day}`);
  return [...fixed, ...GOOD_FRIDAYS.filter(ofYear), ...ELECTIONS.filter(ofYear)].toSorted();
}

test('R4 holidays by law, 2015 to 2040: fixed days, Good Friday, elections; not carnival and Corpus Christi', () => {
  for (const year of YEARS) assert.deepEqual(daysOf(year), expected(year));
});

test('R4 the zone of the process changes no holiday: local midnight is another day in UTC, and in São Paulo some midnights did not exist', () => {
  for (const zone of ['America/Sao_Paulo', 'Asia/Tokyo', 'Pacific/Pago_Pago']) {
    // A process for each, because the library keeps what it has told.
    const days = execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { brazilianHolidays } from './src/schedule/holidays.ts';
         console.log(JSON.stringify(${JSON.stringify(YEARS)}.map((year) => brazilianHolidays(year).map(({ day }) => day))))`,
      ],
      { cwd: projectRoot, env: { TZ: zone }, encoding: 'utf8' },
    );
    assert.deepEqual(JSON.parse(days), YEARS.map(expected), zone);
  }
});

test('R4 each holiday has a name for people', () => {
  assert.deepEqual(
    brazilianHolidays(2026).map(({ day, name }) => `${day} ${name}`),
    [
      '2026-01-01 Ano novo',
      '2026-04-03 Sexta-feira Santa',
      '2026-04-21 Tiradentes',
      '2026-05-01 Dia do trabalhador',
      '2026-09-07 Independência do Brasil',
      '2026-10-04 Dia de eleição',
      '2026-10-12 Nossa Senhora Aparecida',
      '2026-10-25 Dia de eleição',
      '2026-11-02 Finados',
      '2026-11-15 Proclamação da República',
      '2026-11-20 Dia da Consciência Negra',
      '2026-12-25 Natal',
    ],
  );
});
