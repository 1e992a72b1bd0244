/** rate, rate reset, proactive: how much proactive may leave. */
import { z } from 'zod';
import { because, stateInWords } from '../words/reasons.ts';
import { PROACTIVE_LEVELS, rateStatus, resetRate, setProactive } from '../outbox/limit-calls.ts';
import { wakeLanes } from '../outbox/wake.ts';
import { defineCommand, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';
import type { AdminContext } from './command.ts';

const rate = defineCommand({
  name: 'rate',
  summary: 'how much of the caps each number has used, what is held and why',
  details: 'Messages that nobody asked for in the last 60 minutes and 24 hours. Replies have a cap of their own and are not counted here.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    return { ok: true, result: { instances: await rateStatus(ctx.db, tenant, ctx.sendPolicy) } };
  },
  text({ instances }, format) {
    const lines = Object.entries(instances).flatMap(
      ([name, { hour, day, notices, status, phase, next_slot_at: next, inside_hours: inside, held }]) => [
        `${name} (${stateInWords(status)}${phase === 'warming' ? ', warming up' : ''}): ${hour.used} of ${hour.limit} in 60 minutes, ${day.used} of ${day.limit} in 24 hours`,
        `  order notices: ${notices.used}${notices.limit === null ? '' : ` of ${notices.limit}`} in 60 minutes`,
        `  ${inside ? 'inside' : 'outside'} its hours; the next message may leave from ${format(next)}`,
        ...Object.entries(held).map(([reason, count]) => `  ${count} held because ${because(reason)}`),
      ],
    );
    return lines.length === 0 ? 'There is no number.' : lines.join('\n');
  },
});

const rateReset = defineCommand({
  name: 'rate reset',
  summary: 'lets the caps of the hour, the day or both count from now on',
  details:
    'The pace starts anew too, and what was held for a cap is looked at within seconds. Other rules stay: hours, caps of a contact, pauses. ' +
    'The counters are the sent messages in Postgres, so emptying Redis has no effect on them.',
  args: z.object({
    window: z.enum(['hour', 'day', 'both']).default('both').describe('hour, day, or both'),
    instance: wordsArg.optional().describe('only this number'),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['window'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { window, instance, reason }, { id, tenant }) {
    const answer = await resetRate(ctx.db, { tenant, instance: instance ?? null, window, actor: id, reason: reason ?? null });
    if (answer.outcome === 'unknown_instance')
      return refused('not_found', instance === undefined ? 'there is no number' : `there is no number ${instance}`);
    return {
      ok: true,
      result: { window, instances: answer.instances, released: answer.lanes.length, woken: await wakeAll(ctx, answer.lanes) },
    };
  },
  text({ window, instances, released, woken: awake }) {
    const what = window === 'both' ? 'hour and the day' : window;
    return [
      `The caps of the ${what} count from now on: ${instances.join(', ')}. ${released} conversations go on.`,
      ...(awake ? [] : [NOT_WOKEN]),
    ].join('\n');
  },
});

const LEVELS = {
  all: 'Everything may leave under its rules.',
  no_campaigns: 'Campaigns are held; notifications, follow-ups and replies leave.',
  none: 'Safe mode: only replies and what a person writes leave.',
} as const;

const proactive = defineCommand({
  name: 'proactive',
  summary: 'what may leave that nobody asked for: all, no_campaigns, or none (safe mode)',
  details:
    'Replies always leave; to stop them too: pause. What is held stays in its place and goes on with `proactive all`. Holds over restarts.',
  args: z.object({
    level: z.enum(PROACTIVE_LEVELS).describe('all, no_campaigns or none'),
    reason: wordsArg.optional().describe('why, for the audit'),
  }),
  positional: ['level'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { level, reason }, { id, tenant }) {
    const { was, lanes } = await setProactive(ctx.db, { tenant, level, actor: id, reason: reason ?? null });
    return { ok: true, result: { level, was, released: lanes.length, woken: await wakeAll(ctx, lanes) } };
  },
  text: ({ level, woken: awake }) => [LEVELS[level], ...(awake ? [] : [NOT_WOKEN])].join('\n'),
});

export const limitCommands = [rate, rateReset, proactive];

function wakeAll(ctx: AdminContext, lanes: number[]): Promise<boolean> {
  return woken(ctx, () => wakeLanes(ctx, lanes));
}
