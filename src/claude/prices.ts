/**
 * Money of a model call, in US dollars: a dated list by model, with the page and the day on which each row was read. A call is priced once, when it
 * is made, and keeps that price. A model that is not listed has none: `null`, which is counted apart and never taken for zero. Pure.
 */

export type Usage = {
  /** Tokens that the cache did not have, and that were not written to it. */
  input: number;
  /** Thinking included. */
  output: number;
  /** Of the output. */
  thinking: number;
  cacheRead: number;
  /** Written for five minutes, and for an hour. */
  cacheWrite: number;
  cacheWriteHour: number;
};

/** US dollars per million tokens, for a whole request whose prompt is longer than `above` tokens. */
type Tier = { above: number; input: number; output: number; cacheRead: number; cacheWrite: number; cacheWriteHour: number };
type Row = {
  model: string;
  /** The first day of these prices, UTC. */
  from: string;
  tiers: readonly Tier[];
  /** Under platform.claude.com/docs/en/, and the day on which it was read. */
  source: readonly [page: string, read: string];
};

const RELEASED = '2024-01-01';

/** Newer rows of a model stand below older ones. */
export const PRICES: readonly Row[] = [
  row(
    'claude-haiku-5-5',
    '2026-10-07',
    [tier(0, 0.1, 0.5, 0.01), tier(100_000, 0.5, 2.5, 0.05)],
    'models/haiku-5-5/overview',
    '2026-10-07',
  ),
  row('claude-sonnet-5-5', '2026-09-28', [tier(0, 2, 10, 0.2)], 'models/sonnet-5-5/whats-new-sonnet-5-5', '2026-09-28'),
  row('claude-sonnet-5-5', '2026-10-07', [tier(0, 2, 10, 0.1)], 'release-notes/overview', '2026-10-09'),
  row('claude-opus-5-5', RELEASED, [tier(0, 4, 20, 0.2)], 'about-claude/pricing', '2026-10-09'),
  row('claude-fable-5-1', RELEASED, [tier(0, 10, 50, 0.25)], 'release-notes/overview', '2026-09-01'),
  row('claude-fable-5', RELEASED, [tier(0, 10, 50, 1)], 'about-claude/pricing', '2026-08-22'),
  row('claude-sonnet-5', RELEASED, [tier(0, 2, 10, 0.2)], 'about-claude/pricing', '2026-08-22'),
  row('claude-opus-5', RELEASED, [tier(0, 5, 25, 0.5)], 'about-claude/pricing', '2026-08-22'),
  row('claude-opus-4-8', RELEASED, [tier(0, 5, 25, 0.5)], 'about-claude/pricing', '2026-08-22'),
  row('claude-opus-4-7', RELEASED, [tier(0, 5, 25, 0.5)], 'about-claude/pricing', '2026-08-22'),
  row('claude-opus-4-6', RELEASED, [tier(0, 5, 25, 0.5)], 'about-claude/pricing', '2026-08-22'),
  row('claude-opus-4-5', RELEASED, [tier(0, 5, 25, 0.5)], 'about-claude/pricing', '2026-08-22'),
  row('claude-sonnet-4-6', RELEASED, [tier(0, 3, 15, 0.3)], 'about-claude/pricing', '2026-08-22'),
  row('claude-sonnet-4-5', RELEASED, [tier(0, 3, 15, 0.3)], 'about-claude/pricing', '2026-08-22'),
  row('claude-haiku-4-5', RELEASED, [tier(0, 1, 5, 0.1)], 'about-claude/pricing', '2026-08-22'),
];

/** Null: this model has no price. Where a ceiling of money is set, such a call cannot be weighed against it and must not be made. */
export function costUsd(model: string, usage: Usage, at: Date): number | null {
  const price = priceOf(model, usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWriteHour, at);
  if (price === null) return null;
  const dollars =
    (usage.input * price.input +
      usage.cacheRead * price.cacheRead +
      usage.cacheWrite * price.cacheWrite +
      usage.cacheWriteHour * price.cacheWriteHour +
      usage.output * price.output) /
    1e6;
  // A short call of a cheap model costs some ten millionths of a dollar.
  return Math.round(dollars * 1e8) / 1e8;
}

export function hasPrice(model: string, at: Date): boolean {
  return priceOf(model, 0, at) !== null;
}

/** Models that have a price today or had one once, without dates behind their names. */
export const PRICED_MODELS: readonly string[] = [...new Set(PRICES.map(({ model }) => model))];

/** The most that one token of input may cost in a request that is not long, in US dollars: it may be written to the cache. Null: the model has no price. */
export function perTokenUsd(model: string, at: Date): number | null {
  const price = priceOf(model, 0, at);
  return price === null ? null : price.cacheWrite / 1e6;
}

/** What a call costs at most: nothing of it read from the cache, all of its room used. `input`, `output`: tokens. Null: the model has no price. */
export function worstUsd(model: string, most: { input: number; output: number }, at: Date): number | null {
  const price = priceOf(model, most.input, at);
  return price === null ? null : Math.ceil((most.input * price.cacheWrite + most.output * price.output) * 100) / 1e8;
}

function priceOf(model: string, promptTokens: number, at: Date): Tier | null {
  const name = model.replace(/-\d{8}$/, '');
  const day = at.toISOString().slice(0, 10);
  const known = PRICES.findLast((each) => each.model === name && each.from <= day);
  return known?.tiers.findLast(({ above }) => promptTokens > above || above === 0) ?? null;
}

function row(model: string, from: string, tiers: readonly Tier[], page: string, read: string): Row {
  return { model, from, tiers, source: [page, read] };
}

/** Written to the cache for five minutes it costs 1.25 of the input, for an hour twice the input (build-with-claude/prompt-caching). */
function tier(above: number, input: number, output: number, cacheRead: number): Tier {
  return { above, input, output, cacheRead, cacheWrite: input * 1.25, cacheWriteHour: input * 2 };
}
