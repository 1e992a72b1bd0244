/**
 * The agent: the loop between the model and its tools. No SQL, no WhatsApp, no clock but the time limits; whatever the tools want is returned
 * as effects and becomes true when the turn commits.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { Breaker, Verdict } from './breakers.ts';
import { wholeSentences } from './core/answer.ts';
import { decisive, MODEL_FAILURES } from './core/model-failure.ts';
import type { Fault } from './core/model-failure.ts';
import type { Prompt } from './core/prompt.ts';
import type { Effect, ModelCallRecord, ToolCallRecord } from './db/turns.ts';
import type { Llm, ModelFailure, ModelReply } from './llm.ts';
import type { Tool, ToolSituation } from './tools/tool.ts';

export type AgentLimits = { maxTokens: number; maxToolRounds: number; callTimeoutMs: number; turnTimeoutMs: number };

export type AgentRun = {
  llm: Llm;
  /** Of a model. */
  breaker(model: string): Breaker;
  limits: AgentLimits;
  model: string;
  /** Asked when `model` does not answer and another one may: it is overloaded, or gone. */
  fallbackModel: string;
  prompt: Prompt;
  tools: Tool[];
  situation: ToolSituation;
  /** Aborts the call that is under way: nothing has happened yet, so nothing is lost. */
  signal: AbortSignal;
};

export type AgentOutcome = {
  model: string;
  toolCalls: ToolCallRecord[];
  modelCalls: ModelCallRecord[];
  transcript: Anthropic.MessageParam[];
} & (
  | { kind: 'answer'; text: string; effects: Effect[] }
  | { kind: 'aborted' }
  /** `fault` says what becomes of the turn. `retryInMs`: no model may be asked sooner. */
  | { kind: 'failed'; reason: string; fault: Fault; retryInMs: number }
);

/** Contract: never throws, ends within `limits.turnTimeoutMs`. */
export async function runAgent(run: AgentRun): Promise<AgentOutcome> {
  const deadline = performance.now() + run.limits.turnTimeoutMs;
  const messages = initialMessages(run.prompt);
  const known = messages.length;
  const record = { model: run.model, toolCalls: [] as ToolCallRecord[], modelCalls: [] as ModelCallRecord[] };
  const effects: Effect[] = [];
  const said: string[] = [];
  const outcome = <T extends object>(end: T) => ({ ...record, transcript: messages.slice(known), ...end });

  // The last round must end in words: what it still calls is not run.
  for (let round = 0; round <= run.limits.maxToolRounds; round++) {
    const reply = await ask(run, record, messages, round < run.limits.maxToolRounds, deadline);
    if (!reply.ok) {
      if (run.signal.aborted) return outcome({ kind: 'aborted' as const });
      const { kind } = reply.failure;
      return outcome({ kind: 'failed' as const, reason: `model_${kind}`, fault: MODEL_FAILURES[kind].fault, retryInMs: retryInMs(run) });
    }
    messages.push({ role: 'assistant', content: reply.reply.content });
    for (const block of reply.reply.content) {
      const words = block.type === 'text' ? block.text.trim() : '';
      if (words !== '') said.push(reply.reply.stopReason === 'max_tokens' ? wholeSentences(words) : words);
    }
    const calls = reply.reply.content.filter((block) => block.type === 'tool_use');
    if (calls.length === 0 || reply.reply.stopReason !== 'tool_use' || round === run.limits.maxToolRounds) break;
    messages.push({ role: 'user', content: calls.map((call) => runTool(run, call, record.toolCalls, effects)) });
  }

  // What was said beside a tool call is said to the contact too; the same words twice are one.
  const text = said.filter((each, index) => said.indexOf(each) === index).join('\n\n');
  if (text === '' && !effects.some((effect) => effect.type === 'react' || effect.type === 'handoff')) {
    return outcome({ kind: 'failed' as const, reason: 'model_empty_answer', fault: MODEL_FAILURES.empty_answer.fault, retryInMs: 0 });
  }
  return outcome({ kind: 'answer' as const, text, effects });
}

/** Three breakpoints: after the system text, after the history, and at the end (for the rounds of this turn). */
const CACHED = { cache_control: { type: 'ephemeral' } } as const;

function initialMessages(prompt: Prompt): Anthropic.MessageParam[] {
  return prompt.messages.map((message, index) => ({
    role: message.role,
    content: message.texts.map((text, at): Anthropic.TextBlockParam => ({
      type: 'text',
      // The provider refuses blank text; a reaction that was taken back may leave none.
      text: text.trim() === '' ? '[mensagem vazia]' : text,
      ...(prompt.stable?.message === index && prompt.stable.text === at ? CACHED : {}),
    })),
  }));
}

function cachedToTheEnd(messages: Anthropic.MessageParam[]): Anthropic.MessageParam[] {
  const last = messages.at(-1);
  if (last?.role !== 'user' || typeof last.content === 'string') return messages;
  const content = last.content.map((block, index) => (index === last.content.length - 1 ? { ...block, ...CACHED } : block));
  return [...messages.slice(0, -1), { role: 'user', content }];
}

type Asked = { ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure };
type Calls = { model: string; modelCalls: ModelCallRecord[] };

