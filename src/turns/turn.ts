/**
 * One turn of a conversation: claim, decide, run the agent, commit. Start reading here.
 * Two workers may call `runTurn` for one conversation at once; the claim lets one through.
 */
import { runAgent } from './agent.ts';
import type { AgentOutcome } from './agent.ts';
import type { Context } from '../context.ts';
import { DEFAULT_COMPLEX_MODEL, DEFAULT_MODEL } from '../claude/models.ts';
import { buildPrompt } from './prompt.ts';
import type { Prompt } from './prompt.ts';
import { identityHint } from './system-texts.ts';
import { SENTENCES, sentencesOf } from '../words/sentences.ts';
import type { Sentences } from '../words/sentences.ts';
import { debounceLeft } from '../inbox/debounce.ts';
import type { DebounceSettings } from '../inbox/debounce.ts';
import { decideTurn, turnRetryDelay, turnTimeLimit } from './decide.ts';
import { filesOf, readAll } from '../inbox/media/read.ts';
import type { Files } from '../inbox/media/read.ts';
import { persist } from '../db/persist.ts';
import type { SendClaim } from '../outbox/calls.ts';
import { claimTurn, completeTurn, nowOf } from './calls.ts';
import type { AgentVersion, ClaimOptions, CommandClaim, TurnClaim, TurnCompletion, TurnResult } from './calls.ts';
import { openBudget } from '../spend/budget.ts';
import { spendPolicyOf } from '../spend/ceilings.ts';
import { checkOutput } from './checks/output.ts';
import { readOf } from './checks/read.ts';
import { OBSERVER_HINT, OBSERVER_TOOLS, observedResult } from './observe.ts';
import { keepTurn } from './leases.ts';
import { summarise } from './summary.ts';
import { NOTHING_KNOWN } from '../knowledge/knowledge.ts';
import type { Known } from '../knowledge/knowledge.ts';
import { tellOfDraft, tellOfHandoffs, tellOfMessages } from '../people/handoffs.ts';
import { TOOLS } from './tools/all.ts';
import { businessTools } from './tools/business.ts';
import { afterTurn } from '../tools/writes.ts';
import { asksForIdentity, leave, needsPerson, partsOf, resultOf, SHUTDOWN, spent } from './result.ts';
import { mark, span } from '../process/trace.ts';
import type { SpanOptions } from '../process/trace.ts';

/** `send`: the first message of the answer, claimed with it: the caller sends it now. */
export type TurnEnd = TurnStep & { send?: SendClaim };

/** `again`: look at this conversation once more after this time. `early`: its burst still goes on for so long. */
export type TurnStep =
  | { kind: 'done' }
  | { kind: 'again'; delayMs: number }
  | { kind: 'early'; delayMs: number }
  /** The manager wrote a command here: operators/operator.ts carries it out, then look again. */
  | { kind: 'command'; command: CommandClaim };

/** How long a worker may be silent before another takes its turn over. Renewed with each look, so the length only matters after a death. */
const LEASE_MS = 30_000;
/** How soon a conversation that another worker is answering is looked at again. */
const BUSY_LOOK_MS = 3_000;

/** The contact hears something within half a minute, whatever happens. Milliseconds; for all media of a conversation together. */
const READ_MS = 20_000;

/** How a turn is run. */
export type TurnOptions = {
  /** A burst that still goes on is waited for; left out: it is not. */
  debounce?: DebounceSettings;
  /** What is no text is read before it is answered, and waited for so long. Milliseconds; 0: it is not read. */
  readMs?: number;
  /** What this turn has read so far, also in vain: its files, and until when there is time. Milliseconds of performance.now(). */
  read?: { files: Files; tried: ReadonlySet<number>; until: number };
  /** Asked right before the commit: whether the caller can send the answer at once. If so its first message is claimed with the commit. */
  canSend?: () => boolean;
};

/**
 * Runs the turn that a conversation is waiting for, if any. `signal` aborts at shutdown: the turn is given back at once.
 * Throws DatabaseAway when the database is unavailable; nothing is lost then: the lease runs out and the messages are still unanswered.
 */
