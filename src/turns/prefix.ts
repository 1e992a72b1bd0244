/** How long that is which every conversation of an agent begins with, and for which of its models it is too short to be cached. */
import { createHash } from 'node:crypto';
import { estimateTokens, familyOf } from '../claude/models.ts';
import { toolParam } from './request.ts';
import { systemText } from './system-texts.ts';
import type { PromptAgent } from './system-texts.ts';
import { TOOLS } from './tools/all.ts';

export type ShortPrefix = { model: string; tokens: number; floor: number };

/** `models`: of the installation, for what the agent names none of its own. Of a model that is not listed nobody knows the floor. */
export function shortPrefixes(
  agent: PromptAgent & { tools: readonly string[]; model: string | null; model_complex: string | null },
  company: string | null,
  models: { model: string; complexModel: string },
): ShortPrefix[] {
  const tools = TOOLS.filter(({ name }) => agent.tools.includes(name)).map(toolParam);
  const chars = JSON.stringify([tools, systemText(agent, company, false)]).length;
  return [...new Set([agent.model ?? models.model, agent.model_complex ?? models.complexModel])].flatMap((model) => {
    const floor = familyOf(model)?.cacheFloor ?? 0;
    const tokens = estimateTokens(model, chars);
    return tokens < floor ? [{ model, tokens, floor }] : [];
  });
}

/** Of an agent's words and rules and what the team tells it, without the company's documents, so that it can be told which words a turn had read. */
export function promptHash(agent: PromptAgent, company: string | null, directives: readonly string[] = []): string {
  return createHash('sha256')
    .update(systemText(agent, company, false, directives))
    .digest('hex')
    .slice(0, HASH_DIGITS);
}

/** Enough to tell versions apart. */
const HASH_DIGITS = 12;
