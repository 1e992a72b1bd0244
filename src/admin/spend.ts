/** spend: what was spent on models and files, and what the month will have cost. */
import { z } from 'zod';
import { spendReport } from '../spend/calls.ts';
import { forecast } from '../spend/forecast.ts';
import { defineCommand } from './command.ts';

const spend = defineCommand({
  name: 'spend',
  summary: 'what was spent today and this month, by kind and number, what is reserved now, and a forecast of the month',
  details:
    "US dollars, by the prices that the product knows; days and months are those of UTC, as on the provider's bill. The forecast takes the last seven whole days for usual.",
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    const spent = await spendReport(ctx.db, tenant);
    const { contactDay = null, day = null, month = null } = ctx.config.claude?.ceilings ?? {};
    return { ok: true, result: { ...spent, forecast: forecast(spent), ceilings: { contact_day: contactDay, day, month } } };
  },
  text({ day, month, unpriced, reserved, kinds, numbers, forecast: expected, ceilings }) {
    const of = (usd: number, ceiling: number | null): string =>
      ceiling === null ? dollars(usd) : `${dollars(usd)} of ${dollars(ceiling)}`;
    return [
      `today ${of(day, ceilings.day)}, this month ${of(month, ceilings.month)}, reserved now ${dollars(reserved)}`,
      expected === null ? 'the month has hardly begun: no forecast' : `forecast of the month: ${of(expected, ceilings.month)}`,
      ceilings.contact_day === null ? '' : `one contact may cost ${dollars(ceilings.contact_day)} a day`,
      ceilings.day === null && ceilings.month === null ? 'no ceiling is set (MAX_USD_DIA, MAX_USD_MES)' : '',
      unpriced === 0 ? '' : `${unpriced} calls of this month have no known price, and are in no sum`,
      ...kinds.map(
        ({ kind, units, ...each }) =>
          `  ${kind}: today ${dollars(each.day)}, this month ${dollars(each.month)} in ${each.calls} ${each.calls === 1 ? 'call' : 'calls'}${units === 0 ? '' : ` (${Math.round(units)} s)`}`,
      ),
      ...numbers.map((each) => `  ${each.number ?? 'no number'}: today ${dollars(each.day)}, this month ${dollars(each.month)}`),
    ]
      .filter((line) => line !== '')
      .join('\n');
  },
});

export const spendCommands = [spend];

/** Small sums are common: a short answer costs a hundredth of a cent. */
function dollars(usd: number): string {
  return `US$ ${usd.toFixed(usd < 1 ? 4 : 2)}`;
}
