/** Turns: claimed, renewed, completed, swept. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

/** SQL due_follow_ups: lanes with a follow-up whose time has come. */
export async function dueFollowUps(db: Door, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('due_follow_ups', { p_limit: limit }));
}

const time = z.coerce.date();

/** Models that have declined a conversation with these words; null for nearly all. */
const refusedBy = z.array(z.string()).nullable();

const author = z.enum(['contact', 'agent', 'human', 'system', 'automatic']);

const pendingMessage = z.object({
  id: z.number(),
  type: z.string(),
  text: z.string(),
  typed: z.string().nullable(),
  at: time,
  quoted_text: z.string().nullable(),
  quoted_author: author.nullable(),
  created_at: time,
  /** What its words were recognised as, see take_meaning; null for nearly all. */
  intent: z.string().nullable(),
  refused_by: refusedBy,
});

const historyMessage = z.object({
  id: z.number(),
  direction: z.enum(['in', 'out']),
  author,
  type: z.string(),
  /** null: deleted by its author */
  text: z.string().nullable(),
  typed: z.string().nullable(),
  /** What became of it after a turn had read it. */
  changed: z.object({ at: time, text: z.string().nullable(), typed: z.string().nullable() }).nullable(),
  at: time,
  quoted_text: z.string().nullable(),
  quoted_author: author.nullable(),
  status: z.string(),
  refused_by: refusedBy,
});

const agent = z.object({
  id: z.number(),
  name: z.string(),
  tone: z.string(),
  instructions: z.string(),
  promises: z.string(),
  model: z.string().nullable(),
  model_complex: z.string().nullable(),
  tools: z.array(z.string()),
});

const claimed = z.object({
  state: z.literal('claimed'),
  turn_id: z.number(),
  fence: z.number(),
  now: time,
  conversation_id: z.number(),
  tenant_id: z.string(),
  holder: z.enum(['agent', 'human', 'takeover', 'manual']),
  escalation_reason: z.string().nullable(),
  /** A person typed on the phone a moment ago. */
  attended: z.boolean(),
  mode: z.string(),
  open_handoff: z.number().nullable(),
  quiet: z.object({ reason: z.string(), until: time }).nullable(),
  today: z.object({ turns: z.number(), tokens: z.number() }),
  identity: z.string().nullable(),
  failed_in_row: z.number(),
  failing_since: time.nullable(),
  superseded_in_row: z.number(),
  deferred_since: time.nullable(),
  apologised_at: time.nullable(),
  passed_over: z.boolean(),
  /** The last answer of a model here: its id at the provider. */
  previous_answer: z.object({ id: z.string(), at: time }).nullable(),
  pending: z.array(pendingMessage).min(1),
  history: z.array(historyMessage),
  jid: z.string(),
  correlation_id: z.string().nullable(),
  contact: z.object({
    id: z.number(),
    name: z.string().nullable(),
    phone: z.string().nullable(),
    memory: z.array(z.object({ fact: z.string(), at: z.string().transform((at) => new Date(at)) })),
  }),
  agent: agent.nullable(),
  instance: z.object({ id: z.number(), name: z.string() }),
  opted_out: z.boolean(),
});

/** Everything that a turn knows, in one snapshot. */
export type TurnClaim = z.infer<typeof claimed>;

const commandClaim = z.object({
  state: z.literal('command'),
  message_id: z.number(),
  claim: z.number(),
  /** What inbox/operator-words.ts made of it; parsed again before it runs. */
  command: z.unknown(),
  sent_at: time,
  now: time,
  /** What waits for its one-time word. */
  asked: z.array(z.object({ message_id: z.number(), command: z.unknown(), word: z.string() })),
  recent: z.object({ asked: z.number(), wrong: z.number(), locked: z.number(), answers: z.number() }),
  text: z.string(),
});

/** A command of the manager, to be carried out and answered. */
export type CommandClaim = z.infer<typeof commandClaim>;

const claim = z.discriminatedUnion('state', [
  claimed,
  z.object({ state: z.literal('idle') }),
  z.object({ state: z.literal('busy'), until: time }),
  z.object({ state: z.literal('paused'), reason: z.string() }),
  commandClaim,
]);

