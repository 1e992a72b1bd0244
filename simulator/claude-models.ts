// What each model of the Messages API takes and refuses, as docs/claude.md lists it with its sources. The product has a table of its own
// (src/claude/models.ts): this one is the judge of it, so neither imports the other.

export type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** US dollars per million tokens of a request whose prompt is longer than `above` tokens. */
export type Rate = { above: number; input: number; output: number; cacheRead: number; write5m: number; write1h: number };

export type ClaudeModel = {
  id: string;
  /** Tokens of prompt and answer together. */
  context: number;
  maxOutput: number;
  /** On average, for the text of a chat. Models since Claude 4.7 have a tokenizer of smaller tokens. */
  charsPerToken: number;
  /** What a request without a `thinking` field gets. */
  thinksByDefault: boolean;
  /** `thinking.type` values that are accepted. */
  thinking: readonly ('adaptive' | 'disabled' | 'between_tools' | 'enabled')[];
  /** The levels that `output_config.effort` may have; none: the field is refused. */
  efforts: readonly Effort[];
  defaultEffort: Effort;
  /** `tool_choice` of type `any` or `tool`. */
  forcedTools: boolean;
  /** A last message of the assistant that the model continues. */
  prefill: boolean;
  /** `temperature`, `top_p` and `top_k` other than their defaults. */
  sampling: boolean;
  /** Messages of role `system` inside `messages`. */
  systemMessages: boolean;
  /** The shortest prefix that is cached, in tokens. */
  cacheFloor: number;
  /** The larger of the two limits of images: 2,576 px and 4,784 tokens instead of 1,568 of both. */
  largeImages: boolean;
  rates: readonly Rate[];
  /** Requests fail since that day. */
  retired?: string;
};

const LEVELS = ['low', 'medium', 'high', 'xhigh', 'max'] as const satisfies Effort[];
const NO_XHIGH = ['low', 'medium', 'high', 'max'] as const satisfies Effort[];

/** "1M tokens is roughly 2.5M Unicode characters on the current tokenizer", and about 30 % more tokens than before. */
const NEW_TOKENIZER = 2.5;
const OLD_TOKENIZER = 3.25;

const CURRENT = {
  context: 1_000_000,
  maxOutput: 128_000,
  charsPerToken: NEW_TOKENIZER,
  efforts: LEVELS,
  defaultEffort: 'high',
  prefill: false,
  sampling: false,
  largeImages: true,
} as const;
const CLAUDE_4_5 = {
  context: 200_000,
  maxOutput: 64_000,
  charsPerToken: OLD_TOKENIZER,
  thinksByDefault: false,
  thinking: ['disabled', 'enabled'],
  efforts: [],
  defaultEffort: 'high',
  forcedTools: true,
  prefill: true,
  sampling: true,
  systemMessages: false,
  largeImages: false,
} as const;

const MODELS: ClaudeModel[] = [
  {
    ...CURRENT,
    id: 'claude-haiku-5-5',
    thinksByDefault: true,
    thinking: ['adaptive', 'disabled'],
    defaultEffort: 'medium',
    forcedTools: true,
    systemMessages: false,
    cacheFloor: 512,
    rates: [
      { above: 0, input: 0.1, output: 0.5, cacheRead: 0.01, write5m: 0.125, write1h: 0.2 },
      { above: 100_000, input: 0.5, output: 2.5, cacheRead: 0.05, write5m: 0.625, write1h: 1 },
    ],
  },
  {
    ...CURRENT,
    id: 'claude-sonnet-5-5',
    thinksByDefault: true,
    thinking: ['adaptive', 'between_tools'],
    forcedTools: false,
    systemMessages: true,
    cacheFloor: 512,
    rates: [{ above: 0, input: 2, output: 10, cacheRead: 0.1, write5m: 2.5, write1h: 4 }],
  },
  {
    ...CURRENT,
    id: 'claude-opus-5-5',
    thinksByDefault: true,
    thinking: ['adaptive'],
    defaultEffort: 'medium',
    forcedTools: false,
    systemMessages: true,
    cacheFloor: 512,
    rates: [{ above: 0, input: 4, output: 20, cacheRead: 0.2, write5m: 5, write1h: 8 }],
  },
  {
    ...CURRENT,
    id: 'claude-sonnet-5',
    thinksByDefault: true,
    thinking: ['adaptive', 'disabled'],
    forcedTools: true,
    systemMessages: false,
    cacheFloor: 1_024,
    rates: [{ above: 0, input: 2, output: 10, cacheRead: 0.2, write5m: 2.5, write1h: 4 }],
  },
  {
    ...CURRENT,
    id: 'claude-opus-5',
    thinksByDefault: true,
    thinking: ['adaptive', 'disabled'],
    forcedTools: true,
    systemMessages: true,
    cacheFloor: 512,
    rates: [{ above: 0, input: 5, output: 25, cacheRead: 0.5, write5m: 6.25, write1h: 10 }],
  },
  {
    ...CURRENT,
    id: 'claude-opus-4-8',
    thinksByDefault: false,
    thinking: ['adaptive', 'disabled'],
    forcedTools: true,
    systemMessages: true,
    cacheFloor: 1_024,
    rates: [{ above: 0, input: 5, output: 25, cacheRead: 0.5, write5m: 6.25, write1h: 10 }],
  },
  {
    ...CURRENT,
    id: 'claude-opus-4-7',
    thinksByDefault: false,
    thinking: ['adaptive', 'disabled'],
    forcedTools: true,
    systemMessages: false,
    cacheFloor: 2_048,
    rates: [{ above: 0, input: 5, output: 25, cacheRead: 0.5, write5m: 6.25, write1h: 10 }],
  },
  {
    ...CURRENT,
    id: 'claude-sonnet-4-6',
    charsPerToken: OLD_TOKENIZER,
    thinksByDefault: false,
    thinking: ['adaptive', 'disabled', 'enabled'],
    efforts: NO_XHIGH,
    forcedTools: true,
    sampling: true,
    systemMessages: false,
    cacheFloor: 1_024,
    largeImages: false,
    rates: [{ above: 0, input: 3, output: 15, cacheRead: 0.3, write5m: 3.75, write1h: 6 }],
  },
  {
    ...CLAUDE_4_5,
    id: 'claude-haiku-4-5-20251001',
    cacheFloor: 4_096,
    rates: [{ above: 0, input: 1, output: 5, cacheRead: 0.1, write5m: 1.25, write1h: 2 }],
  },
  {
    ...CLAUDE_4_5,
    id: 'claude-sonnet-4-5-20250929',
    cacheFloor: 1_024,
    rates: [{ above: 0, input: 3, output: 15, cacheRead: 0.3, write5m: 3.75, write1h: 6 }],
  },
  // The two that the older manuals of this product name.
  { ...CLAUDE_4_5, id: 'claude-3-5-haiku-20241022', cacheFloor: 2_048, rates: [], retired: '2026-02-19' },
  { ...CLAUDE_4_5, id: 'claude-sonnet-4-20250514', cacheFloor: 1_024, rates: [], retired: '2026-06-15' },
];

const ALIASES: Record<string, string> = {
  'claude-haiku-4-5': 'claude-haiku-4-5-20251001',
  'claude-sonnet-4-5': 'claude-sonnet-4-5-20250929',
};

/** Null for a model that the API does not serve: one of no such name, or one that is retired. */
export function modelOf(id: string): ClaudeModel | null {
  const model = MODELS.find((each) => each.id === (ALIASES[id] ?? id));
  return model === undefined || model.retired !== undefined ? null : model;
}
