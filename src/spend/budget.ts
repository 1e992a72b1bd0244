/** The money of one turn: what its claim has reserved, and what each call asks for beyond that before it is made. */
import { worstUsd } from '../claude/prices.ts';
import type { Door } from '../db/door.ts';
import { persist } from '../db/persist.ts';
import { reserveSpend } from './calls.ts';
import type { Refusal } from './calls.ts';
import { mostTokens } from './ceilings.ts';
import type { Ceilings } from './ceilings.ts';

export type Budget = {
  /**
   * Asked right before a call: its worst case in US dollars is reserved, or why it must not be made. Contract: throws only what the database throws, when it
   * stays away; one call of a turn at a time.
   */
  take(call: { model: string; system: unknown; tools: unknown; messages: unknown; fileTokens?: number; maxTokens: number }): Promise<Taken>;
  /** What a call has cost, once it has ended. */
  paid(usd: number): void;
};
export type Taken = { refused: null; worstUsd: number } | { refused: Refusal };

/** `reservedUsd`: by the claim. What a call costs is never more than its worst case, so a turn never costs more than is reserved for it. */
export function openBudget(
  db: Door,
  turn: { turn_id: number; fence: number; reservedUsd: number },
  ceilings: Ceilings,
  now: () => Date,
): Budget {
  let reserved = turn.reservedUsd;
  let spent = 0;
  return {
    async take({ model, maxTokens, ...request }) {
      const worst = worstUsd(model, { input: mostTokens(request), output: maxTokens }, now());
      if (worst === null) return { refused: 'unpriced' };
      // to the hundred-millionth, as the ledger counts
      const more = Math.ceil((spent + worst - reserved) * 1e8) / 1e8;
      if (more > 0) {
        const refused = await persist(() => reserveSpend(db, turn, { usd: more, model }, ceilings));
        if (refused !== null) return { refused };
        reserved += more;
      }
      return { refused: null, worstUsd: worst };
    },
    paid(usd) {
      spent += usd;
    },
  };
}
