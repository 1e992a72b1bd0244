/**
 * Brazil's national holidays, from the library date-holidays. It takes 40 MB that a process never gives back, so a process of its own reads them
 * and ends: this file, run as a program with the years as its arguments.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

const holidays = z.array(z.object({ day: z.iso.date(), name: z.string() }));
type Holidays = z.infer<typeof holidays>;

/** The holidays by law of these years: not carnival and Corpus Christi, on which many work. Rejects when the library does not load. */
export async function brazilianHolidays(years: number[]): Promise<Holidays> {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), ...years.map(String)], { env: {} });
  return holidays.parse(JSON.parse(stdout));
}

async function collect(years: number[]): Promise<Holidays> {
  const { default: Library } = await import('date-holidays');
  const brazil = new Library('BR');
  return years.flatMap((year) =>
    brazil
      .getHolidays(year, 'pt')
      .filter(({ type }) => type === 'public')
      .map(({ date, name }) => ({ day: date.slice(0, 10), name })),
  );
}

if (import.meta.main) process.stdout.write(JSON.stringify(await collect(process.argv.slice(2).map(Number))));
