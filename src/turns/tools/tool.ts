import type { z } from 'zod';
import type { Effect } from '../calls.ts';

/** What a tool may know of the turn. Recipient, tenant and identity are bound here, never by the model. */
export type ToolSituation = {
  /** The unanswered messages, oldest first. */
  pending: { id: number; type: string }[];
};

/**
 * A tool of the agent. `execute` is pure: it answers the model and asks for an effect, which becomes true in the transaction that commits
 * the answer. So an aborted, repeated or lost turn has done nothing, and no effect happens twice.
 */
export type Tool<Input extends z.ZodType = z.ZodType> = {
  name: string;
  /** For the model, in the language of its prompt. */
  description: string;
  input: Input;
  /** Contract: never throws; refuses with `ok: false` and words that the model can act on. */
  execute(input: z.infer<Input>, situation: ToolSituation): { ok: boolean; output: string; effect: Effect | null };
};

/** Keeps the link between a tool's schema and its `execute`, which a list of tools of different inputs would lose. */
export function defineTool<Input extends z.ZodType>(tool: Tool<Input>): Tool {
  return tool; // the runtime parses the input with this very schema before it calls execute
}
