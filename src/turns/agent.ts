/**
 * The agent: the loop between the model and its tools. No SQL, no WhatsApp, no clock but the time limits. A tool that reads is asked here; whatever
 * the others want is returned as effects and becomes true when the turn commits.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { Breaker, Verdict } from '../breakers/shell.ts';
import { wholeSentences } from './answer.ts';
import { familyOf, settingsFor } from '../claude/models.ts';
import { cacheMiss } from '../claude/cache.ts';
import { callRecord } from '../claude/call-record.ts';
import type { ModelCallRecord } from '../claude/call-record.ts';
import type { Effort } from '../claude/models.ts';
import { decisive, MODEL_FAILURES } from '../claude/model-failure.ts';
import type { Fault, ModelFailureKind } from '../claude/model-failure.ts';
import type { Prompt } from './prompt.ts';
import { cachedToTheEnd, initialMessages, keptFiles, systemOf, toolParam } from './request.ts';
import type { Effect, ToolCallRecord } from './calls.ts';
import type { Llm, ModelFailure, ModelReply, ModelRequest } from '../claude/llm.ts';
import { faultNote } from './checks/output.ts';
import type { OutputFault } from './checks/output.ts';
import { forWhatsapp } from './checks/whatsapp-text.ts';
import type { Budget } from '../spend/budget.ts';
import type { Refusal } from '../spend/calls.ts';
import type { Tool, ToolAnswer, ToolSituation } from './tools/tool.ts';

export type AgentLimits = { maxTokens: number; effort: Effort; maxToolRounds: number; callTimeoutMs: number; turnTimeoutMs: number };

export type AgentRun = {
  llm: Llm;
  /** Of a model. */
  breaker(model: string): Pick<Breaker, 'run' | 'retryInMs'>;
  limits: AgentLimits;
  model: string;
  /** Asked when `model` does not answer and another one may: it is overloaded, or gone. */
  fallbackModel: string;
  /** Asked, in this order, when the provider knows neither of them any more. */
  spareModels: string[];
  /** What this model is given to read; null: it has declined all that is unanswered. Contract: pure, and the same for the whole turn. */
  promptFor(model: string): Prompt | null;
  /** Models that have declined some of what is unanswered, in an earlier turn: the other one is asked first, since it can read all of it. */
  declinedBy: string[];
  /** The last answer of a model in this conversation: its id at the provider, and how long ago it was. Milliseconds; null: there was none. */
  previous: { id: string; agoMs: number } | null;
  tools: Tool[];
  situation: ToolSituation;
  /**
   * What is wrong with an answer, see checks/output.ts; `prompt` is what the model has read. Null: nothing is looked for. Contract: pure.
   */
  check: ((text: string, read: { prompt: Prompt; toolCalls: readonly ToolCallRecord[] }) => readonly OutputFault[]) | null;
  /** The turn ends with the first calls of tools, whose results nobody reads: nothing is to be said. */
  endsWithCalls?: boolean;
  /** Asked before each call; null: there is no ceiling of money. */
  budget: Budget | null;
  /** Aborts the call that is under way: nothing has happened yet, so nothing is lost. */
  signal: AbortSignal;
};

export type AgentOutcome = {
  model: string;
  toolCalls: ToolCallRecord[];
  modelCalls: ModelCallRecord[];
  transcript: Anthropic.MessageParam[];
  /** The id that the provider gave the last answer; null: there was none. */
  answerId: string | null;
  /** What came of the check: `ok`, `repaired` (its writing), `again:RULES` (its first words had faults), `refused:RULES`; null: nothing was checked. */
  verdict: string | null;
} & (
  | { kind: 'answer'; text: string; effects: Effect[] }
  | { kind: 'aborted' }
  /** The words were declined, and no other model answers them. What a tool was asked for before that is what the contact wants all the same. */
  | { kind: 'declined'; effects: Effect[] }
  /** A ceiling of money has no room for a call that the turn needs. `effects`: as of `declined`. */
  | { kind: 'spent'; ceiling: Exclude<Refusal, 'lost'>; effects: Effect[] }
  /** Its words had faults, and once more they had: nothing of them is said. `effects`: as of `declined`. */
  | { kind: 'unfit'; effects: Effect[] }
  /** `fault` says what becomes of the turn. `retryInMs`: no model may be asked sooner. */
  | { kind: 'failed'; reason: string; fault: Fault; retryInMs: number }
);

