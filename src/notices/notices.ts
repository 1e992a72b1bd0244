/**
 * What people are told: alerts, handoffs, reports. `sendNotice` writes a row; a process that is awake delivers it: to Slack, and to the manager's WhatsApp
 * when Slack does not take it (or is not configured).
 *
 *   pending   waits for its time: at once, or the next attempt
 *   handed    a WhatsApp message carries it; looked at until that has left
 *   sent | failed   over; failed says why: `no_channel` (nothing is configured) or `too_old` (nobody could be reached for a day)
 *
 * A deliverer that dies between Slack's answer and writing it down has it told a second time: twice is better than never.
 */
import type { Context } from '../context.ts';
import { asksManager, carriedNotice, isOldNews, noticeDelay, TOO_OLD_SECONDS } from './decide.ts';
import type { SlackTrouble } from './decide.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { addNotice, claimNotices, finishNotice, noticeNumber } from './calls.ts';
import type { ClaimedNotice, NoticeOutcome } from './calls.ts';
import { enqueueMessage } from '../outbox/calls.ts';
import { postToSlack } from './slack.ts';

export type Notice = {
  tenant: string;
  /** What it is about: a second notice of a tenant with the same key is not told. `handoff-17`, `alert-disk-2026-11-27T09:00Z`. */
  key: string;
  /** `alert`, `handoff`, `report` ...: a label of a metric, so few values. */
  kind: string;
  /** For people, in Portuguese; plain text of at most 4,000 characters. */
  text: string;
  /** Leads with a sign that people notice, and asks the manager after the second failure of Slack instead of the fifth. */
  urgent: boolean;
  /** Name of the number that it is about: that one never carries it to the manager. */
  about?: string | undefined;
  /** It is about the manager's own conversation: it goes to Slack or nowhere. */
  notManager?: boolean;
};

/** What telling needs of the context; an admin command has it too. */
export type NoticeContext = Pick<Context, 'config' | 'log' | 'events' | 'db' | 'background'> & {
  queues: Pick<Context['queues'], 'wakeSend'>;
};

/** Longer than Slack, the number and the row take together; a deliverer that died is replaced after it. Milliseconds. */
const LEASE_MS = 60_000;
const AT_ONCE = 20;
/** How often a message that carries a notice is looked at. Milliseconds. */
const LOOK_MS = 30_000;

/**
 * Tells people something, once per tenant and key. Durable when it resolves; the delivery goes on in the background, at once, and is taken up by the
 * scheduler when this process dies. Resolves with false when the key was used before. Contract: throws only what the database throws; may be repeated.
 */
export async function sendNotice(ctx: NoticeContext, notice: Notice): Promise<boolean> {
  const { notManager, about, ...rest } = notice;
  const added = await addNotice(ctx.db, { ...rest, about: about ?? null, not_manager: notManager ?? false });
  if (added) ctx.background.run('deliver notices', () => deliverNotices(ctx));
  return added;
}

/** Delivers what is due; returns how many notices it had. Any number may run at once: each notice is with one of them. Throws what the database throws. */
export async function deliverNotices(ctx: NoticeContext): Promise<number> {
  const claimed = await claimNotices(ctx.db, AT_ONCE, LEASE_MS);
  await Promise.all(
    claimed.map(async (notice) => {
      const outcome = await deliver(ctx, notice);
      const { recorded, news } = await finishNotice(ctx.db, notice, outcome);
      if (recorded) ctx.events.noticeDelivered(notice, outcome, news);
    }),
  );
  return claimed.length;
}

async function deliver(ctx: NoticeContext, notice: ClaimedNotice): Promise<NoticeOutcome> {
  const carried = notice.message_status === null ? null : carriedNotice(notice.message_status);
  if (carried === 'arrived') return { status: 'sent', channel: 'whatsapp', error: null };
  if (isOldNews(notice)) return { status: 'failed', error: 'too_old' };
  if (carried === 'on_its_way') return { status: 'handed', error: null, delay_ms: LOOK_MS };
  const { slack, outbound } = ctx.config;
  const managerPhone = notice.not_manager ? null : outbound.managerPhone;
  if (slack === null && managerPhone === null) return { status: 'failed', error: 'no_channel' };

  let trouble: SlackTrouble = 'not_there';
  let error = carried === 'lost' ? 'message_lost' : 'no_number';
  let delayMs = noticeDelay(notice.attempts, Math.random());
  if (slack !== null) {
    const said = await postToSlack(slack, headed(notice));
    if (said.ok) return { status: 'sent', channel: 'slack', error: null };
    trouble = said.kind;
    error = `slack_${said.message}`;
    delayMs = Math.max(delayMs, said.retryAfterMs ?? 0);
  }
  if (managerPhone !== null && asksManager(notice, trouble)) {
    const message = await writeToManager(ctx, managerPhone, notice);
    if (message !== null)
      return { status: 'handed', channel: 'whatsapp', error: null, message_id: message, delay_ms: LOOK_MS, counts: true };
    error = slack === null ? 'no_number' : `${error}_and_no_number`;
  }
  return { status: 'pending', error, delay_ms: delayMs, counts: true };
}

/** Puts it into the lane of the manager's conversation, on a number that works; null when there is none. */
async function writeToManager(ctx: NoticeContext, phone: string, notice: ClaimedNotice): Promise<number | null> {
  const instance = await noticeNumber(ctx.db, notice.tenant, notice.about, ctx.config.evolution?.instance ?? null);
  if (instance === null) return null;
  try {
    const { id, conversation_id: lane } = await enqueueMessage(ctx.db, {
      tenant: notice.tenant,
      instance,
      phone,
      text: headed(notice),
      kind: 'operator',
      send_after: null,
      expires_at: new Date(Date.now() + (TOO_OLD_SECONDS - notice.age_seconds) * 1000).toISOString(),
      idempotency_key: `notice-${notice.id}-${notice.attempts}`,
      campaign_id: null,
      typing_ms: 0,
      correlation_id: `notice-${notice.id}`,
      bypass: null,
      actor: 'runtime',
    });
    ctx.background.run('wake send', () => ctx.queues.wakeSend(lane));
    return id;
  } catch (error) {
    if (error instanceof DatabaseRefused && error.code === 'WA001') return null; // the number went just now
    throw error;
  }
}

function headed({ urgent, text }: ClaimedNotice): string {
  return urgent ? `🚨 ${text}` : text;
}