export async function runTurn(ctx: Context, conversation: number, signal: AbortSignal, options: TurnOptions = {}): Promise<TurnEnd> {
  const { debounce, canSend = () => false, readMs = READ_MS } = options;
  const { read = { files: new Map(), tried: new Set(), until: performance.now() + readMs } } = options;
  const claim = await claimTurn(ctx.db, conversation, ctx.process.id, LEASE_MS, {
    ...(debounce === undefined ? {} : { debounce }),
    reads: readMs > 0 && (ctx.speech !== null || ctx.llm !== null),
    limits: limitsOf(ctx),
  });
  switch (claim.state) {
    case 'media': {
      // What comes while others are read is read too. When the time is over, or all has been tried, it is answered as it is.
      const fresh = claim.items.filter((item) => !read.tried.has(item.message_id));
      if (fresh.length === 0) return runTurn(ctx, conversation, signal, { ...options, readMs: 0, read });
      const files = await readAll(ctx, fresh, { signal, inTimeMs: Math.max(0, read.until - performance.now()) });
      if (signal.aborted) return { kind: 'again', delayMs: 0 };
      const tried = new Set([...read.tried, ...fresh.map((item) => item.message_id)]);
      return runTurn(ctx, conversation, signal, { ...options, read: { ...read, files: new Map([...read.files, ...files]), tried } });
    }
    case 'idle':
    case 'paused': // the messages wait for the resume; the sweep finds them then
      return { kind: 'done' };
    case 'busy':
      // Not only when the lease runs out: a message that came too late for this turn waits for its end.
      return { kind: 'again', delayMs: BUSY_LOOK_MS };
    case 'deferred':
      ctx.events.turnPutOff(conversation, claim.reason);
      return { kind: 'again', delayMs: claim.wait_ms };
    case 'early':
      return { kind: 'early', delayMs: claim.wait_ms };
    case 'command':
      return { kind: 'command', command: claim };
    case 'claimed':
      return span('turn', spanOf(claim), async () => {
        const turn = usable(ctx, claim);
        return finish(ctx, turn, await take(ctx, turn, read.files, signal), canSend, signal);
      });
  }
}

/** null: no model is asked, so nothing of it is bounded. */
function limitsOf(ctx: Context): NonNullable<ClaimOptions['limits']> | null {
  if (ctx.llm === null) return null;
  const spend = spendPolicyOf(ctx.config.claude, new Date());
  return { replyCapHour: ctx.config.outbound.maxRepliesPerHour, ...(spend === null ? {} : { spend }) };
}

/** With words that may be read to a contact: those of the version in force, nearly always. */
function usable(ctx: Context, claim: TurnClaim): TurnClaim {
  if (claim.agent === null) return claim;
  const { agent, faults } = ctx.versions.usable(claim.agent);
  if (faults.length > 0) ctx.events.versionUnusable(claim, claim.agent, faults);
  return { ...claim, agent };
}

/** From the newest message on it waited for the end of the burst, and for a worker. */
function spanOf({ correlation_id: of, turn_id, conversation_id, pending, now }: TurnClaim): SpanOptions {
  const newest = pending.reduce((latest, each) => (each.created_at > latest ? each.created_at : latest), pending[0]?.created_at ?? now);
  mark('queue turn', { kind: 'consumer', of, from: newest });
  return {
    kind: 'consumer',
    of,
    attributes: { 'julia.turn_id': turn_id, 'julia.conversation_id': conversation_id, 'julia.messages': pending.length },
  };
}

/** What comes of the turn; nothing of it is true before the commit. */
async function take(ctx: Context, claim: TurnClaim, read: Files, signal: AbortSignal): Promise<TurnResult> {
  ctx.events.turnClaimed(claim);
  const say = sentencesFor(ctx, claim);
  const { turn: settings, people } = ctx.config;
  const decision = decideTurn(claim, { maxMessageAgeMinutes: settings.maxMessageAgeMinutes, models: modelsOf(ctx), abuse: people.abuse });
  switch (decision.kind) {
    case 'leave':
      return leave(claim, decision.reason);
    case 'quiet': {
      const { reason, quietSeconds: seconds } = decision;
      const quiet = seconds === null ? {} : { quiet: { reason, seconds } };
      const effects = [needsPerson(reason, false)];
      if (decision.say !== null) ctx.events.contactQuieted(claim, reason, ctx.config.app.environment);
      return decision.say === null
        ? { kind: 'skip', reason, ...quiet }
        : { kind: 'answer', reason, ...quiet, effects, parts: partsOf(ctx, claim, say[decision.say], 'reply') };
    }
    case 'skip':
      return {
        kind: 'skip',
        reason: decision.reason,
        effects: decision.tellPerson ? [needsPerson(decision.reason, false)] : [],
      };
    case 'handoff':
      // Without a model every conversation would be a person's for ever: it is listed, and the agent answers again once there is a key.
      return {
        kind: 'handoff',
        reason: decision.reason,
        effects: [needsPerson(decision.reason, decision.reason === 'turn_failed' || decision.reason === 'bot_question')],
        parts: partsOf(ctx, claim, decision.say === null ? '' : say[decision.say], 'handoff'),
      };
    case 'canned':
      return { kind: 'answer', reason: decision.reason, parts: partsOf(ctx, claim, say[decision.say], 'reply') };
    case 'spent':
      return spent(ctx, claim, decision, say);
    case 'observe': {
      const outcome = await answer(ctx, claim, { ...decision, read, observes: true }, signal);
      return observedResult(outcome, resultOf(ctx, claim, outcome, signal, say));
    }
    case 'run':
      return { ...resultOf(ctx, claim, await answer(ctx, claim, { ...decision, read }, signal), signal, say), route: decision.route };
  }
}

