/** job list, job run: the scheduled jobs, and one of them by hand. */
import { z } from 'zod';
import { JOBS } from '../crons/all.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { claimJob } from '../schedule/calls.ts';
import { floorToMinute } from '../schedule/decide.ts';
import { jobLines, leaseMs, runClaimed } from '../schedule/run-job.ts';
import { defineCommand, refused, wordsArg } from './command.ts';

const list = defineCommand({
  name: 'job list',
  summary: 'the scheduled jobs: when they run, how the last run ended, which are stale',
  details:
    'A job is stale when no run of it ended well for about three times its cadence. Patterns are in the zone of TZ. What a run counted and why it failed is of ' +
    'the whole installation: only the tenant default sees it.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    const jobs = await jobLines(ctx.db, JOBS, new Date());
    return { ok: true, result: { jobs: tenant === 'default' ? jobs : jobs.map((each) => ({ ...each, count: null, error: null })) } };
  },
  text({ jobs }, format) {
    const width = Math.max(...jobs.map(({ job }) => job.length));
    return jobs
      .map((each) => {
        const last = each.started_at === null ? 'has not run yet' : `${each.status} at ${format(each.started_at)}`;
        const why = each.error === null ? '' : `: ${each.error}`;
        return `${each.stale ? 'STALE ' : ''}${each.job.padEnd(each.stale ? 0 : width)}  [${each.cron}] ${each.summary}\n    ${last}${why}`;
      })
      .join('\n');
  },
});

const run = defineCommand({
  name: 'job run',
  summary: 'runs a scheduled job now',
  details:
    'Under the same lock as the scheduler: refused while the job is running, or when it has run in this very minute. Resolves when the run is over. ' +
    'Audited. Example: job run purge_old.',
  args: z.object({ name: wordsArg.describe('name of the job; job list has them') }),
  positional: ['name'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { name }, actor) {
    const job = JOBS.find((each) => each.name === name);
    if (job === undefined) return refused('not_found', `there is no job ${name}; these are: ${JOBS.map((each) => each.name).join(', ')}`);
    if (actor.tenant !== 'default')
      return refused('forbidden', 'jobs are for the whole installation: only the tenant default may run them');
    const tick = floorToMinute(new Date());
    const claim = await claimJob(ctx.db, { job: name, tick, worker: ctx.process.id, leaseMs: leaseMs(job), alone: true });
    if (claim.id === null)
      return refused(
        'conflict',
        claim.because === 'running' ? `${name} is running now` : `${name} has run in this minute; try again in the next one`,
      );
    await recordAudit(ctx.db, { tenant: actor.tenant, actor: actor.id, action: 'job.run', subject: name, details: {} });
    return { ok: true, result: { job: name, tick, ...(await runClaimed(ctx, job, { id: claim.id, tick })) } };
  },
  text({ job, status, count, error }) {
    if (status === 'skipped') return `${job} had nothing to do: ${error}`;
    return status === 'done' ? `${job} is done (${count}).` : `${job} failed: ${error}`;
  },
});

export const jobCommands = [list, run];
