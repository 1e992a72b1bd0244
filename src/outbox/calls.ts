/** Outbound messages: enqueued, claimed, recorded, settled. SQL in the room `outbox`. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import { grouped } from '../db/grouped.ts';
import type { InboundEvent } from '../whatsapp/inbound-event.ts';
import type { Trouble } from '../whatsapp/incidents.ts';

/** SQL release_sends: what waited for a number to be callable, for one of these reasons, is due now. Conversations to wake. */
export async function releaseSends(db: Door, instance: string, reasons: readonly string[]): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('release_sends', { p_instance: instance, p_reasons: reasons }));
}

const time = z.coerce.date();

/** What claim_send checks beside the rows themselves; see its header. Null limits nothing. */
export type SendPolicy = {
  /** Phones that may get messages (canonical digits); null: everyone. */
  allowlist: string[] | null;
  capHour: number;
  capDay: number;
  replyCapHour: number;
  contactCapHour: number | null;
  contactCapWeek: number | null;
  campaignGapDays: number | null;
  maxUnanswered: number | null;
  kindCaps: Readonly<Record<'campaign' | 'follow_up' | 'prospecting', number | null>>;
  /** Order notices of a number in an hour. */
  noticeCapHour?: number | null;
  strangersDay: number | null;
  minReplyPercent: number;
  paceMinSeconds: number;
  paceMaxSeconds: number;
  /** null: at any time */
  hours: { start: string; end: string; weekdays: readonly number[]; holidays: boolean } | null;
  tz: string;
  pilot: boolean;
  leaseMs: number;
  /** SUPABASE_PROJECT_REF: nothing leaves while the database says that it belongs to another project. */
  projectRef?: string | null;
  /** An answer that a pause has held for longer is not sent any more. */
  replyMaxAgeMinutes?: number;
};

const toSend = z.object({
  action: z.literal('send'),
  message_id: z.number(),
  claim: z.number(),
  instance: z.string(),
  /** How Evolution is told whom to send to: an address of WhatsApp's own, or the bare digits of a phone that somebody typed. */
  number: z.string(),
  /** The id at WhatsApp that is asked for. */
  wire_id: z.string(),
  type: z.string(),
  text: z.string(),
  quoted_id: z.string().nullable(),
  quoted_text: z.string().nullable(),
  kind: z.string(),
  attempts: z.number(),
  conversation_id: z.number(),
  contact_id: z.number(),
  turn_id: z.number().nullable(),
  part: z.number(),
  correlation_id: z.string().nullable(),
  created_at: time,
  inbound_at: time.nullable(),
  /** The database's, when it was claimed. */
  now: time,
});

export type ClaimedSend = z.infer<typeof toSend> & Timed;

const toLookUp = z.object({
  action: z.literal('look'),
  message_id: z.number(),
  claim: z.number(),
  instance: z.string(),
  /** Every address of the contact: Evolution may have stored the message under another than it was sent to. */
  jids: z.array(z.string()),
  wire_id: z.string().nullable(),
  /** The release of Evolution; null: nobody has asked yet. */
  gateway_version: z.string().nullable(),
  type: z.string(),
  text: z.string(),
  claimed_at: time,
  looks: z.number(),
  correlation_id: z.string().nullable(),
  /** Why nobody knows whether it left. */
  reason: z.string().nullable(),
  now: time,
  /** Another message of this chat that Evolution must know, when there is one. */
  witness: z.string().nullable(),
});

export type UncertainSend = z.infer<typeof toLookUp>;

const claim = z.discriminatedUnion('action', [
  toSend,
  toLookUp,
  z.object({ action: z.literal('idle') }),
  z.object({
    action: z.literal('wait'),
    until: time.nullable(),
    /** From the claim to `until`. */
    wait_ms: z.number().nullable(),
    reason: z.string(),
    message_id: z.number(),
  }),
  z.object({ action: z.literal('ended'), status: z.string(), reason: z.string(), message_id: z.number(), kind: z.string() }),
  z.object({
    action: z.literal('typing'),
    message_id: z.number(),
    ms: z.number(),
    until: time,
    instance: z.string(),
    number: z.string(),
    read_jid: z.string(),
    read_ids: z.array(z.string()),
  }),
]);

/** `asked`, `came`: performance.now() before and after the call that claimed. */
type Timed = { asked: number; came: number };

