/** Money of a model call, in US dollars. Source: the provider's price list; a model that is not listed costs as its family. Pure. */

export type Usage = { input: number; output: number; cacheRead: number; cacheWrite: number };

/** US dollars per million tokens, input and output. Cache: a write costs 1.25 of the input, a read 0.1. */
const FAMILIES: [RegExp, { input: number; output: number }][] = [
  [/haiku/, { input: 1, output: 5 }],
  [/sonnet/, { input: 3, output: 15 }],
  [/opus/, { input: 5, output: 25 }],
];
const UNKNOWN = { input: 5, output: 25 };

export function costUsd(model: string, usage: Usage): number {
  const price = FAMILIES.find(([family]) => family.test(model))?.[1] ?? UNKNOWN;
  const dollars =
    (usage.input * price.input +
      usage.cacheWrite * price.input * 1.25 +
      usage.cacheRead * price.input * 0.1 +
      usage.output * price.output) /
    1e6;
  return Math.round(dollars * 1e6) / 1e6;
}
