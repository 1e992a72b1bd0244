/** The business tools of a turn: what the model may call, bound to this conversation. */
import type { z } from 'zod';
import type { Door } from '../db/door.ts';
import { turnToolsOf } from './calls.ts';
import type { TurnTools } from './calls.ts';
import type { ToolClient } from './client.ts';
import { amountOf, bindArgs, readAnswer, requestOf, risksOf } from './decide.ts';
import type { Args, HttpToolRequest, ToolFacts } from './decide.ts';
import { inputOf } from './definition-words.ts';
import type { ToolDefinition } from './definition-words.ts';
import { FAULT_WORDS } from './tool-texts.ts';

/** What is done outside when the turn commits, see SQL queue_tool_write. */
export type AskedWrite = {
  type: 'tool_write';
  tool_id: number;
  version: number;
  input: Args;
  request: HttpToolRequest;
  amount: number | null;
  /** Why a person must say yes first; empty: nobody must. */
  risks: string[];
};

export type ToolSaid = { ok: boolean; output: string; found?: Record<string, string[]>; cost_usd?: number };

export type BusinessTool = { name: string; description: string; input: z.ZodType } & (
  | { lookup(given: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ToolSaid> }
  | { ask(given: Readonly<Record<string, unknown>>): ToolSaid & { write: AskedWrite | null } }
);

/** `done`: a write of this conversation was done of late, so that the agent may say so. */
export type BusinessTools = { tools: BusinessTool[]; done: boolean };

export type Tools = {
  /**
   * What a turn of this conversation may call. Contract: any number at once; costs a look at the database where the tenant has tools, and none for `FRESH_MS` after
   * it had none. Errors: those of the database.
   */
  forTurn(facts: Omit<ToolFacts, 'found'>): Promise<BusinessTools>;
  client: ToolClient;
};

const NO_TOOLS: BusinessTools = { tools: [], done: false };
/** A first tool is in force after so long. Milliseconds. */
const FRESH_MS = 3_000;
const MAX_TENANTS = 500;

export function createTools(db: Door, client: ToolClient): Tools {
  const without = new Map<string, number>();
  return {
    client,
    async forTurn(facts) {
      const { tenant } = facts;
      if ((without.get(tenant) ?? Number.NEGATIVE_INFINITY) > performance.now()) return NO_TOOLS;
      const given = await turnToolsOf(db, tenant, facts.conversation);
      without.delete(tenant);
      if (given.tools.length === 0) {
        without.set(tenant, performance.now() + FRESH_MS);
        const [oldest] = without.keys();
        if (without.size > MAX_TENANTS && oldest !== undefined) without.delete(oldest);
        return NO_TOOLS;
      }
      return boundTools(client, given, facts);
    },
  };
}

/** Within one turn what a lookup returned can be used by the next call, and is untrusted text that the model has read. */
function boundTools(client: ToolClient, given: TurnTools, known: Omit<ToolFacts, 'found'>): BusinessTools {
  const found = [...given.found];
  const facts = (): ToolFacts => ({ ...known, found, taint: found.length === 0 ? known.taint : [...known.taint, 'tool_output'] });
  const tools = given.tools.map(({ id, version, definition }): BusinessTool => {
    const named = { name: definition.name, description: definition.description, input: inputOf(definition) };
    if (definition.class !== 'read') return { ...named, ask: (input) => askedOf({ id, version, definition }, input, facts(), given.open) };
    return {
      ...named,
      async lookup(input, signal) {
        const said = await lookUp(client, definition, { input, facts: facts(), signal });
        for (const [field, values] of Object.entries(said.found ?? {}))
          for (const value of values) found.push({ tool: definition.name, field, value });
        return said;
      },
    };
  });
  return { tools, done: given.done };
}

async function lookUp(
  client: ToolClient,
  tool: ToolDefinition,
  { input, facts, signal }: { input: Readonly<Record<string, unknown>>; facts: ToolFacts; signal: AbortSignal },
): Promise<ToolSaid> {
  const bound = bindArgs(tool, input, facts);
  if (!bound.ok) return { ok: false, output: bound.why };
  const request = requestOf(tool, bound.args);
  if (request === null) return { ok: false, output: FAULT_WORDS.place };
  const end = await client.call(facts.tenant, tool, request, { signal });
  const cost = tool.price_usd === undefined ? {} : { cost_usd: tool.price_usd };
  if (!end.ok)
    return {
      ok: false,
      output: `${FAULT_WORDS[end.fault]} (${end.fault}${end.status === 0 ? '' : ` ${end.status}`})`,
      ...(end.left ? cost : {}),
    };
  const read = readAnswer(tool, bound.args, end.answer);
  return read.ok ? { ok: true, output: read.output, found: read.found, ...cost } : { ok: false, output: read.why, ...cost };
}

function askedOf(
  { id, version, definition }: { id: number; version: number; definition: ToolDefinition },
  input: Readonly<Record<string, unknown>>,
  facts: ToolFacts,
  open: TurnTools['open'],
): ToolSaid & { write: AskedWrite | null } {
  const no = (output: string) => ({ ok: false, output, write: null });
  const bound = bindArgs(definition, input, facts);
  if (!bound.ok) return no(bound.why);
  const request = requestOf(definition, bound.args);
  if (request === null) return no(FAULT_WORDS.place);
  if (open.some((each) => each.tool_id === id && isSame(each.input, bound.args))) return no(FAULT_WORDS.under_way);
  const risks = risksOf(definition, bound.args, facts.taint);
  const write: AskedWrite = {
    type: 'tool_write',
    tool_id: id,
    version,
    input: bound.args,
    request,
    amount: amountOf(definition, bound.args),
    risks: [...new Set(risks)],
  };
  return { ok: true, output: risks.length > 0 ? FAULT_WORDS.waits : FAULT_WORDS.asked, write };
}

function isSame(a: Readonly<Record<string, unknown>>, b: Args): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