/** SQL claim_turn: takes the one open turn of a conversation under a lease, or says why not. */
export async function claimTurn(db: Door, conversation: number, worker: string, leaseMs: number): Promise<z.infer<typeof claim>> {
  return claim.parse(await db.call('claim_turn', { p_conversation: conversation, p_worker: worker, p_lease_ms: leaseMs }));
}

const renewal = z.object({ alive: z.boolean(), newer: z.boolean(), stop: z.string().nullable() });

export type TurnRenewal = z.infer<typeof renewal>;

/** SQL renew_turn: keeps the lease; tells whether the contact wrote again and whether an answer would still be wanted. */
export async function renewTurn(db: Door, claim: TurnClaim, leaseMs: number): Promise<TurnRenewal> {
  return renewal.parse(await db.call('renew_turn', { p_turn: claim.turn_id, p_fence: claim.fence, p_lease_ms: leaseMs }));
}

/** What a tool decided; it becomes true with the answer, in the same transaction. */
export type Effect =
  | {
      type: 'handoff';
      reason: string;
      summary: string | null;
      /** What the agent would have answered. */ suggestion?: string | null;
      controls: boolean;
    }
  | { type: 'opt_out' }
  | { type: 'remember'; fact: string }
  | { type: 'react'; message_id: number; emoji: string };

export type ToolCallRecord = { name: string; input: unknown; output: string; ok: boolean; ms: number };

export type ModelCallRecord = {
  model: string;
  outcome: string;
  ms: number;
  input_tokens: number;
  output_tokens: number;
  /** Of the output. */
  thinking_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  /** null: the model has no price. */
  cost_usd: number | null;
  /** It was broken off: its input is paid, and nobody told how much that was. */
  estimated: boolean;
  /** The category of a refusal. */
  detail: string | null;
  /** Why the cache had nothing of the prompt: a word of claude/cache.ts. */
  cache_miss: string | null;
};

export type Part = { text: string; typing_ms: number; kind: 'reply' | 'handoff' };

export type TurnResult = {
  kind: 'answer' | 'skip' | 'handoff' | 'failed' | 'aborted' | 'deferred';
  reason: string | null;
  model?: string | null;
  parts?: Part[];
  /** Nothing is answered in this conversation for so long. */
  quiet?: { reason: string; seconds: number };
  /** Of a turn that is put off: when to try again, and what the contact hears once it has waited for `apology_ms` (null: it has heard it). */
  retry_ms?: number;
  apology?: string;
  apology_ms?: number | null;
  /** A person has the conversation, and people are to hear what was left to it. */
  forward?: boolean;
  effects?: Effect[];
  tool_calls?: ToolCallRecord[];
  model_calls?: ModelCallRecord[];
  transcript?: unknown;
  /** The id that the provider gave the last answer. */
  answer_id?: string | null;
};

const completion = z.object({
  outcome: z.enum(['lost', 'superseded', 'suppressed', 'committed', 'failed', 'deferred']),
  reason: z.string().nullish(),
  failed_in_row: z.number().nullish(),
  first_pending_at: time.nullish(),
  parts: z.number().nullish(),
  retry_ms: z.number().nullish(),
  /** The answer waits for a person's yes. */
  draft: z.boolean().nullish(),
});

export type TurnCompletion = z.infer<typeof completion>;

/** SQL complete_turn: the only place where an answer becomes true; checks the fence. */
export async function completeTurn(db: Door, claim: TurnClaim, result: TurnResult): Promise<TurnCompletion> {
  return completion.parse(await db.call('complete_turn', { p_turn: claim.turn_id, p_fence: claim.fence, p_result: result }));
}

/** SQL sweep_turns: conversations with something unanswered for `olderMs` and no live turn. */
export async function sweepTurns(db: Door, olderMs: number, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('sweep_turns', { p_older_ms: olderMs, p_limit: limit }));
}

/** SQL sweep_deferred: conversations that wait for the model and whose time has come; `availableMs`: since when a model may be asked, null when none may. */
export async function sweepDeferred(db: Door, availableMs: number | null, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('sweep_deferred', { p_available_ms: availableMs, p_limit: limit }));
}