/** What the runtime says itself, in this agent's words. */
function sentencesFor(ctx: Context, { agent }: TurnClaim): Sentences {
  return agent === null ? SENTENCES['pt-BR'] : sentencesOf({ ...agent, company: agent.company ?? ctx.config.app.company });
}

function modelsOf(ctx: Context): { normal: string; complex: string } | null {
  const { claude } = ctx.config;
  return claude === null ? null : { normal: claude.model, complex: claude.complexModel };
}

/** Of an agent that only looks on. */
const NO_BUSINESS = { tools: [], done: false };

/** Runs the agent while the lease is kept and the answer is wanted. */
async function answer(
  ctx: Context,
  claim: TurnClaim,
  { model, otherModel, read, observes = false }: { model: string; otherModel: string; read: Files; observes?: boolean },
  signal: AbortSignal,
): Promise<AgentOutcome> {
  const { claude } = ctx.config;
  if (ctx.llm === null || claude === null || claim.agent === null)
    throw new Error('decideTurn lets no turn run without a model and an agent');
  const { agent } = claim;
  const known = observes ? NOTHING_KNOWN : await ctx.knowledge.forTurn(claim.tenant_id, asked(claim));
  const business = observes ? NO_BUSINESS : await businessTools(ctx.tools, claim, known);
  const tools = [...agent.tools, ...business.tools.map(({ name }) => name)];
  const unwanted = new AbortController();
  // The contact wrote again, a person took over, a pause, a lost lease: nobody waits for this answer.
  const kept = keepTurn(ctx, claim, LEASE_MS, ({ alive, newer, stop }) => {
    if (!alive || newer || (stop !== null && stop !== claim.holder)) unwanted.abort();
  });
  try {
    const wanted = AbortSignal.any([signal, unwanted.signal]);
    const files = await filesOf(ctx, claim.instance.name, claim.pending, read, wanted);
    return await runAgent({
      llm: ctx.llm,
      breaker: (name) => ctx.breakers.claude(name),
      limits: {
        maxTokens: claude.maxTokens,
        effort: claude.effort,
        maxToolRounds: claude.maxToolRounds,
        callTimeoutMs: claude.callTimeoutSeconds * 1000,
        turnTimeoutMs: turnTimeLimit(claim, claude.turnTimeoutSeconds * 1000),
      },
      model,
      fallbackModel: otherModel,
      spareModels: model === claude.complexModel ? [DEFAULT_COMPLEX_MODEL, DEFAULT_MODEL] : [DEFAULT_MODEL, DEFAULT_COMPLEX_MODEL],
      promptFor: (name) => promptOf(ctx, claim, { agent, known, files, observes }, name),
      previous:
        claim.previous_answer === null
          ? null
          : { id: claim.previous_answer.id, agoMs: claim.now.getTime() - claim.previous_answer.at.getTime() },
      declinedBy: claim.pending.flatMap((message) => message.refused_by ?? []),
      tools: observes ? [...OBSERVER_TOOLS] : [...TOOLS.filter((tool) => agent.tools.includes(tool.name)), ...business.tools],
      endsWithCalls: observes,
      situation: { pending: claim.pending, now: claim.now, timeZone: ctx.config.app.timeZone, hours: ctx.config.outbound.hours },
      check: observes
        ? null
        : (text, { prompt, toolCalls }) =>
            checkOutput(
              text,
              readOf({ ...agent, tools }, prompt, toolCalls, { now: claim.now, timeZone: ctx.config.app.timeZone, acted: business.done }),
            ),
      budget:
        claude.ceilings === null
          ? null
          : openBudget(ctx.db, { ...claim, reservedUsd: reservedUsd(claim) }, claude.ceilings, () => new Date(nowOf(claim))),
      signal: wanted,
    });
  } finally {
    kept.stop();
  }
}

