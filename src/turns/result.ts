/** What a turn ends with, made of what the agent came to. Nothing of it is true before the commit. */
import type { Context } from '../context.ts';
import { claimsToBeHuman, honestAnswer } from '../inbox/bot-suspicion-words.ts';
import type { Refusal } from '../spend/calls.ts';
import type { SentenceName, Sentences } from '../words/sentences.ts';
import type { AgentOutcome } from './agent.ts';
import { splitAnswer, typingTimes } from './answer.ts';
import { nowOf } from './calls.ts';
import type { Effect, Part, TurnClaim, TurnResult } from './calls.ts';
import { putOff } from './decide.ts';
import { promptHash } from './prefix.ts';
import { general } from './prompt.ts';

/** Such a turn does not count as superseded by the contact; complete_turn knows the word. */
export const SHUTDOWN = 'shutdown';

/** What the agent came to, as the turn's result. It counts the calls and the verdict, so it is called once for each run of the agent. */
export function resultOf(ctx: Context, claim: TurnClaim, outcome: AgentOutcome, signal: AbortSignal, say: Sentences): TurnResult {
  for (const call of outcome.modelCalls) ctx.events.modelUsed(claim, call);
  if (outcome.verdict !== null) ctx.events.answerChecked(claim, outcome.verdict);
  const record = {
    model: outcome.model,
    model_calls: outcome.modelCalls,
    tool_calls: outcome.toolCalls,
    transcript: outcome.transcript,
    answer_id: outcome.answerId,
    verdict: outcome.verdict,
    ...(claim.agent === null
      ? {}
      : {
          agent_id: claim.agent.id,
          prompt_hash: promptHash(claim.agent, claim.agent.company ?? ctx.config.app.company, general(claim.directives)),
        }),
  };
  switch (outcome.kind) {
    case 'answer': {
      const handsOver = outcome.effects.some((effect) => effect.type === 'handoff');
      const said = outcome.text === '' && handsOver ? say.handoff : outcome.text;
      const text = asksForIdentity(claim) ? honestAnswer(said, say.honest, say.person_offered) : claimsToBeHuman(said) ? say.honest : said;
      return {
        ...record,
        kind: 'answer',
        reason: null,
        effects: outcome.effects,
        parts: partsOf(ctx, claim, text, handsOver ? 'handoff' : 'reply'),
      };
    }
    case 'aborted':
      return { ...record, kind: 'aborted', reason: signal.aborted ? SHUTDOWN : 'answer_not_wanted' };
    case 'declined': {
      // The contact hears it once and is answered again with its next words; a person is told, and may say more.
      const { effects } = outcome;
      const isHandoff = effects.some((effect) => effect.type === 'handoff');
      return {
        ...record,
        kind: 'answer',
        reason: 'declined',
        effects: isHandoff ? effects : [...effects, needsPerson('declined', false)],
        parts: partsOf(ctx, claim, say.declined, isHandoff ? 'handoff' : 'reply'),
      };
    }
    case 'unfit': {
      const isHandoff = outcome.effects.some((effect) => effect.type === 'handoff');
      return {
        ...record,
        kind: 'handoff',
        reason: 'answer_unfit',
        effects: isHandoff ? outcome.effects : [...outcome.effects, needsPerson('answer_unfit', true)],
        parts: partsOf(ctx, claim, say.fallback, 'handoff'),
      };
    }
    case 'spent': {
      const person = outcome.effects.some((effect) => effect.type === 'handoff');
      const result = spent(ctx, claim, { ceiling: outcome.ceiling, told: false }, say);
      return { ...record, ...result, effects: person ? outcome.effects : [...outcome.effects, ...(result.effects ?? [])] };
    }
    case 'failed':
      return failureOf(ctx, claim, outcome, record, say);
  }
}

function failureOf(
  ctx: Context,
  claim: TurnClaim,
  { reason, fault, retryInMs }: Extract<AgentOutcome, { kind: 'failed' }>,
  record: Partial<TurnResult>,
  say: Sentences,
): TurnResult {
  switch (fault) {
    case 'nobody':
    case 'configuration':
      return { ...record, kind: 'deferred', reason, apology: say.outage, ...putOff(claim, { fault, retryInMs }, ctx.random()) };
    case 'answer':
      return { ...record, kind: 'failed', reason };
    case 'money': // told as `spent`
    case 'request':
      return {
        ...record,
        kind: 'handoff',
        reason,
        effects: [needsPerson(reason, true)],
        parts: partsOf(ctx, claim, say.fallback, 'handoff'),
      };
  }
}

const SPENT: Readonly<Record<Exclude<Refusal, 'lost'>, { reason: string; say: SentenceName }>> = {
  contact_day: { reason: 'spend_contact_day', say: 'enough' },
  day: { reason: 'spend_day', say: 'fallback' },
  month: { reason: 'spend_month', say: 'fallback' },
  unpriced: { reason: 'spend_unpriced', say: 'fallback' },
};

/** A ceiling of money has no room: the contact hears one sentence within a day, then people go on. It is theirs only until there is room again. */
export function spent(
  ctx: Context,
  claim: TurnClaim,
  { ceiling, told }: { ceiling: keyof typeof SPENT; told: boolean },
  say: Sentences,
): TurnResult {
  const { reason, say: name } = SPENT[ceiling];
  const effects = [needsPerson(reason, false)];
  if (told) return { kind: 'handoff', reason, effects, forward: true };
  return { kind: 'answer', reason, effects, parts: partsOf(ctx, claim, say[name], 'reply') };
}

/** A person has this conversation. Who took it over by hand is told of it like after any handoff; what comes then is forwarded while nobody is at the phone. */
export function leave(claim: TurnClaim, reason: 'human' | 'takeover' | 'manual'): TurnResult {
  const first = reason === 'human' && claim.open_handoff === null;
  return {
    kind: 'handoff',
    reason,
    forward: !first && !claim.attended,
    effects: first ? [needsPerson(claim.escalation_reason ?? reason, true)] : [],
  };
}

/** `controls`: the conversation is the person's from then on; otherwise it is only listed. */
export function needsPerson(reason: string, controls: boolean): Effect {
  return { type: 'handoff', reason, summary: null, controls };
}

/** The answer as WhatsApp messages. What the contact has waited already counts against the first typing time. */
export function partsOf(ctx: Context, claim: TurnClaim, text: string, kind: Part['kind']): Part[] {
  const parts = splitAnswer(text);
  const newest = Math.max(...claim.pending.map((message) => message.created_at.getTime()));
  const times = ctx.config.turn.humanDelay ? typingTimes(parts, Math.max(0, nowOf(claim) - newest), ctx.random()) : [];
  return parts.map((part, index) => ({ text: part, typing_ms: times[index] ?? 0, kind }));
}

/** The contact asks whether this is a robot. */
export function asksForIdentity(claim: TurnClaim): boolean {
  return claim.pending.some((message) => message.intent === 'bot_question');
}
