/** breaker list, breaker reset: what lets nothing through, and how a person closes it. */
import { z } from 'zod';
import { circuitInWords } from '../watch/circuit-texts.ts';
import { circuits } from '../watch/circuits.ts';
import { resetBreakers } from '../breakers/calls.ts';
import { wakeDueLanes } from '../outbox/wake.ts';
import { defineCommand, NOT_WOKEN, refused, woken, wordsArg } from './command.ts';

const BREAKERS = ['evolution', 'claude', 'database', 'number'] as const;

const list = defineCommand({
  name: 'breaker list',
  summary: 'the circuit breakers of every process, and of every number',
  details:
    'evolution: calls of one number in one process; claude and database: of one process; number: messages that nobody asked for, of one number, for all processes. ' +
    'A tenant sees those of its numbers; the tenant default sees all.',
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  run: async (ctx, _args, { tenant }) => ({ ok: true, result: { breakers: await circuits(ctx.db, tenant) } }),
  text({ breakers }, format) {
    if (breakers.length === 0) return 'No breaker has been needed yet.';
    return breakers.map((each) => circuitInWords(each, format)).join('\n');
  },
});

const reset = defineCommand({
  name: 'breaker reset',
  summary: 'closes circuit breakers: all, or those of a name or a number',
  details:
    'Each process closes them within 5 seconds. What a breaker stands for is not mended by it: if the other side is still away it opens again. ' +
    'number also ends the rest of a number after trouble, and lifts its trust to 40. Examples: breaker reset; breaker reset evolution; breaker reset number --instance julia-prod.',
  args: z.object({
    name: z
      .enum(BREAKERS, `must be one of ${BREAKERS.join(', ')}`)
      .optional()
      .describe(`${BREAKERS.join(', ')}; nothing: all`),
    instance: wordsArg.optional().describe('only those of this number'),
  }),
  positional: ['name'],
  readOnly: false,
  role: 'operator',
  async run(ctx, { name, instance }, actor) {
    const answer = await resetBreakers(ctx.db, actor.tenant, actor.id, name ?? null, instance ?? null);
    if (answer.outcome === 'unknown_instance') return refused('not_found', `there is no number ${instance ?? ''}`);
    if (answer.outcome === 'not_yours')
      return refused('forbidden', `${name ?? ''} belongs to the installation: only the tenant default may reset it`);
    return { ok: true, result: { open: answer.open, woken: answer.released.length === 0 || (await woken(ctx, () => wakeDueLanes(ctx))) } };
  },
  text({ open, woken: awake }) {
    const lines = open.map(({ breaker, instance, process }) => `${breaker}${instance === null ? '' : ` of ${instance}`} (${process})`);
    return [
      open.length === 0 ? 'Nothing was open; what has been counted is forgotten.' : `Closing within 5 seconds:\n  ${lines.join('\n  ')}`,
      ...(awake ? [] : [NOT_WOKEN]),
    ].join('\n');
  },
});

export const breakerCommands = [list, reset];
