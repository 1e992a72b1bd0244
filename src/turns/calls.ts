/** Turns: claimed, renewed, completed, swept. */
import { z } from 'zod';
import type { ModelCallRecord } from '../claude/call-record.ts';
import type { Door } from '../db/door.ts';
import { grouped } from '../db/grouped.ts';
import type { DebounceSettings } from '../inbox/debounce.ts';
import type { AskedWrite } from '../tools/turn-tools.ts';
import { LANGUAGES } from '../words/sentences.ts';
import { claimedMoney } from '../spend/calls.ts';
import type { SpendPolicy } from '../spend/ceilings.ts';
import type { Route } from './routing-words.ts';
import { mediaItem } from '../inbox/media/calls.ts';
import { sendClaimOf, withRandom } from '../outbox/calls.ts';
import type { SendClaim, SendPolicy } from '../outbox/calls.ts';

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
  provider_id: z.string().nullable(),
  /** The hash of its file, when a model has read it: the answer may look at it again. */
  file: z.string().nullable(),
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

export const agentVersion = z.object({
  id: z.number(),
  tenant_id: z.string(),
  slug: z.string(),
  version: z.number(),
  name: z.string(),
  /** null: NOME_EMPRESA */
  company: z.string().nullable(),
  language: z.enum(LANGUAGES),
  /** Words of its own for what the runtime says, see words/sentences.ts. */
  sentences: z.record(z.string(), z.unknown()),
  tone: z.string(),
  instructions: z.string(),
  promises: z.string(),
  model: z.string().nullable(),
  model_complex: z.string().nullable(),
  tools: z.array(z.string()),
});

/** A version of an agent's words, as a turn has it. */
export type AgentVersion = z.infer<typeof agentVersion>;

const directive = z.object({ scope: z.enum(['global', 'agent', 'campaign', 'contact']), text: z.string() });

/** In the order in which they were given. */
export type PromptDirective = z.infer<typeof directive>;

const claimed = z.object({
  state: z.literal('claimed'),
  turn_id: z.number(),
  fence: z.number(),
  now: time,
  conversation_id: z.number(),
  tenant_id: z.string(),
  /** `observe`: the agent reads and notes, and says nothing. */
  holder: z.enum(['agent', 'human', 'takeover', 'manual', 'observe']),
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
  deferred_reason: z.string().nullable(),
  apologised_at: time.nullable(),
  /** What is reserved for it, or why nothing is; null: there is no ceiling of money. */
  money: claimedMoney.nullable(),
  passed_over: z.boolean(),
  /** The last answer of a model here: its id at the provider. */
  previous_answer: z.object({ id: z.string(), at: time }).nullable(),
  pending: z.array(pendingMessage).min(1),
  history: z.array(historyMessage),
  /** What was said before the history, in the words of a model. */
  summary: z.string().nullable(),
  /** A summary is to be made, for the next step of the history's window. */
  summarise: z.boolean(),
  jid: z.string(),
  correlation_id: z.string().nullable(),
  contact: z.object({
    id: z.number(),
    name: z.string().nullable(),
    phone: z.string().nullable(),
    /** `until`: a newer one has replaced it then. */
    memory: z.array(z.object({ fact: z.string(), at: time, until: time.nullable() })),
  }),
  agent: agentVersion.nullable(),
  instance: z.object({ id: z.number(), name: z.string() }),
  /** What the team tells the agent, in force here. */
  directives: z.array(directive),
  opted_out: z.boolean(),
});

/** Everything that a turn knows, in one snapshot. `since`: performance.now() when it came. */
export type TurnClaim = z.infer<typeof claimed> & { since: number };

/** The database's time, by what has passed here since the claim: this machine's clock may be off. */
export function nowOf(claim: Pick<TurnClaim, 'now' | 'since'>): number {
  return claim.now.getTime() + performance.now() - claim.since;
}

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
  z.object({ state: z.literal('busy'), until: time, wait_ms: z.number() }),
  z.object({ state: z.literal('early'), wait_ms: z.number() }),
  z.object({ state: z.literal('deferred'), reason: z.string(), wait_ms: z.number() }),
  z.object({ state: z.literal('media'), items: z.array(mediaItem) }),
  z.object({ state: z.literal('paused'), reason: z.string() }),
  commandClaim,
]);