/** Contract: throws only what `budget` throws; ends within `limits.turnTimeoutMs`. */
export async function runAgent(run: AgentRun): Promise<AgentOutcome> {
  const deadline = performance.now() + run.limits.turnTimeoutMs;
  const work: Work = {
    model: run.model,
    toolCalls: [],
    modelCalls: [],
    rounds: [],
    refusedBy: [],
    ceiling: null,
    answerId: null,
    verdict: null,
    prompt: null,
  };
  const effects: Effect[] = [];
  const said: string[] = [];
  const outcome = <T extends object>(end: T) => {
    const { rounds, refusedBy: _, ceiling: __, prompt: ___, ...record } = work;
    return { ...record, transcript: rounds, ...end };
  };
  const failed = (kind: ModelFailureKind, retryInMs = 0) =>
    outcome({ kind: 'failed' as const, reason: `model_${kind}`, fault: faultIn(work, kind), retryInMs });

  let round = 0;
  let again = 0;
  let hasCalls = false;
  for (;;) {
    // The last round must end in words: the model may call nothing more.
    const isLast = round === run.limits.maxToolRounds;
    const answer = await ask(run, work, { again, isLast, deadline });
    if (!answer.ok) {
      if (run.signal.aborted) return outcome({ kind: 'aborted' as const });
      const wanted = effects.filter(({ type }) => type === 'handoff' || type === 'opt_out');
      if (answer.failure.kind === 'spend_ceiling' && work.ceiling !== null)
        return outcome({ kind: 'spent' as const, ceiling: work.ceiling, effects: wanted });
      if (answer.failure.kind !== 'refusal') return failed(answer.failure.kind, answer.retryInMs);
      return outcome({ kind: 'declined' as const, effects: wanted });
    }
    const { content } = answer.reply;
    const end = endOf(answer.reply);
    if (end === 'no_room' && again < MOST_AGAIN) {
      again += 1;
      continue;
    }
    work.rounds.push({ role: 'assistant', content });
    hasCalls = callsOf(content).length > 0;
    for (const words of wordsOf(content)) said.push(end === 'words' || end === 'calls' ? words : wholeSentences(words));
    if (end !== 'calls' || isLast) break;
    work.rounds.push({ role: 'user', content: await runTools(run, callsOf(content), { records: work.toolCalls, effects, deadline }) });
    if (run.endsWithCalls === true) break;
    round += 1;
  }

  // What was said beside a tool call is said to the contact too; the same words twice are one.
  const text = said.filter((each, index) => said.indexOf(each) === index).join('\n\n');
  if (text === '' && run.endsWithCalls !== true && !effects.some((effect) => effect.type === 'react' || effect.type === 'handoff'))
    return failed('empty_answer');
  const fit = text === '' ? text : await fitWords(run, work, { text, hasCalls, deadline });
  if (fit !== null) return outcome({ kind: 'answer' as const, text: fit, effects });
  if (run.signal.aborted) return outcome({ kind: 'aborted' as const });
  return outcome({ kind: 'unfit' as const, effects: effects.filter(({ type }) => type === 'handoff' || type === 'opt_out') });
}

