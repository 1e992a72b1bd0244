/**
 * What each family of models is asked with: the one table of it. Facts and their pages: docs/claude.md. Pure.
 *
 * For a chat the product wants no thinking, or the least that the family allows. LLM_MAX_TOKENS is room for the answer, so where a family thinks
 * anyway the room for its thoughts comes on top: they count toward `max_tokens`, and a request without it may end in thinking.
 */

export const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

/** The models of an installation that names none, and what answers when those it names are gone. */
export const DEFAULT_MODEL = 'claude-haiku-5-5';
export const DEFAULT_COMPLEX_MODEL = 'claude-sonnet-5-5';

export type Family = {
  /**
   * How a request asks for no thinking: `disabled` and `between_tools` are values of `thinking.type` (up to effort `high`), `silent` is to say nothing,
   * `never`: it cannot be switched off.
   */
  quiet: 'disabled' | 'between_tools' | 'silent' | 'never';
  /** Levels of `output_config.effort`; none: the field is refused. */
  efforts: readonly Effort[];
  /** Takes messages of role `system` inside `messages`. */
  systemMessages: boolean;
  /** A shorter prefix is not cached, and nothing says so. Tokens. */
  cacheFloor: number;
  /** Tokens of prompt and answer together. */
  context: number;
  /** Tokens of one answer, thinking included. */
  maxOutput: number;
  /** To estimate with, where no answer tells the tokens. Models since Claude 4.7 have smaller ones. */
  charsPerToken: number;
};

const NO_XHIGH = ['low', 'medium', 'high', 'max'] as const;
const SINCE_4_7 = { efforts: EFFORTS, context: 1_000_000, maxOutput: 128_000, charsPerToken: 2.5 } as const;
const CLAUDE_4_6 = { ...SINCE_4_7, quiet: 'silent', efforts: NO_XHIGH, systemMessages: false, charsPerToken: 3.25 } as const;
const CLAUDE_4_5 = {
  quiet: 'silent',
  efforts: [],
  systemMessages: false,
  context: 200_000,
  maxOutput: 64_000,
  charsPerToken: 3.25,
} as const;

const FAMILIES: Readonly<Record<string, Family>> = {
  // No page names Haiku 5.5 among the models that take system messages: without them it works in either case.
  'claude-haiku-5-5': { ...SINCE_4_7, quiet: 'disabled', systemMessages: false, cacheFloor: 512 },
  'claude-sonnet-5-5': { ...SINCE_4_7, quiet: 'between_tools', systemMessages: true, cacheFloor: 512 },
  'claude-opus-5-5': { ...SINCE_4_7, quiet: 'never', systemMessages: true, cacheFloor: 512 },
  'claude-fable-5-2': { ...SINCE_4_7, quiet: 'never', systemMessages: true, cacheFloor: 512 },
  'claude-fable-5-1': { ...SINCE_4_7, quiet: 'never', systemMessages: true, cacheFloor: 512 },
  'claude-fable-5': { ...SINCE_4_7, quiet: 'never', systemMessages: true, cacheFloor: 512 },
  'claude-sonnet-5': { ...SINCE_4_7, quiet: 'disabled', systemMessages: false, cacheFloor: 1_024 },
  'claude-opus-5': { ...SINCE_4_7, quiet: 'disabled', systemMessages: true, cacheFloor: 512 },
  'claude-opus-4-8': { ...SINCE_4_7, quiet: 'disabled', systemMessages: true, cacheFloor: 1_024 },
  'claude-opus-4-7': { ...SINCE_4_7, quiet: 'disabled', systemMessages: false, cacheFloor: 2_048 },
  'claude-opus-4-6': { ...CLAUDE_4_6, cacheFloor: 4_096 },
  'claude-sonnet-4-6': { ...CLAUDE_4_6, cacheFloor: 1_024 },
  'claude-opus-4-5': { ...CLAUDE_4_5, efforts: ['low', 'medium', 'high'], cacheFloor: 4_096 },
  'claude-sonnet-4-5': { ...CLAUDE_4_5, cacheFloor: 1_024 },
  'claude-haiku-4-5': { ...CLAUDE_4_5, cacheFloor: 4_096 },
};

/** A model that is not listed gets a request that each of them would take, and counts as one that thinks, whatever it does. */
const UNKNOWN: Family = {
  quiet: 'never',
  efforts: [],
  systemMessages: false,
  cacheFloor: 4_096,
  context: 200_000,
  maxOutput: 8_192,
  charsPerToken: 2.5,
};

/** Null for a model that is not listed. A date behind the name changes nothing. */
export function familyOf(model: string): Family | null {
  return FAMILIES[model.replace(/-\d{8}$/, '')] ?? null;
}

/** As `familyOf`, with careful values for a model that is not listed. */
export function traitsOf(model: string): Family {
  return familyOf(model) ?? UNKNOWN;
}

/** Tokens that thoughts may take, by effort. No page tells how many a model needs: they are not billed unless they are used. */
const THINKING_ROOM: Readonly<Record<Effort, number>> = { low: 4_096, medium: 8_192, high: 16_384, xhigh: 32_768, max: 65_536 };
/** Between two tool calls a model without thinking up front still writes a short note in a thinking block. Tokens. */
const NOTE_ROOM = 1_024;
/** An answer that ends in thinking, or in the middle of a tool call, is asked for again with so many times the room. */
const MORE_ROOM = 4;

export type Settings = { maxTokens: number; thinking: 'disabled' | 'between_tools' | null; effort: Effort | null };

/**
 * What a request to this model says of thinking, effort and room. `effort`: LLM_EFFORT; `answerTokens`: LLM_MAX_TOKENS; `again`: how often the room
 * has turned out too small in this turn.
 */
export function settingsFor(model: string, wanted: { effort: Effort; answerTokens: number; again?: number }): Settings {
  const family = traitsOf(model);
  const effort = nearestEffort(family, wanted.effort);
  // Above `high` these two are refused: who sets LLM_EFFORT so high wants the model to think.
  const isQuiet = family.quiet !== 'never' && (effort === null || effort === 'low' || effort === 'medium' || effort === 'high');
  const room = !isQuiet ? THINKING_ROOM[effort ?? 'medium'] : family.quiet === 'between_tools' ? NOTE_ROOM : 0;
  return {
    maxTokens: Math.min(family.maxOutput, (wanted.answerTokens + room) * MORE_ROOM ** (wanted.again ?? 0)),
    thinking: isQuiet && (family.quiet === 'disabled' || family.quiet === 'between_tools') ? family.quiet : null,
    effort,
  };
}

/** The level itself, or the next lower one that the family has. */
function nearestEffort({ efforts }: Family, wanted: Effort): Effort | null {
  return EFFORTS.slice(0, EFFORTS.indexOf(wanted) + 1).findLast((each) => efforts.includes(each)) ?? null;
}

/** Tokens of a text, roughly. */
export function estimateTokens(model: string, chars: number): number {
  return Math.ceil(chars / traitsOf(model).charsPerToken);
}
