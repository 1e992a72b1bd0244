/** An answer of a version of an agent's words to one text, without a conversation: nothing is stored, sent or remembered, and what a tool would do is only told. */
import type { Claude } from '../config/features.ts';
import { DEFAULT_COMPLEX_MODEL, DEFAULT_MODEL } from '../claude/models.ts';
import type { Llm } from '../claude/llm.ts';
import type { Known } from '../knowledge/knowledge.ts';
import { runAgent } from './agent.ts';
import type { AgentVersion, Effect, PromptDirective } from './calls.ts';
import { buildPrompt, general } from './prompt.ts';
import { promptHash } from './prefix.ts';
import { TOOLS } from './tools/all.ts';

export type Trial = {
  llm: Llm;
  claude: Claude;
  agent: Omit<AgentVersion, 'id'>;
  company: string | null;
  /** What the company knows of what is asked. */
  known: Known;
  /** What the team tells it, to all contacts. */
  directives: readonly PromptDirective[];
  text: string;
  now: Date;
  timeZone: string;
};

export type Tried = {
  answer: string | null;
  /** Why there is none. */
  failed: string | null;
  /** What would become true with the answer. */
  effects: Effect[];
  model: string;
  calls: number;
  ms: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  /** Of the calls that have a price; null: none has. */
  cost_usd: number | null;
  /** Calls without a price. */
  unpriced: number;
  prompt_hash: string;
};

/** Contract: never throws, ends within LLM_TURN_TIMEOUT_SECONDS. It costs what an answer costs. */
export async function tryVersion({ llm, claude, agent, company, known, directives, text, now, timeZone }: Trial): Promise<Tried> {
  const own = { ...agent, id: 0 };
  const model = agent.model ?? claude.model;
  const at = new Date(now);
  const message = { id: 1, direction: 'in', author: 'contact', type: 'text', text, typed: text, at, quoted_text: null } as const;
  const outcome = await runAgent({
    llm,
    breaker: () => ({ run: async (action) => ({ open: false, value: await action() }), retryInMs: () => 0 }),
    limits: {
      maxTokens: claude.maxTokens,
      effort: claude.effort,
      maxToolRounds: claude.maxToolRounds,
      callTimeoutMs: claude.callTimeoutSeconds * 1000,
      turnTimeoutMs: claude.turnTimeoutSeconds * 1000,
    },
    model,
    fallbackModel: claude.complexModel,
    spareModels: [DEFAULT_MODEL, DEFAULT_COMPLEX_MODEL],
    promptFor: (name) =>
      buildPrompt({
        model: name,
        agent: own,
        company,
        known,
        directives,
        contactName: null,
        memory: [],
        history: [],
        pending: [message],
        now,
        timeZone,
      }),
    previous: null,
    budget: null,
    check: null,
    declinedBy: [],
    tools: TOOLS.filter((tool) => agent.tools.includes(tool.name)),
    situation: { pending: [{ id: 1, type: 'text' }], now, timeZone },
    signal: new AbortController().signal,
  });
  const unpriced = outcome.modelCalls.filter(({ cost_usd: usd }) => usd === null).length;
  const sum = (of: (call: (typeof outcome.modelCalls)[number]) => number): number =>
    outcome.modelCalls.reduce((all, call) => all + of(call), 0);
  return {
    answer: outcome.kind === 'answer' ? outcome.text : null,
    failed: outcome.kind === 'answer' ? null : outcome.kind === 'failed' ? outcome.reason : outcome.kind,
    effects: outcome.kind === 'answer' || outcome.kind === 'declined' ? outcome.effects : [],
    model: outcome.model,
    calls: outcome.modelCalls.length,
    ms: sum((call) => call.ms),
    input_tokens: sum((call) => call.input_tokens),
    output_tokens: sum((call) => call.output_tokens),
    cache_read_tokens: sum((call) => call.cache_read_tokens),
    cache_write_tokens: sum((call) => call.cache_write_tokens),
    cost_usd: unpriced > 0 && unpriced === outcome.modelCalls.length ? null : sum((call) => call.cost_usd ?? 0),
    unpriced,
    prompt_hash: promptHash(own, company, general(directives)),
  };
}
