/** instance list, show, set: the WhatsApp numbers. */
import { z } from 'zod';
import { releaseFault } from '../whatsapp/release.ts';
import { isNumberName } from '../words/number-name.ts';
import { closedMend, closedReason } from '../numbers/trouble-words.ts';
import { because, stateInWords } from '../words/reasons.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { instanceHistory, listNumberHealth, setInstance } from '../numbers/calls.ts';
import type { NumberHealth } from '../numbers/calls.ts';
import { faultsOf } from '../numbers/webhook-check.ts';
import { defineCommand, refused, wordsArg } from './command.ts';
import type { AdminContext, FormatTime, Refusal } from './command.ts';

const HISTORY = 20;

/** It goes into the address that is asked at Evolution. */
export const nameArg = wordsArg.refine(isNumberName, 'is no name of a number').describe('name of the number at Evolution');
export const named = z.object({ name: nameArg });
/** `default` goes back to what the environment says. */
const amountArg = z
  .union(
    [
      z.number(),
      z.literal('default').transform(() => -1),
      z
        .string()
        .regex(/^\d{1,7}(\.\d{1,3})?$/)
        .transform(Number),
    ],
    'must be a number, or default',
  )
  .pipe(z.number().min(-1).max(10_000_000))
  .optional();
const countArg = amountArg.pipe(z.number().int('must be a whole number').optional());

const list = defineCommand({
  name: 'instance list',
  summary: 'the WhatsApp numbers, with their health',
  details:
    'Connected or not, what holds their proactive messages, the trust figure (below 40 nothing proactive leaves), and how many of the latest sends arrived.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  run: async (ctx, _args, { tenant }) => ({ ok: true, result: { instances: await listNumberHealth(ctx.db, tenant) } }),
  text: ({ instances }, format) =>
    instances.length === 0
      ? 'There is no number. To make one: instance connect NAME.'
      : instances.map((each) => numberLine(each, format)).join('\n'),
});

const show = defineCommand({
  name: 'instance show',
  summary: 'one number: health, limits, webhook, what happened to it',
  details: 'The webhook is asked of Evolution; the rest is in the database.',
  args: named,
  positional: ['name'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { name }, { tenant }) {
    const number = await findNumber(ctx, tenant, name);
    if (number === null) return unknown(name);
    const webhook =
      ctx.whatsapp === null
        ? ['EVOLUTION_API_URL is not set']
        : await faultsOf({ whatsapp: ctx.whatsapp, config: ctx.config, db: ctx.db }, name);
    return {
      ok: true,
      result: { number, limits: limitsOf(ctx), webhook_faults: webhook, history: await instanceHistory(ctx.db, tenant, name, HISTORY) },
    };
  },
  text({ number, limits, webhook_faults: faults, history }, format) {
    return [
      numberLine(number, format),
      ...limitLines(number, limits),
      `  Evolution: ${releaseLine(number.gateway_version)}`,
      `  webhook: ${faults.length === 0 ? 'as it should be' : `${faults.join('; ')} (to mend it: instance connect ${number.instance})`}`,
      ...history.map((each) => `  ${format(each.at)} ${each.event}${each.reason === null ? '' : `: ${each.reason}`}`),
    ].join('\n');
  },
});

const set = defineCommand({
  name: 'instance set',
  summary: 'caps, pace and phase of a number, and whether it may be chosen',
  details:
    'What is not named stays. "default" as a value goes back to what the environment says. Takes effect with the next send. Example: instance set julia-prod --cap_hour 10 --proactive true',
  args: z.object({
    name: nameArg,
    proactive: z
      .union([z.boolean(), z.stringbool()], 'must be true or false')
      .optional()
      .describe('may be chosen for messages that nobody asked for'),
    phase: z
      .enum(['warming', 'established'], 'must be warming or established')
      .optional()
      .describe('warming: new to WhatsApp, may send more with each day from now on'),
    cap_hour: countArg.describe('proactive messages in 60 minutes'),
    cap_day: countArg.describe('proactive messages in 24 hours'),
    reply_cap_hour: countArg.describe('replies in 60 minutes'),
    pace_min_seconds: amountArg.describe('least seconds between proactive messages'),
    pace_max_seconds: amountArg.describe('most seconds between them'),
  }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, ...change }, actor) {
    if (Object.values(change).every((value) => value === undefined)) return refused('bad_request', 'name something to change');
    try {
      if (!(await setInstance(ctx.db, actor.tenant, name, actor.id, change))) return unknown(name);
    } catch (error) {
      if (error instanceof DatabaseRefused && error.code === '23514')
        return refused('bad_request', 'pace_max_seconds must not be less than pace_min_seconds');
      throw error;
    }
    const number = await findNumber(ctx, actor.tenant, name);
    return number === null ? unknown(name) : { ok: true, result: { number, limits: limitsOf(ctx) } };
  },
  text: ({ number, limits }, format) => [numberLine(number, format), ...limitLines(number, limits)].join('\n'),
});
export const instanceCommands = [list, show, set];

export async function findNumber(ctx: AdminContext, tenant: string, name: string): Promise<NumberHealth | null> {
  return (await listNumberHealth(ctx.db, tenant)).find((each) => each.instance === name) ?? null;
}
export function unknown(name: string): Refusal {
  return refused('not_found', `there is no number ${name}; instance list shows them, instance connect ${name} makes one`);
}
function numberLine(number: NumberHealth, format: FormatTime): string {
  const { instance, status, status_reason: code, status_at, health, reason, until, trust, judged, delivered } = number;
  const why = closedReason({ status, code });
  const arrived = judged === 0 ? '' : `; ${delivered} of the last ${judged} sends arrived`;
  const held =
    health === 'held' || health === 'on_trial'
      ? `\n  proactive messages ${health === 'held' ? `wait${until === null ? '' : ` until ${format(until)}`}` : 'go one at a time'}, because ${because(reason)}`
      : '';
  const closed = why === null ? '' : ` (${why}; ${closedMend({ name: instance, status, code })})`;
  return `${instance}: ${stateInWords(status)} since ${format(status_at)}${closed}; trust ${trust}${arrived}${held}`;
}

function releaseLine(version: string | null): string {
  return version === null ? 'nobody has asked for its release yet' : (releaseFault(version) ?? version);
}

/** What holds for a number that has no limits of its own. */
type Limits = { hour: number; day: number; paceMin: number; paceMax: number };

function limitsOf({ config: { outbound } }: AdminContext): Limits {
  return {
    hour: outbound.maxPerHour,
    day: outbound.maxPerDay,
    paceMin: outbound.intervalSeconds.min,
    paceMax: outbound.intervalSeconds.max,
  };
}

function limitLines(
  { proactive, phase, cap_hour: hour, cap_day: day, pace_min_seconds: least, pace_max_seconds: most }: NumberHealth,
  limits: Limits,
): string[] {
  const own = (value: number | null, variable: string, limit: number) => (value === null ? `${limit} (${variable})` : String(value));
  return [
    `  proactive messages: ${proactive ? 'may be chosen' : 'never chosen by itself'}; phase ${phase}`,
    `  caps: ${own(hour, 'MAX_MSGS_POR_HORA', limits.hour)} in 60 minutes, ${own(day, 'MAX_MSGS_POR_DIA', limits.day)} in 24 hours`,
    `  seconds between two: ${own(least, 'RATE_LIMIT_INTERVALO_MIN', limits.paceMin)} to ${own(most, 'RATE_LIMIT_INTERVALO_MAX', limits.paceMax)}`,
  ];
}
