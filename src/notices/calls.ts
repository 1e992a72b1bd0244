/** Notices to people: added once, claimed by one deliverer, ended. SQL in the room `notices`. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

export type NewNotice = {
  tenant: string;
  key: string;
  kind: string;
  text: string;
  urgent: boolean;
  about: string | null;
  not_manager: boolean;
};

/** SQL add_notice: false when the tenant has a notice of this key already. */
export async function addNotice(db: Door, notice: NewNotice): Promise<boolean> {
  return z.object({ added: z.boolean() }).parse(await db.call('add_notice', { p_notice: notice })).added;
}

const claimed = z.object({
  id: z.number(),
  claim: z.number(),
  tenant: z.string(),
  kind: z.string(),
  text: z.string(),
  urgent: z.boolean(),
  about: z.string().nullable(),
  not_manager: z.boolean(),
  attempts: z.number(),
  age_seconds: z.number(),
  message_status: z.string().nullable(),
});
export type ClaimedNotice = z.infer<typeof claimed>;

/** SQL claim_notices: notices that are due, for as long as the lease. */
export async function claimNotices(db: Door, limit: number, leaseMs: number): Promise<ClaimedNotice[]> {
  return z.array(claimed).parse(await db.call('claim_notices', { p_limit: limit, p_lease_ms: leaseMs }));
}

export type NoticeOutcome = {
  status: 'pending' | 'handed' | 'sent' | 'failed';
  channel?: 'slack' | 'whatsapp';
  /** A word; null when nothing went wrong. */
  error: string | null;
  message_id?: number;
  delay_ms?: number;
  /** An attempt was made. */
  counts?: boolean;
};

/** SQL finish_notice: what became of a claimed notice. `news`: this error was not told before. */
export async function finishNotice(
  db: Door,
  notice: { id: number; claim: number },
  outcome: NoticeOutcome,
): Promise<{ recorded: boolean; news: boolean }> {
  return z
    .object({ recorded: z.boolean(), news: z.boolean() })
    .parse(await db.call('finish_notice', { p_id: notice.id, p_claim: notice.claim, p_outcome: outcome }));
}

/** SQL notice_number: a number that can carry a notice to the manager, or null. */
export async function noticeNumber(db: Door, tenant: string, about: string | null, preferred: string | null): Promise<string | null> {
  return z
    .string()
    .nullable()
    .parse(await db.call('notice_number', { p_tenant: tenant, p_about: about, p_preferred: preferred }));
}

const forward = z.object({
  conversation_id: z.number(),
  tenant: z.string(),
  instance: z.string(),
  name: z.string().nullable(),
  phone: z.string().nullable(),
  /** The newest message of the conversation when it was read. */
  upto: z.number(),
  count: z.number(),
  /** The first of them. */
  messages: z.array(z.object({ text: z.string(), typed: z.string().nullable(), type: z.string() })),
});
export type Forward = z.infer<typeof forward>;

/** SQL forwards_due: what contacts wrote to persons and nobody has heard of; of one conversation, or of all. */
export async function forwardsDue(db: Door, conversation: number | null, limit: number): Promise<Forward[]> {
  return z.array(forward).parse(await db.call('forwards_due', { p_conversation: conversation, p_limit: limit }));
}

/** SQL take_forward: the notice of a forward, once; null: there is nothing to tell any more. Returns whether it was made. */
export async function takeForward(
  db: Door,
  { conversation_id: conversation, upto }: Pick<Forward, 'conversation_id' | 'upto'>,
  notice: object | null,
): Promise<boolean> {
  const answer = await db.call('take_forward', { p_conversation: conversation, p_upto: upto, p_notice: notice });
  return z.object({ added: z.boolean() }).parse(answer).added;
}