export type SendClaim = z.infer<typeof claim> & Timed;

/** What claim_sends, complete_turns and record_sends say of a lane. */
export function sendClaimOf(said: unknown, asked: number): SendClaim {
  return { ...claim.parse(said), asked, came: performance.now() };
}

/** The database's time, by what has passed here since the claim: this machine's clock may be off. */
export function timeOf(claim: ClaimedSend): Date {
  return new Date(claim.now.getTime() + performance.now() - claim.came);
}

/** The policy of a call; `random` 0..1 spreads the pace. */
export function withRandom(policy: SendPolicy, random: number | undefined): SendPolicy & { random: number } {
  return { ...policy, random: random ?? 0 };
}

const claimSends = grouped('claim_send', async (db, policy: SendPolicy, lanes: { conversation: number; random: number }[]) => {
  const ids = lanes.map(({ conversation }) => conversation);
  return z.array(z.unknown()).parse(await db.call('claim_sends', { p_ids: ids, p_policy: withRandom(policy, lanes[0]?.random) }));
});

/** SQL claim_sends: the next message of a conversation under every guardrail, or why not. `random` 0..1 spreads the pace. */
export async function claimSend(db: Door, conversation: number, policy: SendPolicy, random: number): Promise<SendClaim> {
  const asked = performance.now();
  return sendClaimOf(await claimSends(db, policy, { conversation, random }), asked);
}

/** SQL renew_send: keeps the lease of a send that takes long. */
export async function renewSend(db: Door, send: ClaimedSend, leaseMs: number): Promise<boolean> {
  const { alive } = z
    .object({ alive: z.boolean() })
    .parse(await db.call('renew_send', { p_message: send.message_id, p_claim: send.claim, p_lease_ms: leaseMs }));
  return alive;
}

export type SendRecord =
  | { kind: 'sent'; provider_id: string; /** WhatsApp's own address, where another was named */ jid?: string | null }
  | ({ class: string; detail: string; /** what it says of the number */ trouble?: Trouble | null } & (
      | { kind: 'retry'; delay_ms: number; counts: boolean }
      | { kind: 'failed' }
      | { kind: 'uncertain'; look_ms: number }
    ));

const recorded = z.object({
  outcome: z.enum(['recorded', 'stale']),
  status: z.string().nullable(),
  more: z.boolean().nullish(),
  next: z.unknown(),
});

/** `next`: what the lane has after it, claimed in the same transaction. */
export type RecordedSend = Omit<z.infer<typeof recorded>, 'next'> & { next?: SendClaim };

type SendEnding = {
  item: { conversation_id: number; message_id: number; claim: number; outcome: SendRecord; next: boolean };
  random: number;
};

const recordSends = grouped('record_send', async (db, policy: SendPolicy | null, endings: SendEnding[]) => {
  const items = endings.map(({ item }) => item);
  const given = policy === null ? null : withRandom(policy, endings[0]?.random);
  return z.array(z.unknown()).parse(await db.call('record_sends', { p_items: items, p_policy: given }));
});

/** SQL record_sends: what became of a claimed send; only the claim that sent may say so. With a `policy` the lane's next message is claimed with it. */
export async function recordSend(
  db: Door,
  send: { conversation_id: number; message_id: number; claim: number },
  outcome: SendRecord,
  next: { policy: SendPolicy; random: number } | null = null,
): Promise<RecordedSend> {
  const asked = performance.now();
  const { conversation_id, message_id, claim } = send;
  const item = { conversation_id, message_id, claim, outcome, next: next !== null };
  const said = recorded.parse(await recordSends(db, next?.policy ?? null, { item, random: next?.random ?? 0 }));
  const { next: after, ...rest } = said;
  return after == null ? rest : { ...rest, next: sendClaimOf(after, asked) };
}

/** Null: the message was erased meanwhile. */
const settled = z.object({ status: z.string().nullable(), reason: z.string().nullable() });

/** What a look-up said. `absent`: it is not there, and `proof` says whether that proves that it never left. `no_answer`: nobody answered. */
export type Look = { kind: 'found'; providerId: string } | { kind: 'absent'; proof: boolean } | { kind: 'no_answer' };