/** The words as they may be said: as they are, or written once more after their faults were named. Null: they may not, or the turn was broken off. */
async function fitWords(
  run: AgentRun,
  work: Work,
  { text, hasCalls, deadline }: { text: string; hasCalls: boolean; deadline: number },
): Promise<string | null> {
  const { prompt } = work;
  if (run.check === null || prompt === null) return text;
  const first = forWhatsapp(text);
  const faults = run.check(first, { prompt, toolCalls: work.toolCalls });
  work.verdict = first === text.trim() ? 'ok' : 'repaired';
  if (faults.length === 0) return first;
  work.verdict = `refused:${rulesOf(faults)}`;
  // words beside a call that was not carried out cannot be asked for again
  if (hasCalls) return null;
  work.rounds.push({ role: 'user', content: [{ type: 'text', text: faultNote(faults) }] });
  const second = await ask(run, work, { again: 0, isLast: true, deadline });
  if (!second.ok) return null;
  work.rounds.push({ role: 'assistant', content: second.reply.content });
  const words = forWhatsapp(wordsOf(second.reply.content).join('\n\n'));
  const isWhole = endOf(second.reply) === 'words' && words !== '';
  const left = isWhole ? run.check(words, { prompt, toolCalls: work.toolCalls }) : faults;
  work.verdict = left.length > 0 ? `refused:${rulesOf([...faults, ...left])}` : `again:${rulesOf(faults)}`;
  return left.length > 0 ? null : words;
}

function rulesOf(faults: readonly OutputFault[]): string {
  return [...new Set(faults.map(({ rule }) => rule))].join(',');
}

/** What a turn has come to. `rounds`: answers of the model as they came, and results of tools. */
type Work = {
  model: string;
  toolCalls: ToolCallRecord[];
  modelCalls: ModelCallRecord[];
  rounds: Anthropic.MessageParam[];
  /** They are not asked with these words again. */
  refusedBy: string[];
  /** Which ceiling of money had no room for a call. */
  ceiling: Exclude<Refusal, 'lost'> | null;
  answerId: string | null;
  verdict: string | null;
  /** What the last answer was written from. */
  prompt: Prompt | null;
};

/** So often an answer is asked for again with more room, in one turn. */
const MOST_AGAIN = 2;

/** `no_room`: it ended in thinking, or in the middle of a tool call. `cut`: its words end in the middle. */
type End = 'words' | 'calls' | 'cut' | 'no_room' | 'refusal' | 'context_exceeded';

function endOf({ stopReason, content }: ModelReply): End {
  // Of a call that was cut the input is not whole, and words before it are no answer yet.
  const isAnswer = wordsOf(content).length > 0 && callsOf(content).length === 0;
  switch (stopReason) {
    case 'tool_use':
      return 'calls';
    case 'max_tokens':
      return isAnswer ? 'cut' : 'no_room';
    case 'model_context_window_exceeded':
      return isAnswer ? 'cut' : 'context_exceeded';
    case 'refusal':
      return 'refusal';
    case 'end_turn':
    case 'stop_sequence':
    case 'pause_turn': // the loop of a tool that runs at the provider; this product offers none
    case null:
    default: // a reason of a later version of the API
      return 'words';
  }
}

/** An answer that cites comes in pieces, which belong together as they stand. */
function wordsOf(content: Anthropic.ContentBlock[]): string[] {
  const said: string[] = [];
  let isText = false;
  for (const block of content) {
    if (block.type === 'text') said.push((isText ? (said.pop() ?? '') : '') + block.text);
    isText = block.type === 'text';
  }
  return said.map((words) => words.trim()).filter((words) => words !== '');
}

function callsOf(content: Anthropic.ContentBlock[]): Anthropic.ToolUseBlock[] {
  return content.filter((block) => block.type === 'tool_use');
}

/** A model that has answered in this turn, only not in time to the end of it, is there: the turn asks too much of it. */
function faultIn({ modelCalls }: Work, kind: ModelFailureKind): Fault {
  const answered = modelCalls.some(({ outcome }) => !Object.hasOwn(MODEL_FAILURES, outcome));
  return kind === 'timeout' && answered ? 'answer' : MODEL_FAILURES[kind].fault;
}

type Asked = { ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure };
type Question = { again: number; isLast: boolean; deadline: number };