/** One answer of the model, or of the other one when that may know better. Whoever answers goes on with the turn. */
async function ask(run: AgentRun, record: Calls, messages: Anthropic.MessageParam[], withTools: boolean, deadline: number): Promise<Asked> {
  const first = await callModel(run, record.model, record, messages, withTools, deadline);
  const other = record.model === run.model ? run.fallbackModel : run.model;
  if (first.ok || run.signal.aborted || other === record.model || !MODEL_FAILURES[first.failure.kind].other) return first;
  const second = await callModel(run, other, record, messages, withTools, deadline);
  if (!second.ok) return { ok: false, failure: decisive(first.failure, second.failure) };
  record.model = other;
  return second;
}

/** Until one of the models may be asked again. */
function retryInMs(run: AgentRun): number {
  return Math.min(...[run.model, run.fallbackModel].map((model) => run.breaker(model).retryInMs()));
}

/** A call that had less time than this proves nothing of the model when it ends as a timeout. Milliseconds. */
const FAIR_MS = 10_000;

async function callModel(
  run: AgentRun,
  model: string,
  record: Calls,
  messages: Anthropic.MessageParam[],
  withTools: boolean,
  deadline: number,
): Promise<Asked> {
  const started = performance.now();
  const timeoutMs = Math.min(run.limits.callTimeoutMs, deadline - started);
  if (timeoutMs < 1) return { ok: false, failure: { kind: 'timeout', detail: 'no time is left for this turn', restMs: 0 } };
  const isFair = timeoutMs >= Math.min(FAIR_MS, run.limits.callTimeoutMs);
  const guarded = await run.breaker(model).run(
    () =>
      run.llm.call(
        {
          model,
          maxTokens: run.limits.maxTokens,
          system: [
            { type: 'text', text: run.prompt.system, ...CACHED },
            { type: 'text', text: run.prompt.situation },
          ],
          tools: run.tools.map(toolParam),
          messages: cachedToTheEnd(withTools ? messages : withoutTools(messages)),
        },
        { signal: run.signal, timeoutMs },
      ),
    (result) => verdictOf(result, isFair),
  );
  if (guarded.open)
    return { ok: false, failure: { kind: 'breaker_open', detail: `next probe in ${guarded.retryInMs} ms`, restMs: guarded.retryInMs } };
  const result = guarded.value;
  record.modelCalls.push(callRecord(model, result, performance.now() - started));
  return result;
}

/** What a call says of the model; one that we aborted, or gave too little time, says nothing. */
function verdictOf(result: Asked, isFair: boolean): Verdict {
  if (result.ok) return null;
  const { kind, restMs } = result.failure;
  if (kind === 'aborted' || (kind === 'timeout' && !isFair)) return undefined;
  return MODEL_FAILURES[kind].counts ? { reason: kind, restMs } : null;
}

/** The transcript may hold tool calls, so the tools stay listed; these words end the round trip. */
function withoutTools(messages: Anthropic.MessageParam[]): Anthropic.MessageParam[] {
  const last = messages.at(-1);
  if (last?.role !== 'user' || typeof last.content === 'string') return messages;
  return [
    ...messages.slice(0, -1),
    { ...last, content: [...last.content, { type: 'text', text: '[sistema: responda agora ao cliente, sem usar mais ferramentas]' }] },
  ];
}

/** What the model is told of a tool; a tool never changes, and the schema takes a while to write out. */
const toolParams = new WeakMap<Tool, Anthropic.Tool>();

function toolParam(tool: Tool): Anthropic.Tool {
  const known = toolParams.get(tool);
  if (known) return known;
  const { $schema: _, ...schema } = z.toJSONSchema(tool.input);
  const made = { name: tool.name, description: tool.description, input_schema: schema as Anthropic.Tool.InputSchema };
  toolParams.set(tool, made);
  return made;
}

function runTool(
  run: AgentRun,
  call: Anthropic.ToolUseBlock,
  records: ToolCallRecord[],
  effects: Effect[],
): Anthropic.ToolResultBlockParam {
  const started = performance.now();
  const result = answerOf(run, call, effects);
  records.push({
    name: call.name,
    input: call.input ?? {},
    output: result.output,
    ok: result.ok,
    ms: Math.round(performance.now() - started),
  });
  return { type: 'tool_result', tool_use_id: call.id, content: result.output, ...(result.ok ? {} : { is_error: true }) };
}

function answerOf(run: AgentRun, call: Anthropic.ToolUseBlock, effects: Effect[]): { ok: boolean; output: string } {
  const tool = run.tools.find((each) => each.name === call.name);
  if (!tool) return { ok: false, output: `A ferramenta ${call.name} não existe.` };
  const input = tool.input.safeParse(call.input);
  if (!input.success) return { ok: false, output: `Entrada inválida: ${z.prettifyError(input.error)}` };
  const { ok, output, effect } = tool.execute(input.data, run.situation);
  // Asked for twice in a turn, it happens once.
  if (effect !== null && !effects.some((each) => JSON.stringify(each) === JSON.stringify(effect))) effects.push(effect);
  return { ok, output };
}

function callRecord(
  model: string,
  result: { ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure },
  ms: number,
): ModelCallRecord {
  const usage = result.ok ? result.reply.usage : { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  return {
    model,
    outcome: result.ok ? (result.reply.stopReason ?? 'ok') : result.failure.kind,
    ms: Math.round(ms),
    input_tokens: usage.input,
    output_tokens: usage.output,
    cache_read_tokens: usage.cacheRead,
    cache_write_tokens: usage.cacheWrite,
    cost_usd: result.ok ? result.reply.costUsd : 0,
  };
}