const claimTurns = grouped('claim_turn', async (db, how: string, conversations: number[]) => {
  // written by claimTurn below
  const { worker, leaseMs, debounce, reads, limits } = JSON.parse(how) as Record<keyof ClaimOptions | 'worker' | 'leaseMs', unknown>;
  const args = { p_ids: conversations, p_worker: worker, p_lease_ms: leaseMs, p_debounce: debounce, p_reads: reads, p_limits: limits };
  return z.array(z.unknown()).parse(await db.call('claim_turns', args));
});

export type ClaimOptions = {
  /** A burst that still goes on is waited for; left out: it is not. */
  debounce?: DebounceSettings;
  /** What is no text is told first, so that it can be read. */
  reads?: boolean;
  /** Of answers that could not leave soon the turns wait, see SQL room_at; money is reserved, see reserve_turns. Null: neither. */
  limits?: { replyCapHour: number; spend?: SpendPolicy } | null;
};

/** SQL claim_turns: takes the one open turn of a conversation under a lease, or says why not. */
export async function claimTurn(
  db: Door,
  conversation: number,
  worker: string,
  leaseMs: number,
  options: ClaimOptions = {},
): Promise<Exclude<z.infer<typeof claim>, { state: 'claimed' }> | TurnClaim> {
  const { debounce, reads = false, limits = null } = options;
  const burst = debounce === undefined ? null : { debounceMs: debounce.debounceMs, debounceMaxMs: debounce.debounceMaxMs };
  // Who claims in the same way shares a call.
  const how = JSON.stringify({ worker, leaseMs, debounce: burst, reads, limits });
  const said = claim.parse(await claimTurns(db, how, conversation));
  return said.state === 'claimed' ? { ...said, since: performance.now() } : said;
}

const renewal = z.object({ alive: z.boolean(), newer: z.boolean(), stop: z.string().nullable() });

export type TurnRenewal = z.infer<typeof renewal>;