/** What the documents are searched for. */
function asked({ pending, history }: TurnClaim): { now: string; before: string } {
  const wordsOf = (messages: { text: string | null }[]): string => messages.map(({ text }) => text ?? '').join('\n');
  return { now: wordsOf(pending), before: wordsOf(history.slice(-MESSAGES_BEFORE)) };
}

/** "E o azul?" is understood by so many messages before it. */
const MESSAGES_BEFORE = 4;

function reservedUsd({ money }: TurnClaim): number {
  return money !== null && 'usd' in money ? money.usd : 0;
}

/** What a model is given to read; null: it has declined all that is unanswered. */
function promptOf(
  { config }: Context,
  claim: TurnClaim,
  { agent, known, files, observes }: { agent: AgentVersion; known: Known; files: Files; observes: boolean },
  model: string,
): Prompt | null {
  if (claim.pending.every((message) => message.refused_by?.includes(model) === true)) return null;
  return buildPrompt({
    model,
    agent,
    company: agent.company ?? config.app.company,
    known,
    directives: claim.directives,
    contactName: claim.contact.name,
    memory: claim.contact.memory,
    summary: claim.summary,
    history: claim.history,
    pending: claim.pending.map((message) => ({
      ...message,
      direction: 'in',
      author: 'contact',
      file: files.get(message.file ?? '') ?? null,
    })),
    hint: observes ? OBSERVER_HINT : asksForIdentity(claim) ? identityHint(agent.language) : null,
    now: claim.now,
    timeZone: config.app.timeZone,
  });
}

/** At once, of one worker: nobody waits for a summary, and answers need the model's breaker and the limits of the account. */
const MOST_SUMMARIES = 2;

/** Commits, tells, and says what is to be done next. */
async function finish(ctx: Context, claim: TurnClaim, result: TurnResult, canSend: () => boolean, signal: AbortSignal): Promise<TurnEnd> {
  const lane = (result.parts?.length ?? 0) > 0 && canSend() ? { policy: ctx.sendPolicy, random: ctx.random() } : null;
  const completion = await persist(() => completeTurn(ctx.db, claim, result, lane));
  ctx.events.turnEnded(claim, completion.outcome === 'committed' ? result.kind : completion.outcome, {
    reason: completion.reason ?? result.reason,
    model: result.model ?? null,
    parts: completion.parts ?? 0,
  });
  if (result.forward === true) ctx.background.run('forward messages', () => tellOfMessages(ctx, claim.conversation_id));
  if (completion.outcome === 'committed') {
    if (claim.summarise) ctx.background.run('summarise', () => summarise(ctx, claim.conversation_id, signal), MOST_SUMMARIES);
    if (completion.draft === true) ctx.background.run('tell of a draft', () => tellOfDraft(ctx, claim));
    if (result.effects?.some((effect) => effect.type === 'handoff') === true)
      ctx.background.run('tell of handoffs', () => tellOfHandoffs(ctx));
    if (result.effects?.some((effect) => effect.type === 'tool_write') === true)
      ctx.background.run('tool writes', () => afterTurn(ctx, claim));
  }
  const step = after(ctx, completion, result);
  return completion.send === null ? step : { ...step, send: completion.send };
}

function after(ctx: Context, completion: TurnCompletion, result: TurnResult): TurnStep {
  const pendingMs = completion.pending_ms ?? null;
  switch (completion.outcome) {
    case 'committed':
      // It came during this turn and did not supersede it; its own wake-up may have found this turn in its way.
      return pendingMs === null ? { kind: 'done' } : { kind: 'again', delayMs: debounceLeft(pendingMs, ctx.config.turn) };
    case 'superseded':
      // The webhook that brought the newer message has its wake-up waiting. After a pause, a takeover or a lost wake-up somebody must look again,
      // but not before every debounce is over, or a burst that still goes on would be cut; after a shutdown at once.
      if (pendingMs === null) return { kind: 'done' };
      return { kind: 'again', delayMs: result.reason === SHUTDOWN ? 0 : Math.max(0, ctx.config.turn.debounceMaxMs - pendingMs) };
    case 'failed':
      return { kind: 'again', delayMs: turnRetryDelay(completion.failed_in_row ?? 1, ctx.random()) };
    case 'deferred':
      return { kind: 'again', delayMs: completion.retry_ms ?? 0 };
    case 'suppressed':
      return { kind: 'done' };
    case 'lost':
      // Another worker has it, or an earlier try of this very commit took effect.
      return { kind: 'done' };
  }
}
