import type { z } from 'zod';
import type { Effect, ToolCallRecord } from '../calls.ts';

/** What a tool may know of the turn. Recipient, tenant and identity are bound here, never by the model. */
export type ToolSituation = {
  /** The unanswered messages, oldest first. */
  pending: { id: number; type: string }[];
  /** The database's time at the claim, and the clocks that the contact means. */
  now: Date;
  timeZone: string;
  /** When what answers nobody may leave, but for holidays; null or left out: always. Weekdays from Monday, 1, on. */
  hours?: { start: string; end: string; weekdays: readonly number[] } | null;
};

/** What the model is told; with `ok: false` in words that it can act on. */
export type ToolAnswer = Pick<ToolCallRecord, 'ok' | 'output' | 'found' | 'cost_usd'>;

type Named<Input> = {
  name: string;
  /** For the model, in the language of its prompt. */
  description: string;
  input: Input;
};

/** Reads while the turn runs. Contract: never rejects, changes nothing anywhere, and ends as soon as `signal` aborts. */
export type LookupTool<Input extends z.ZodType = z.ZodType> = Named<Input> & {
  lookup(input: z.infer<Input>, situation: ToolSituation, signal: AbortSignal): Promise<ToolAnswer>;
};

/**
 * Writes, and is pure: it answers the model and asks for an effect, which becomes true in the transaction that commits the answer. So an aborted, repeated or lost
 * turn has done nothing, and no effect happens twice. Contract: never throws.
 */
export type WriteTool<Input extends z.ZodType = z.ZodType> = Named<Input> & {
  effect(input: z.infer<Input>, situation: ToolSituation): ToolAnswer & { effect: Effect | null };
};

/** A tool of the agent: it reads or it writes, never both. */
export type Tool = LookupTool | WriteTool;

/** Keeps the link between a tool's schema and what it does, which a list of tools of different inputs would lose. */
export function defineWrite<Input extends z.ZodType>(tool: WriteTool<Input>): WriteTool {
  return tool; // the runtime parses the input with this very schema before it calls the tool
}
