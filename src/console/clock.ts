/** Moments as pages write them, in the zone of the installation. */
import type { Config } from '../config.ts';

export type Clock = { now: Date; time: (at: Date) => string };

export function clockOf({ app }: Pick<Config, 'app'>): Clock {
  const now = new Date();
  const { timeZone } = app;
  const day = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' });
  const hour = new Intl.DateTimeFormat('pt-BR', { timeZone, hour: '2-digit', minute: '2-digit' });
  const dated = new Intl.DateTimeFormat('pt-BR', { timeZone, day: '2-digit', month: '2-digit', hour: '2-digit', minute: '2-digit' });
  const today = day.format(now);
  return { now, time: (at) => (day.format(at) === today ? hour.format(at) : dated.format(at).replace(',', '')) };
}