/** One answer of the model, or of the other one when that may know better. The model that answers goes on with the turn. */
async function ask(
  run: AgentRun,
  work: Work,
  question: Question,
): Promise<{ ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure; retryInMs: number }> {
  const failures: { model: string; failure: ModelFailure }[] = [];
  const configured = candidates(run, work, [run.model, run.fallbackModel]);
  const spare = candidates(run, work, run.spareModels).filter(({ model }) => configured.every((each) => each.model !== model));
  for (const { model, prompt } of [...configured, ...spare]) {
    // Only names that nobody knows any more are replaced.
    const areGone = failures.length > 0 && failures.every(({ failure }) => failure.kind === 'model_gone');
    if (!areGone && spare.some((each) => each.model === model)) break;
    const answer = await callModel(run, work, { model, prompt }, question);
    if (answer.ok) {
      goOnWith(work, model);
      work.prompt = prompt;
      return answer;
    }
    failures.push({ model, failure: answer.failure });
    if (run.signal.aborted || !MODEL_FAILURES[answer.failure.kind].other) break;
  }
  const [first, ...others] = failures.map(({ failure }) => failure);
  if (first === undefined)
    return { ok: false, failure: { kind: 'refusal', detail: 'each model has declined these words', restMs: 0 }, retryInMs: 0 };
  const failure = others.reduce((known, each) => decisive(known, each), first);
  return { ok: false, failure, retryInMs: retryInMs(run, failures, failure) };
}

/** Until one of those may be asked again that may know better then: a model that has declined, or does not exist, does not. */
function retryInMs(run: AgentRun, failures: { model: string; failure: ModelFailure }[], decisiveOne: ModelFailure): number {
  const { fault } = MODEL_FAILURES[decisiveOne.kind];
  const waiting = failures.filter(({ failure }) => MODEL_FAILURES[failure.kind].fault === fault);
  return Math.min(...waiting.map(({ model }) => run.breaker(model).retryInMs()));
}

/** Which models may be asked, in this order: the one that has begun the turn, then the other one. One that has declined nothing of what is unanswered comes first. */
function candidates(run: AgentRun, work: Work, models: string[]): { model: string; prompt: Prompt }[] {
  const ordered = models.includes(work.model) ? [work.model, ...models] : models;
  const able = [...new Set(ordered)].flatMap((model) => {
    const prompt = work.refusedBy.includes(model) ? null : run.promptFor(model);
    return prompt === null ? [] : [{ model, prompt }];
  });
  if (work.rounds.length > 0) return able;
  return able.toSorted((a, b) => Number(run.declinedBy.includes(a.model)) - Number(run.declinedBy.includes(b.model)));
}

/** Thoughts belong to the model that had them: another one refuses a request that brings them. */
function goOnWith(work: Work, model: string): void {
  if (work.model !== model) work.rounds = work.rounds.map(withoutThoughts);
  work.model = model;
}

function withoutThoughts(message: Anthropic.MessageParam): Anthropic.MessageParam {
  if (message.role !== 'assistant' || typeof message.content === 'string') return message;
  return { ...message, content: message.content.filter(({ type }) => type !== 'thinking' && type !== 'redacted_thinking') };
}

/** A call that had less time than this proves nothing of the model when it ends as a timeout. Milliseconds. */
const FAIR_MS = 10_000;

