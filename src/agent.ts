/**
 * The agent: the loop between the model and its tools. No SQL, no WhatsApp, no clock but the time limits; whatever the tools want is returned
 * as effects and becomes true when the turn commits.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { Breaker } from './breakers.ts';
import { wholeSentences } from './core/answer.ts';
import type { Prompt } from './core/prompt.ts';
import type { Effect, ModelCallRecord, ToolCallRecord } from './db/turns.ts';
import type { Llm, ModelFailure, ModelReply } from './llm.ts';
import type { Tool, ToolSituation } from './tools/tool.ts';

export type AgentLimits = { maxTokens: number; maxToolRounds: number; callTimeoutMs: number; turnTimeoutMs: number };

export type AgentRun = {
  llm: Llm;
  breaker: Breaker;
  limits: AgentLimits;
  model: string;
  /** Used once when the provider no longer knows `model`. */
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
} & ({ kind: 'answer'; text: string; effects: Effect[] } | { kind: 'aborted' } | { kind: 'failed'; reason: string; retryable: boolean });

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
    const reply = await callModel(run, record, messages, round < run.limits.maxToolRounds, deadline);
    if (!reply.ok) {
      if (run.signal.aborted) return outcome({ kind: 'aborted' as const });
      return outcome({ kind: 'failed' as const, reason: `model_${reply.failure.kind}`, retryable: reply.failure.retryable });
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
    return outcome({ kind: 'failed' as const, reason: 'model_empty_answer', retryable: true });
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

async function callModel(
  run: AgentRun,
  record: { model: string; modelCalls: ModelCallRecord[] },
  messages: Anthropic.MessageParam[],
  withTools: boolean,
  deadline: number,
): Promise<{ ok: true; reply: ModelReply } | { ok: false; failure: ModelFailure }> {
  const started = performance.now();
  const guarded = await run.breaker.run(
    () =>
      run.llm.call(
        {
          model: record.model,
          maxTokens: run.limits.maxTokens,
          system: [
            { type: 'text', text: run.prompt.system, ...CACHED },
            { type: 'text', text: run.prompt.situation },
          ],
          tools: run.tools.map(toolParam),
          messages: cachedToTheEnd(withTools ? messages : withoutTools(messages)),
        },
        { signal: run.signal, timeoutMs: Math.max(1, Math.min(run.limits.callTimeoutMs, deadline - performance.now())) },
      ),
    verdictOf,
  );
  if (guarded.open)
    return {
      ok: false,
      failure: { kind: 'breaker_open', retryable: true, counts: false, detail: `next probe in ${guarded.retryInMs} ms` },
    };
  const result = guarded.value;
  record.modelCalls.push(callRecord(record.model, result, performance.now() - started));
  if (!result.ok && result.failure.kind === 'model_gone' && record.model !== run.fallbackModel) {
    record.model = run.fallbackModel;
    return callModel(run, record, messages, withTools, deadline);
  }
  return result;
}

/** What a call says of the provider; one that we aborted says nothing. */
function verdictOf(result: { ok: true } | { ok: false; failure: ModelFailure }): string | null | undefined {
  if (result.ok) return null;
  if (result.failure.kind === 'aborted') return undefined;
  return result.failure.counts ? result.failure.kind : null;
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