/** SQL renew_turns: keeps the leases of turns; tells of each whether the contact wrote again and whether an answer would still be wanted. */
export async function renewTurns(
  db: Door,
  claims: readonly Pick<TurnClaim, 'turn_id' | 'fence'>[],
  leaseMs: number,
): Promise<TurnRenewal[]> {
  const turns = claims.map(({ turn_id: turn, fence }) => ({ turn, fence }));
  return z.array(renewal).parse(await db.call('renew_turns', { p_turns: turns, p_lease_ms: leaseMs }));
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
  | {
      type: 'remember';
      fact: string;
      /** One of FACT_KINDS. */
      kind: string;
      /** What it is about; of one contact, kind and subject the newest is known. */
      about: string;
    }
  | { type: 'react'; message_id: number; emoji: string }
  /** What the agent noted of a conversation that it only looks on at; takes the place of what it had noted before. */
  | { type: 'label'; labels: string[]; summary: string }
  | {
      type: 'remind';
      about: string;
      /** How the contact said when. */
      words: string;
      due_at: Date;
      /** When the thing itself is; null: nobody said. */
      event_at: Date | null;
    }
  | { type: 'cancel_reminders' }
  | AskedWrite;

export type ToolCallRecord = {
  name: string;
  input: unknown;
  output: string;
  ok: boolean;
  ms: number;
  /** Of a business tool that reads: what it returned, by field. */
  found?: Record<string, string[]>;
  /** Of a business tool with a price. */
  cost_usd?: number;
};

export type Part = { text: string; typing_ms: number; kind: 'reply' | 'handoff' };

export type TurnResult = {
  kind: 'answer' | 'skip' | 'handoff' | 'failed' | 'aborted' | 'deferred';
  reason: string | null;
  model?: string | null;
  /** Which rule chose the model, see routing-words.ts; the model that answered may be the other one. */
  route?: Route;
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
  /** What came of the check of its words. */
  verdict?: string | null;
  /** Which version's words the model read, and the hash of what every conversation of it begins with. */
  agent_id?: number;
  prompt_hash?: string;
};

const completion = z.object({
  outcome: z.enum(['lost', 'superseded', 'suppressed', 'committed', 'failed', 'deferred']),
  reason: z.string().nullish(),
  failed_in_row: z.number().nullish(),
  /** For how long its first unanswered message has waited. */
  pending_ms: z.number().nullish(),
  parts: z.number().nullish(),
  retry_ms: z.number().nullish(),
  /** The answer waits for a person's yes. */
  draft: z.boolean().nullish(),
  send: z.unknown(),
});

/** `send`: what the lane said, when the commit claimed its first message; null: it claimed nothing. */
export type TurnCompletion = Omit<z.infer<typeof completion>, 'send'> & { send: SendClaim | null };

type TurnEnding = { item: { conversation_id: number; turn: number; fence: number; result: TurnResult; send: boolean }; random: number };

const completeTurns = grouped('complete_turn', async (db, policy: SendPolicy | null, endings: TurnEnding[]) => {
  const items = endings.map(({ item }) => item);
  const given = policy === null ? null : withRandom(policy, endings[0]?.random);
  return z.array(z.unknown()).parse(await db.call('complete_turns', { p_items: items, p_policy: given }));
});

/**
 * SQL complete_turns: the only place where an answer becomes true; checks the fence. With a `lane` the first message of the answer is claimed in the same
 * transaction, so the caller must be able to send it now.
 */
export async function completeTurn(
  db: Door,
  claim: TurnClaim,
  result: TurnResult,
  lane: { policy: SendPolicy; random: number } | null = null,
): Promise<TurnCompletion> {
  const asked = performance.now();
  const { conversation_id, turn_id: turn, fence } = claim;
  const item = { conversation_id, turn, fence, result, send: lane !== null };
  const said = completion.parse(await completeTurns(db, lane?.policy ?? null, { item, random: lane?.random ?? 0 }));
  return { ...said, send: said.send == null ? null : sendClaimOf(said.send, asked) };
}

/** SQL sweep_turns: conversations with something unanswered for `olderMs` and no live turn. */
export async function sweepTurns(db: Door, olderMs: number, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('sweep_turns', { p_older_ms: olderMs, p_limit: limit }));
}

/** SQL sweep_deferred: conversations that wait for the model and whose time has come; `availableMs`: since when a model may be asked, null when none may. */
export async function sweepDeferred(db: Door, availableMs: number | null, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('sweep_deferred', { p_available_ms: availableMs, p_limit: limit }));
}

const summaryClaim = z.union([
  z.object({ ceiling: z.string() }),
  z.object({
    id: z.number(),
    lease: z.string(),
    before: z.string().nullable(),
    messages: z.array(z.object({ author: z.string(), type: z.string(), text: z.string(), at: time })),
  }),
]);

/** SQL claim_summary: what was said, to be made into a summary by the caller alone; null: none is due, or somebody makes it. */
export async function claimSummary(
  db: Door,
  conversation: number,
  { leaseMs, model, spend }: { leaseMs: number; model: string; spend: SpendPolicy | null },
): Promise<z.infer<typeof summaryClaim> | null> {
  const args = { p_conversation: conversation, p_lease_ms: leaseMs, p_model: model, p_spend: spend };
  return summaryClaim.nullable().parse(await db.call('claim_summary', args));
}

/** SQL record_summary: its words, null: it was not made, and what was paid. Not to be repeated. */
export async function recordSummary(
  db: Door,
  conversation: number,
  { id, lease, words, model, calls }: { id: number; lease: string; words: string | null; model: string; calls: ModelCallRecord[] },
): Promise<void> {
  await db.call('record_summary', {
    p_conversation: conversation,
    p_id: id,
    p_lease: lease,
    p_words: words,
    p_model: model,
    p_calls: calls,
  });
}
