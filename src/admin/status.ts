/** status: what an operator asks first. */
import { z } from 'zod';
import { mediaInWords, modelInWords, numberInWords, unheardInWords } from '../watch/health-words.ts';
import { isThere, missingModes } from '../process/liveness.ts';
import { stateInWords } from '../words/reasons.ts';
import { downInWords, readiness } from '../watch/health.ts';
import { adminStatus } from '../watch/status-calls.ts';
import { defineCommand, refused } from './command.ts';
import { pauseLine } from './pauses.ts';

const status = defineCommand({
  name: 'status',
  summary: 'what is paused, connected, unanswered, waiting to leave, or with people',
  details: 'Of one tenant; the processes are those of the whole installation.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    const [found, { checks }] = await Promise.all([adminStatus(ctx.db, tenant), readiness(ctx)]);
    if (found === null) return refused('not_found', `there is no tenant ${tenant}`);
    return { ok: true, result: { ...found, down: downInWords(ctx.config, checks) } };
  },
  text(found, format) {
    const { unanswered, outbound } = found;
    const alive = found.processes.filter((each) => isThere(each.seen_seconds));
    const missing = missingModes(found.processes);
    const waits = unanswered.oldest_seconds === null ? '' : `, the oldest for ${Math.round(unanswered.oldest_seconds)} s`;
    return [
      ...found.down.map((each) => `DOWN: ${each}`),
      ...(found.pauses.length === 0 ? ['Nothing is paused.'] : ['PAUSED:', ...found.pauses.map((each) => `  ${pauseLine(each, format)}`)]),
      `Processes: ${alive.map((each) => `${each.mode} ${each.version} (${each.id})`).join(', ') || 'none'}${missing.length === 0 ? '' : `; missing: ${missing.join(', ')}`}`,
      `Numbers: ${found.instances.map((each) => `${each.name} ${stateInWords(each.status)} since ${format(each.status_at)}`).join(', ') || 'none'}`,
      ...found.instances.flatMap((each) => {
        const open = each.breaker === null ? [] : [{ breaker: 'evolution', instance: each.name, reason: each.breaker }];
        const trouble = numberInWords(each, open);
        return trouble === null ? [] : [`NUMBER: ${trouble}`];
      }),
      `Unanswered: ${unanswered.count}${waits}`,
      ...(found.deferred.count === 0 ? [] : [`MODEL: ${modelInWords([], found.deferred)}`]),
      `To leave: ${outbound.due} due, ${outbound.later} later, ${outbound.sending} leaving, ${outbound.uncertain} being looked up, ${found.dead_letters} dead letters`,
      `With people: ${found.with_people} conversations`,
      ...(found.unplaced === 0
        ? []
        : [`NO PLACE: of the webhooks of the last day ${found.unplaced} could not be placed, and messages may be in them (ignored list)`]),
      ...(found.media.waiting === 0 ? [] : [`Media to be read again: ${found.media.waiting}`]),
      ...[mediaInWords(found.media)].flatMap((says) => (says === null ? [] : [`MEDIA: ${says}`])),
      ...(found.unheard === 0 ? [] : [`UNHEARD: ${unheardInWords(found.unheard)}`]),
    ].join('\n');
  },
});

export const statusCommands = [status];
