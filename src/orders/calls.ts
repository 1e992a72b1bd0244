/** Order notices and their texts. SQL in the room `orders`. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import type { SendPolicy } from '../outbox/calls.ts';
import { NOTICE_TYPES } from './notice-words.ts';
import type { NoticeData, NoticeType } from './notice-words.ts';

const type = z.enum(NOTICE_TYPES);
const template = z.object({
  type,
  /** null: the product's words */
  text: z.string().nullable(),
  enabled: z.boolean(),
  updated_by: z.string(),
  updated_at: z.coerce.date(),
});
const templates = z.object({ company: z.string().nullable(), templates: z.array(template) });

export type StoredTemplates = z.infer<typeof templates>;

/** SQL notice_templates_of: what a tenant has set of its texts, and the name of its company where it has one of its own. */
export async function noticeTemplates(db: Door, tenant: string): Promise<StoredTemplates> {
  return templates.parse(await db.call('notice_templates_of', { p_tenant: tenant }));
}

const set = template.pick({ type: true, text: true, enabled: true });

/** SQL set_notice_template: other words for a type (null: the product's again), or its switch. Audited. */
export async function setNoticeTemplate(
  db: Door,
  tenant: string,
  change: { type: NoticeType; text?: string | null; enabled?: boolean },
  actor: string,
): Promise<z.infer<typeof set>> {
  return set.parse(await db.call('set_notice_template', { p_tenant: tenant, p_change: change, p_actor: actor }));
}

/** SQL set_notice_opt_out: whether who asked for no more messages is told of an order all the same. Says what it was. Audited. */
export async function setNoticeOptOut(
  db: Door,
  change: { tenant: string; tell: boolean; actor: string; reason: string | null },
): Promise<boolean> {
  const { tenant, tell, actor, reason } = change;
  return z.boolean().parse(await db.call('set_notice_opt_out', { p_tenant: tenant, p_tell: tell, p_actor: actor, p_reason: reason }));
}

/** A notice as the API shows it; `status` and `reason` are those of its message. */
export const noticeRow = z.object({
  id: z.number(),
  type,
  reference: z.string(),
  to: z.string(),
  data: z.record(z.string(), z.union([z.string(), z.number()])),
  text: z.string(),
  status: z.string(),
  reason: z.string().nullable(),
  error_class: z.string().nullable(),
  message_id: z.number().nullable(),
  duplicate_of: z.number().nullable(),
  resend_of: z.number().nullable(),
  test: z.boolean(),
  asked_by: z.string(),
  created_at: z.string(),
  goes_at: z.string().nullable(),
  instance: z.string().nullable(),
  provider_message_id: z.string().nullable(),
  attempts: z.number().nullable(),
  sent_at: z.string().nullable(),
  delivered_at: z.string().nullable(),
  read_at: z.string().nullable(),
  expires_at: z.string().nullable(),
});

export type NoticeRow = z.infer<typeof noticeRow>;

/** From which number, and for whom it is written down. */
export type NoticeSender = {
  tenant: string;
  instance: string;
  choose: Pick<SendPolicy, 'capHour' | 'capDay'> | null;
  correlation_id: string | null;
  actor: string;
};

export type NoticeRequest = NoticeSender & {
  type: NoticeType;
  reference: string;
  /** Canonical digits. */
  phone: string;
  data: NoticeData;
  text: string;
  test: boolean;
  /** A person asks: audited. */
  by_hand: boolean;
  send_after: string | null;
  expires_at: string | null;
};

const placed = z.object({ notice: noticeRow, lane: z.number().nullable() });

/** SQL order_notice: `lane` is the conversation to wake, null when nothing was queued. Errors: DatabaseRefused WA001 unknown instance. */
export async function placeNotice(db: Door, request: NoticeRequest): Promise<z.infer<typeof placed>> {
  return placed.parse(await db.call('order_notice', { p_request: request }));
}

const resent = z.discriminatedUnion('outcome', [
  placed.extend({ outcome: z.literal('done') }),
  z.object({ outcome: z.enum(['unknown', 'repeat', 'under_way']) }),
]);

/** SQL resend_order_notice: the same words once more. Errors: as placeNotice. */
export async function resendNotice(db: Door, id: number, request: NoticeSender): Promise<z.infer<typeof resent>> {
  return resent.parse(await db.call('resend_order_notice', { p_id: id, p_request: request }));
}

/** SQL find_order_notice: null: the tenant has none with this id. */
export async function findNotice(db: Door, tenant: string, id: number): Promise<NoticeRow | null> {
  return noticeRow.nullable().parse(await db.call('find_order_notice', { p_tenant: tenant, p_id: id }));
}

export type NoticeFilter = {
  type?: NoticeType | undefined;
  status?: string | undefined;
  reference?: string | undefined;
  /** Canonical digits. */
  phone?: string | undefined;
  since?: string | undefined;
  /** Only what is older than this notice. */
  before?: number | undefined;
};

/** SQL list_order_notices: the log, the newest first. */
export async function listNotices(db: Door, tenant: string, filter: NoticeFilter, limit: number): Promise<NoticeRow[]> {
  return z.array(noticeRow).parse(await db.call('list_order_notices', { p_tenant: tenant, p_filter: filter, p_limit: limit }));
}
