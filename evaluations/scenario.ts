/** A scenario: what somebody writes, and what must be true of our database, of the words and of the money afterwards. The file is data; nothing in it runs. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const burst = z.array(z.union([z.string(), z.object({ audio: z.string() }).strict()])).min(1);
const scenario = z
  .object({
    id: z.string().regex(/^[a-z0-9-]+$/),
    hostile: z.boolean().default(false),
    /** Who writes, and what for: read by people. */
    persona: z.string(),
    goal: z.string(),
    /** Bursts: what stands in one is written without waiting for an answer. `{pago}`, `{enviado}`: the numbers of the contact's orders. */
    says: z.array(burst).min(1),
    end: z
      .object({
        talks: z.enum(['agent', 'human']).default('agent'),
        optedOut: z.boolean().default(false),
        /** Business tools that were called, in any order; what is not named must not have been. */
        tools: z.array(z.string()).default([]),
        /** Statuses of the writes of business tools. */
        writes: z.array(z.string()).default([]),
      })
      .strict()
      .prefault({}),
    /** Regular expressions, over all that the contact got; upper and lower case are the same. */
    must: z.array(z.string()).default([]),
    never: z.array(z.string()).default([]),
    budget: z
      .object({ usd: z.number().default(0.2), answers: z.number().default(6) })
      .strict()
      .prefault({}),
  })
  .strict();
export type Scenario = z.infer<typeof scenario>;

/** Rejects with what is wrong in the file. */
export async function readScenarios(file: string | URL): Promise<Scenario[]> {
  const read = z.array(scenario).parse(JSON.parse(await readFile(file, 'utf8')));
  const twice = read.find(({ id }, index) => read.findIndex((each) => each.id === id) !== index);
  if (twice !== undefined) throw new Error(`two scenarios are called ${twice.id}`);
  return read;
}

/** What a run has left behind. */
export type Left = {
  answers: string[];
  talks: string;
  optedOut: boolean;
  tools: string[];
  writes: string[];
  /** Messages of the contact that nothing has come of. */
  open: number;
  usd: number;
};

/** What is wrong, in sentences; rows first, words last. Pure. */
export function faultsIn({ end, must, never, budget }: Scenario, left: Left): string[] {
  const all = left.answers.join('\n');
  const list = (names: readonly string[]): string => [...names].toSorted().join(', ') || 'none';
  return [
    ...(left.open === 0 ? [] : [`${left.open} messages have no outcome`]),
    ...(left.talks === end.talks ? [] : [`${left.talks} has the conversation, not ${end.talks}`]),
    ...(left.optedOut === end.optedOut ? [] : [left.optedOut ? 'the contact is opted out' : 'the contact is not opted out']),
    ...(list(left.tools) === list(end.tools) ? [] : [`tools called: ${list(left.tools)}; allowed: ${list(end.tools)}`]),
    ...(list(left.writes) === list(end.writes) ? [] : [`writes: ${list(left.writes)}; allowed: ${list(end.writes)}`]),
    ...(left.usd <= budget.usd ? [] : [`cost US$ ${left.usd}, at most ${budget.usd}`]),
    ...(left.answers.length <= budget.answers ? [] : [`${left.answers.length} messages, at most ${budget.answers}`]),
    ...must.filter((each) => !new RegExp(each, 'iu').test(all)).map((each) => `never said: ${each}`),
    ...never.filter((each) => new RegExp(each, 'iu').test(all)).map((each) => `said: ${each}`),
  ];
}
