/** The reports to Slack, and the figures that are kept day by day. */
import { zoneOf } from '../words/zone.ts';
import { reportSpan, reportText } from '../watch/report-texts.ts';
import type { ReportKind } from '../watch/report-texts.ts';
import { objectives } from '../watch/sla.ts';
import { slaFigures } from '../watch/alert-calls.ts';
import { countDays, reportFigures, snapshotNumbers } from '../watch/report-calls.ts';
import { sendNotice } from '../notices/notices.ts';
import type { CronJob } from '../schedule/job.ts';

const MONTH_MS = 30 * 86_400_000;

export const reportMorningJob = report('morning', {
  name: 'report_morning',
  cron: '0 10 * * *',
  cadence: 'day',
  summary: 'tells Slack what happened yesterday',
});
export const reportEveningJob = report('evening', {
  name: 'report_evening',
  cron: '0 20 * * *',
  cadence: 'day',
  summary: 'tells Slack what happened today',
});
export const reportWeeklyJob = report('weekly', {
  name: 'report_weekly',
  cron: '0 9 * * 1',
  cadence: 'week',
  summary: 'tells Slack what happened in the last seven days',
});

/** Told once for every tick, also when its scheduler dies in the middle: the notice's key is the tick's. */
function report(kind: ReportKind, fields: Pick<CronJob, 'name' | 'cron' | 'cadence' | 'summary'>): CronJob {
  return {
    ...fields,
    catchUp: 'once',
    timeoutSeconds: 300,
    async run(ctx, { tick }) {
      if (ctx.config.slack === null)
        return { skipped: 'not configured: set SLACK_WEBHOOK_URL, or SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET' };
      const { timeZone } = ctx.config.app;
      const { from, to } = reportSpan(kind, zoneOf(timeZone), tick);
      const [figures, sla] = await Promise.all([
        reportFigures(ctx.db, 'default', from, to),
        slaFigures(ctx.db, new Date(tick.getTime() - MONTH_MS)),
      ]);
      const day = new Intl.DateTimeFormat('pt-BR', { timeZone, day: '2-digit', month: '2-digit' });
      // The end is not part of the span.
      const [first, last] = [day.format(from), day.format(new Date(to.getTime() - 1))];
      const text = reportText(kind, first === last ? first : `${first} a ${last}`, figures, objectives(sla));
      await sendNotice(ctx, { tenant: 'default', key: `${fields.name}-${tick.toISOString()}`, kind: 'report', text, urgent: false });
      return 1;
    },
  };
}

/** The caps need no reset: they count the messages themselves. What is kept is what a day came to, beyond the life of its rows. */
export const countDaysJob: CronJob = {
  name: 'count_days',
  cron: '5 0 * * *',
  cadence: 'day',
  catchUp: 'once',
  timeoutSeconds: 600,
  summary: 'keeps the figures of the day that is over',
  run: (ctx) => countDays(ctx.db, ctx.config.app.timeZone),
};

export const snapshotNumbersJob: CronJob = {
  name: 'snapshot_numbers',
  cron: '55 23 * * *',
  cadence: 'day',
  catchUp: 'skip',
  timeoutSeconds: 120,
  summary: 'keeps how each number ended its day',
  run: (ctx) => snapshotNumbers(ctx.db, ctx.config.app.timeZone),
};