async function callModel(
  run: AgentRun,
  work: Work,
  { model, prompt }: { model: string; prompt: Prompt },
  { again, isLast, deadline }: Question,
): Promise<Asked> {
  const started = performance.now();
  const { callTimeoutMs, maxTokens: answerTokens, effort } = run.limits;
  const timeoutMs = Math.min(callTimeoutMs, deadline - started);
  if (timeoutMs < 1) return { ok: false, failure: { kind: 'timeout', detail: 'no time is left for this turn', restMs: 0 } };
  const isFair = timeoutMs >= Math.min(FAIR_MS, callTimeoutMs);
  const rounds = model === work.model ? work.rounds : work.rounds.map(withoutThoughts);
  const request: ModelRequest = {
    model,
    settings: settingsFor(model, { answerTokens, effort, again }),
    system: systemOf(prompt),
    tools: run.tools.map(toolParam),
    wordsOnly: isLast,
    messages: [...initialMessages(prompt, model), ...cachedToTheEnd(rounds)],
    fileTokens: [...keptFiles(prompt, model)].reduce((sum, { tokens }) => sum + tokens, 0),
    // asked of models that are known to take the field only
    ...(familyOf(model) === null ? {} : { previousId: work.answerId ?? run.previous?.id ?? null }),
  };
  const breaker = run.breaker(model);
  // who is not asked reserves nothing
  const taken = breaker.retryInMs() > 0 ? null : ((await run.budget?.take({ ...request, maxTokens: request.settings.maxTokens })) ?? null);
  if (taken !== null && taken.refused !== null) {
    if (taken.refused === 'lost') return { ok: false, failure: { kind: 'aborted', detail: 'the turn is lost', restMs: 0 } };
    work.ceiling = taken.refused;
    return { ok: false, failure: { kind: 'spend_ceiling', detail: taken.refused, restMs: 0 } };
  }
  const guarded = await breaker.run(
    () => run.llm.call(request, { signal: run.signal, timeoutMs }),
    (result) => verdictOf(result, isFair),
  );
  if (guarded.open)
    return { ok: false, failure: { kind: 'breaker_open', detail: `next probe in ${guarded.retryInMs} ms`, restMs: guarded.retryInMs } };
  const result = guarded.value;
  const isFirst = work.answerId === null && run.previous === null;
  const agoMs = work.answerId === null ? (run.previous?.agoMs ?? 0) : 0;
  const miss = result.ok ? cacheMiss(result.reply, { isFirst, agoMs }) : null;
  const record = callRecord(model, result, { ms: performance.now() - started, miss, worstUsd: taken?.worstUsd ?? null });
  run.budget?.paid(record.cost_usd ?? 0);
  work.modelCalls.push(record);
  if (result.ok) work.answerId = result.reply.id;
  return result.ok ? judged(work, model, result.reply) : result;
}

/** An answer that is none, as the failure that it is. What a model has said before it declined is not used. */
function judged(work: Work, model: string, reply: ModelReply): Asked {
  const end = endOf(reply);
  if (end === 'refusal') work.refusedBy.push(model);
  return end === 'refusal' || end === 'context_exceeded'
    ? { ok: false, failure: { kind: end, detail: '', restMs: 0 } }
    : { ok: true, reply };
}

/** What a call says of the model; one that we aborted, or gave too little time, says nothing. */
function verdictOf(result: Asked, isFair: boolean): Verdict {
  if (result.ok) return null;
  const { kind, restMs } = result.failure;
  if (kind === 'aborted' || (kind === 'timeout' && !isFair)) return undefined;
  return MODEL_FAILURES[kind].counts ? { reason: kind, restMs } : null;
}

type ToolWork = { records: ToolCallRecord[]; effects: Effect[]; deadline: number };

/** One after the other, in the order in which the model asked: a lookup may take time, and the turn's own time bounds them all. */
async function runTools(run: AgentRun, calls: Anthropic.ToolUseBlock[], work: ToolWork): Promise<Anthropic.ToolResultBlockParam[]> {
  const leftMs = Math.max(0, Math.floor(work.deadline - performance.now()));
  const signal = AbortSignal.any([run.signal, AbortSignal.timeout(leftMs)]);
  const results: Anthropic.ToolResultBlockParam[] = [];
  for (const call of calls) {
    const started = performance.now();
    const answer = await answerOf(run, call, work.effects, signal);
    const { ok, output } = answer;
    work.records.push({ ...answer, name: call.name, input: call.input ?? {}, ms: Math.round(performance.now() - started) });
    results.push({ type: 'tool_result', tool_use_id: call.id, content: output, ...(ok ? {} : { is_error: true }) });
  }
  return results;
}

async function answerOf(run: AgentRun, call: Anthropic.ToolUseBlock, effects: Effect[], signal: AbortSignal): Promise<ToolAnswer> {
  const tool = run.tools.find((each) => each.name === call.name);
  if (!tool) return { ok: false, output: `A ferramenta ${call.name} não existe.` };
  const input = tool.input.safeParse(call.input);
  if (!input.success) return { ok: false, output: `Entrada inválida: ${z.prettifyError(input.error)}` };
  if ('lookup' in tool) return tool.lookup(input.data, run.situation, signal);
  const { ok, output, effect } = tool.effect(input.data, run.situation);
  // Asked for twice in a turn, it happens once.
  if (effect !== null && !effects.some((each) => JSON.stringify(each) === JSON.stringify(effect))) effects.push(effect);
  return { ok, output };
}