/** SQL settle_send: settles an uncertain send as far as a look-up allows; `nextMs` null: this was the last look. */
export async function settleSend(db: Door, send: UncertainSend, look: Look, nextMs: number | null): Promise<z.infer<typeof settled>> {
  return settled.parse(
    await db.call('settle_send', {
      p_message: send.message_id,
      p_claim: send.claim,
      p_provider_id: look.kind === 'found' ? look.providerId : null,
      p_not_sent: look.kind === 'absent' && look.proof,
      p_next_ms: nextMs,
    }),
  );
}

/** SQL known_messages: the positions of those that are stored already, with their words. */
export async function knownMessages(db: Door, instance: string, events: InboundEvent[]): Promise<Set<number>> {
  return new Set(z.array(z.number()).parse(await db.call('known_messages', { p_instance: instance, p_events: events })));
}

/** SQL known_provider_ids: which of these ids at WhatsApp a conversation has already; a person's words in another one do not count. */
export async function knownProviderIds(db: Door, instance: string, ids: string[], conversation: number): Promise<Set<string>> {
  return new Set(
    z.array(z.string()).parse(await db.call('known_provider_ids', { p_instance: instance, p_ids: ids, p_conversation: conversation })),
  );
}

/** Kinds of messages that nobody asked for and that a caller may order; SQL is_proactive says the same, of `operator` too. */
export const PROACTIVE_KINDS = ['notification', 'follow_up', 'campaign', 'prospecting', 'manual'] as const;

/** Kinds of what the log of messages lists: order notices are asked for elsewhere (src/orders). */
export const LISTED_KINDS = [...PROACTIVE_KINDS, 'transactional'] as const;

export type ProactiveKind = (typeof PROACTIVE_KINDS)[number];

export type MessageRequest = {
  tenant: string;
  instance: string;
  /** Another number than `instance` may be chosen, by these caps where a number has none of its own. */
  choose?: Pick<SendPolicy, 'capHour' | 'capDay'> | null;
  phone: string;
  text: string;
  /** `operator`: to those who run this, under no rule but allowlist, expiry and health of the number. */
  kind: ProactiveKind | 'operator';
  send_after: string | null;
  expires_at: string | null;
  idempotency_key: string | null;
  campaign_id: string | null;
  typing_ms: number;
  correlation_id: string;
  /** A person's reason to send it over the rules for proactive messages. */
  bypass: string | null;
  /** Who asks: written into the audit of a bypass. */
  actor: string;
};

const enqueued = z.object({ id: z.number(), status: z.string(), conversation_id: z.number(), repeated: z.boolean() });

/** SQL enqueue_message. Errors: DatabaseRefused WA001 unknown instance, WA002 the idempotency key was used for another message. */
export async function enqueueMessage(db: Door, request: MessageRequest): Promise<z.infer<typeof enqueued>> {
  return enqueued.parse(await db.call('enqueue_message', { p_request: request }));
}

/** A message as the API shows it; more keys may come. */
export const messageStatus = z
  .object({
    id: z.number(),
    status: z.string(),
    reason: z.string().nullable(),
    goes_at: z.string().nullable(),
    provider_message_id: z.string().nullable(),
  })
  .loose();

export type MessageStatus = z.infer<typeof messageStatus>;

/** SQL message_status: a message as the API shows it, or null. */
export async function findMessageStatus(db: Door, tenant: string, id: number): Promise<MessageStatus | null> {
  return messageStatus.nullable().parse(await db.call('message_status', { p_tenant: tenant, p_message: id }));
}

export type MessageFilter = {
  status: string | null;
  kind: string | null;
  /** Canonical digits. */
  phone: string | null;
  instance: string | null;
  campaign_id: string | null;
  since: string | null;
  /** Only what is older than this message. */
  before: number | null;
};

/** SQL list_messages: proactive messages and what became of them, the newest first. */
export async function listMessages(db: Door, tenant: string, filter: MessageFilter, limit: number): Promise<MessageStatus[]> {
  return z.array(messageStatus).parse(await db.call('list_messages', { p_tenant: tenant, p_filter: filter, p_limit: limit }));
}

/** SQL sweep_sends: conversations whose lane has something due. */
export async function sweepSends(db: Door, limit: number): Promise<number[]> {
  return z.array(z.number()).parse(await db.call('sweep_sends', { p_limit: limit }));
}
