/**
 * What business tools do outside. A row is written with the answer that promises it; `sendToolWrite` claims it and makes the call, once. What is not known to have
 * arrived is uncertain: people are told, and it is never made again.
 */
import type { Context } from '../context.ts';
import { persist } from '../db/persist.ts';
import type { NoticeContext } from '../notices/notices.ts';
import { wakeLanes } from '../outbox/wake.ts';
import { claimToolWrite, recordToolWrite, sweepToolWrites, turnWrites } from './calls.ts';
import type { ClaimedWrite, WriteEnd } from './calls.ts';
import type { CallEnd } from './client.ts';
import { tellOfApproval } from './approvals.ts';

/** What this needs of the context; an admin command has it too. */
export type WriteContext = NoticeContext & Pick<Context, 'tools'> & { process: Pick<Context['process'], 'id'> };

/** Longer than the longest call and its record take. Milliseconds. */
const LEASE_MS = 30_000;
/** A call that never left is made again so often, after so long. Milliseconds. */
const MOST_ATTEMPTS = 4;
const RETRY_MS = 15_000;
const AT_ONCE = 50;

/** Makes the call of one write, if it may leave now. Any number at once: one of them makes it. Throws what the database throws. */
export async function sendToolWrite(ctx: WriteContext, id: number): Promise<WriteEnd['status'] | null> {
  const claim = await claimToolWrite(ctx.db, id, ctx.process.id, LEASE_MS);
  if (claim === null) return null;
  const end = writeEnd(await ctx.tools.client.call(claim.tenant, claim.definition, claim.request, { key: claim.key }), claim);
  const { recorded, conversation_id: conversation } = await persist(() => recordToolWrite(ctx.db, claim, end));
  if (recorded) ctx.events.toolWriteEnded(claim, end);
  if (recorded && conversation !== null && end.status !== 'queued') await ctx.queues.wakeSend(conversation).catch(() => {}); // the sweep finds the message
  return end.status;
}

function writeEnd(end: CallEnd, { attempts }: ClaimedWrite): WriteEnd {
  if (end.ok) return { status: 'done', reason: null, answer: end.text };
  const { fault, detail, left, status } = end;
  if (status >= 400 && status < 500) return { status: 'failed', reason: fault, answer: detail };
  if (left) return { status: 'uncertain', reason: fault, answer: detail };
  const again = (fault === 'tool_unreachable' || fault === 'tool_resting' || fault === 'tool_timeout') && attempts < MOST_ATTEMPTS;
  return again ? { status: 'queued', reason: fault, retry_ms: RETRY_MS * attempts } : { status: 'failed', reason: fault, answer: detail };
}

/** After a turn: what it asked for leaves, and people are told of what waits for them. */
export async function afterTurn(ctx: WriteContext, claim: { tenant_id: string; turn_id: number }): Promise<void> {
  for (const { id, status, approval } of await turnWrites(ctx.db, claim.turn_id)) {
    if (status === 'queued') await sendToolWrite(ctx, id);
    if (status === 'waiting' && approval !== null) await tellOfApproval(ctx, claim.tenant_id, approval);
  }
}

/** What a process left behind, and what nobody approved in time. Returns how many it had. Any number at once. */
export async function sweepWrites(ctx: WriteContext): Promise<number> {
  const { conversations, due, untold } = await sweepToolWrites(ctx.db, AT_ONCE);
  await wakeLanes(ctx, [...new Set(conversations)]);
  for (const id of due) await sendToolWrite(ctx, id);
  for (const { id, tenant } of untold) await tellOfApproval(ctx, tenant, id);
  return conversations.length + due.length + untold.length;
}
