/** Money in the database: reserved, settled, told. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import type { Ceilings } from './ceilings.ts';

/** Which ceiling has no room; `unpriced`: nobody knows what the model costs; `lost`: the turn is another worker's by now. */
const refusal = z.enum(['contact_day', 'day', 'month', 'unpriced', 'lost']);
export type Refusal = z.infer<typeof refusal>;

/** What a claim says of money. `told`: the contact has heard of it within a day. */
export const claimedMoney = z.union([
  z.object({ usd: z.number(), model: z.string() }),
  z.object({ refused: refusal.exclude(['lost']), told: z.boolean() }),
]);
export type ClaimedMoney = z.infer<typeof claimedMoney>;

/** SQL reserve_spend: US dollars more for a turn; null: they are reserved. May be repeated: what is too much comes back when the turn ends. */
export async function reserveSpend(
  db: Door,
  turn: { turn_id: number; fence: number },
  more: { usd: number; model: string },
  ceilings: Ceilings,
): Promise<Refusal | null> {
  const args = { p_turn: turn.turn_id, p_fence: turn.fence, p_usd: more.usd, p_model: more.model, p_spend: ceilings };
  return z.object({ refused: refusal.nullable() }).parse(await db.call('reserve_spend', args)).refused;
}

/** SQL tend_spend: what dead workers had reserved is settled; returns how many turns that were. */
export async function tendSpend(db: Door): Promise<number> {
  return z.object({ settled: z.number() }).parse(await db.call('tend_spend', {})).settled;
}

const report = z.object({
  now: z.coerce.date(),
  day: z.number(),
  month: z.number(),
  /** Calls of the month without a price, which are in no sum. */
  unpriced: z.number(),
  reserved: z.number(),
  days: z.array(z.object({ day: z.string(), usd: z.number() })),
  kinds: z.array(z.object({ kind: z.string(), day: z.number(), month: z.number(), calls: z.number(), units: z.number() })),
  numbers: z.array(z.object({ number: z.string().nullable(), day: z.number(), month: z.number() })),
});
export type SpendReport = z.infer<typeof report>;

/** SQL spend_report: what a tenant has spent; US dollars. */
export async function spendReport(db: Door, tenant: string): Promise<SpendReport> {
  return report.parse(await db.call('spend_report', { p_tenant: tenant }));
}

const sums = z.array(z.object({ tenant: z.string(), day: z.number(), month: z.number() }));
export type SpendSums = z.infer<typeof sums>;

/** SQL spend_sums: of every tenant that has spent something this month, with what is reserved; US dollars. */
export async function spendSums(db: Door): Promise<SpendSums> {
  return sums.parse(await db.call('spend_sums', {}));
}
